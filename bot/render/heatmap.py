"""The picture of a trace: depth against answer token, coloured by the probability of the emitted token. Knows no Discord.

Pure: bytes out, no pyplot, no global state, so that it may run in any thread. Depth 0 is at the bottom, the model's own output
at the top, as the residual stream rises.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bot.render.glyphs import columns, drawable, families, fit
from bot.render.text import LONGEST_TOKEN, bare, named, visible
from models.readings import emitted_text, handover_depth, pivotal, settle_depth, text_at, top_token
from models.trace import Trace

BACKGROUND, INK, FAINT, ACCENT = "#2b2d31", "#f2f3f5", "#a5a8ae", "#5fd3f3"
COLOURS = ListedColormap(colormaps["inferno"](np.linspace(0.07, 1.0, 256)), name="lens")
"""Safe for colour-blind eyes; without its black end, which would look like a hole in the picture."""
DPI = 100
WIDEST, NARROWEST, GUTTER, RIGHT = 1360, 800, 92, 24
ALT_LIMIT = 1_024
NORM = PowerNorm(0.5, vmin=0.0, vmax=1.0)
"""Square root, so that a few percent are seen; the legend's ticks say so."""
SCALE = np.linspace(0.0, 1.0, 256)[None, :]  # (1, 256)
AXIS = "depth: input below, output on top"
SLANT = 58  # degrees of the labels over narrow columns
LETTER, BOLD = 0.60, 0.70
"""Width of a letter of DejaVu Sans and of its bold face, as a share of the font's size in pixels."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Everything in pixels, measured before anything is drawn."""

    first: int
    count: int
    rows: int
    cell: float
    row: float
    head: float
    foot: float
    slanted: bool
    width: int
    height: int

    def x(self, column: int) -> float:
        """Middle of a column."""
        return GUTTER + self.cell * (column + 0.5)

    def y(self, depth: int) -> float:
        """Middle of a row; depth 0 is the lowest."""
        return self.foot + self.row * (depth + 0.5)

    @property
    def size(self) -> float:
        """Font size of the cells, in pixels."""
        return max(11.0, min(21.0, self.cell / 3.6))


