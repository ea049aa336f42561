"""The phrase tables: every phrase can be filled, and states nothing by itself."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

import bot.services.monologue.plot as plot
from bot.services.monologue import Line, is_true
from bot.services.monologue.facts import READINGS
from bot.services.monologue.phrases import DEFAULT_LOCALE, phrases_for
from tests.bot.services.test_monologue import FORBIDDEN, foot

TABLE = phrases_for(DEFAULT_LOCALE)
SLOTS = set(READINGS) | {
    "word", "from", "to", "first", "last", "list", "twin", "rival", "other", "other_prob", "deny", "deny_prob", "deny_place",
    "easy", "easy_prob", "second", "second_prob", "second_position", "closing_position", "closing_prob",
}  # fmt: skip


@pytest.mark.parametrize(("key", "phrase"), [(key, phrase) for key, phrases in TABLE.items() for phrase in phrases])
def test_a_phrase_states_nothing_but_its_facts(key: str, phrase: str) -> None:
    parts = list(Formatter().parse(phrase))
    assert {slot for _, slot, _, _ in parts if slot} <= SLOTS
    assert {form for _, _, form, _ in parts if form} <= {"nth", "word", "fine", "size"}
    literals = " ".join(literal for literal, *_ in parts)
    assert is_true(Line(literals), foot()), literals
    assert not FORBIDDEN.search(literals)
    if not key.startswith(("rise_item", "rise_rival")):
        assert phrase.rstrip()[-1] in ".?!"


def test_every_key_is_told_and_every_told_key_exists() -> None:
    source = "".join(file.read_text(encoding="utf-8") for file in sorted(Path(plot.__file__).parent.glob("*.py")))
    quoted = set(re.findall(r'"([a-z_]+)"', source))
    built = ("rise_item", "rise_rival", "pull_story", "pull_chat")
    assert {key for key in TABLE if not key.startswith(built)} <= quoted
    said = set(re.findall(r'teller\.(?:say|may|entry)\(\s*"([a-z_]+)"', source))
    assert said <= set(TABLE)


def test_there_is_more_than_one_way_to_say_what_is_always_said() -> None:
    for key in (
        "wake_settled",
        "wake_last",
        "wake_never",
        "page",
        "rise",
        "handover",
        "took_clear",
        "took_torn",
        "took_lost",
        "over",
    ):
        assert len(TABLE[key]) >= 4
        assert len(set(TABLE[key])) == len(TABLE[key])
