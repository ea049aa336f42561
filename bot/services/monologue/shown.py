"""How a value is written in a sentence, and which ways of writing it are true. English; knows no trace."""

from __future__ import annotations

from bot.render.text import named, quoted
from bot.services.monologue.facts import Unit, Value

PREFIX_LIMIT = 60
_SMALL = "no one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905 - reads as a row


def nth(n: int) -> str:
    """1st, 2nd, 3rd, 11th, 42nd."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def percent(share: float, *, digits: int = 0) -> str:
    """A share as a person reads it; never rounded to a 0 or a 100 that it is not."""
    if share >= 1.0:
        return "100%"
    if share > 0.9995:
        return "over 99.9%"
    if share < 0.0005:
        return "under 0.1%" if share > 0 else "0%"
    if digits or share < 0.0095 or share >= 0.995:
        return f"{100 * share:.1f}%"
    return f"{100 * share:.0f}%"


def capital(text: str) -> str:
    """The text as it stands at the beginning of a sentence. What is quoted is left as it is."""
    return text[:1].upper() + text[1:]


def write(value: Value, unit: Unit, form: str = "") -> str:
    """The value in the form that a phrase asks for: nth, word, fine (a percentage with one decimal), or plain."""
    if isinstance(value, str):
        return quoted(value, limit=PREFIX_LIMIT) if unit == "text" else named(value)
    if isinstance(value, float):
        return f"{value:.2f}" if unit == "nats" else percent(value, digits=int(form == "fine"))
    if not isinstance(value, int):
        raise TypeError(f"a fact without a value cannot be written ({unit})")
    if form == "nth":
        return nth(value)
    return _SMALL[value] if form == "word" and 0 <= value < len(_SMALL) else str(value)


def writings(value: Value, unit: Unit) -> frozenset[str]:
    """Every true way of writing the value; empty for a value that cannot be told."""
    if value is None:
        return frozenset()
    if isinstance(value, str):
        ways = {write(value, unit)} | ({quoted(value)} if unit == "token" else set())
        return frozenset(ways | {capital(way) for way in ways})
    return frozenset(write(value, unit, form) for form in ("", "nth", "word", "fine"))
