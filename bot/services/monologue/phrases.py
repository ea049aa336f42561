"""The phrase tables of ``bot/locales``, and how a phrase with its slots becomes a sentence with its facts. Knows no plot."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import NamedTuple

import yaml

from bot.services.monologue.facts import READINGS, Fact, Where, needed, value_of
from bot.services.monologue.shown import capital, write
from models.trace import Trace

DEFAULT_LOCALE = "en-US"
_LOCALES = files("bot") / "locales"


class Ask(NamedTuple):
    """The fact that a slot stands for."""

    name: str
    where: Where


class Sentence(NamedTuple):
    """A piece of a line, and what it states."""

    text: str
    facts: tuple[Fact, ...]


@cache
def phrases_for(locale: str) -> Mapping[str, tuple[str, ...]]:
    """The table of a locale, or the English one where there is none yet."""
    file = _LOCALES / f"monologue.{locale}.yaml"
    if not file.is_file():
        return phrases_for(DEFAULT_LOCALE)
    return {key: tuple(ways) for key, ways in yaml.safe_load(file.read_text(encoding="utf-8")).items()}


class Chooser:
    """Picks a phrasing by a hash of the answer, and none that begins like one picked before in the same monologue."""

    def __init__(self, trace: Trace) -> None:
        self._seed = trace.answer_ids.astype("<i8").tobytes() + trace.prompt_ids.astype("<i8").tobytes()
        self._beginnings: set[str] = set()

    def pick(self, key: str, ways: tuple[str, ...]) -> str:
        """One of ``ways``; always the same one for the same answer and the same course of the monologue."""
        shuffled = sorted(ways, key=lambda way: self.hash(key + way))
        chosen = next((way for way in shuffled if _beginning(way) not in self._beginnings), shuffled[0])
        self._beginnings.add(_beginning(chosen))
        return chosen

    def hash(self, key: str) -> bytes:
        """A digest of the key and the answer."""
        return hashlib.sha256(key.encode() + b"\0" + self._seed).digest()


def _beginning(phrase: str) -> str:
    """The first two words, or one mark for every phrase that begins with a quoted token."""
    return "{" if phrase.startswith("{") else " ".join(phrase.split()[:2]).rstrip(",.:;").lower()


def fill(trace: Trace, phrase: str, slots: Mapping[str, Ask], claims: Iterable[Ask] = ()) -> Sentence:
    """The phrase with its facts written in, each noted with the exact characters that state it.

    Raises:
        ValueError: a fact that the phrase needs has no value in this trace.
    """
    text, facts = "", []
    for literal, slot, form, _ in Formatter().parse(_tell_apart(trace, phrase, slots)):
        text += literal
        if slot is None:
            continue
        name, where = slots[slot]
        value = value_of(trace, name, where)
        if value is None:
            raise ValueError(f"{name} has no value at {where}")
        shown = write(value, READINGS[name].unit, form or "")
        if not text or text.endswith((". ", "? ", "! ")):
            shown = capital(shown)
        text += shown
        facts.append(Fact(name, value, shown, needed(name, where)))
    facts += [Fact(claim.name, value_of(trace, *claim), text, needed(*claim)) for claim in claims]
    return Sentence(text, tuple(facts))


def _tell_apart(trace: Trace, phrase: str, slots: Mapping[str, Ask]) -> str:
    """Where a phrase holds the probabilities of two tokens that would read the same, both get a decimal."""
    one, other = "{emitted_prob}", "{other_prob}"
    if one in phrase and other in phrase:
        shown = [write(value_of(trace, *slots[slot[1:-1]]), "share") for slot in (one, other)]
        if shown[0] == shown[1]:
            return phrase.replace(one, "{emitted_prob:fine}").replace(other, "{other_prob:fine}")
    return phrase
