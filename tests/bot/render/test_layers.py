"""The table of one token over the depths: picture, alt text, plain text."""

from __future__ import annotations

import numpy as np
import pytest

from bot.render.glyphs import columns
from bot.render.layers import layer_rows, layer_table_alt, layer_table_png, layer_table_text, picked_depths
from bot.render.wording import ALT_LIMIT
from models import readings
from tests.bot.render.test_heatmap import opened, random_trace
from tests.bot.strategies import TRICKY, make_trace


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
@pytest.mark.parametrize("depths", [1, 35, 126])
def test_the_picture_is_made_for_a_phone(depths: int, locale: str) -> None:
    trace = random_trace(3, depths)
    image = opened(layer_table_png(trace, 2, locale=locale))
    assert image.width == 1000
    assert image.height < 1450


@pytest.mark.parametrize("depths", [1, 30, 36, 80, 126])
def test_a_deep_model_shows_where_something_happens(depths: int) -> None:
    trace = random_trace(3, depths)
    for t in range(3):
        picked = picked_depths(trace, t)
        assert list(picked) == sorted(set(picked), reverse=True)
        assert picked[0] == depths
        assert {readings.handover_depth(trace, t), readings.settle_depth(trace, t)} - {None} <= set(picked)
        assert len(picked) <= 36
        assert picked_depths(trace, t, every=True) == tuple(range(depths, -1, -1))


def test_rows_state_the_numbers_of_the_trace() -> None:
    trace = random_trace(2, 5)
    row = layer_rows(trace, 1)[0]
    assert row.depth == 5
    assert row.rank == str(int(trace.emitted_rank[1, 5]) + 1)
    assert row.entropy == f"{float(trace.entropy[1, 5]):.2f}"
    assert row.kl == "0.00"
    assert row.leads == (trace.emitted_rank[1, 5] == 0)


@pytest.mark.parametrize("start", range(0, len(TRICKY), 8))
def test_any_token_is_drawn_and_told(start: int) -> None:
    trace = random_trace(3, 4, TRICKY[start : start + 8])
    for locale in ("en-US", "zh-CN"):
        assert layer_table_png(trace, 2, locale=locale)
        assert len(layer_table_alt(trace, 2, locale=locale)) <= ALT_LIMIT
        lines = layer_table_text(trace, 2, locale=locale).splitlines()
        assert len(lines) == 6
        assert len({columns(line) for line in lines}) == 1


def test_one_kept_candidate_is_enough() -> None:
    trace = make_trace(np.zeros((1, 3, 3)), [0], {0: " a", 1: " b", 2: " c"}, k=1)
    assert layer_table_png(trace)
    assert "–" in layer_table_text(trace)


def test_all_depths_in_plain_text() -> None:
    trace = random_trace(2, 80)
    assert len(layer_table_text(trace, 0, every=True).splitlines()) == 82
    assert len(layer_table_text(trace, 0).splitlines()) < 40


def test_there_must_be_such_a_token() -> None:
    for draw in (layer_table_png, layer_table_alt, layer_table_text):
        with pytest.raises(ValueError, match="no answer token 2"):
            draw(random_trace(2, 3), 2)
    with pytest.raises(ValueError, match="no answer token 0"):
        layer_table_png(random_trace(0, 3))
