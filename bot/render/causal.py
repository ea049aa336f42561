"""The picture of a causal check: what the answer token loses when each block is taken out, beside a random removal.

Knows no Discord and no torch. Pure: bytes out, no pyplot, no global state, so that it may run in any thread. Block 1 is at the
bottom, as the residual stream rises in the heat map.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bot.render.glyphs import drawable, families
from bot.render.heatmap import ALT_LIMIT, BACKGROUND, DPI, FAINT, INK
from bot.render.text import bare, named
from models.findings import CausalCheck, Part
from models.readings_causal import drops, flips, matters, strongest

WIDTH, LEFT, RIGHT = 900, 78, 190
HEAD, FOOT = 126, 108
REMOVED, CHANGED, RANDOM = "#56b4e9", "#e69f00", "#8d9096"
"""Sky blue and orange of Okabe and Ito, and grey: apart for every kind of colour blindness, and on a dark ground."""
CHANCES = {"block": "block", "attention": "attention of the block", "mlp": "MLP of the block"}


def causal_png(check: CausalCheck, *, part: Part = "block", title: str = "") -> bytes:
    """The picture as PNG: a bar per block, its control as a tick; where the likeliest token changes, the new one is named.

    Args:
        check: with ``part`` among its removals.
        part: what was taken out.
        title: stands first in the heading, the model's name mostly.

    Raises:
        ValueError: this part was not asked for.
    """
    real, control = drops(check, part)
    count = len(real)
    row = max(13.0, min(30.0, 1000 / count))
    height = round(HEAD + row * count + FOOT)
    figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    box = (LEFT / WIDTH, FOOT / height, (WIDTH - LEFT - RIGHT) / WIDTH, row * count / height)
    axes = figure.add_axes(box, facecolor=BACKGROUND)
    _bars(axes, check, part, row)
    _scale(axes, real, control, row)
    _words(figure, check, part, title, height)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor=BACKGROUND)
    return buffer.getvalue()


def _bars(axes: Axes, check: CausalCheck, part: Part, row: float) -> None:
    real, control = drops(check, part)
    blocks = np.arange(1, len(real) + 1)
    changed = {flip.block: flip for flip in flips(check, part)}
    colours = [CHANGED if int(b) in changed else REMOVED for b in blocks]
    axes.barh(blocks, real, height=0.72, color=colours, zorder=2)
    axes.vlines(control, blocks - 0.42, blocks + 0.42, colors=BACKGROUND, linewidth=5, zorder=3)
    axes.vlines(control, blocks - 0.42, blocks + 0.42, colors=INK, linewidth=2.2, zorder=4)
    told = set(matters(check, part))
    size = _points(min(19.0, row * 0.95))
    for block in blocks:
        flip, mine = changed.get(int(block)), int(block) in told
        word = (
            f"→ {bare(check.pieces.get(flip.token, '') or f'⟨{flip.token}⟩', limit=12)}" if flip else "• matters" if mine else ""
        )
        colour = CHANGED if flip else REMOVED
        style: dict[str, Any] = {"color": colour, "va": "center", "weight": "bold", "parse_math": False, "family": families()}
        axes.text(1.02, float(block), drawable(word), fontsize=size, transform=axes.get_yaxis_transform(), **style)


def _scale(axes: Axes, real: Any, control: Any, row: float) -> None:
    """Depths on the left, nats below; the random removals' largest drop as a line that a telling bar must pass."""
    low, high = float(min(real.min(), control.min(), 0.0)), float(max(real.max(), control.max(), 0.5))
    margin = 0.04 * (high - low)
    axes.set_xlim(low - margin, high + margin)
    axes.set_ylim(0.4, len(real) + 0.6)
    axes.axvline(0.0, color=FAINT, linewidth=1.2, zorder=1)
    axes.axvline(max(0.0, float(control.max())), color=INK, linewidth=1.2, linestyle=(0, (4, 4)), zorder=1, alpha=0.7)
    every = max(1, -(-24 // int(row)))
    axes.set_yticks([block for block in range(1, len(real) + 1) if block == 1 or block % every == 0])
    axes.tick_params(colors=FAINT, labelsize=_points(16), length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.grid(axis="x", color="#3f4248", linewidth=0.8, zorder=0)


def _words(figure: Figure, check: CausalCheck, part: Part, title: str, height: int) -> None:
    """Heading above, and below what the marks mean."""
    emitted = named(check.pieces.get(check.emitted, ""))
    heading = " · ".join(text for text in (title, f"which {CHANCES[part]} {emitted} hangs on") if text)
    _say(figure, 24, height - 32, heading, 24, height, weight="bold")
    drop = "drop of its log-probability (nats) when each is taken out"
    _say(figure, 24, height - 66, drop, 18, height, color=FAINT)
    _say(figure, 24, height - 94, "to the left of 0 it got likelier", 18, height, color=FAINT)
    _say(figure, 24, 50, "■", 20, height, color=CHANGED)
    _say(figure, 50, 50, "another token leads without it", 17, height, color=FAINT)
    _say(figure, 380, 50, "■", 20, height, color=REMOVED)
    _say(figure, 406, 50, "it still leads, or it does not at random either", 17, height, color=FAINT)
    _say(figure, 24, 20, "❙", 18, height)
    _say(figure, 50, 20, "a random vector of the same size taken out;  ┆ the largest of these", 17, height, color=FAINT)


def _say(figure: Figure, x: float, y: float, text: str, size: float, height: int, **style: Any) -> None:
    """Text at a pixel from the lower left; ``size`` in pixels."""
    style = {"color": INK, "va": "center", "family": families()} | style
    figure.text(x / WIDTH, y / height, drawable(text), fontsize=_points(size), parse_math=False, **style)


def _points(pixels: float) -> float:
    return pixels * 72 / DPI


def causal_alt(check: CausalCheck, *, part: Part = "block") -> str:
    """The picture in words, for those who do not see it; at most 1,024 characters, every number from the check.

    Raises:
        ValueError: this part was not asked for.
    """
    real, control = drops(check, part)
    emitted = named(check.pieces.get(check.emitted, ""))
    parts = [f"Bar chart: how far the log-probability of {emitted} falls when each of {len(real)} blocks is taken out."]
    block = strongest(check, part)
    if block is None:
        parts.append("No block matters more than a random vector of the same size.")
    else:
        parts.append(f"Most without block {block}: {real[block - 1]:.2f} nats, at random {control[block - 1]:.2f}.")
    changed = [f"{flip.block} ({named(check.pieces.get(flip.token, ''))})" for flip in flips(check, part)]
    if changed:
        parts.append(f"Another token leads without block {', '.join(changed)}.")
    text = " ".join(parts)
    return text if len(text) <= ALT_LIMIT else text[: ALT_LIMIT - 1] + "…"
