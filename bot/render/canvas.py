"""The dark ground that pictures for Discord are drawn on: its colours, its text, its bytes. Knows no traces.

Made for a phone: Discord shows a picture about 400 points wide there, so letters are at least 20 pixels high on a ground of
about 1,000, and long sentences break. Pure: no pyplot, no global state, so that it may be used in any thread.
"""

from __future__ import annotations

import io
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bot.render.fonts import families, language
from bot.render.glyphs import BOLD, LETTER, drawable, fit, wrap

BACKGROUND, INK, FAINT, ACCENT, GRID, DARK = "#2b2d31", "#f2f3f5", "#b5b8be", "#5fd3f3", "#43464d", "#16171a"
SKY, ORANGE, GREEN, PINK, YELLOW, GREY = "#56b4e9", "#e69f00", "#2dc498", "#e08cc0", "#f0e442", "#8d9096"
"""Okabe and Ito's colours, the dark ones lightened for a dark ground: apart for every kind of colour blindness."""
DPI = 100
WIDTH, MARGIN = 1000, 28
TITLE, BODY, SMALL = 32.0, 24.0, 22.0
"""Heights of letters in pixels."""


class Canvas:
    """A ground of ``width`` by ``height`` pixels; one unit is one pixel, from the lower left."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = round(width), round(height)
        self._figure = Figure(figsize=(self.width / DPI, self.height / DPI), dpi=DPI, facecolor=BACKGROUND)
        FigureCanvasAgg(self._figure)
        self.axes: Axes = self._figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self.axes.set_axis_off()
        self.frame()

    def frame(self) -> None:
        """Set the limits again, after something that moves them."""
        self.axes.set_xlim(0, self.width)
        self.axes.set_ylim(0, self.height)

    def text(self, x: float, y: float, text: str, size: float, **style: Any) -> None:
        """Text at a pixel, vertically centred; ``size`` in pixels. A token is drawn as it is: math mode stays off."""
        shown = drawable(text)
        if shown:
            fonts: dict[str, Any] = {"family": families(shown), "language": language(shown), "parse_math": False}
            style = {"color": INK, "va": "center", "fontsize": size * 72 / DPI, **fonts} | style
            self.axes.text(x, y, shown, **style)

    def line(self, xs: tuple[float, float], ys: tuple[float, float], **style: Any) -> None:
        """A straight line between two pixels."""
        look: dict[str, Any] = {"color": GRID, "linewidth": 1.2, "zorder": 1} | style
        self.axes.plot(xs, ys, **look)

    def box(self, x: float, y: float, width: float, height: float, **style: Any) -> None:
        """A rectangle from its lower left corner; a negative width goes to the left."""
        self.axes.add_patch(Rectangle((x, y), width, height, **({"linewidth": 0} | style)))

    def png(self) -> bytes:
        """The picture."""
        self.frame()
        buffer = io.BytesIO()
        self._figure.savefig(buffer, format="png", facecolor=BACKGROUND)
        return buffer.getvalue()


class Heading:
    """A title and sentences under it, broken to a width. Measured before the canvas is made, drawn on it afterwards."""

    def __init__(self, width: float, title: str, *sentences: str) -> None:
        room = width - 2 * MARGIN
        self._title = wrap(title, room / (BOLD * TITLE))[:2]
        self._below = [line for sentence in sentences if sentence for line in wrap(sentence, room / (LETTER * SMALL))]

    @property
    def height(self) -> float:
        """In pixels, the margin above it included."""
        return 20.0 + 1.3 * TITLE * len(self._title) + 1.35 * SMALL * len(self._below) + 8.0

    def draw(self, canvas: Canvas) -> None:
        """At the top of the canvas."""
        y = canvas.height - 20.0
        for line in self._title:
            canvas.text(MARGIN, y - 0.65 * TITLE, line, TITLE, weight="bold")
            y -= 1.3 * TITLE
        y -= 4.0
        for line in self._below:
            canvas.text(MARGIN, y - 0.65 * SMALL, line, SMALL, color=FAINT)
            y -= 1.35 * SMALL


def short(text: str, width: float, size: float) -> str:
    """The text cut to a width in pixels."""
    return fit(text, width / (LETTER * size))
