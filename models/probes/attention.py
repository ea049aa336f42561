"""Which words of the prompt the answer tokens looked at. Knows weights and tokens; knows no model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.findings import Attention
from models.reading.seen import Seen, Unseen
from models.tokens import piece, shown_tokens, special_ids

MOST = 8
"""Prompt tokens that are kept of each row."""


def attention(seen: Seen, tokenizer: Any, prompt_ids: Sequence[int], question: str | None = None) -> Attention:
    """The words most looked at, for all T answer tokens.

    Raises:
        Unseen: there are no weights, or no word in the prompt.
    """
    if seen.looked is None:
        raise Unseen(seen.no_weights)
    places = telling(tokenizer, prompt_ids, question)
    if not places:
        raise Unseen("The prompt has no word that the model could have looked at.")
    weights = seen.looked.numpy()[:, places]  # (T, m)
    order = np.argsort(-weights, axis=-1, kind="stable")[:, :MOST]  # (T, n)
    positions = np.asarray(places, dtype=np.int64)[order]
    return Attention(
        positions=positions,
        weights=np.take_along_axis(weights, order, -1).astype(np.float32),
        sink=seen.looked[:, 0].numpy().astype(np.float32),
        words={int(p): piece(tokenizer, prompt_ids[p]) for p in np.unique(positions)},
    )


def telling(tokenizer: Any, prompt_ids: Sequence[int], question: str | None) -> list[int]:
    """Positions (from 0) of prompt tokens that say something: the question's words when it is found, else all words.

    The first token is a sink and never counts; control tokens, what stands between one and the end of its line (a role's name),
    punctuation and blanks do not either.
    """
    control = special_ids(tokenizer)
    shown = shown_tokens(tokenizer, prompt_ids)
    words = [p for p, text in enumerate(shown) if p and any(c.isalnum() for c in text)]
    asked = set(_question(shown, question)) if question else set()
    inside = [p for p in words if p in asked]
    if inside:
        return inside
    frame = _frame(shown, [token in control for token in prompt_ids])
    return [p for p in words if p not in frame] or words


def _question(shown: Sequence[str], question: str) -> list[int]:
    """Positions whose text lies in the last place where the prompt has the question; none when it has it nowhere."""
    text = "".join(shown)
    needles = (question.strip(), " ".join(question.split()))  # as it stands in the chat style, and in the story's lines
    found = next(((text.rfind(n), len(n)) for n in needles if n and n in text), None)
    if found is None:
        return []
    start, end, at, inside = found[0], found[0] + found[1], 0, []
    for position, part in enumerate(shown):
        if part and at < end and at + len(part.rstrip()) > start:
            inside.append(position)
        at += len(part)
    return inside


def _frame(shown: Sequence[str], control: Sequence[bool]) -> set[int]:
    """Positions after a control token up to the end of that line."""
    frame, inside = set(), False
    for position, text in enumerate(shown):
        inside = control[position] or inside
        if inside:
            frame.add(position)
        if not control[position] and "\n" in text:
            inside = False
    return frame
