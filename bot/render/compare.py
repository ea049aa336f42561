"""The picture of a comparison: two answers at their pivotal tokens, depth by depth, over the band of their controls.

Knows no Discord and no torch. Pure: bytes out, no pyplot, no global state, so that it may run in any thread. Depth 1 is on the
left; above the probability of the token that was emitted, below the entropy.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bot.render.glyphs import drawable, families
from bot.render.heatmap import ALT_LIMIT, BACKGROUND, DPI, FAINT, INK
from bot.render.text import named
from models.trace import FloatArray

WIDTH, HEIGHT = 900, 1064
LEFT, RIGHT, PANEL, LOWER, UPPER = 84, 64, 340, 124, 548
"""Pixels: margins, the height of a panel, and where the lower and the upper one stand."""
A, B, BAND, GRID = "#e69f00", "#56b4e9", "#6b6f77", "#3f4248"
"""Orange and sky blue of Okabe and Ito on grey: apart for every kind of colour blindness; A is a full line, B a dashed one."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One answer at its pivotal token, at the depths from 1 to L."""

    token: str = field(repr=False)
    probs: FloatArray  # (L,) of the emitted token
    entropies: FloatArray  # (L,) nats


def compare_png(a: Curve, b: Curve, controls: Sequence[Curve] = (), *, title: str = "") -> bytes:
    """The picture as PNG; without controls there is no band."""
    figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    _panel(figure, UPPER, a.probs, b.probs, [c.probs for c in controls], top=1.0)
    _panel(figure, LOWER, a.entropies, b.entropies, [c.entropies for c in controls], top=None)
    _words(figure, a, b, len(controls), title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor=BACKGROUND)
    return buffer.getvalue()


def _panel(figure: Figure, bottom: int, a: FloatArray, b: FloatArray, band: Sequence[FloatArray], *, top: float | None) -> None:
    box = (LEFT / WIDTH, bottom / HEIGHT, (WIDTH - LEFT - RIGHT) / WIDTH, PANEL / HEIGHT)
    axes = figure.add_axes(box, facecolor=BACKGROUND)
    depths = np.arange(1, len(a) + 1)
    if band:
        axes.fill_between(depths, np.min(band, axis=0), np.max(band, axis=0), color=BAND, alpha=0.55, linewidth=0, zorder=2)
    axes.plot(depths, a, color=A, linewidth=3.4, zorder=4, solid_capstyle="round")
    axes.plot(depths, b, color=B, linewidth=3.4, zorder=5, linestyle=(0, (2.6, 1.2)))
    highest = max(float(np.max(row)) for row in (a, b, *band))
    _scale(axes, len(a), top if top is not None else 1.06 * max(highest, 0.1))
    _ends(axes, len(a), float(a[-1]), float(b[-1]))


def _scale(axes: Axes, depths: int, top: float) -> None:
    axes.set_xlim(1 if depths > 1 else 0.5, max(depths, 1.5))
    axes.set_ylim(0, top)
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    if top == 1.0:
        axes.yaxis.set_major_formatter(lambda value, _place: f"{value:.0%}")
    axes.tick_params(colors=FAINT, labelsize=_points(19), length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.grid(axis="y", color=GRID, linewidth=0.9, zorder=0)


def _ends(axes: Axes, depths: int, a: float, b: float) -> None:
    """A and B at the right end of their lines, kept apart where the lines meet."""
    low, high = axes.get_ylim()
    least = 0.09 * (high - low)
    low += least / 2  # clear of the depths below
    a, b = max(a, low), max(b, low)
    if abs(a - b) < least:
        middle = min(max((a + b) / 2, low + least / 2), high - least / 2)
        a, b = (middle + least / 2, middle - least / 2) if a >= b else (middle - least / 2, middle + least / 2)
    for name, y, colour in (("A", a, A), ("B", b, B)):
        style: dict[str, Any] = {"color": colour, "weight": "bold", "va": "center", "family": families()}
        axes.annotate(name, (depths, y), (10, 0), textcoords="offset points", fontsize=_points(26), **style)


def _words(figure: Figure, a: Curve, b: Curve, controls: int, title: str) -> None:
    _say(figure, 24, HEIGHT - 36, " · ".join(text for text in (title, "A and B, depth by depth") if text), 25, weight="bold")
    _say(figure, 24, HEIGHT - 80, f"━ A: {named(a.token, limit=16)}", 22, color=A, weight="bold")
    _say(figure, WIDTH / 2, HEIGHT - 80, f"╍ B: {named(b.token, limit=16)}", 22, color=B, weight="bold")
    band = f"from the lowest to the highest of {controls} controls" if controls else "no controls were asked"
    _say(figure, 24, HEIGHT - 118, "■", 22, color=BAND)
    _say(figure, 54, HEIGHT - 118, band, 20, color=FAINT)
    _say(figure, LEFT, UPPER + PANEL + 26, "probability of the emitted token", 20)
    _say(figure, LEFT, LOWER + PANEL + 26, "entropy in nats: how spread out it was", 20)
    _say(figure, LEFT, 68, "depth; the last one is the model's own output", 20, color=FAINT)
    _say(figure, LEFT, 32, "each answer is read at its pivotal token", 20, color=FAINT)


def _say(figure: Figure, x: float, y: float, text: str, size: float, **style: Any) -> None:
    """Text at a pixel from the lower left; ``size`` in pixels."""
    style = {"color": INK, "va": "center", "family": families()} | style
    figure.text(x / WIDTH, y / HEIGHT, drawable(text), fontsize=_points(size), parse_math=False, **style)


def _points(pixels: float) -> float:
    return pixels * 72 / DPI


def compare_alt(a: Curve, b: Curve, controls: Sequence[Curve] = ()) -> str:
    """The picture in words, for those who do not see it; at most 1,024 characters, every number from the curves."""
    half, last = (len(a.probs) + 1) // 2, len(a.probs)
    parts = [f"Two line charts over {last} depths."]
    for name, curve in (("A", a), ("B", b)):
        at = (half, last)
        probs = " and ".join(f"{curve.probs[d - 1]:.1%} at depth {d}" for d in at)
        entropies = " and ".join(f"{curve.entropies[d - 1]:.2f}" for d in at)
        parts.append(f"{name}, {named(curve.token)}: probability {probs}; entropy there {entropies} nats.")
    if controls:
        likely, spread = [float(c.probs[-1]) for c in controls], [float(c.entropies[-1]) for c in controls]
        parts.append(
            f"Grey band of {len(controls)} controls, at the last depth: probability {min(likely):.1%} to {max(likely):.1%},"
            f" entropy {min(spread):.2f} to {max(spread):.2f} nats."
        )
    text = " ".join(parts)
    return text if len(text) <= ALT_LIMIT else text[: ALT_LIMIT - 1] + "…"
