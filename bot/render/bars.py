"""Lying bars, one row for each block of a model: the frame of attribution and causal pictures. Knows no traces and no findings.

Block 1 is at the bottom, as the residual stream rises in the heat map.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.render.canvas import FAINT, INK, MARGIN, SMALL, WIDTH, Canvas, Heading
from bot.render.glyphs import LETTER, columns
from bot.render.plot import Plot, nice_ticks

LEFT, TICKS = 138, 58
LegendEntry = tuple[str, str, str]
"""Mark, text, colour of the mark."""


def row_height(rows: int) -> float:
    """Pixels of a row, so that 30 blocks are read easily and 80 still fit."""
    return max(13.0, min(30.0, 1040 / rows))


def bar_plot(
    heading: Heading,
    names: Sequence[str],
    low: float,
    high: float,
    legend: Sequence[LegendEntry],
    *,
    axis: str,
    right: float,
    left: float = 0.0,
) -> tuple[Canvas, Plot]:
    """A canvas with heading, legend and an empty plot.

    Args:
        heading: measured for `canvas.WIDTH`.
        names: of the rows, the lowest first; row ``i`` has its middle at the value ``i``.
        low: least value.
        high: largest value.
        legend: below the plot.
        axis: what the values are.
        right: pixels that stay free on the right for words.
        left: the same on the left.
    """
    lines = legend_lines(legend)
    row, foot = row_height(len(names)), 34.0 * len(lines) + 24.0
    bottom = foot + TICKS + 12
    canvas = Canvas(WIDTH, heading.height + 12 + row * len(names) + bottom)
    heading.draw(canvas)
    start, margin = LEFT + left, 0.01 * (high - low)
    xs = (low - margin, high + margin)
    plot = Plot(canvas, start, bottom, WIDTH - start - right, row * len(names), xs, (-0.5, len(names) - 0.5))
    plot.columns(nice_ticks(low, high), lines=True)
    every = max(1, -(-24 // int(row)))
    for i, name in enumerate(names):
        if not name.isdigit() or int(name) % every == 0:
            canvas.text(LEFT - 12, plot.y(i), name, 20 if name.isdigit() else 19, color=FAINT, ha="right")
    zero = plot.x(0.0)
    canvas.line((zero, zero), (bottom, bottom + plot.height), color=FAINT, linewidth=1.6)
    canvas.text(plot.left + plot.width / 2, foot + 18, axis, 20, color=FAINT, ha="center")
    _draw_legend(canvas, lines)
    return canvas, plot


def legend_lines(legend: Sequence[LegendEntry]) -> list[list[LegendEntry]]:
    """The entries in lines that fit the width."""
    lines: list[list[LegendEntry]] = [[]]
    x = float(MARGIN)
    for entry in legend:
        width = _width(entry)
        if lines[-1] and x + width > WIDTH - MARGIN / 2:
            lines.append([])
            x = float(MARGIN)
        lines[-1].append(entry)
        x += width
    return lines


def _width(entry: LegendEntry) -> float:
    return 36 + columns(entry[1]) * LETTER * SMALL + 26


def _draw_legend(canvas: Canvas, lines: list[list[LegendEntry]]) -> None:
    for i, line in enumerate(reversed(lines)):
        x, y = float(MARGIN), 30.0 + 34.0 * i
        for entry in line:
            mark, text, colour = entry
            canvas.text(x, y, mark, SMALL, color=colour)
            canvas.text(x + 34, y, text, SMALL, color=FAINT if colour != INK else INK)
            x += _width(entry)