def window(trace: Trace, max_tokens: int) -> tuple[int, int]:
    """First token and number of tokens to show: all, or a window with the pivotal token in its first third."""
    if trace.length <= max_tokens:
        return 0, trace.length
    pivot = pivotal(trace) or 0
    first = min(max(0, pivot - max_tokens // 3), trace.length - max_tokens)
    return first, max_tokens


def _layout(trace: Trace, max_tokens: int) -> _Layout:
    first, count = window(trace, max_tokens)
    widest = max(150.0, min(228.0, (NARROWEST - GUTTER - RIGHT) / max(1, count)))
    cell = min(widest, (WIDEST - GUTTER - RIGHT) / max(1, count))
    rows = trace.depths + 1
    row = max(11.0, min(30.0, 900 / rows))
    labels = [_label(trace, t) for t in range(first, first + count)]
    longest = max((columns(label) for label in labels), default=1)
    slanted = cell < 76 and longest * LETTER * 20 > cell - 6
    head = 100.0 + (longest * LETTER * 20 * 0.9 if slanted else 34)
    width = round(max(NARROWEST, GUTTER + RIGHT + cell * count))
    return _Layout(first, count, rows, cell, row, head, 108.0, slanted, width, round(head + row * rows + 108.0))


def size_of(trace: Trace, *, max_tokens: int = 40) -> tuple[int, int]:
    """Width and height in pixels of the picture that `heatmap_png` draws."""
    layout = _layout(trace, max_tokens)
    return layout.width, layout.height


def heatmap_png(trace: Trace, *, max_tokens: int = 40) -> bytes:
    """The picture as PNG. More tokens than ``max_tokens`` become a window around the pivotal one, and the picture says so."""
    layout = _layout(trace, max_tokens)
    figure = Figure(figsize=(layout.width / DPI, layout.height / DPI), dpi=DPI, facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0, layout.width)
    axes.set_ylim(0, layout.height)  # one unit is one pixel, from the lower left
    _cells(axes, trace, layout)
    _cell_texts(axes, trace, layout)
    _marks(axes, trace, layout)
    _frame(axes, trace, layout)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor=BACKGROUND)
    return buffer.getvalue()


def _text(axes: Axes, x: float, y: float, text: str, size: float, **style: Any) -> None:
    """Text at a pixel; ``size`` in pixels. Math mode stays off, so that a token is drawn as it is."""
    style = {"color": INK, "va": "center", "family": families()} | style
    axes.text(x, y, drawable(text), fontsize=size * 72 / DPI, parse_math=False, **style)


def _label(trace: Trace, t: int) -> str:
    """The emitted token over its column."""
    return _face(emitted_text(trace, t), limit=16)


def _face(text: str, *, limit: int = LONGEST_TOKEN) -> str:
    """A token in a cell; a splinter of a character is a small dot there, as a row of boxes would shout."""
    return "·" if text and not text.strip("\ufffd") else bare(text, limit=limit)


def _cells(axes: Axes, trace: Trace, layout: _Layout) -> None:
    shown = trace.emitted_prob[layout.first : layout.first + layout.count].T  # (L+1, count)
    left, right = GUTTER, GUTTER + layout.cell * layout.count
    axes.imshow(
        shown,
        cmap=COLOURS,
        norm=NORM,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(left, right, layout.foot, layout.foot + layout.row * layout.rows),
    )
    axes.set_xlim(0, layout.width)
    axes.set_ylim(0, layout.height)
    if layout.cell > 20:
        edges = [GUTTER + layout.cell * i for i in range(1, layout.count)]
        axes.vlines(edges, layout.foot, layout.foot + layout.row * layout.rows, colors=BACKGROUND, linewidth=1.5)


def _cell_texts(axes: Axes, trace: Trace, layout: _Layout) -> None:
    """What was top-1 in each cell: clear where it changes on the way up, faint where it stays and in the lower half."""
    step = max(1, -(-int(layout.size + 3) // int(layout.row)))
    room = (layout.cell - 3) / (LETTER * layout.size)
    for column in range(layout.count):
        t, below = layout.first + column, None
        for depth in reversed(range(trace.depths, -1, -step)):
            text = fit(_face(text_at(trace, t, top_token(trace, t, depth))), room)
            bright = float(NORM(trace.emitted_prob[t, depth])) > 0.62
            x, y = layout.x(column), layout.y(depth)
            alpha = 1.0 if depth == trace.depths or text != below else 0.55
            alpha = min(alpha, 0.4 if 2 * depth < trace.depths else 1.0)
            _text(axes, x, y, text, layout.size, color="#16171a" if bright else INK, ha="center", alpha=alpha)
            below = text


def _marks(axes: Axes, trace: Trace, layout: _Layout) -> None:
    """Frames around the settled stretch of each column, and the pivotal token marked above."""
    pivot = pivotal(trace)
    for column in range(layout.count):
        t = layout.first + column
        # A slanted label may lean over its neighbours' columns, the last ones only up to the edge.
        edge = (layout.width - layout.x(column) - 6) / math.cos(math.radians(SLANT)) if layout.slanted else layout.cell
        label = fit(_label(trace, t), max(edge / (LETTER * 20), 4.0))
        settle = settle_depth(trace, t)
        if settle is not None or t == pivot:
            _stretch(axes, layout, column, settle, chosen=t == pivot)
        _text(
            axes,
            layout.x(column),
            layout.foot + layout.row * layout.rows + 10,
            label,
            min(20.0, layout.cell * 0.8),
            color=ACCENT if t == pivot else INK,
            weight="bold" if t == pivot else "normal",
            ha="left" if layout.slanted else "center",
            va="bottom",
            rotation=SLANT if layout.slanted else 0,
            rotation_mode="anchor",
        )


def _stretch(axes: Axes, layout: _Layout, column: int, settle: int | None, *, chosen: bool) -> None:
    """A frame from the settle depth up to the output; dashed, around the output alone, where another token was on top there."""
    last = layout.rows - 1
    bottom = last if settle is None else settle
    corner = (GUTTER + layout.cell * column + 2, layout.y(bottom) - layout.row / 2 + 1)
    height = (last - bottom + 1) * layout.row - 2
    frame = Rectangle(corner, layout.cell - 4, height, fill=False, edgecolor=ACCENT if chosen else INK)
    frame.set(linewidth=3.0 if chosen else 1.0, alpha=1.0 if chosen else 0.6, zorder=4 if chosen else 3)
    frame.set_linestyle("solid" if settle is not None else (0, (1.5, 1)))
    axes.add_patch(frame)


def _frame(axes: Axes, trace: Trace, layout: _Layout) -> None:
    """Title, depths on the left, and below what the colours and frames mean."""
    model = str(trace.meta.get("name") or trace.meta.get("model") or "")
    room = (layout.width - 48) / (BOLD * 26) - len(" · logit lens")
    title = " · ".join(part for part in (fit(visible(model, limit=60), room), "logit lens") if part)
    _text(axes, 24, layout.height - 30, title, 26, weight="bold")
    last = layout.first + layout.count
    which = f"tokens {layout.first + 1}–{last} of {trace.length}" if layout.count < trace.length else f"{trace.length} tokens"
    _text(axes, 24, layout.height - 64, f"{which} · {trace.depths} layers · top token at each depth", 18, color=FAINT)
    every = max(1, -(-26 // int(layout.row)))
    for depth in range(trace.depths, -1, -every):
        _text(axes, GUTTER - 10, layout.y(depth), str(depth), 17, color=FAINT, ha="right")
    _text(axes, 18, layout.foot + layout.row * layout.rows / 2, AXIS, 17, color=FAINT, rotation=90, ha="center")
    _legend(axes, layout)


def _legend(axes: Axes, layout: _Layout) -> None:
    left, width, y = GUTTER, 300, 66
    axes.imshow(SCALE, cmap=COLOURS, aspect="auto", extent=(left, left + width, y, y + 18), vmin=0, vmax=1)
    axes.set_xlim(0, layout.width)
    axes.set_ylim(0, layout.height)
    for share in (0.0, 0.05, 0.25, 0.5, 1.0):
        _text(axes, left + width * float(NORM(share)), y - 13, f"{100 * share:.0f}%", 15, color=FAINT, ha="center")
    _text(axes, left, 24, "probability of the emitted token", 17, color=FAINT, ha="left")
    x = left + width + 50
    axes.add_patch(Rectangle((x, y - 2), 30, 22, fill=False, edgecolor=INK, linewidth=1.2))
    _text(axes, x + 42, y + 9, "settled: on top from here up", 17, color=FAINT)
    axes.add_patch(Rectangle((x, 13), 30, 22, fill=False, edgecolor=ACCENT, linewidth=3))
    _text(axes, x + 42, 24, "where the answer was decided", 17, color=FAINT)


def alt_text(trace: Trace, *, max_tokens: int = 40) -> str:
    """The picture in words, for those who do not see it; at most 1,024 characters, every number from the trace."""
    first, count = window(trace, max_tokens)
    parts = [f"Heat map of {count} answer tokens by {trace.depths} layers, read through the logit lens."]
    if count < trace.length:
        parts.append(f"It shows tokens {first + 1} to {first + count} of {trace.length}, around the pivotal one.")
    pivot = pivotal(trace)
    if pivot is not None:
        parts.append(_alt_pivot(trace, pivot))
    parts.append("Brighter is a higher probability of the token that was emitted; frames mark where it stays the likeliest.")
    text = " ".join(parts)
    return text if len(text) <= ALT_LIMIT else text[: ALT_LIMIT - 1] + "…"


def _alt_pivot(trace: Trace, t: int) -> str:
    settle = settle_depth(trace, t)
    word, prob = named(emitted_text(trace, t)), 100 * float(trace.emitted_prob[t, -1])
    where = "was not the likeliest at the last layer" if settle is None else f"stays the likeliest from depth {max(1, settle)}"
    told = f"The answer was decided at token {t + 1}, {word}: it {where} and ends at {prob:.1f}%"
    return f"{told}; the handover lies at depth {handover_depth(trace, t)}."
