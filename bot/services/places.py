"""What a person types to choose tokens and depths: ``1-5,8``, ``p1-p3``, ``all``. Knows no trace.

Answer tokens are counted from 1, prompt tokens from p1, depths from 0 (the input).
"""

from __future__ import annotations

import re

from bot.errors import NoSuchDepthError, NoSuchTokenError
from models.sentences import Sentence

_SPAN = re.compile(r"(?P<a>p?)(?P<first>\d{1,5})(?:[-–](?P<b>p?)(?P<last>\d{1,5}))?", re.IGNORECASE)
_BETWEEN = re.compile(r"[,，、;\s]+")
MOST = 4096


def positions_of(text: str | None, *, prompt: int, answer: int, answer_alone: bool = False) -> tuple[int, ...] | None:
    """Places in prompt + answer, from 0; None, which is the usual ones, for nothing.

    Raises:
        NoSuchTokenError: it cannot be read, or there are no such tokens; with ``answer_alone`` those of the prompt are none.
    """
    if text is None or not text.strip():
        return None
    if text.strip().casefold() == "all":
        return tuple(range(prompt if answer_alone else 0, prompt + answer))
    found: dict[int, None] = {}
    for part in _parts(text):
        span = _SPAN.fullmatch(part)
        if span is None:
            raise NoSuchTokenError(
                Sentence(
                    "I cannot read “{part}”. Write tokens of the answer like 1-5,8, and tokens of the prompt like p1-p3.",
                    part=part[:20],
                )
            )
        asked, first = bool(span["a"]), int(span["first"])
        if asked and answer_alone:
            raise NoSuchTokenError(
                Sentence(
                    "“{part}” is of the prompt, and the lens reads the answer alone: tokens 1 to {count}.",
                    part=part[:20],
                    count=answer,
                )
            )
        last = int(span["last"] or first)
        count, name = (prompt, Sentence("The prompt")) if asked else (answer, Sentence("The answer"))
        if not 1 <= first <= last <= count:
            raise NoSuchTokenError(
                Sentence(
                    "{name} has tokens 1 to {count}, and “{part}” is not one of them.", name=name, count=count, part=part[:20]
                )
            )
        start = -1 if asked else prompt - 1
        found |= dict.fromkeys(range(start + first, start + last + 1))
    return tuple(sorted(found))


def depths_of(text: str | None) -> tuple[int, ...] | None:
    """Depths; None, which is all, for nothing.

    Raises:
        NoSuchDepthError: it cannot be read.
    """
    if text is None or text.strip().casefold() in ("", "all"):
        return None
    found: dict[int, None] = {}
    for part in _parts(text):
        span = _SPAN.fullmatch(part)
        last = int(span["last"] or span["first"]) if span and not span["a"] else -1
        if span is None or not int(span["first"]) <= last <= MOST:
            raise NoSuchDepthError(Sentence("I cannot read “{part}”. Write depths like 0,10-12.", part=part[:20]))
        found |= dict.fromkeys(range(int(span["first"]), last + 1))
    return tuple(sorted(found))


def depth_choices(layers: int) -> list[tuple[str, str]]:
    """What to offer for the depths of a model, as label and text: some usual spans, then each alone."""
    third = layers - layers // 3
    usual = [f"0-{layers}", f"{third}-{layers}", f"{(layers + 1) // 2}-{layers}", f"0,{(layers + 1) // 2},{layers}", str(layers)]
    single = [str(depth) for depth in range(layers, -1, -1)]
    return [(text, text) for text in dict.fromkeys([*usual, *single])]


def _parts(text: str) -> list[str]:
    return [part for part in _BETWEEN.split(text.strip()) if part]
