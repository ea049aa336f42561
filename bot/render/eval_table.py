"""An evaluation's report as tables for the terminal: accuracy, confidence measures, reliability. Knows the report alone."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from bot.services.evaluation import Report, Score
    from bot.services.scoring import Interval

ROOMY = 116
"""Columns in which values and their intervals stand side by side."""
_DASHED = str.maketrans("", "", "()")
KIND_WORDS = {
    "false_premise": "false premise",
    "category_mistake": "category mistake",
    "pattern_trap": "pattern trap",
    "riddle": "riddle",
    "impossible_date": "impossible date",
    "all": "all",
}


def tables(report: Report, *, width: int = ROOMY) -> Iterator[RenderableType]:
    """Accuracy, scores, reliability, and a sentence that says which confidence measures beat the baseline.

    In a terminal of fewer columns than `ROOMY` intervals stand below their value, so that no figure is cut.
    """
    narrow = width < ROOMY
    yield _accuracy(report, narrow)
    yield _scores(report, narrow)
    yield _reliability(report, narrow)
    yield Text(verdict(report))


def verdict(report: Report) -> str:
    """Which confidence measures flag wrong answers better than the plain answer probability, beyond chance."""
    compared = [score for score in report.scores if score.difference is not None]
    if not compared:
        return "Nothing can be compared: all answers were right, or all were wrong."
    better = [score.label for score in compared if score.beats]
    if not better:
        return "No measure flags wrong answers better than the plain answer probability: no 95 % interval lies above 0."
    return (
        f"These flag wrong answers better than the plain answer probability, with the 95 % interval above 0: {'; '.join(better)}."
    )


def _table(title: str, *columns: str, narrow: bool, left: int = 1, caption: str | None = None) -> Table:
    """A table whose first columns are words; boxed where there is room."""
    style: dict[str, Any] = (
        {"box": box.SIMPLE_HEAD, "pad_edge": False, "padding": (0, int(len(columns) < 7), 0, 0), "show_edge": False}
        if narrow
        else {}
    )
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left", **style)
    for at, column in enumerate(columns):
        table.add_column(column, justify="left" if at < left else "right", overflow="fold")
    return table


def _label(score: Score, narrow: bool) -> str:
    return textwrap.fill(score.label, 13, break_long_words=False) if narrow else score.label


def _stacked(cell: str) -> str:
    """What is in brackets below its value."""
    return cell.replace(" (", "\n(")


def _accuracy(report: Report, narrow: bool) -> Table:
    title = f"Right answers · {report.settings.get('name', '')}"
    table = _table(title, "kind", "lang", "tricks", "twins", narrow=narrow, left=2)
    cells = {(a.kind, a.lang, a.role): f"{a.right}/{a.count} ({100 * a.right / a.count:.0f} %)" for a in report.accuracies}
    for kind, lang in dict.fromkeys((a.kind, a.lang) for a in report.accuracies):
        row = [cells.get((kind, lang, role), "") for role in ("trick", "twin")]
        table.add_row(KIND_WORDS[kind], lang, *row, style="bold" if kind == "all" else "")
    return table


def _scores(report: Report, narrow: bool) -> Table:
    caption = "AUROC: how often a wrong answer gets more doubt than a right one; 0.5 is chance. ECE: calibration error."
    heads = ("AUROC\n(95 %)", "minus\nbaseline") if narrow else ("AUROC (95 %)", "minus baseline (95 %)")
    columns = ("measure", "n", *heads, "tricks", "twins", "ECE")
    table = _table("Which confidence measure flags a wrong answer", *columns, narrow=narrow, caption=caption)
    for score in report.scores:
        if score.count:
            auroc, difference, *rest = _cells(score)
            if narrow:
                auroc, difference = (_stacked(cell).translate(_DASHED).replace(" to ", "–") for cell in (auroc, difference))
            cells = (str(score.count), auroc, difference, *rest)
            table.add_row(_label(score, narrow), *cells, style="bold" if score.beats else "")
    return table


def _cells(score: Score) -> list[str]:
    roles = [_plain(score.by_role.get(role)) for role in ("trick", "twin")]
    return [_interval(score.auroc), _interval(score.difference, sign="+"), *roles, _plain(score.calibration_error)]


def _reliability(report: Report, narrow: bool) -> Table:
    caption = "In each cell: share right (answers). A calibrated measure has about its own value there."
    shown = [score for score in report.scores if score.bins]
    edges = sorted({(b.low, b.high) for score in shown for b in score.bins})
    columns = (f"{low:.1f}–{high:.1f}" for low, high in edges)
    table = _table("Reliability", "measure", *columns, narrow=narrow, caption=caption)
    for score in shown:
        cells = {(b.low, b.high): f"{100 * b.right:.0f} % ({b.count})" for b in score.bins}
        row = [cells.get(edge, "") for edge in edges]
        table.add_row(_label(score, narrow), *(map(_stacked, row) if narrow else row))
    return table


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _interval(found: Interval | None, sign: str = "") -> str:
    return "" if found is None else f"{found.value:{sign}.2f} ({found.low:{sign}.2f} to {found.high:{sign}.2f})"
