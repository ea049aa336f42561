"""Token names: nothing invisible, nothing too long, nothing that is no token."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.render.text import LONGEST_TOKEN, bare, in_words, named, quoted, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" two", "two"), ("two", "two"), ("  two", "␣two"), (" ", "␣"), ("\n", "↵"), ("\t", "⇥"), ("\u202e", "⟨U+202E⟩"),
        ("\x00", "␀"), ("\u0301", "◌\u0301"), ("👩‍👩‍👧", "👩‍👩‍👧"), ("a b", "a b"), ("two ", "two␣"),
        ("\x1b[31m", "␛[31m"), ("", ""), ("▁two", "two"), ("\x7f", "⟨U+007F⟩"),
    ],
)  # fmt: skip
def test_bare(text: str, shown: str) -> None:
    assert bare(text) == shown


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (" ", "a bare space"), ("\n", "a line break"), ("\n\n", "a blank line"), ("   ", "white space"),
        ("\ufffd", "a splinter of a character"),
        ("⟨E6⟩", "a splinter of a character"), (" ⟨F0 9F⟩", "a splinter of a character"), ("⟨49152⟩", "“⟨49152⟩”"),
        ("", "a splinter of a character"), (".", "“.”"), (" two", "“two”"), ("\u00a0", "a hard space"),
    ],
)  # fmt: skip
def test_named(text: str, name: str) -> None:
    assert named(text) == name


@given(st.text(max_size=200))
def test_a_name_is_short_and_visible(text: str) -> None:
    shown = visible(text)
    assert len(shown) <= LONGEST_TOKEN
    assert not any(unicodedata.category(char) in ("Cc", "Cs", "Co", "Zl", "Zp") for char in shown)
    assert "\n" not in shown
    assert named(text)
    assert in_words(text) or quoted(text).startswith("“")
