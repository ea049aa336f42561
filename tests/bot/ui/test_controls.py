"""The selects, pages and tables at their limits, whatever the answer's length and the model's depth."""

from __future__ import annotations

from typing import Any

import discord
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.services.layers import Drawn, MapPage, TokenLayers, Tracks, depth_row, told_depths
from bot.storage.records import Run
from bot.ui.controls import (
    CONTROLS,
    MOST_OPTIONS,
    MapButton,
    Token,
    TokenSelect,
    answer_view,
    map_rows,
    page_of,
    pages_of,
    tokens_on,
    voice_rows,
)
from bot.ui.layers import PictureCard, layers_text, map_card, tracks_card
from bot.ui.tokens import controls, tokens_of
from models.fakes.engine import FakeEngine
from models.types import Job, Sampling
from tests.cogs.discord_schema import beyond_the_schema

RUN = "abcdefghijklmnop"
PATH = "/channels/1/messages"


def problems(view: discord.ui.LayoutView, files: list[discord.File] | None = None) -> list[str]:
    named = [{"filename": file.filename} for file in files or []]
    body = {"components": view.to_components(), "flags": 1 << 15, "attachments": named, "allowed_mentions": {"parse": []}}
    return beyond_the_schema(PATH, body)


def layout(rows: list[discord.ui.ActionRow[Any]]) -> discord.ui.LayoutView:
    view = discord.ui.LayoutView(timeout=None)
    for row in rows:
        view.add_item(row)
    return view


@given(st.integers(1, 300), st.sampled_from(["en-US", "zh-CN"]))
def test_every_token_stands_on_one_page_and_every_page_is_reached(count: int, locale: str) -> None:
    tokens = [Token(t, f"{t + 1} · x", "note") for t in range(count)]
    seen: list[int] = []
    for page in range(pages_of(count)):
        options = TokenSelect(RUN, tokens, page=page, locale=locale).item.options
        assert 1 <= len(options) <= MOST_OPTIONS
        values = [option.value for option in options]
        seen += [int(value) for value in values if value.isdecimal()]
        assert {f"page:{page - 1}"} <= set(values) or page == 0
        assert {f"page:{page + 1}"} <= set(values) or page + 1 == pages_of(count)
        assert [token.t for token in tokens_on(tokens, page)] == [int(value) for value in values if value.isdecimal()]
    assert seen == list(range(count))
    for t in (0, count // 2, count - 1):
        assert t in {token.t for token in tokens_on(tokens, page_of(t, count))}


@given(st.integers(1, 60), st.data())
def test_the_pages_of_a_map_end_at_both_ends(pages: int, data: Any) -> None:
    page = data.draw(st.integers(0, pages - 1))
    rows = map_rows(RUN, page, pages, "kl")
    view = layout(rows)
    assert problems(view) == []
    buttons = [child.item for child in view.walk_children() if isinstance(child, MapButton)]
    assert [button.disabled for button in buttons] == ([] if pages == 1 else [page == 0, page == pages - 1])
    alive = [button.custom_id.split(":")[4] for button in buttons if not button.disabled]
    assert all(0 <= int(there) < pages for there in alive)


@given(st.text(max_size=300))
def test_any_label_is_taken(label: str) -> None:
    rows = voice_rows(RUN, [Token(0, label or "x", label)], map_pages=3, map_page=1)
    assert problems(layout(rows)) == []


def test_every_custom_id_is_known_again() -> None:
    """What is sent leads back to its class after a restart."""
    rows = [*voice_rows(RUN, [Token(0, "x")], map_pages=2), *map_rows(RUN, 1, 3, "rank")]
    view = answer_view(RUN, voice=True, up=3)
    assert view is not None
    ids = [item.custom_id for item in layout(rows).walk_children() if hasattr(item, "custom_id")]
    ids += [item.custom_id for item in view.children]  # type: ignore[attr-defined]
    ours = [i for i in ids if i.split(":")[2] in ("up", "down", "look", "file", "map", "turn", "hue")]
    assert len(ours) == 7
    for custom_id in ours:
        assert sum(bool(kind.__discord_ui_compiled_template__.fullmatch(custom_id)) for kind in CONTROLS) == 1


def _run(run_id: str) -> Run:
    empty = dict.fromkeys(Run.__dataclass_fields__)
    return Run(**{**empty, "id": run_id, "question": "", "private": False, "has_trace": True})  # type: ignore[arg-type]


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
@pytest.mark.parametrize("layers", [1, 2, 30, 126])
def test_the_largest_cards_keep_to_discords_limits(layers: int, locale: str) -> None:
    script = {"long": "``` @everyone 眼睛 👀 | _x_ " * 12, "short": "2"}
    engine = FakeEngine(script, layers=layers)
    for question in script:
        answer = engine.answer(Job(question, sampling=Sampling(max_new_tokens=300)))
        trace = engine.trace(answer)
        words = ("`", "@everyone", "x" * 40, "眼睛", "👀")
        watched = engine.findings(answer, trace, watch=words).watched
        assert watched is not None
        drawn, run = Drawn(b"png", "alt " * 400), _run(RUN)
        for t in range(trace.length):
            rows = tuple(depth_row(trace, t, depth) for depth in told_depths(layers))
            found = TokenLayers(run, trace, trace, t, trace.tokens[t], None, rows, (drawn,) * 4)
            text = layers_text(found, locale)
            assert text.count("```") == 2
            assert len(text) < 3900
        card = PictureCard(text, found.pictures, "layers", controls(RUN, trace, locale))
        tracks = tracks_card(Tracks(run, trace, watched, 0, "`", drawn), locale)
        page = map_card(MapPage(run, trace, 0, 3, "entropy", drawn), locale)
        for view in (card, tracks, page):
            assert problems(view, view.files()) == []
        assert len(tokens_of(trace, locale)) == trace.length
