"""The terminal views: they fit, colour where there is colour, and never read a token as markup."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from rich.cells import cell_len
from rich.console import Console

from bot.render.table import depth_map, monologue_panel, settle_summary
from models.trace import Trace
from tests.bot.render.test_heatmap import random_trace
from tests.bot.strategies import trace_of_tops, traces


@dataclass
class Said:
    text: str


def printed(renderable: object, *, colour: bool = False, width: int = 80) -> str:
    out = io.StringIO()
    Console(
        file=out, width=width, force_terminal=colour, color_system="truecolor" if colour else None, legacy_windows=False
    ).print(renderable)
    return out.getvalue()


@pytest.mark.parametrize(("length", "depths"), [(0, 3), (1, 2), (7, 30), (14, 30), (60, 80)])
@pytest.mark.parametrize("width", [40, 80])
def test_the_map_fits(length: int, depths: int, width: int) -> None:
    text = printed(depth_map(random_trace(length, depths), width=width), width=200)
    rows = text.rstrip("\n").split("\n")
    assert max(cell_len(row.rstrip()) for row in rows[:-2]) <= width  # the legend wraps by itself
    assert sum(row.lstrip()[:1].isdigit() for row in rows) == depths // 2 + 1


def test_the_legend_says_what_colour_and_rows_are() -> None:
    trace = random_trace(60, 12)
    for colour in (False, True):
        text = printed(depth_map(trace, width=80), colour=colour, width=120)
        assert "probability of the emitted token" in text
        assert "100%" in text
        assert "rows: depth 12 (output) down to 0 (embeddings), two a row; logit lens" in text
        assert "of 60" in text


def test_colour_where_there_is_colour_and_shades_elsewhere() -> None:
    shown = depth_map(random_trace(5, 6))
    assert "\x1b[" in printed(shown, colour=True)
    assert "▀" in printed(shown, colour=True)
    plain = printed(shown)
    assert "\x1b" not in plain
    assert "▀" not in plain


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(traces())
def test_any_trace_is_printed(trace: Trace) -> None:
    assert printed(depth_map(trace))
    assert "\n" not in settle_summary(trace)


def test_the_panel_shows_the_lines_as_they_are() -> None:
    text = printed(monologue_panel([Said("I woke at “[red]”."), Said("The pass is over.")]))
    assert "“[red]”" in text
    assert "The pass is over." in text


def test_the_summary_tells_where_it_settled() -> None:
    trace = trace_of_tops([[3, 3, 2, 1, 1]], [1], {1: " two", 2: " four", 3: ","})
    assert (
        settle_summary(trace)
        == f"“two” (token 1): on top from depth 3 of 4, {100 * float(trace.emitted_prob[0, -1]):.1f}% at the end"
    )
    assert "never on top" in settle_summary(trace_of_tops([[3, 3, 2, 1, 1]], [2], {1: " two", 2: " four", 3: ","}))
    assert settle_summary(trace_of_tops([[3, 3]], [3], {1: " two", 2: " four", 3: ","})) == ""
