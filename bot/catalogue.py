"""The tables of `bot/locales`, and what the program's own parts say in English (errors, figures, reasons) in other languages.

Knows no message and no page. Sentences are keyed by the English as it stands in the source, see `models.sentences`.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any, cast

import yaml

from models.sentences import Sentence

ENGLISH, CHINESE = "en-US", "zh-CN"


def language_of(locale: str) -> str:
    """The language of the tables for a Discord locale: Simplified Chinese for any Chinese, which all its readers can read."""
    return CHINESE if locale.replace("_", "-").split("-")[0].lower() == "zh" else ENGLISH


def translated(text: str, locale: str) -> str:
    """A sentence in ``en-US`` or ``zh-CN``; in English where there is no translation."""
    template, slots = (text.template, text.slots) if isinstance(text, Sentence) else (text, {})
    found = sentences(locale).get(template)
    if found is None:
        return str(text)
    if not slots:
        return found
    return found.format(
        **{name: translated(slot, locale) if isinstance(slot, Sentence) else slot for name, slot in slots.items()}
    )


@cache
def sentences(locale: str) -> dict[str, str]:
    """The whole table of a language; empty for English."""
    return {} if locale == ENGLISH else table(f"sentences.{locale}.yaml")


def table(name: str) -> dict[str, Any]:
    """A file of ``bot/locales``."""
    file = resources.files("bot") / "locales" / name
    return cast("dict[str, Any]", yaml.safe_load(file.read_text(encoding="utf-8")))
