"""Matched controls for two questions: plain questions of the same shape, from the bank or from the asker. Knows no model.

Without at least `LEAST` of them nothing is claimed of a difference. Questions of the same kind but another shape are no controls.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from bot.catalogue import CHINESE, language_of
from bot.errors import QuestionError
from bot.services.bank import Asked, Entry, load_bank, normalised
from models.sentences import Sentence

LEAST, MOST = 3, 6
_LONGEST = 1500
_BETWEEN = re.compile(r"[;；\n]")


def controls_for(*questions: str) -> tuple[str, ...]:
    """The controls that the bank has for any of these questions, at most `MOST`, without the questions themselves.

    A question that is a trick, a twin or a control of the bank has the plain questions of that entry, in its language. Where
    several questions have some, they take turns.
    """
    asked = {normalised(question) for question in questions}
    rows = [_plain_beside(question) for question in dict.fromkeys(map(normalised, questions))]
    found = dict.fromkeys(plain for plain in _in_turn(rows) if normalised(plain) not in asked)
    return tuple(found)[:MOST]


def given(text: str, *questions: str) -> tuple[str, ...]:
    """The controls that an asker wrote, with ``;`` between them.

    Raises:
        QuestionError: they are too few, too many or too long, or one of them is compared already.
    """
    found = {normalised(part): part.strip() for part in _BETWEEN.split(text) if normalised(part)}
    controls = [part for key, part in found.items() if key not in {normalised(question) for question in questions}]
    if not LEAST <= len(controls) <= MOST or any(len(part) > _LONGEST for part in controls):
        raise QuestionError(
            Sentence("That makes {count} control questions.", count=len(controls)),
            hint=Sentence(
                "Write {least} to {most} different plain questions of the same form, separated by semicolons.",
                least=LEAST,
                most=MOST,
            ),
        )
    return tuple(controls)


def tricks(lang_of: str, beginning: str = "") -> list[str]:
    """The bank's tricks that hold these letters and have enough controls, in Chinese for ``zh…`` locales and else in English."""
    entries = (entry.asked("zh" if language_of(lang_of) == CHINESE else "en") for entry in load_bank())
    wanted = beginning.casefold()
    return [e.question for e in entries if e and len(e.controls) >= LEAST and wanted in e.question.casefold()]


def twins(trick: str) -> tuple[str, ...]:
    """The plain questions beside a question of the bank."""
    return tuple(plain for plain in _plain_beside(normalised(trick)) if normalised(plain) != normalised(trick))


def _plain_beside(question: str) -> tuple[str, ...]:
    """The plain questions of the entry that has this normalised question, as its trick rather than as a plain one."""
    asked = [*_every(load_bank())]
    own = next((a for a in asked if normalised(a.question) == question), None)
    own = own or next((a for a in asked if any(normalised(p.question) == question for p in a.plain)), None)
    return tuple(p.question for p in own.plain) if own else ()


def _every(bank: Iterable[Entry]) -> Iterator[Asked]:
    for entry in bank:
        yield entry
        if entry.zh:
            yield entry.zh


def _in_turn(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """The first of each row, then the second of each."""
    waiting = [list(row) for row in rows]
    while any(waiting):
        for row in waiting:
            if row:
                yield row.pop(0)
