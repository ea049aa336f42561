"""The question bank: every entry holds, and answers are graded as its head says."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from bot.services.bank import KINDS, Entry, Plain, grade, load_bank, normalised, questions

BANK = load_bank()
BY_ID = {entry.id: entry for entry in BANK}


TENS = "x x twenty thirty forty fifty sixty seventy eighty ninety"
UNITS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen"""


def asked(*accept: str, reject: tuple[str, ...] = ()) -> Plain:
    return Plain(question="What is it?", accept=accept, reject=reject)


def said(phrase: str) -> str:
    """A phrase of the bank as a model might write it."""
    return phrase.removeprefix("^").replace("*", "really")


def every_question() -> list[Plain]:
    found: list[Plain] = []
    for entry in BANK:
        for asked in (entry, entry.zh):
            found += [asked, *asked.plain] if asked else []
    return found


def test_there_is_enough_of_every_kind() -> None:
    assert len(BANK) >= 120
    counts = Counter(entry.kind for entry in BANK)
    assert set(counts) == set(KINDS)
    assert min(counts.values()) >= 20
    assert sum(entry.zh is not None for entry in BANK) >= 30
    assert sum(len(entry.controls) >= 3 for entry in BANK) >= 40
    assert sum(len(entry.zh.controls) >= 3 for entry in BANK if entry.zh) >= 15
    assert len(BY_ID["foot-eyes"].plain) >= 4


def test_nothing_stands_there_twice() -> None:
    assert len(BY_ID) == len(BANK)
    texts = [normalised(question) for question in questions(BANK)]
    assert not [text for text, count in Counter(texts).items() if count > 1]


def test_every_accepted_phrase_grades_right_and_every_rejected_one_wrong() -> None:
    for question in every_question():
        for phrase in question.accept:
            assert grade(question, said(phrase).capitalize() + "!"), (question.question, phrase)
        for phrase in question.reject:
            assert not grade(question, said(phrase)), (question.question, phrase)
        assert not grade(question, "")


def test_the_usual_wrong_answer_is_wrong() -> None:
    for entry in BANK:
        assert not grade(entry, entry.trap), entry.id
        assert entry.zh is None or not grade(entry.zh, entry.zh.trap), entry.id


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Zero.", True),
        ("0", True),
        ("Your foot has NO eyes", True),
        ("A foot doesn't have eyes.", True),
        ("None", True),
        ("Your foot has two eyes.", False),
        ("The answer is 2. Your foot has 2 eyes.", False),
        ("No, it has 2 eyes.", False),
        ("I know a foot", False),
    ],
)
def test_the_foot(text: str, right: bool) -> None:
    assert grade(BY_ID["foot-eyes"], text) is right


def test_chinese_is_found_without_blanks() -> None:
    foot = BY_ID["foot-eyes"].zh
    assert foot is not None
    assert grade(foot, "你的脚没有眼睛。")
    assert not grade(foot, "你的脚有2只眼睛。")
    assert grade(foot.twin, "长颈鹿有二只眼睛")


def test_phrases_are_whole_words_with_anchors_and_gaps() -> None:
    assert not grade(asked("no"), "nothing, I know")
    assert grade(asked("^no"), "No, never.")
    assert not grade(asked("^no"), "There is no such thing")
    assert grade(asked("not * cheese"), "It isn't made of any cheese")
    assert not grade(asked("not * cheese"), "not one two of those many big cheese")
    assert not grade(asked("egg", reject=("duck",)), "a duck egg")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Twenty-one", "21"),
        ("one hundred and five", "105"),
        ("1,000 and two thousand", "1000 and 2000"),
        ("three hundred eggs", "300 eggs"),
        ("three four", "3 4"),
        ("hundred and one", "hundred and 1"),
        ("No one can't", "nobody can not"),
        ("the 3rd CAFÉ", "the 3 cafe"),
        ("两只", "2 只"),
    ],
)
def test_numbers_and_contractions(text: str, plain: str) -> None:
    assert normalised(text) == plain


@given(st.text(max_size=60))
@example("Ꭰ")  # casefold makes Cherokee capitals
def test_any_text_can_be_graded_and_stays_as_it_was_normalised(text: str) -> None:
    once = normalised(text)
    assert isinstance(grade(BY_ID["foot-eyes"], text), bool)
    assert once == once.strip()
    assert not any(char.isupper() and char.lower() != char for char in once)


@given(st.integers(0, 99), st.sampled_from(["There are {}.", "{}", "It is {}, I think"]))
def test_a_number_is_found_in_words_and_in_digits(number: int, sentence: str) -> None:
    tens, units = TENS.split(), UNITS.split()
    word = units[number] if number < 20 else tens[number // 10] + (f"-{units[number % 10]}" if number % 10 else "")
    assert grade(asked(str(number)), sentence.format(number))
    assert grade(asked(str(number)), sentence.format(word))
    assert not grade(asked(str(number + 100)), sentence.format(word))


def test_an_unfit_entry_is_refused() -> None:
    row = {"id": "a", "kind": "riddle", "question": "What is it?", "accept": ["hole"], "trap": "a hole", "why": "It is."}
    with pytest.raises(ValidationError, match="the trap"):
        Entry.model_validate({**row, "twin": {"question": "What?", "accept": ["pit"]}})
    with pytest.raises(ValidationError, match="no words"):
        asked("*")
