"""The words of an answer: which token stands in which of them. Pure text; NumPy is not needed.

A token is often a piece of a word. People count words, so a token is told by its word and that word's place in the answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from models.readings import is_word
from models.trace import Trace

_WORD = re.compile(r"[^\W_]+(?:(?:['’\-]|(?<=\d)[.,](?=\d))[^\W_]+)*")
"""Letters and digits, with what holds them together: it's, well-known, 3.5kg."""
_SPACELESS = "\u2e80"
"""From here on scripts write no blanks between words: there each token counts as one."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word of the answer."""

    number: int
    """From 1."""
    text: str
    first: int
    """The token that it begins in, from 0."""


def word_of(trace: Trace, t: int) -> Word | None:
    """The word that answer token ``t`` stands in; None when the token says nothing by itself."""
    at = next((i for i, char in enumerate(trace.tokens[t]) if char.isalnum()), None)
    if at is None or trace.special[t]:
        return None
    starts = [0]
    for text in trace.tokens:
        starts.append(starts[-1] + len(text))
    spans = _spans(trace, starts)
    number, (begin, end) = next((n, span) for n, span in enumerate(spans, 1) if span[0] <= starts[t] + at < span[1])
    whole = "".join(trace.tokens)
    return Word(number, whole[begin:end], max(i for i in range(t + 1) if starts[i] <= begin))


def _spans(trace: Trace, starts: list[int]) -> list[tuple[int, int]]:
    """Begin and end of each word in the text of the answer."""
    whole, found = "".join(trace.tokens), []
    for match in _WORD.finditer(whole):
        begin, end = match.span()
        if max(match[0]) < _SPACELESS:
            found.append((begin, end))
            continue
        edges = sorted({begin, end, *(start for start in starts if begin < start < end)})
        found += [(a, b) for a, b in pairwise(edges) if is_word(whole[a:b])]
    return found
