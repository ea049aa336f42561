"""A benchmark's report as tables for a terminal, through rich. Knows the figures; measures nothing."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from models.bench.results import Askers, Figure, LoopLag, Measured, Rates, Report, Scaling, SecondPass, Starving, Way

_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_RATES = ((1e12, "T"), (1e9, "G"), (1e6, "M"))
_SHORT = {"lean reference": "lean ref."}
SPREAD = "median, and in brackets the quartiles"
ROOMY = 80
"""Columns in which quartiles stand beside their median; in fewer, below it."""


def tables(report: Report, *, width: int = ROOMY) -> Iterator[RenderableType]:
    """What was found, part by part, for a terminal of so many columns."""
    narrow = width < ROOMY
    yield _head(report)
    if report.answer is not None:
        yield _answer(report)
    for work in report.second or ():
        yield _second(work, narrow)
    if report.askers is not None:
        yield _askers(report.askers, narrow)
    if report.lag is not None:
        yield _lag(report.lag)
    if report.scaling is not None:
        yield _scaling(report.scaling)
    if report.starve is not None:
        yield _starving(report.starve)
    for note in report.notes:
        yield Text(note, "yellow")


def _head(report: Report) -> RenderableType:
    machine = report.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    lines = [Text(f"{machine.kind}, {machine.device}, {machine.threads} threads, {machine.dtype}; {versions}", "dim")]
    if report.model is not None:
        lines.insert(0, Text(_model(report.model), "bold"))
    if report.rates is not None:
        lines.append(Text(_rates(report.rates), "dim"))
    lines.append(Text(f"Figures: {SPREAD}.", "dim"))
    return Group(*lines)


def _model(model: Measured) -> str:
    weights = ", random weights" if model.random else ""
    return (
        f"{model.name}{weights}: {model.architecture}, {model.layers} layers, width {model.hidden:,},"
        f" vocabulary {model.vocabulary:,}, {model.parameters / 1e6:,.0f} million parameters"
    )


def _rates(rates: Rates) -> str:
    product, read = rate(rates.matmul.most, "FLOP/s"), rate(rates.bandwidth.most, "B/s")
    return f"At best here: {product} of matrix product ({rates.matmul_by}), {read} read from memory"


def _table(title: str, *columns: str, edge: bool = True) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=edge,
        pad_edge=False,
        padding=(0, int(edge), 0, 0),
    )
    for at, column in enumerate(columns):
        table.add_column(column, justify="right" if at else "left", overflow="fold")  # a cell may break, and none is cut
    return table


def _answer(report: Report) -> Table:
    found = report.answer
    if found is None:
        raise ValueError("there is no answer pass in this report")
    lengths = "/".join(str(length) for length in dict.fromkeys(found.prompt_tokens))
    table = _table(f"Answer pass: {lengths} prompt tokens, {found.new_tokens} new ones, greedy", "", "figure")
    equal = f"{found.answers_equal} of {found.answers_compared}"
    table.add_row("engine", spread(found.speed))
    table.add_row("transformers' generate", spread(found.generate_speed))
    table.add_row("engine over generate", spread(found.ratio))
    table.add_row("the same answers", equal, style="" if found.answers_equal == found.answers_compared else "yellow")
    table.add_row("time to the first token", spread(found.first_token))
    table.add_row("after the first token", spread(found.decode_speed))
    table.add_row("limit by memory bandwidth", f"{found.limit:,.1f} tokens/s")
    table.add_row("share of that limit", percent(found.share_of_limit))
    return table


def _second(work: SecondPass, narrow: bool) -> Table:
    title = f"Second pass: {work.prompt_tokens} prompt tokens, {work.answer_tokens} answer tokens, k = {work.k}"
    table = _table(title, "", "time", "of\nreference", "of\nfloor", "memory", "off", edge=not narrow)
    for name, way in work.ways.items():
        row = _way(name, way)
        table.add_row(*map(_stacked, row) if narrow else row, style="bold" if name in {"cold", "captured"} else "")
    share = percent(work.of_answer)
    table.caption = f"The engine's own takes {share} of the time of its answer pass."
    table.caption_justify = "left"
    return table


def _stacked(cell: str) -> str:
    """Quartiles below their median."""
    return cell.replace(" (", "\n(")


def _way(name: str, way: Way) -> tuple[str, ...]:
    return (
        _SHORT.get(name, name) if name != "captured" or way.states == "captured" else "recomputed",
        spread(way.seconds),
        spread(way.to_reference),
        f"{number(way.to_floor.median)}×" if way.to_floor else "–",
        size(way.peak_bytes) if way.peak_bytes is not None else "–",
        f"{way.probability_off:.0e}" if way.probability_off is not None else "–",
    )


def _askers(found: tuple[Askers, ...], narrow: bool) -> Table:
    title = f"Askers at once, {found[0].new_tokens} new tokens each: first text, and all of it"
    moments_of = ("first\np50\np95", "all\np50\np95") if narrow else ("first p50", "p95", "all p50", "p95")
    table = _table(title, "askers", "tokens/s", "of one", *moments_of)
    for crowd in found:
        moments = (crowd.first_p50, crowd.first_p95, crowd.latency_p50, crowd.latency_p95)
        low, middle, high = (number(value) for value in (crowd.speed.q1, crowd.speed.median, crowd.speed.q3))
        told = (f"{middle} ({low}–{high})", f"{number(crowd.to_one.median)}×")
        times = [seconds(figure.median) for figure in moments]
        if narrow:
            told, times = (_stacked(told[0]), told[1]), ["\n".join(times[:2]), "\n".join(times[2:])]
        table.add_row(str(crowd.askers), *told, *times)
    return table


def _lag(found: LoopLag) -> Table:
    title = f"Event loop: how late a sleep of {1e3 * found.sleep:g} ms ends"
    table = _table(title, "", "p50", "p99", "most", "sleeps")
    for name, lag in (("idle", found.idle), (f"{found.askers} askers, answered and read", found.busy)):
        table.add_row(name, seconds(lag.p50), seconds(lag.p99), seconds(lag.most), str(lag.n))
    return table


def _scaling(found: tuple[Scaling, ...]) -> Table:
    table = _table("Second pass on small random models: time ∝ size^slope", "over", "sizes", "time", "slope")
    for sweep in found:
        sizes = f"{sweep.sizes[0]:,} to {sweep.sizes[-1]:,}"
        spent = f"{seconds(sweep.seconds[0].median)} to {seconds(sweep.seconds[-1].median)}"
        table.add_row(sweep.over, sizes, spent, f"{sweep.slope:.2f}")
    return table


def _starving(found: Starving) -> Table:
    table = _table("Who waits for whom: times of the same alone", "", "p50", "p95", "of how many")
    voices, long, looks = found.voices, found.long, found.looks
    told = f"{voices.told_during_load} of {voices.answered} told meanwhile, {voices.refused} refused"
    table.add_row(f"{voices.askers} askers: its voice begins after", _of(voices.begun_p50), _of(voices.begun_p95), told)
    table.add_row("and is there", _of(voices.told_p50), _of(voices.told_p95), "")
    table.add_row("its price: time of an answer, answers a second", _of(voices.latency_price), _of(voices.speed_price), "")
    table.add_row(
        f"a short question beside {long.long_tokens} tokens", _of(long.median), f"most {_of(long.most)}", str(long.asked)
    )
    refused = f"{looks.asked}, {looks.refused} refused; {looks.looks_refused} looks"
    table.add_row(f"beside {looks.looks} looks", _of(looks.median), f"most {_of(looks.most)}", refused)
    return table


def _of(ratio: float | None) -> str:
    return "–" if ratio is None else f"{number(ratio)}×"


def spread(figure: Figure) -> str:
    """Median and quartiles with their unit: ``0.51 s (0.50–0.53)``, ``0.86× (0.85–0.88)``."""
    if figure.unit == "s":
        factor, unit = (1.0, "s") if figure.median >= 1 else (1e3, "ms")
    else:
        factor, unit = 1.0, figure.unit
    low, middle, high = (number(value * factor) for value in (figure.q1, figure.median, figure.q3))
    joint = "" if unit == "×" else " "
    return f"{middle}{joint}{unit} ({low}–{high})"


def percent(figure: Figure) -> str:
    """A share with its quartiles: ``45 % (44–47)``."""
    return f"{100 * figure.median:.0f} % ({100 * figure.q1:.0f}–{100 * figure.q3:.0f})"


def seconds(value: float) -> str:
    """A time in the unit that fits it."""
    return f"{number(value)} s" if value >= 1 else f"{number(value * 1e3)} ms"


def size(value: float) -> str:
    """Bytes in the unit that fits them."""
    for unit, name in _SIZES:
        if value >= unit:
            return f"{number(value / unit)} {name}"
    return f"{value:.0f} B"


def rate(value: float, unit: str) -> str:
    """A rate with the prefix that fits it."""
    for factor, prefix in _RATES:
        if value >= factor:
            return f"{number(value / factor)} {prefix}{unit}"
    return f"{number(value)} {unit}"


def number(value: float) -> str:
    """Three digits that count, and no exponent."""
    places = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{places}f}"
