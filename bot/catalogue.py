"""The tables of `bot/locales`, and what the program's own parts say in English (errors, figures, reasons) in other languages.

Knows no message and no page. Sentences are keyed by the English as it stands in the source, see `models.sentences`.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Any, cast

import yaml

from models.sentences import Sentence

ENGLISH, CHINESE = "en-US", "zh-CN"
_CHINESE, _KANA, _LATIN = re.compile(r"[\u4e00-\u9fff]"), re.compile(r"[\u3040-\u30ff]"), re.compile(r"[A-Za-z]")


def language_of(locale: str) -> str:
    """The language of the tables for a Discord locale: Simplified Chinese for any Chinese, which all its readers can read."""
    return CHINESE if locale.replace("_", "-").split("-")[0].lower() == "zh" else ENGLISH


def written_in(text: str) -> str:
    """The language of the tables that a text is written in: Chinese where its characters are more than a few foreign words.

    A Chinese character counts for two letters; kana are Japanese, whose readers are told English.
    """
    chinese, letters = len(_CHINESE.findall(text)), len(_LATIN.findall(text))
    return CHINESE if chinese and 2 * chinese >= letters and not _KANA.search(text) else ENGLISH


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
