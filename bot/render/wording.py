"""The words of pictures in the reader's language, from ``bot/locales/pictures.*.yaml``. Knows no picture.

Apart from `bot.ui.wording`, whose cards rendering must not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from bot.catalogue import CHINESE as CHINESE
from bot.catalogue import ENGLISH as ENGLISH
from bot.catalogue import language_of, table
from bot.render.text import IN_CHINESE, in_words, quoted

ALT_LIMIT = 1_024
"""Characters of an alt text that Discord takes."""


@dataclass(frozen=True, slots=True)
class Words:
    """``say(key, **slots)`` in one language."""

    locale: str
    table: Mapping[str, str] = field(repr=False)

    def __call__(self, key: str, /, **slots: object) -> str:
        """The text under ``key`` with its slots filled."""
        return self.table[key].format(**slots)

    def either(self, one: str, many: str, /, count: int, **slots: object) -> str:
        """``one`` for a count of 1, else ``many``."""
        return self(one if count == 1 else many, count=count, **slots)

    def named(self, text: str) -> str:
        """How a sentence calls a token: in words where it is invisible, else quoted."""
        told = in_words(text)
        if told is None:
            return quoted(text)
        return IN_CHINESE[told] if self.locale == CHINESE else told

    def alt(self, sentences: Iterable[str]) -> str:
        """The sentences as one alt text within Discord's limit."""
        text = ("" if self.locale == CHINESE else " ").join(sentence for sentence in sentences if sentence)
        return text if len(text) <= ALT_LIMIT else text[: ALT_LIMIT - 1] + "…"

    def lens(self, name: str) -> str:
        """What a lens is called in a sentence, by its name in a trace; before Latin letters Chinese has a space."""
        return self.table.get(f"lens_{name}") or self("lens_other", name=name)


def words(locale: str) -> Words:
    """The words for a Discord locale: Chinese ones in Simplified Chinese, all others in English."""
    known = language_of(locale)
    return Words(known, strings(known))


@cache
def strings(locale: str) -> dict[str, str]:
    """The whole table of ``en-US`` or ``zh-CN``."""
    return table(f"pictures.{locale}.yaml")


def percent(share: float) -> str:
    """A share as a person reads it; never rounded to a 0 or a 100 that it is not."""
    if share >= 1.0:
        return "100%"
    if share > 0.9995:
        return ">99.9%"
    if share < 0.0005:
        return "<0.1%" if share > 0 else "0%"
    return f"{100 * share:.1f}%" if share < 0.0995 or share >= 0.995 else f"{100 * share:.0f}%"
