"""What the program's own parts say in English (errors, figures, reasons), in other languages. Knows no message and no page.

Keyed by the English as it stands in the source, see `models.sentences`.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import cast

import yaml

from models.sentences import Sentence

ENGLISH = "en-US"


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


def table(name: str) -> dict[str, str]:
    """A file of ``bot/locales``."""
    file = resources.files("bot") / "locales" / name
    return cast("dict[str, str]", yaml.safe_load(file.read_text(encoding="utf-8")))
