"""The question bank: trick questions with their plain twins, and what makes an answer to one right.

Reads and checks `bot/data/tricks.yaml`, whose head documents the format. Knows texts; knows no model, no Discord and no scores.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from importlib.resources import files
from typing import Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

Kind = Literal["false_premise", "category_mistake", "pattern_trap", "riddle", "impossible_date"]
Lang = Literal["en", "zh"]
KINDS: tuple[Kind, ...] = get_args(Kind)

GAP = 4
"""Words that a ``*`` in a phrase can stand for, at most."""

_UNIT_WORDS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen"""
_TEN_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 10 * (i + 2) for i, word in enumerate(_TEN_WORDS.split())}
_SMALL = {word: i for i, word in enumerate(_UNIT_WORDS.split())} | _TENS
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_CJK_DIGITS = str.maketrans("零〇一二两三四五六七八九", "001223456789")
_CJK = re.compile(r"[\u3400-\u9fff]")
_WORD = re.compile(r"[\u3400-\u9fff]|\d+(?:\.\d+)?|(?:(?![\u3400-\u9fff\d_])\w)+")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Plain(_Frozen):
    """A question and what makes an answer right: any phrase of ``accept``, and none of ``reject``."""

    question: str = Field(min_length=4)
    accept: tuple[str, ...] = Field(min_length=1)
    reject: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _phrases_say_something(self) -> Self:
        for phrase in (*self.accept, *self.reject):
            if not _words(phrase.replace("*", " ")):
                raise ValueError(f"the phrase {phrase!r} has no words")
        return self


class Asked(Plain):
    """A trick in one language, with its plain twin."""

    trap: str
    """The usual wrong answer."""
    twin: Plain
    controls: tuple[Plain, ...] = ()
    """More plain twins."""
    why: str = Field(min_length=4)

    @property
    def plain(self) -> tuple[Plain, ...]:
        """The twin and the further controls."""
        return (self.twin, *self.controls)

    @model_validator(mode="after")
    def _the_trap_is_wrong(self) -> Self:
        if grade(self, self.trap):
            raise ValueError(f"the trap of {self.question!r} grades right")
        return self


class Entry(Asked):
    """One trick of the bank, in English and perhaps in Chinese."""

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    kind: Kind
    zh: Asked | None = None

    def asked(self, lang: Lang) -> Asked | None:
        """The trick in a language; None where it has not been written."""
        return self if lang == "en" else self.zh


@cache
def load_bank() -> tuple[Entry, ...]:
    """Every entry, in the order of the file.

    Raises:
        ValueError: an entry is not fit (pydantic's own error), or an id or a question stands there twice.
    """
    rows = yaml.safe_load((files("bot") / "data" / "tricks.yaml").read_text(encoding="utf-8"))
    entries = tuple(Entry.model_validate(_strings(row)) for row in rows)
    for what, values in (("id", [e.id for e in entries]), ("question", list(questions(entries)))):
        doubled = {value for value in values if values.count(value) > 1}
        if doubled:
            raise ValueError(f"twice in the bank, as {what}: {sorted(doubled)}")
    return entries


def questions(entries: tuple[Entry, ...]) -> tuple[str, ...]:
    """Every question of the bank: tricks, twins, controls, and the Chinese ones."""
    found: list[str] = []
    for entry in entries:
        for asked in (entry, entry.zh):
            found += [asked.question, *(plain.question for plain in asked.plain)] if asked else []
    return tuple(found)


def grade(asked: Plain, text: str) -> bool:
    """Whether an answer is right, by the phrases alone; an empty answer is wrong.

    Robust against case, punctuation, number words and contractions. It reads phrases, not meanings: an answer that denies a
    right phrase ("it is not true that there are none") grades right.
    """
    words = _words(text)
    return any(_has(words, phrase) for phrase in asked.accept) and not any(_has(words, phrase) for phrase in asked.reject)


def normalised(text: str) -> str:
    """Words in lower case without punctuation, numbers as digits, "n't" as "not"; Chinese characters one by one."""
    return " ".join(_words(text))


def _has(words: list[str], phrase: str) -> bool:
    parts = [_words(part) for part in phrase.removeprefix("^").split("*")]
    starts = [0] if phrase.startswith("^") else range(len(words))
    return any(_fits(words, start, parts) for start in starts)


def _fits(words: list[str], start: int, parts: list[list[str]]) -> bool:
    """Whether the parts stand there in order, the first at ``start``, each within `GAP` words of the one before."""
    first, *rest = parts
    end = start + len(first)
    if words[start:end] != first:
        return False
    return not rest or any(_fits(words, end + gap, rest) for gap in range(GAP + 1))


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold().lower())
    plain = "".join(char for char in plain if not unicodedata.combining(char)).replace("’", "'").translate(_CJK_DIGITS)
    plain = re.sub(r"\bno one\b", "nobody", plain)
    plain = re.sub(r"\bcan't\b|\bcannot\b", "can not", plain).replace("won't", "will not").replace("n't", " not")
    plain = re.sub(r"(?<=\d),(?=\d{3}\b)", "", plain)
    plain = re.sub(r"(?<=\d)(st|nd|rd|th)\b", "", plain).replace("'s", "").replace("'", "")
    return _counted(_WORD.findall(plain))


def _counted(words: list[str]) -> list[str]:
    """Number words as digits: "twenty one" is 21, "one hundred and five" 105; "hundred" alone stays a word."""
    out: list[str] = []
    at = 0
    while at < len(words):
        value, used = _number(words[at:])
        out.append(str(value) if used else words[at])
        at += used or 1
    return out


def _number(words: list[str]) -> tuple[int, int]:
    """The number that the words begin with, and how many words it takes; 0 words when they begin with none."""
    total, part, used, last = 0, 0, 0, 0
    for word in words:
        if word in _SMALL and (last == 0 or (last in _TENS.values() and 0 < _SMALL[word] < 10)):
            last = _SMALL[word] or -1
            part += _SMALL[word]
        elif word in _SCALES and used and part:
            part, last = part * _SCALES[word], 0
            if _SCALES[word] > 100:
                total, part = total + part, 0
        elif word == "and" and used and last == 0 and _follows(words, used):
            pass
        else:
            break
        used += 1
    return total + part, used


def _follows(words: list[str], at: int) -> bool:
    """Whether a number word stands after an "and"."""
    return len(words) > at + 1 and words[at + 1] in _SMALL


def _strings(value: object) -> object:
    """YAML's bare numbers and yes, no as the words that were written."""
    if isinstance(value, dict):
        return {key: _strings(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_strings(item) for item in value]
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, int | float) else value
