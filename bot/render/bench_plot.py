"""A benchmark's report as one picture: times of the second pass, askers at once, scaling. Pure: bytes out, no pyplot.

Colours are Okabe and Ito's, which every eye tells apart; each series has a marker of its own, too.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from bot.render.axes import BLUE, FAINT, GREEN, GREY, GRID, INK, ORANGE, VERMILION, bare_axes, heading
from bot.render.bench_table import number, size
from models.bench.results import AnswerPass, Askers, Figure, LoopLag, Report, Scaling, SecondPass

SWEEPS = ((BLUE, "o"), (VERMILION, "s"), (GREEN, "^"))
PANEL = (6.4, 3.9)
"""Inches of one panel."""

Panel = Callable[[Axes], None]


def draw(report: Report, *, form: str = "png") -> bytes:
    """The picture, one panel for each part that was measured; ``form`` is png, svg or pdf."""
    panels = _panels(report)
    columns = min(2, len(panels)) or 1
    rows = max(1, -(-len(panels) // columns))
    picture = Picture(figsize=(PANEL[0] * columns, PANEL[1] * rows + 0.75), dpi=110, facecolor="white")
    FigureCanvasAgg(picture)
    picture.set_layout_engine("constrained", h_pad=0.12, w_pad=0.12)
    picture.suptitle(_title(report), x=0.012, ha="left", fontsize=11.5, color=INK, fontweight="bold", linespacing=1.5)
    for at, panel in enumerate(panels, start=1):
        axes = picture.add_subplot(rows, columns, at)
        bare_axes(axes)
        panel(axes)
    buffer = io.BytesIO()
    picture.savefig(buffer, format=form, facecolor="white")
    return buffer.getvalue()


def _panels(report: Report) -> list[Panel]:
    panels: list[Panel] = []
    if report.answer is not None:
        answer = report.answer
        panels.append(lambda axes: _answer(axes, answer))
    panels += [lambda axes, work=work: _second(axes, work) for work in report.second or ()]  # type: ignore[misc]
    if report.askers is not None:
        askers = report.askers
        panels.append(lambda axes: _askers(axes, askers))
    if report.lag is not None:
        lag = report.lag
        panels.append(lambda axes: _lag(axes, lag))
    if report.scaling is not None:
        sweeps = report.scaling
        panels.append(lambda axes: _scaling(axes, sweeps))
    return panels


def _title(report: Report) -> str:
    machine = report.machine
    where = f"{machine.kind} · {machine.threads} threads · {machine.dtype}"
    if report.model is None:
        return where
    return f"{report.model.name}{' (random weights)' if report.model.random else ''} · {where}"


def _bars(axes: Axes, rows: Sequence[tuple[str, Figure, str, str]]) -> None:
    """Lying bars with whiskers from quartile to quartile: name, figure, what is written beside it, colour."""
    longest = max(figure.q3 for _, figure, _, _ in rows)
    for at, (_, figure, beside, colour) in enumerate(rows):
        axes.barh(at, figure.median, height=0.62, color=colour)
        axes.hlines(at, figure.q1, figure.q3, color=INK, linewidth=1.4)
        end = max(figure.median, figure.q3) + 0.015 * longest
        axes.text(end, at, beside, va="center", ha="left", fontsize=9, color=INK)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows], fontsize=9.5, color=INK)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.34 * longest)
    axes.xaxis.grid(True, color=GRID, linewidth=0.8)


def _answer(axes: Axes, found: AnswerPass) -> None:
    _bars(
        axes,
        [
            ("engine", found.speed, f"{number(found.speed.median)} ({found.ratio.median:.2f}×)", BLUE),
            ("generate", found.generate_speed, number(found.generate_speed.median), GREY),
        ],
    )
    if found.limit < 8 * found.speed.median:  # else it would make the bars too short to be compared
        axes.axvline(found.limit, color=VERMILION, linewidth=1.4, linestyle=(0, (4, 2)))
        axes.set_xlim(0, max(axes.get_xlim()[1], 1.25 * found.limit))
        axes.text(found.limit, 1.42, f" limit {number(found.limit)}", color=VERMILION, fontsize=9, va="center", ha="left")
    axes.set_ylim(1.6, -0.6)
    heading(axes, "Answer pass", f"tokens/s, {found.new_tokens} new tokens; the limit is the weights over the memory bandwidth")


def _second(axes: Axes, work: SecondPass) -> None:
    colours = {"cold": BLUE, "captured": GREEN, "lens.trace": ORANGE}
    rows = []
    for name, way in work.ways.items():
        peak = f", {size(way.peak_bytes)}" if way.peak_bytes is not None else ""
        told = f"{way.to_reference.median:.2f}×{peak}"
        rows.append((name, way.seconds.scaled(1e3, "ms"), told, colours.get(name, GREY)))
    _bars(axes, rows)
    for at, way in enumerate(work.ways.values()):
        if way.floor is not None:
            axes.vlines(1e3 * way.floor, at - 0.42, at + 0.42, color=VERMILION, linewidth=2)
    what = f"{work.prompt_tokens} + {work.answer_tokens} tokens"
    heading(axes, f"Second pass, {what}", "milliseconds; × of the reference, peak extra memory; red: the floor")


def _askers(axes: Axes, found: Sequence[Askers]) -> None:
    counts = [crowd.askers for crowd in found]
    speeds = [crowd.speed for crowd in found]
    middles = [figure.median for figure in speeds]
    axes.set_xscale("log", base=2)
    axes.fill_between(counts, [f.q1 for f in speeds], [f.q3 for f in speeds], color=BLUE, alpha=0.18, linewidth=0)
    axes.plot(counts, middles, color=BLUE, marker="o", linewidth=1.8)
    for crowd, middle in zip(found, middles, strict=True):
        p95 = f"{crowd.to_one.median:.1f}×\np95 {number(crowd.latency_p95.median)} s"
        axes.annotate(p95, (crowd.askers, middle), (-7, 5), textcoords="offset points", ha="right", fontsize=8.5, color=INK)
    _ticks(axes, counts)
    axes.set_ylim(0, 1.4 * max(middles))
    axes.margins(x=0.2)
    axes.yaxis.grid(True, color=GRID, linewidth=0.8)
    axes.set_ylabel("tokens/s together", fontsize=9, color=FAINT)
    heading(axes, "Askers at once", f"askers, {found[0].new_tokens} new tokens each; × of one asker, and latency")


def _lag(axes: Axes, found: LoopLag) -> None:
    names, values, colours = [], [], []
    for name, lag, colour in (("idle", found.idle, GREY), ("busy", found.busy, BLUE)):
        names += [f"{name} p50", f"{name} p99", f"{name} most"]
        values += [1e3 * lag.p50, 1e3 * lag.p99, 1e3 * lag.most]
        colours += [colour] * 3
    figures = [Figure.of([value], "ms") for value in values]
    _bars(axes, list(zip(names, figures, (f"{number(v)} ms" for v in values), colours, strict=True)))
    heading(axes, "Event loop", f"milliseconds late, {found.askers} askers, answers and second passes")


def _scaling(axes: Axes, sweeps: Sequence[Scaling]) -> None:
    """Both axes in multiples of each sweep's smallest size, so that the slopes are seen side by side."""
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    widest = 1.0
    for sweep, (colour, marker) in zip(sweeps, SWEEPS, strict=False):
        grown = [value / sweep.sizes[0] for value in sweep.sizes]
        slower = [figure.median / sweep.seconds[0].median for figure in sweep.seconds]
        label = f"{sweep.over}: slope {sweep.slope:.2f}"
        axes.plot(grown, slower, color=colour, marker=marker, linewidth=1.6, label=label)
        widest = max(widest, *grown)
    axes.plot([1, widest], [1, widest], color=FAINT, linewidth=1.2, linestyle=(0, (4, 3)), label="in proportion")
    doubled = [2.0**power for power in range(int(widest).bit_length())]
    _ticks(axes, doubled)
    axes.yaxis.set_major_locator(FixedLocator(doubled))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    axes.set_ylabel("time, × of the smallest", fontsize=9, color=FAINT)
    heading(axes, "Scaling of the second pass", "size, × of the smallest")


def _ticks(axes: Axes, values: Sequence[Any]) -> None:
    axes.xaxis.set_major_locator(FixedLocator(list(values)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
