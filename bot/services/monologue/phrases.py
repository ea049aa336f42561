"""The phrase tables of ``bot/locales``, and how a phrase with its slots becomes a sentence with its facts. Knows no plot."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from string import Formatter
from typing import NamedTuple

from bot.catalogue import language_of, table
from bot.services.monologue.facts import READINGS, Fact, Where, needed, value_of
from bot.services.monologue.shown import write
from bot.services.monologue.tongues import Tongue
from models.trace import Trace


class Ask(NamedTuple):
    """The fact that a slot stands for."""

    name: str
    where: Where


class Sentence(NamedTuple):
    """A piece of a line, what it states, and the ids of the phrases that it was made of."""

    text: str
    facts: tuple[Fact, ...]
    phrases: tuple[str, ...] = ()


def phrases_for(locale: str) -> Mapping[str, tuple[str, ...]]:
    """The table of a locale, or the English one where there is none."""
    return _table(language_of(locale))


@cache
def _table(locale: str) -> Mapping[str, tuple[str, ...]]:
    return {key: tuple(ways) for key, ways in table(f"monologue.{locale}.yaml").items()}


@cache
def phrase_id(key: str, phrase: str) -> str:
    """A short name of one way of saying a thing; it changes when its words do, and survives any other edit of the table."""
    return f"{key}.{hashlib.sha256(phrase.encode()).hexdigest()[:8]}"


class Chooser:
    """Picks a phrasing by a hash of the answer: none used lately, and none that begins like one picked before."""

    def __init__(self, trace: Trace, tongue: Tongue, avoid: Iterable[str] = ()) -> None:
        self._seed = trace.answer_ids.astype("<i8").tobytes() + trace.prompt_ids.astype("<i8").tobytes()
        self._tongue = tongue
        self._used = {phrase: place for place, phrase in enumerate(avoid)}
        self._beginnings: set[str] = set()

    def fresh(self, key: str, ways: tuple[str, ...]) -> bool:
        """Whether there is a way of saying it that was not used lately."""
        return any(phrase_id(key, way) not in self._used for way in ways)

    def pick(self, key: str, ways: tuple[str, ...]) -> str:
        """One of ``ways``, the one used longest ago when all were; always the same for the same answer, course and memory."""
        shuffled = sorted(ways, key=lambda way: self.hash(key + way))
        chosen = min(shuffled, key=lambda way: self._staleness(phrase_id(key, way), way))
        self._beginnings.add(self._beginning(chosen))
        self._used[phrase_id(key, chosen)] = len(self._used)
        return chosen

    def _staleness(self, name: str, way: str) -> tuple[int, bool]:
        return self._used.get(name, -1), self._beginning(way) in self._beginnings

    def hash(self, key: str) -> bytes:
        """A digest of the key and the answer."""
        return hashlib.sha256(key.encode() + b"\0" + self._seed).digest()

    def _beginning(self, phrase: str) -> str:
        """The first words or characters, or one mark for every phrase that begins with a quoted token."""
        if phrase.startswith("{"):
            return "{"
        head = " ".join(phrase.split()[: self._tongue.head]) if self._tongue.joiner else phrase[: self._tongue.head]
        return head.rstrip(",.:;，。：；").lower()


def fill(
    trace: Trace, phrase: str, slots: Mapping[str, Ask], claims: Iterable[Ask] = (), *, tongue: Tongue, name: str = ""
) -> Sentence:
    """The phrase with its facts written in, each noted with the exact characters that state it.

    Raises:
        ValueError: a fact that the phrase needs has no value in this trace.
    """
    text, facts = "", []
    for literal, slot, form, _ in Formatter().parse(_tell_apart(trace, phrase, slots)):
        text += literal.lstrip(" ") if _hugs(text, tongue) else literal
        if slot is None:
            continue
        fact_name, where = slots[slot]
        value = value_of(trace, fact_name, where)
        if value is None:
            raise ValueError(f"{fact_name} has no value at {where}")
        shown = write(value, READINGS[fact_name].unit, form or "", tongue)
        if not text or text.endswith((". ", "? ", "! ")):
            shown = tongue.capital(shown)
        text = (text.rstrip(" ") if _hugs(shown[::-1], tongue) else text) + shown
        facts.append(Fact(fact_name, value, shown, needed(fact_name, where)))
    facts += [Fact(claim.name, value_of(trace, *claim), text, needed(*claim)) for claim in claims]
    return Sentence(text, tuple(facts), (name,) if name else ())


def _hugs(text: str, tongue: Tongue) -> bool:
    """Whether no space follows: in a script that joins sentences without one, all but figures stand close."""
    return not tongue.joiner and bool(text) and not text[-1].isascii()


def _tell_apart(trace: Trace, phrase: str, slots: Mapping[str, Ask]) -> str:
    """Where a phrase holds the probabilities of two tokens that would read the same, both get a decimal."""
    one, other = "{emitted_prob}", "{other_prob}"
    if one in phrase and other in phrase:
        shown = [write(value_of(trace, *slots[slot[1:-1]]), "share") for slot in (one, other)]
        if shown[0] == shown[1]:
            return phrase.replace(one, "{emitted_prob:fine}").replace(other, "{other_prob:fine}")
    return phrase
