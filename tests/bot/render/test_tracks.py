"""Words followed across the depths: their picture, and its words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bot.render.plot import apart, depth_ticks, nice_ticks
from bot.render.tracks import MOST_WORDS, STYLES, tracks_alt, tracks_png
from bot.render.wording import ALT_LIMIT
from models.findings import Watched
from models.trace import Trace
from tests.bot.render.test_heatmap import opened, random_trace
from tests.bot.strategies import TRICKY


def watched(trace: Trace, names: tuple[str, ...], whole: bool = True) -> Watched:
    random = np.random.default_rng(len(names))
    probs = random.dirichlet(np.ones(len(names) + 1), size=(trace.length, trace.depths + 1))[..., :-1] ** 3
    ids = np.arange(len(names)) + 100
    return Watched(names, ids, np.moveaxis(probs, -1, 0).astype(np.float32), (whole,) * len(names))


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
@pytest.mark.parametrize("scale", ["log", "sqrt"])
@pytest.mark.parametrize("depths", [1, 2, 80])
def test_the_picture_is_made_for_a_phone(depths: int, scale: str, locale: str) -> None:
    trace = random_trace(5, depths)
    image = opened(tracks_png(trace, watched(trace, ("two", "眼睛", "👀")), scale=scale, locale=locale))  # type: ignore[arg-type]
    assert image.width == 1000
    assert 700 < image.height < 1000


@pytest.mark.parametrize("start", range(0, len(TRICKY), MOST_WORDS))
def test_any_word_is_drawn(start: int) -> None:
    trace = random_trace(4, 6, TRICKY[start : start + MOST_WORDS])
    names = TRICKY[start : start + MOST_WORDS]
    assert tracks_png(trace, watched(trace, names, whole=False), t=3)
    assert len(tracks_alt(trace, watched(trace, names), t=3)) <= ALT_LIMIT


def test_words_for_those_who_do_not_see_it() -> None:
    trace = random_trace(4, 6)
    found = watched(trace, ("two", "none"))
    text = tracks_alt(trace, found, t=2)
    peak = int(found.probs[0, 2, 1:].argmax()) + 1
    assert "probabilities of words over depths 1 to 6 at token 3" in text
    assert f"at depth {peak}." in text
    assert text.count("ends at") == 3  # the two words, and the token that was emitted
    assert "深度 1 到 6" in tracks_alt(trace, found, t=2, locale="zh-CN")


def test_the_emitted_token_is_not_drawn_twice() -> None:
    trace = random_trace(4, 6)
    found = replace(watched(trace, ("two", "none")), ids=np.asarray([int(trace.answer_ids[2]), 100]))
    assert tracks_alt(trace, found, t=2).count("ends at") == 2


def test_a_lens_that_predicts_nothing_has_no_settle_depth() -> None:
    trace = replace(random_trace(4, 6), meta={"lens": "jacobian"})
    found = watched(trace, ("two", "none"))
    assert "handover" not in tracks_alt(trace, found, t=2)
    assert "Jacobian lens" in tracks_alt(trace, found, t=2)
    assert tracks_png(trace, found, t=2) != tracks_png(replace(trace, meta={"lens": "logit"}), found, t=2)


def test_the_findings_words_are_taken() -> None:
    trace = random_trace(4, 6)
    found = watched(trace, ("two", "none"))
    assert tracks_png(trace.with_findings(watched=found)) == tracks_png(trace, found)


def test_what_cannot_be_drawn_is_refused() -> None:
    trace = random_trace(4, 6)
    for found in (None, watched(trace, ()), watched(trace, tuple("abcdef"))):
        with pytest.raises(ValueError, match="one to 5 words"):
            tracks_png(trace, found)
    with pytest.raises(ValueError, match="no answer token 4"):
        tracks_png(trace, watched(trace, ("a",)), t=4)


def test_each_line_is_told_by_its_colour_and_by_its_dashes_and_by_its_marker() -> None:
    assert len(STYLES) == MOST_WORDS
    for i in range(3):
        assert len({style[i] for style in STYLES}) == MOST_WORDS


def test_labels_keep_apart_in_their_order() -> None:
    for places in ([5.0, 5.0, 5.0], [0.0, 100.0, 99.0], [100.0] * 5, [50.0]):
        moved = apart(places, 20.0, 0.0, 100.0)
        for a, b in zip(np.argsort(places, kind="stable"), np.argsort(moved, kind="stable"), strict=True):
            assert places[a] == places[b]
        assert all(gap >= 19.9 for gap in np.diff(sorted(moved)))
        assert min(moved) >= 0.0
        assert max(moved) <= 100.0


def test_ticks_are_round_and_few() -> None:
    assert [label for _, label in depth_ticks(1, 30)] == ["1", "5", "10", "15", "20", "25", "30"]
    assert [label for _, label in depth_ticks(1, 1)] == ["1"]
    assert depth_ticks(1, 80)[-1] == (80.0, "80")
    assert [label for _, label in nice_ticks(-2.0, 1.2)] == ["−2", "−1", "0", "1"]
    assert len(nice_ticks(0.0, 1e-12)) >= 1
    for last in range(1, 200):
        assert len(depth_ticks(1, last)) <= 11
