"""One monologue in the making: fills the phrases of one language at one answer token. Knows no order of telling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bot.services.monologue import facts
from bot.services.monologue.facts import Value, Where
from bot.services.monologue.phrases import Ask, Chooser, Sentence, fill, phrase_id, phrases_for
from bot.services.monologue.stating import Fact, Line
from bot.services.monologue.tongues import tongue_of
from models.trace import Trace

Claim = str | Ask


class Teller:
    """Says sentences of the table about answer token ``t``."""

    def __init__(self, trace: Trace, t: int, locale: str, avoid: Sequence[str] = ()) -> None:
        self.trace, self.t = trace, t
        self.tongue = tongue_of(locale)
        self.phrases = phrases_for(locale)
        self.chooser = Chooser(trace, self.tongue, avoid)
        self.mood = facts.mood(trace, t) if trace.length else ""

    def ask(self, name: str, *, t: int | None = None, **where: int | None) -> Ask:
        """A fact at this token, or at another."""
        return Ask(name, Where(self.t if t is None else t, **where))

    def asks(self, *names: str, **where: int | None) -> dict[str, Ask]:
        """Slots of the same names as their facts, all at one place."""
        return {name: self.ask(name, **where) for name in names}

    def value(self, name: str, **where: int | None) -> Value:
        """The value of a fact at this token, or at another."""
        return facts.value_of(self.trace, *self.ask(name, **where))

    def true(self, claim: str, **where: int | None) -> bool:
        """Whether a claim holds at this token, or at another."""
        return bool(self.value(claim, **where))

    def say(self, key: str, *claims: Claim, **slots: Ask) -> Sentence:
        """A sentence of the table; slots that are not given are facts of the same name at this token."""
        phrase = self.chooser.pick(key, self.phrases[key])
        return self.fill(phrase, slots, claims, name=phrase_id(key, phrase))

    def may(self, key: str, *claims: Claim, **slots: Ask) -> list[Sentence]:
        """The same where there is a way that was not used lately; else it is left unsaid."""
        return [self.say(key, *claims, **slots)] if self.chooser.fresh(key, self.phrases[key]) else []

    def entry(self, key: str, *claims: Claim, **slots: Ask) -> Sentence:
        """A line of a ledger: always in the same form, as often as there are entries."""
        return self.fill(self.phrases[key][0], slots, claims)

    def fill(self, phrase: str, slots: Mapping[str, Ask], claims: Iterable[Claim] = (), *, name: str = "") -> Sentence:
        """Any phrase with its facts written in."""
        here = {fact: self.ask(fact) for fact in facts.READINGS}
        asked = [self.ask(claim) if isinstance(claim, str) else claim for claim in claims]
        return fill(self.trace, phrase, {**here, **slots}, asked, tongue=self.tongue, name=name)

    def line(self, sentences: Sequence[Sentence]) -> Line:
        """One paragraph."""
        told: tuple[Fact, ...] = tuple(fact for s in sentences for fact in s.facts)
        return Line(self.tongue.joiner.join(s.text for s in sentences), told, tuple(p for s in sentences for p in s.phrases))
