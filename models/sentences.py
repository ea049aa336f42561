"""Sentences that remember how they were made, so that they can be said in another language. Knows none but English.

An error's message without slots is a plain string. The catalogue of another language (``bot/locales/sentences.*.yaml``) is keyed
by the English template; `bot.catalogue` looks it up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Self


class Sentence(str):
    """English text made of a template and its slots: a string like any other, which also knows both.

    Attributes:
        template: what was filled, as for `str.format`; without slots it is the text as it stands.
        slots: what it was filled with, by name; sentences among them are translated, too, and plain strings are not.
    """

    __slots__ = ("slots", "template")

    template: str
    slots: Mapping[str, object]

    def __new__(cls, template: str, /, **slots: object) -> Self:
        made = super().__new__(cls, template.format(**slots) if slots else template)
        made.template, made.slots = template, slots
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, object]]:
        """For copies and pickles."""
        return (self.template,), dict(self.slots)


def listed(parts: Iterable[str]) -> str:
    """``a, b, c``; "" for none."""
    return reduce(lambda first, then: Sentence("{first}, {then}", first=first, then=then), [*parts] or [""])


def either(parts: Iterable[str]) -> str:
    """``a, or b, or c``; "" for none."""
    return reduce(lambda first, then: Sentence("{first}, or {then}", first=first, then=then), [*parts] or [""])
