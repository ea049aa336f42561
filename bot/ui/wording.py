"""The words of cards and buttons in the reader's language, from ``ui.*.yaml`` and ``looks.*.yaml``. Knows no card."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import cast

import yaml

from bot.services.monologue import tongue_of

Words = Callable[..., str]
ENGLISH = "en-US"
_PARTS = ("ui", "looks")


def words(locale: str) -> Words:
    """``say(key, **slots)`` in the language of a Discord locale: Chinese ones in Simplified Chinese, all others in English."""
    table = strings(tongue_of(locale).locale)

    def say(key: str, /, **slots: object) -> str:
        return table[key].format(**slots)

    return say


@cache
def strings(locale: str) -> dict[str, str]:
    """The whole table of ``en-US`` or ``zh-CN``."""
    found: dict[str, str] = {}
    for part in _PARTS:
        file = resources.files("bot") / "locales" / f"{part}.{locale}.yaml"
        found |= cast("dict[str, str]", yaml.safe_load(file.read_text(encoding="utf-8")))
    return found
