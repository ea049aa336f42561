"""How each language writes a value and joins sentences. Knows no fact and no trace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.catalogue import language_of
from bot.render.text import IN_CHINESE, in_words, quoted

_EN_SMALL = "no one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905 - reads as a row
_ZH_SMALL = "零一两三四五六七八九十"


def nth(n: int) -> str:
    """1st, 2nd, 3rd, 11th, 42nd."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def small(n: int) -> str:
    """Small whole numbers in words, others in digits."""
    return _EN_SMALL[n] if 0 <= n < len(_EN_SMALL) else str(n)


def small_zh(n: int) -> str:
    """As they stand before a measure word: 两, not 二."""
    return _ZH_SMALL[n] if 0 <= n < len(_ZH_SMALL) else str(n)


def capital(text: str) -> str:
    """The text as it stands at the beginning of a sentence. What is quoted is left as it is."""
    return text[:1].upper() + text[1:]


def named_zh(text: str) -> str:
    """How a Chinese sentence calls a token: in words where it is invisible, else quoted."""
    words = in_words(text)
    return quoted(text) if words is None else IN_CHINESE[words]


def named_en(text: str) -> str:
    """How an English sentence calls a token."""
    return in_words(text) or quoted(text)


@dataclass(frozen=True, slots=True)
class Tongue:
    """What the telling needs to know of a language."""

    locale: str
    joiner: str
    """Between two sentences."""
    comma: str
    """Between the items of a list whose items hold commas."""
    over: str
    under: str
    """In front of a share that rounds to 100 or 0 percent and is not."""
    parts: Mapping[str, str]
    named: Callable[[str], str]
    nth: Callable[[int], str]
    small: Callable[[int], str]
    capital: Callable[[str], str]
    aim: int
    """How many characters a telling should have at most."""
    head: int
    """How many words (where there are spaces) or characters make a beginning that is not repeated."""

    def percent(self, share: float, *, digits: int = 0) -> str:
        """A share as a person reads it; never rounded to a 0 or a 100 that it is not."""
        if share >= 1.0:
            return "100%"
        if share > 0.9995:
            return f"{self.over}99.9%"
        if share < 0.0005:
            return f"{self.under}0.1%" if share > 0 else "0%"
        if digits or share < 0.0095 or share >= 0.995:
            return f"{100 * share:.1f}%"
        return f"{100 * share:.0f}%"


ENGLISH = Tongue(
    locale="en-US",
    joiner=" ",
    comma="; ",
    over="over ",
    under="under ",
    parts={"attention": "attention", "mlp": "MLP"},
    named=named_en,
    nth=nth,
    small=small,
    capital=capital,
    aim=1_300,
    head=2,
)
CHINESE = Tongue(
    locale="zh-CN",
    joiner="",
    comma="；",
    over="超过 ",
    under="不到 ",
    parts={"attention": "注意力", "mlp": "前馈网络"},
    named=named_zh,
    nth=str,
    small=small_zh,
    capital=str,
    aim=560,
    head=4,
)
TONGUES = (ENGLISH, CHINESE)


def tongue_of(locale: str) -> Tongue:
    """The language for a Discord locale."""
    return CHINESE if language_of(locale) == CHINESE.locale else ENGLISH
