"""Splitting loses nothing and breaks no fence; what is escaped shows as it was written."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.ui.text import CONTENT_LIMIT, clip, closed, escape, split, title, units
from models.types import whole

LIMIT = 80  # small, so that short examples are cut often
PIECES = st.sampled_from(
    [
        "```",
        "```py\n",
        "```\n",
        "````",
        "``",
        "`",
        "~~~\n",
        "\n",
        "\n\n",
        " ",
        "    ",
        "word",
        "脚",
        "👩‍👩‍👧‍👦",
        "é",
        "x" * 50,
        "y" * 200,
        "-# small",
    ]
)
TEXTS = st.one_of(st.text(max_size=600), st.lists(PIECES, max_size=40).map("".join))


def blocks(part: str) -> int:
    """How many times a code block begins or ends."""
    return len(re.findall(r"`{3,}", part))


@settings(max_examples=400)
@given(TEXTS)
@example("```py\n" + "print('x')\n" * 40 + "```")
@example("```py\nprint('closed at the end of its line')```\n" + "after " * 40)
@example("`" * 500)
@example(" " * 500 + "x")
@example("a" + " " * 500 + "b")
@example("\n" * 200 + "x" + "\n" * 200)
@example("```" + "a" * 500 + "\n```")
@example("x" * 70 + "\n```py\n" + "y" * 70)
def test_every_part_fits_is_not_empty_and_has_whole_fences(text: str) -> None:
    for part in split(text, LIMIT):
        assert 0 < units(part) <= LIMIT
        assert part.strip()
        assert blocks(part) % 2 == 0


@given(st.text(st.characters(exclude_characters="`", exclude_categories=("Cs",)), max_size=600))
@example(" " * 500 + "x")
def test_nothing_is_lost_but_blanks(text: str) -> None:
    assert re.sub(r"\s", "", "".join(split(text, LIMIT))) == re.sub(r"\s", "", text)


@given(st.lists(PIECES, max_size=40).map("".join))
def test_with_fences_nothing_is_lost_either(text: str) -> None:
    def bare(shown: str) -> str:
        return re.sub(r"\s|`+", "", shown).replace("py", "")

    assert bare("".join(split(text, LIMIT))) == bare(text)


def test_a_short_text_is_left_as_it_is() -> None:
    assert split("  two\nlines ") == ["  two\nlines "]
    assert split("x" * CONTENT_LIMIT) == ["x" * CONTENT_LIMIT]
    assert split("") == split(" \n ") == []


def test_it_is_cut_at_the_best_place() -> None:
    assert split("a " * 30 + "\n\n" + "b " * 30, LIMIT) == [("a " * 30).rstrip(), "b " * 30]
    assert split("a " * 30 + "\n" + "b " * 30, LIMIT) == [("a " * 30).rstrip(), "b " * 30]
    assert all(set(part.split()) == {"word"} for part in split("word " * 60, LIMIT))


def test_a_cut_fence_is_closed_and_opened_again_with_its_language() -> None:
    first, *others = split("See:\n```python\n" + "x = 1\n" * 40 + "```\nThat is all.", LIMIT)
    assert first.startswith("See:\n```python\n")
    assert all(part.startswith("```python\nx = 1") for part in others)
    assert all(part.endswith("```") for part in [first, *others[:-1]])
    assert others[-1].endswith("```\nThat is all.")


def test_the_indentation_of_code_survives() -> None:
    code = "```py\n" + "if x:\n" + "    y = 1\n" * 40 + "```"
    assert all(line in ("```py", "```", "if x:", "    y = 1") for part in split(code, LIMIT) for line in part.split("\n"))


def test_a_fence_without_its_code_goes_with_the_code() -> None:
    first, second = split("word " * 14 + "\n```py\n" + "x" * 60, LIMIT)
    assert "```" not in first
    assert second == "```py\n" + "x" * 60 + "\n```"


def test_a_fence_that_the_model_left_open_is_closed() -> None:
    assert closed("```py\nx = 1") == "```py\nx = 1\n```"
    assert closed("```py\nx = 1```") == "```py\nx = 1```"
    assert closed("inline `code` and ``more``") == "inline `code` and ``more``"


def test_an_emoji_is_not_cut() -> None:
    family = "👩‍👩‍👧‍👦"
    for lead in range(8):
        parts = split("x" * lead + family * 40, LIMIT)
        assert all(part.count("👩") % 2 == 0 for part in parts)


def shown(raw: str) -> str:
    """What Discord displays of a text in which every special character is escaped."""
    return re.sub(r"\\([^0-9A-Za-z\s])", r"\1", raw)


@given(st.text(st.sampled_from(string.punctuation + " \nab1👀"), max_size=60))
@example("```py\nx```")
@example("<@123456789012345678> <#1> <:a:1> <t:1> </ask:1>")
@example("[a](https://example.com) https://example.com")
@example("  > x\n# x\n-# x\n- x\n+ x\n1. x\n2) x")
@example(":smile: :+1: a:b:c")
@example("\\*x\\*")
def test_escaped_text_shows_as_it_is_and_means_nothing(text: str) -> None:
    raw = escape(text)
    assert shown(raw).replace("\u200b", "") == text
    bare = re.sub(r"\\[^0-9A-Za-z\s]", "\0", raw)  # what is left may be read as markdown
    assert not re.search(r"[\\`*_~|<\[\]]|://|:[\w~+-]+:", bare)
    for line in bare.split("\n"):
        assert not re.match(r"\s*(?:[>#+-]|\d+[.)])", line)


@pytest.mark.parametrize("name", ["everyone", "here", "123456789012345678"])
def test_a_mention_is_none(name: str) -> None:
    assert f"@{name}" not in escape(f"x @{name} <@{name}>")


@given(st.text(max_size=60), st.integers(1, 30))
def test_clipped_it_fits(text: str, limit: int) -> None:
    assert units(clip(text, limit)) <= limit
    assert clip(text, 120) == whole(text)


FAMILY, TONED, FLAG, ENGLAND = "👩‍👩‍👧‍👦", "👍🏽", "🇨🇭", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"


def test_an_emoji_counts_twice() -> None:
    assert [units(text) for text in ("", "ab", "é", "脚", "👀", FAMILY)] == [0, 2, 1, 1, 2, 11]
    assert split("👀" * 1000) == ["👀" * 1000]
    assert [len(part) for part in split("👀" * 1001)] == [998, 3]  # four units are kept for a fence that may have to be closed


@pytest.mark.parametrize("whole_one", [FAMILY, TONED, FLAG, ENGLAND, "e\u0301\u0323", "❤️‍🔥", "한"])
def test_what_belongs_together_is_not_clipped_apart(whole_one: str) -> None:
    for lead in range(12):
        cut = clip("x" * lead + whole_one * 40, 60)
        assert units(cut) <= 60
        rest = cut[lead:].removesuffix("…")
        assert rest == whole_one * (len(rest) // len(whole_one))


def test_what_is_longer_than_its_room_is_cut_all_the_same() -> None:
    assert units(clip("a" + "\u0301" * 500, 20)) == 20


def test_halves_of_characters_are_replaced_and_found_halves_joined() -> None:
    assert whole("a\ud83db") == "a\ufffdb"
    assert whole("\ud83d\udc40") == "👀"
    assert escape("\ud800") == "\ufffd"
    assert split("\udc00") == ["\ufffd"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("one\r\ntwo\x0b\x00three\u2029four\x85five", "one two three four five"),
        ("a\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061cb", "ab"),
        ("a\u200b\u200c\u2060\ufeff\u00ad\u180eb\ufffe", "ab"),
        ("a\u200db", "ab"),
        (f"{FAMILY} {TONED} {FLAG} {ENGLAND} ❤️‍🔥", f"{FAMILY} {TONED} {FLAG} {ENGLAND} ❤️‍🔥"),
        ("x\U000e0067\U000e0062", "x"),
        ("\ud83da\udc40", "a"),
        ("سلام", "سلام"),
        ("Z\u0351\u0343", "Z\u0351\u0343"),
        ("\u202e \u2800\u3164\ufe0f", "…"),
        ("", "…"),
    ],
)
def test_a_title_is_one_line_with_nothing_hidden_in_it(text: str, name: str) -> None:
    assert title(text) == name


@given(st.text(max_size=300))
def test_a_title_fits_and_is_never_empty(text: str) -> None:
    name = title(text, 40)
    assert 0 < units(name) <= 40
    assert name.isprintable() or "\u200d" in name or not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e]", name)
