"""The words of cards, buttons and messages in the reader's language, from the tables under ``bot/locales``. Knows no card.

What the program's own parts say in English (errors, figures, reasons) is looked up by its English in ``sentences.*.yaml``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import cast

import yaml

from bot.errors import ForwardPassError
from bot.services.monologue import tongue_of
from models.sentences import Sentence

Words = Callable[..., str]
ENGLISH = "en-US"
_PARTS = ("ui", "looks", "talk")
_FULL = "。！？…）"


def words(locale: str) -> Words:
    """``say(key, **slots)`` in the language of a Discord locale: Chinese ones in Simplified Chinese, all others in English."""
    table = strings(tongue_of(locale).locale)

    def say(key: str, /, **slots: object) -> str:
        return table[key].format(**slots)

    return say


def told(what: str | ForwardPassError, locale: str) -> str:
    """An error with its hint, or a sentence, in the language of a Discord locale; in English where there is no translation."""
    if isinstance(what, ForwardPassError):
        message, hint = told(what.message, locale), told(what.hint, locale)
        return f"{message}{hint}" if message.endswith(tuple(_FULL)) else f"{message} {hint}".strip()
    template, slots = (what.template, what.slots) if isinstance(what, Sentence) else (what, {})
    found = sentences(tongue_of(locale).locale).get(template)
    if found is None:
        return str(what)
    if not slots:
        return found
    return found.format(**{name: told(slot, locale) if isinstance(slot, Sentence) else slot for name, slot in slots.items()})


@cache
def strings(locale: str) -> dict[str, str]:
    """The whole table of ``en-US`` or ``zh-CN``."""
    found: dict[str, str] = {}
    for part in _PARTS:
        found |= _table(f"{part}.{locale}.yaml")
    return found


@cache
def sentences(locale: str) -> dict[str, str]:
    """What the sentences of errors, figures and reasons are in a language, by their English; empty for English."""
    return {} if locale == ENGLISH else _table(f"sentences.{locale}.yaml")


def _table(name: str) -> dict[str, str]:
    file = resources.files("bot") / "locales" / name
    return cast("dict[str, str]", yaml.safe_load(file.read_text(encoding="utf-8")))
