"""The headline above an inner voice: what was said, what was almost said, and how it ended."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from bot.render.heatmap import heatmap_png, size_of
from bot.services.monologue import finding, headline, is_true, picture_title
from models.readings_words import word_of
from models.trace import Trace
from tests.bot.strategies import trace_of_tops, traces

PIECES = {
    0: " the",
    1: " two",
    2: " four",
    3: " Two",
    4: ",",
    5: " eyes",
    6: "<|end|>",
    7: " no",
    8: " El",
    9: "ena",
    10: "2",
    11: "8",
}


def told(
    tops: list[int],
    emitted: int,
    *,
    final: dict[int, float] | None = None,
    before: tuple[int, ...] = (0,),
    after: tuple[int, ...] = (),
) -> Trace:
    """``before``, the word in question with these tops over the depths, ``after``; ``final``: probabilities at the last depth."""
    rows = [[4] * (len(tops) - 1) + [i] for i in before] + [tops] + [[4] * (len(tops) - 1) + [i] for i in after]
    ids = [*before, emitted, *after]
    trace = trace_of_tops(rows, ids, PIECES, prompt_ids=[100, 101])
    t = len(before)
    for place, (token, prob) in enumerate((final or {}).items()):
        trace.top_ids[t, -1, place] = token
        trace.top_probs[t, -1, place] = prob
        if token == emitted:
            trace.emitted_prob[t, -1] = prob
            trace.emitted_rank[t, -1] = place
    return trace


def said(trace: Trace, locale: str = "en-US") -> str:
    line = headline(trace, locale)
    assert line is not None
    assert is_true(line, trace), line
    return line.text


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(traces())
def test_every_headline_and_finding_holds_in_both_languages(trace: Trace) -> None:
    for locale in ("en-US", "zh-CN"):
        for line in (headline(trace, locale), finding(trace, locale)):
            assert line is None or is_true(line, trace), line


def test_casing_twins_are_no_rivals() -> None:
    trace = told([4, 4, 4, 4, 2, 2, 1, 1, 1], 1, final={1: 0.4, 3: 0.3, 2: 0.2})
    text = said(trace)
    assert text.startswith("Said “two” (word 2 of the answer) with 40%. Almost said “four” (20%).")
    assert "Two" not in text


def test_two_rivals_at_most_and_none_that_is_far() -> None:
    assert "Almost said “two” (30%) or “eyes” (10%)." in said(told([2] * 9, 2, final={2: 0.4, 1: 0.3, 5: 0.1, 7: 0.09}))
    assert "Nothing else came close." in said(told([2] * 9, 2, final={2: 0.9, 1: 0.04, 5: 0.01}))


def test_a_piece_is_told_as_part_of_its_word() -> None:
    text = said(told([8] * 9, 8, final={8: 0.5, 1: 0.2}, after=(9,)))
    assert text.startswith("Said “Elena” (word 2 of the answer); its piece “El” had 50%. Almost began it with “two” (20%).")


def test_a_number_is_told_whole() -> None:
    text = said(told([10] * 9, 10, final={10: 0.5}, after=(11,)))
    assert "Said “28” (word" in text or "Said “the28” (word" in text


@pytest.mark.parametrize(
    ("tops", "emitted", "ends"),
    [
        ([4, 1, 1, 1, 1, 1, 1, 1, 1], 1, "Settled early, by layer 1 of 8."),
        ([4, 4, 4, 4, 2, 2, 1, 1, 1], 1, "Settled late, at layer 6 of 8."),
        ([4, 4, 4, 4, 2, 2, 2, 2, 1], 1, "Open until the last of 8 layers."),
    ],
)
def test_how_it_ended(tops: list[int], emitted: int, ends: str) -> None:
    assert said(told(tops, emitted)).endswith(ends)


def test_overruled_by_chance() -> None:
    assert said(told([4, 4, 4, 4, 2, 2, 2, 2, 2], 1, final={2: 0.6, 1: 0.2})).endswith(
        "Chance decided: “four” was likelier (60%)."
    )


def test_lost() -> None:
    trace = told([1] * 9, 1, final={1: 0.06, 2: 0.05})
    trace.entropy[:, -1] = np.log(90)
    assert said(trace).endswith("Lost: as open as a choice among 90 equal words.")


def test_without_a_word() -> None:
    assert said(trace_of_tops([[4] * 9], [4], PIECES, prompt_ids=[100])) == "Said no word."
    assert said(trace_of_tops([[6] * 9], [6], PIECES, prompt_ids=[100], special=[True])) == "Said nothing."


def test_in_chinese() -> None:
    trace = told([4, 4, 4, 4, 2, 2, 2, 2, 1], 1, final={1: 0.4, 2: 0.3})
    assert said(trace, "zh-CN") == "说了“two”（回答的第 2 个词），概率 40%。差点说成“four”（30%）。直到末层才定下，共 8 层。"


@pytest.mark.parametrize(
    ("tokens", "t", "number", "text"),
    [
        (("It", "'s", " well", "-known", "."), 3, 2, "well-known"),
        (("Pi", " is", " 3", ".", "14", "."), 4, 3, "3.14"),
        (("我", "有", "两只", "眼睛", "。"), 2, 3, "两只"),
        (("a", ",", " b"), 2, 2, "b"),
        (("num", "1", "_", "x"), 3, 2, "x"),
    ],
)
def test_words_are_counted_as_people_do(tokens: tuple[str, ...], t: int, number: int, text: str) -> None:
    ids = list(range(len(tokens)))
    trace: Any = trace_of_tops([[i] * 3 for i in ids], ids, dict(enumerate(tokens)), prompt_ids=[100])
    word = word_of(trace, t)
    assert word is not None
    assert (word.number, word.text) == (number, text)


@pytest.mark.parametrize(
    ("tops", "title"),
    [
        ([4, 1, 1, 1, 1, 1, 1, 1, 1], "“two” had won by layer 1 of 8"),
        ([4, 4, 4, 4, 2, 2, 1, 1, 1], "“two” won at layer 6 of 8"),
        ([4, 4, 4, 4, 2, 2, 2, 2, 1], "“two” won only at the last of 8 layers"),
        ([4, 4, 4, 4, 2, 2, 2, 2, 2], "“two” was drawn; another word was likelier"),
    ],
)
def test_a_picture_says_what_there_is_to_see(tops: list[int], title: str) -> None:
    trace = told(tops, 1)
    assert picture_title(trace, "en-US") == title
    assert size_of(trace, finding=title)[1] >= size_of(trace)[1]
    assert heatmap_png(trace, finding=title) != heatmap_png(trace)
