"""An evaluation's report as tables for the terminal: accuracy, figures of confidence, reliability. Knows the report alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from bot.services.evaluation import Report, Score
    from bot.services.scoring import Interval

KIND_WORDS = {
    "false_premise": "false premise",
    "category_mistake": "category mistake",
    "pattern_trap": "pattern trap",
    "riddle": "riddle",
    "impossible_date": "impossible date",
    "all": "all",
}


def tables(report: Report) -> Iterator[RenderableType]:
    """Accuracy, scores, reliability, and a sentence that says which figures beat the baseline."""
    yield _accuracy(report)
    yield _scores(report)
    yield _reliability(report)
    yield Text(verdict(report))


def verdict(report: Report) -> str:
    """Which figures tell wrong answers better than the plain answer probability, beyond chance."""
    compared = [score for score in report.scores if score.difference is not None]
    if not compared:
        return "Nothing can be compared: all answers were right, or all were wrong."
    better = [score.label for score in compared if score.beats]
    if not better:
        return "No measure flags wrong answers better than the plain answer probability (no 95 % interval lies above 0)."
    return f"Better than the plain answer probability, with the whole 95 % interval above 0: {', '.join(better)}."


def _accuracy(report: Report) -> Table:
    table = Table(title=f"Right answers · {report.settings.get('name', '')}", title_justify="left")
    for name in ("kind", "lang", "tricks", "twins"):
        table.add_column(name, justify="left" if name in ("kind", "lang") else "right")
    cells = {(a.kind, a.lang, a.role): f"{a.right}/{a.count} ({100 * a.right / a.count:.0f} %)" for a in report.accuracies}
    for kind, lang in dict.fromkeys((a.kind, a.lang) for a in report.accuracies):
        row = [cells.get((kind, lang, role), "") for role in ("trick", "twin")]
        table.add_row(KIND_WORDS[kind], lang, *row, style="bold" if kind == "all" else "")
    return table


def _scores(report: Report) -> Table:
    caption = "AUROC: how often a wrong answer gets more doubt than a right one; 0.5 is chance. ECE: calibration error."
    table = Table(
        title="Which confidence measure best flags wrong answers", title_justify="left", caption=caption, caption_justify="left"
    )
    table.add_column("figure")
    for name in ("n", "AUROC (95 %)", "minus baseline (95 %)", "tricks", "twins", "ECE"):
        table.add_column(name, justify="right")
    for score in report.scores:
        if score.count:
            table.add_row(score.label, str(score.count), *_cells(score), style="bold" if score.beats else "")
    return table


def _cells(score: Score) -> list[str]:
    roles = [_plain(score.by_role.get(role)) for role in ("trick", "twin")]
    return [_interval(score.auroc), _interval(score.difference, sign="+"), *roles, _plain(score.calibration_error)]


def _reliability(report: Report) -> Table:
    caption = (
        "Each cell: share of right answers (number of answers). For a calibrated measure it is about the measure's own value."
    )
    table = Table(title="Reliability", title_justify="left", caption=caption, caption_justify="left")
    shown = [score for score in report.scores if score.bins]
    edges = sorted({(b.low, b.high) for score in shown for b in score.bins})
    table.add_column("figure")
    for low, high in edges:
        table.add_column(f"{low:.1f}–{high:.1f}", justify="right")
    for score in shown:
        cells = {(b.low, b.high): f"{100 * b.right:.0f} % ({b.count})" for b in score.bins}
        table.add_row(score.label, *(cells.get(edge, "") for edge in edges))
    return table


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _interval(found: Interval | None, sign: str = "") -> str:
    return "" if found is None else f"{found.value:{sign}.2f} ({found.low:{sign}.2f} to {found.high:{sign}.2f})"
