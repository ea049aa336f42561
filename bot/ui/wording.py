"""The words of cards, buttons and messages in the reader's language, from the tables under ``bot/locales``. Knows no card."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from bot.catalogue import ENGLISH as ENGLISH
from bot.catalogue import language_of, table, translated
from bot.errors import ForwardPassError

Words = Callable[..., str]
_PARTS = ("ui", "looks", "talk")
_FULL = "。！？…）"


def words(locale: str) -> Words:
    """``say(key, **slots)`` in the language of a Discord locale: Chinese ones in Simplified Chinese, all others in English."""
    found = strings(language_of(locale))

    def say(key: str, /, **slots: object) -> str:
        return found[key].format(**slots)

    return say


def told(what: str | ForwardPassError, locale: str) -> str:
    """An error as askers read it, or a sentence, in the language of a Discord locale; English where there is no translation."""
    tongue = language_of(locale)
    if not isinstance(what, ForwardPassError):
        return translated(what, tongue)
    if what.for_askers:
        return translated(what.for_askers, tongue)
    message, hint = translated(what.message, tongue), translated(what.hint, tongue)
    return f"{message}{hint}" if message.endswith(tuple(_FULL)) else f"{message} {hint}".strip()


@cache
def strings(locale: str) -> dict[str, str]:
    """The whole table of ``en-US`` or ``zh-CN``."""
    found: dict[str, str] = {}
    for part in _PARTS:
        found |= table(f"{part}.{locale}.yaml")
    return found
