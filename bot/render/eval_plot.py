"""An evaluation's report as one picture: reliability diagram, and AUROC of each figure. Pure: bytes out, no pyplot."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Picture

from bot.render.axes import BLUE, FAINT, GREY, GRID, INK, bare_axes, heading

if TYPE_CHECKING:
    from bot.services.evaluation import Report, Score

SERIES = (("#0072b2", "o"), ("#e69f00", "s"), ("#009e73", "^"), ("#d55e00", "D"), ("#cc79a7", "v"))
"""Okabe and Ito's colours, each with a marker of its own."""
FIRM = 5
"""Answers that a bin must hold for a line to go through it."""


def draw(report: Report, *, form: str = "png") -> bytes:
    """The picture; ``form`` is png, svg or pdf."""
    picture = Picture(figsize=(12.8, 5.0), dpi=110, facecolor="white")
    FigureCanvasAgg(picture)
    picture.set_layout_engine("constrained", h_pad=0.12, w_pad=0.12)
    picture.suptitle(_title(report), x=0.012, ha="left", fontsize=11.5, color=INK, fontweight="bold")
    left, right = picture.subplots(1, 2, width_ratios=(1.0, 1.35))
    _reliability(left, [score for score in report.scores if score.bins])
    _bars(right, [score for score in report.scores if score.auroc is not None])
    buffer = io.BytesIO()
    picture.savefig(buffer, format=form, facecolor="white")
    return buffer.getvalue()


def _title(report: Report) -> str:
    totals = [a for a in report.accuracies if a.kind == "all"]
    told = [f"{a.right} of {a.count} {a.role}s right ({a.lang})" for a in totals]
    return " · ".join([str(report.settings.get("name", "")), *told])


def _reliability(axes: Axes, scores: list[Score]) -> None:
    bare_axes(axes)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1.2, linestyle=(0, (4, 3)), label="calibrated")
    for score, (colour, marker) in zip(scores, SERIES, strict=False):
        xs, ys = [b.confidence for b in score.bins], [b.right for b in score.bins]
        firm = [(x, y) for x, y, b in zip(xs, ys, score.bins, strict=True) if b.count >= FIRM]
        axes.plot([x for x, _ in firm], [y for _, y in firm], color=colour, linewidth=1.5, alpha=0.9)
        axes.scatter(xs, ys, color=colour, marker=marker, label=score.label, s=[18 + 0.9 * b.count for b in score.bins], zorder=3)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.5)  # the legend stands above the data
    axes.set_yticks([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.legend(frameon=False, fontsize=8.5, labelcolor=INK, loc="upper left")
    axes.set_ylabel("share right", fontsize=9, color=FAINT)
    heading(axes, "Reliability", "the measure's value, mean of each bin; larger marks are more answers")


def _bars(axes: Axes, scores: list[Score]) -> None:
    bare_axes(axes)
    for at, score in enumerate(scores):
        found = score.auroc
        if found is None:
            continue
        axes.barh(at, found.value, height=0.6, color=GREY if at == 0 else BLUE, alpha=1.0 if at == 0 or score.beats else 0.55)
        axes.hlines(at, found.low, found.high, color=INK, linewidth=1.4)
        axes.text(1.02, at, f"{found.value:.2f}", va="center", ha="left", fontsize=9, color=INK)
    axes.axvline(0.5, color=FAINT, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.set_yticks(range(len(scores)), [score.label for score in scores], fontsize=9, color=INK)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1)
    axes.xaxis.grid(True, color=GRID, linewidth=0.8)
    heading(axes, "Flagging wrong answers", "AUROC with 95 % interval; dashed: chance; full blue: beats the baseline")
