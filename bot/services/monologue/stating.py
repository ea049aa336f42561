"""What a line, a fact and its place in the trace are. Knows no reading and no sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Value = float | int | str | None
Unit = Literal["whole", "share", "nats", "logits", "part", "token", "text", "claim"]


class Where(NamedTuple):
    """Where in the trace a fact stands; None where it does not matter."""

    t: int | None = None
    """Answer token."""
    depth: int | None = None
    id: int | None = None
    """Token id."""
    p: int | None = None
    """Place in the prompt, from 0."""
    block: int | None = None
    """From 1."""
    part: int | None = None
    """Of a block: 0 attention, 1 MLP."""
    word: int | None = None
    """Watched word, from 0."""


NOWHERE = Where()
NEEDS = "tdipbaw"
"""One letter for each field of `Where`, in their order."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that a line states. ``shown`` is the exact part of the line's text that states it."""

    name: str
    value: Value
    shown: str
    where: Where = NOWHERE

    def to_json(self) -> dict[str, Any]:
        """Plain values; ``where`` holds only what matters."""
        where = {key: value for key, value in self.where._asdict().items() if value is not None}
        return {"name": self.name, "value": self.value, "shown": self.shown, "where": where}


@dataclass(frozen=True, slots=True)
class Line:
    """One paragraph of the monologue. ``facts`` stand in the order of the text; claims follow the numbers of their sentence."""

    text: str
    facts: tuple[Fact, ...] = ()
    phrases: tuple[str, ...] = field(default=(), compare=False)
    """Ids of the phrases that it was made of, for `tell`'s ``avoid``."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {"text": self.text, "facts": [fact.to_json() for fact in self.facts]}


class Reading(NamedTuple):
    """How a fact is read, what it needs to know (letters of `NEEDS`, in the order of its arguments), and in which unit."""

    unit: Unit
    needs: str
    of: Callable[..., Any]


def phrases_of(lines: Iterable[Line]) -> tuple[str, ...]:
    """The ids of all phrases used. Remember those of the last nine monologues of a place and hand them to `tell` as ``avoid``."""
    return tuple(phrase for line in lines for phrase in line.phrases)
