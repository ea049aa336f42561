"""How a value is written in a sentence, and which ways of writing it are true in any language. Knows no trace."""

from __future__ import annotations

from bot.render.text import quoted
from bot.services.monologue.stating import Unit, Value
from bot.services.monologue.tongues import ENGLISH, TONGUES, Tongue, capital, nth

__all__ = ["capital", "nth", "percent", "write", "writings"]
PREFIX_LIMIT = 60
FORMS = ("", "nth", "word", "fine", "size")


def percent(share: float, *, digits: int = 0) -> str:
    """A share as an English reader reads it."""
    return ENGLISH.percent(share, digits=digits)


def write(value: Value, unit: Unit, form: str = "", tongue: Tongue = ENGLISH) -> str:
    """The value in the form that a phrase asks for.

    nth, word, fine (a percentage with one decimal), size (logits without their sign), or plain.
    """
    if isinstance(value, str):
        if unit == "part":
            return tongue.parts[value]
        return quoted(value, limit=PREFIX_LIMIT) if unit == "text" else tongue.named(value)
    if isinstance(value, float):
        if unit == "logits":
            return f"{abs(value):.1f}" if form == "size" else f"{value:+.1f}".replace("-", "−")
        return f"{value:.2f}" if unit == "nats" else tongue.percent(value, digits=int(form == "fine"))
    if not isinstance(value, int):
        raise TypeError(f"a fact without a value cannot be written ({unit})")
    if form == "nth":
        return tongue.nth(value)
    return tongue.small(value) if form == "word" else str(value)


def writings(value: Value, unit: Unit) -> frozenset[str]:
    """Every true way of writing the value; empty for a value that cannot be told."""
    if value is None:
        return frozenset()
    ways = {write(value, unit, form, tongue) for form in FORMS for tongue in TONGUES}
    if isinstance(value, str):
        ways |= {quoted(value)} if unit == "token" else set()
        ways |= {capital(way) for way in ways}
    return frozenset(ways | {capital(way) for way in ways})
