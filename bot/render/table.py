"""The inner voice in a terminal, through rich: the monologue in a panel, the depths as a small colour map. Knows no Discord."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from matplotlib import colormaps
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.panel import Panel
from rich.style import Style
from rich.table import Table
from rich.text import Text

from bot.render.glyphs import columns, fit
from bot.render.text import bare, named
from models.findings import CausalCheck
from models.readings import emitted_text, pivotal, predicts, settle_depth
from models.readings_causal import drops, flips, matters
from models.trace import Trace

GUTTER = 5
WIDEST_CELL, NARROWEST_CELL = 9, 2
WIDEST_BAR, NARROWEST_BAR = 24, 6
SHADES = " ·░▒▓█"
ACCENT = Style(color="cyan", bold=True)
_MAP = colormaps["inferno"]


class HasText(Protocol):
    """A line of a monologue."""

    @property
    def text(self) -> str: ...


def monologue_panel(lines: Iterable[HasText], *, title: str = "inner voice") -> Panel:
    """The lines as paragraphs in a panel. Token text is never read as markup."""
    body = Text("\n\n").join(Text(line.text) for line in lines)
    return Panel(Padding(body, (1, 2)), title=Text(f"💭 {title}"), border_style="dim", title_align="left")


@dataclass(frozen=True, slots=True)
class DepthMap:
    """Depths against answer tokens: two depths a row as half blocks in colour, shades of grey where there is no colour."""

    trace: Trace = field(repr=False)
    first: int
    count: int
    cell: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Rows of text, widest first: the tokens, the depths from the output down, the legend."""
        coloured = console.color_system is not None and console.is_terminal and not console.no_color
        yield from self._head()
        for depth in range(self.trace.depths, -1, -2):
            yield self._row(depth, coloured)
        yield from self._key(coloured, options.max_width)
        yield Padding(self._rows(), (0, 0, 0, GUTTER))

    def _columns(self) -> range:
        return range(self.first, self.first + self.count)

    def _head(self) -> Iterator[Text]:
        pivot = pivotal(self.trace) if predicts(self.trace) else None
        if self.cell >= 4:
            head = Text(" " * GUTTER)
            for t in self._columns():
                label = fit(bare(emitted_text(self.trace, t)), self.cell - 1)
                head.append(label + " " * (self.cell - columns(label)), ACCENT if t == pivot else Style())
            yield head
        elif pivot is not None:
            yield Text(" " * (GUTTER + (pivot - self.first) * self.cell) + "▼ " + bare(emitted_text(self.trace, pivot)), ACCENT)

    def _row(self, depth: int, coloured: bool) -> Text:
        row = Text(f"{depth:>{GUTTER - 1}} ", style="dim")
        for t in self._columns():
            upper = float(self.trace.emitted_prob[t, depth])
            lower = float(self.trace.emitted_prob[t, depth - 1]) if depth else None
            if coloured:
                style = Style(color=_colour(upper), bgcolor=None if lower is None else _colour(lower), dim=False)
                row.append("▀" * (self.cell - 1), style)
            else:
                row.append(_shade(upper if lower is None else (upper + lower) / 2) * (self.cell - 1))
            row.append(" ")
        return row

    def _key(self, coloured: bool, width: int) -> Iterator[Text]:
        """The legend: on one line where there is room, since a line that breaks between a shade and its share says nothing."""
        name, key = Text(" " * GUTTER + "probability of the emitted token: "), Text()
        for share in (0.0, 0.05, 0.25, 0.5, 1.0):
            key.append("█" if coloured else _shade(share), Style(color=_colour(share)) if coloured else Style())
            key.append(f" {100 * share:.0f}%  ")
        key.rstrip()
        if name.cell_len + key.cell_len <= width:
            yield name + key
        else:
            yield name
            yield Text(" " * GUTTER) + key

    def _rows(self) -> Text:
        """What the rows and columns are."""
        lens, last = self.trace.lens, self.trace.depths
        said = f"rows: depth {last} (output) down to 0 (embeddings), two a row; {lens} lens"
        some = (
            f" · tokens {self.first + 1}–{self.first + self.count} of {self.trace.length}"
            if self.count < self.trace.length
            else ""
        )
        return Text(said + some, "dim")


def depth_map(trace: Trace, *, width: int = 80) -> DepthMap:
    """A colour map of the trace that fits ``width`` columns; a window around the pivotal token when it is too long."""
    room = max(NARROWEST_CELL, width - GUTTER)
    count = min(trace.length, room // NARROWEST_CELL)
    first = min(max(0, (pivotal(trace) or 0) - count // 3), trace.length - count)
    longest = max((columns(bare(emitted_text(trace, t))) for t in range(first, first + count)), default=1)
    cell = max(NARROWEST_CELL, min(WIDEST_CELL, max(5, longest + 1), room // max(1, count)))
    return DepthMap(trace, first, count, cell)


def settle_summary(trace: Trace) -> str:
    """One plain line about the pivotal token, for under the map; "" when no word was emitted."""
    pivot = pivotal(trace)
    if pivot is None or not predicts(trace):
        return ""
    settle = settle_depth(trace, pivot)
    word, share = bare(emitted_text(trace, pivot)), 100 * float(trace.emitted_prob[pivot, -1])
    where = "never on top at the end" if settle is None else f"on top from depth {max(1, settle)} of {trace.depths}"
    return f"“{word}” (token {pivot + 1}): {where}, {share:.1f}% at the end"


def _colour(share: float) -> str:
    red, green, blue, _ = _MAP(0.07 + 0.93 * share**0.5, bytes=True)
    return f"#{int(red):02x}{int(green):02x}{int(blue):02x}"


def _shade(share: float) -> str:
    return SHADES[min(len(SHADES) - 1, int(share**0.5 * len(SHADES)))]


@dataclass(frozen=True, slots=True)
class _Bar:
    """A share as a bar that is drawn to the room there is."""

    share: float

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(NARROWEST_BAR, WIDEST_BAR)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("█" * round(min(options.max_width, WIDEST_BAR) * self.share), "cyan")


def causal_panel(check: CausalCheck) -> Table:
    """The causal check as bars: a row per block, its drop in nats, the control's, and the token that would have led."""
    real, control = drops(check)
    changed, told = {flip.block: flip for flip in flips(check)}, set(matters(check))
    most = max(float(real.max()), 0.1)
    table = Table(
        title=Text(f"Without each block: {named(check.pieces.get(check.emitted, ''))} loses …"), box=None, pad_edge=False
    )
    for name in ("block", "nats", "", "at random"):
        table.add_column(name, justify="right" if name else "left", no_wrap=bool(name))
    table.add_column("would have led", overflow="fold")
    for block in range(len(real), 0, -1):
        drop, flip = float(real[block - 1]), changed.get(block)
        led = Text(named(check.pieces.get(flip.token, "")), "bold yellow") if flip else Text("")
        style = "bold cyan" if block in told else "dim"
        bar, beside = _Bar(max(drop, 0.0) / most), Text(f"{control[block - 1]:+.2f}", "dim")
        table.add_row(str(block), Text(f"{drop:+.2f}", style), bar, beside, led)
    return table
