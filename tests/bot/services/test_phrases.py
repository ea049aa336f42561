"""The phrase tables: every phrase can be filled, and states nothing by itself."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

import bot.services.monologue.plot as plot
from bot.catalogue import ENGLISH
from bot.services.monologue import Line, is_true
from bot.services.monologue.facts import READINGS
from bot.services.monologue.phrases import phrases_for
from tests.bot.services.test_monologue import FORBIDDEN, foot

TABLE, CHINESE = phrases_for(ENGLISH), phrases_for("zh-CN")
BOTH = [(key, phrase) for table in (TABLE, CHINESE) for key, phrases in table.items() for phrase in phrases]
FREE = ("rise_item", "rise_rival", "ledger_", "headline_", "finding_")
_ALWAYS = """wake_settled wake_last wake_early wake_never wake_wordless handover handover_last took_clear took_torn took_lost
    took_nowhere took_alone passed_over doubt_none doubt_coin doubt_some doubt_wide over quiet control control_over silent
    silent_over page page_empty look pull_story pull_chat marks rise rise_one push cause musing"""
ALWAYS = _ALWAYS.split()
"""What every monologue of its kind says, or nearly every one: a channel hears no phrase twice in ten."""
SLOTS = set(READINGS) | {
    "word", "from", "to", "first", "last", "list", "twin", "rival", "other", "other_prob", "deny", "deny_prob", "deny_place",
    "easy", "easy_prob", "second", "second_prob", "second_position", "closing_position", "closing_prob",
    "rival_prob", "rival2", "rival2_prob",
}  # fmt: skip


@pytest.mark.parametrize(("key", "phrase"), BOTH)
def test_a_phrase_states_nothing_but_its_facts(key: str, phrase: str) -> None:
    parts = list(Formatter().parse(phrase))
    assert {slot for _, slot, _, _ in parts if slot} <= SLOTS
    assert {form for _, _, form, _ in parts if form} <= {"nth", "word", "fine", "size"}
    literals = " ".join(literal for literal, *_ in parts)
    assert is_true(Line(literals), foot()), literals
    assert not FORBIDDEN.search(literals)
    if not key.startswith(FREE[:2]):
        assert phrase.rstrip()[-1] in ".?!。"


def test_every_key_is_told_and_every_told_key_exists() -> None:
    source = "".join(file.read_text(encoding="utf-8") for file in sorted(Path(plot.__file__).parent.glob("*.py")))
    quoted = set(re.findall(r'"([a-z_]+)"', source))
    built = ("rise_item", "rise_rival", "pull_story", "pull_chat")
    assert {key for key in TABLE if not key.startswith(built)} <= quoted
    said = set(re.findall(r'teller\.(?:say|may|entry)\(\s*"([a-z_]+)"', source))
    assert said <= set(TABLE)


def test_what_is_always_said_can_be_said_ten_times_without_repeating() -> None:
    for table in (TABLE, CHINESE):
        for key, phrases in table.items():
            assert len(set(phrases)) == len(phrases)
            assert key not in ALWAYS or len(phrases) >= 10, key
            assert len(phrases) >= 2 or key.startswith(FREE), key


def test_both_tables_say_the_same_things() -> None:
    assert list(TABLE) == list(CHINESE)
    for key, phrases in TABLE.items():
        assert slots_of(phrases) == slots_of(CHINESE[key]), key


def slots_of(phrases: tuple[str, ...]) -> set[str]:
    return {slot for phrase in phrases for _, slot, _, _ in Formatter().parse(phrase) if slot}


@pytest.mark.parametrize(
    "text", ["我有三十层。", "百分之五。", "十有八九。", "两次都是。", "〇。", "第一样。", "一个词。", "十一样。"]
)
def test_chinese_numerals_count(text: str) -> None:
    assert not is_true(Line(text), foot())


@pytest.mark.parametrize("text", ["一切照旧。", "都一样。", "我一直在。", "我们一起。"])
def test_chinese_words_that_count_nothing(text: str) -> None:
    assert is_true(Line(text), foot())
