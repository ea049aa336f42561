"""Holds every line against the trace again. A line with one wrong number, or with one that is no fact, is not shown.

It judges any line, whoever wrote it: the told ones, and those that a model writes from the same facts. What it cannot judge is
the wording around the numbers; claims therefore carry the whole sentence that states them.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable

from bot.services.monologue.facts import READINGS, Fact, Line, Value, value_of
from bot.services.monologue.shown import writings
from models.readings import predicts
from models.trace import Trace

_NUMBER_WORDS = re.compile(
    r"\b(?:zero|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty|sixty|seventy|eighty"
    r"|ninety|hundreds?|thousands?|millions?|billions?|dozens?|percent|per cent|thirds|quarters?|fifths?|tenths?|twice|thrice)\b",
    re.IGNORECASE,
)
# In Chinese a numeral counts wherever it stands; these words hold one and count nothing.
_NUMERALS = re.compile(r"[零〇一二两三四五六七八九十百千万亿]")
_UNCOUNTED = re.compile(r"(?<![第零〇一二两三四五六七八九十百千万亿])一(?:样|切|直|起|旦|般|定)")
_LOOSE = frozenset('%‰“”„«»"')


def verify(lines: Iterable[Line], trace: Trace) -> tuple[Line, ...]:
    """The lines that hold, in their order; none over a trace of the Jacobian lens."""
    return tuple(line for line in lines if is_true(line, trace)) if predicts(trace) else ()


def if_true(line: Line | None, trace: Trace) -> Line | None:
    """The line if it holds."""
    return line if line is not None and verify([line], trace) else None


def is_true(line: Line, trace: Trace) -> bool:
    """Whether each fact recomputes, each number and quoted token in the text is a fact, and each fact stands in the text."""
    return all(_holds(fact, trace) for fact in line.facts) and _covered(line)


def _holds(fact: Fact, trace: Trace) -> bool:
    actual = value_of(trace, fact.name, fact.where)
    if actual is None or not _same(actual, fact.value):
        return False
    unit = READINGS[fact.name].unit
    return bool(actual) if unit == "claim" else fact.shown in writings(actual, unit)


def _same(actual: Value, told: Value) -> bool:
    if isinstance(actual, float) and isinstance(told, float):
        return math.isclose(actual, told, rel_tol=1e-6, abs_tol=1e-12)
    return type(actual) is type(told) and actual == told


def _covered(line: Line) -> bool:
    """Walk the text once: every fact has its own place, in order, and nothing between them counts or quotes."""
    claims = [fact for fact in line.facts if fact.name in READINGS and READINGS[fact.name].unit == "claim"]
    if any(not claim.shown or claim.shown not in line.text for claim in claims):
        return False
    at, gaps = 0, []
    for fact in line.facts:
        if fact in claims:
            continue
        start = line.text.find(fact.shown, at) if fact.shown else -1
        if start < 0:
            return False
        gaps.append(line.text[at:start])
        at = start + len(fact.shown)
    return not any(_counts(gap) for gap in [*gaps, line.text[at:]])


def _counts(gap: str) -> bool:
    """Whether text outside of the facts holds a number in digits or words, a percentage or a quotation."""
    if any(unicodedata.category(char).startswith("N") or char in _LOOSE for char in gap):
        return True
    if _NUMBER_WORDS.search(gap) or _NUMERALS.search(_UNCOUNTED.sub("", gap)):
        return True
    return gap.endswith(("-", "−", "+", "/", "^")) or gap.startswith(("/", "^", "×"))
