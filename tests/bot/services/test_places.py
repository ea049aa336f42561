"""What people type to choose tokens, depths and words."""

from __future__ import annotations

import pytest

from bot.errors import NoInnerVoiceError, NoSuchDepthError, NoSuchTokenError
from bot.services.layers import MOST_ROWS, told_depths, words_of
from bot.services.places import depth_choices, depths_of, positions_of


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (None, None),
        (" ", None),
        ("1", (10,)),
        ("2-4, 1", (10, 11, 12, 13)),
        ("p1-p3", (0, 1, 2)),
        ("p9-10;6", (8, 9, 15)),
        ("1–2，2", (10, 11)),
        ("ALL", tuple(range(16))),
    ],
)
def test_tokens_are_counted_from_one_and_those_of_the_prompt_have_a_p(text, places):
    assert positions_of(text, prompt=10, answer=6) == places


@pytest.mark.parametrize("text", ["0", "7", "p0", "p11", "3-1", "one", "1-", "-1", "p", "1-99999", "9" * 9, "1..2"])
def test_tokens_that_are_none_are_refused_with_what_to_write(text):
    with pytest.raises(NoSuchTokenError, match=r"tokens 1 to|1-5,8"):
        positions_of(text, prompt=10, answer=6)


@pytest.mark.parametrize(("text", "depths"), [(None, None), ("all", None), ("0,10-12", (0, 10, 11, 12)), ("3 1", (1, 3))])
def test_depths_are_counted_from_zero(text, depths):
    assert depths_of(text) == depths


@pytest.mark.parametrize("text", ["p1", "deep", "5-2", "1-99999"])
def test_depths_that_are_none_are_refused(text):
    with pytest.raises(NoSuchDepthError, match="0,10-12"):
        depths_of(text)


@pytest.mark.parametrize("layers", [1, 2, 12, 30, 80])
def test_every_offered_depth_can_be_read_and_is_one(layers):
    for _, text in depth_choices(layers):
        chosen = depths_of(text)
        assert chosen is not None
        assert set(chosen) <= set(range(layers + 1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no, one", ("no", "one")),
        ("no one", ("no", "one")),
        ("没有，两、三", ("没有", "两", "三")),
        ("New York, no", ("New York", "no")),
    ],
)
def test_words(text, words):
    assert words_of(text) == words


@pytest.mark.parametrize("text", [" ", ",,", "a b c d e f", "x" * 41])
def test_no_words_or_too_many_are_refused(text):
    with pytest.raises(NoInnerVoiceError):
        words_of(text)


@pytest.mark.parametrize("layers", [1, 12, 16, 17, 30, 48, 80, 126])
def test_a_table_as_text_is_short_and_begins_at_the_output(layers):
    depths = told_depths(layers)
    assert depths[0] == layers
    assert list(depths) == sorted(set(depths), reverse=True)
    assert len(depths) <= MOST_ROWS + 1


@pytest.mark.parametrize("text", ["1-2,p1", "P1", "p1-p3;2"])
def test_the_lens_reads_no_prompt_and_says_so_with_what_was_typed(text):
    with pytest.raises(NoSuchTokenError, match=r"“[pP]1(-p3)?” is of the prompt.*tokens 1 to 6"):
        positions_of(text, prompt=10, answer=6, answer_alone=True)


def test_all_that_the_lens_reads_is_the_answer():
    assert positions_of("all", prompt=10, answer=6, answer_alone=True) == tuple(range(10, 16))
    assert positions_of("2-3", prompt=10, answer=6, answer_alone=True) == (11, 12)
