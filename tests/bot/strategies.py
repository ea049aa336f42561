"""Random traces that hold together: every array is computed from one invented logit per word and depth."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from models.trace import Trace

VOCABULARY = 14
TRICKY = (
    " two", "2", " ", "\n", "", "\ufffd", "”", "“", "%", "100%", " 27th", "$\\frac{1}{2}$", "**bold**", "`code`", "@everyone",
    "<|im_end|>", "脚", "眼睛", "👀", "👩‍👩‍👧", "\u202e", "\x00", "\x1b[31m", "\u0301", "ﷺ", "½", "Ⅳ", " no", " No", "not",
    "a" * 90, "[red]", "\r\n", "\u00a0", "عربي", "हिन्दी", "-", "because", "I knew",
)  # fmt: skip


def make_trace(
    logits: np.ndarray,
    answer_ids: list[int],
    pieces: dict[int, str],
    *,
    prompt_ids: list[int] | None = None,
    special: list[bool] | None = None,
    sampled_prob: list[float] | None = None,
    k: int = 5,
    meta: dict[str, Any] | None = None,
) -> Trace:
    """A trace of ``logits`` (T, L+1, V), as a lens would read it."""
    logits = np.asarray(logits, dtype=np.float64)
    length, answer = logits.shape[0], np.asarray(answer_ids, dtype=np.int64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_probs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    probs = np.exp(log_probs)
    order = np.argsort(-logits, axis=-1, kind="stable")[..., : min(k, logits.shape[-1])]
    emitted = np.take_along_axis(logits, np.broadcast_to(answer[:, None, None], (*logits.shape[:2], 1)), axis=-1)
    final = log_probs[:, -1:, :]
    kl = np.maximum((np.exp(final) * (final - log_probs)).sum(axis=-1), 0.0)
    kl[:, -1:] = 0.0
    rows = np.arange(length)
    return Trace(
        prompt_ids=np.asarray(prompt_ids if prompt_ids is not None else [1, 2, 3], dtype=np.int64),
        answer_ids=answer,
        tokens=tuple(pieces[i] for i in answer_ids),
        special=np.asarray(special if special is not None else [False] * length, dtype=np.bool_),
        top_ids=order.astype(np.int64),
        top_probs=np.take_along_axis(probs, order, axis=-1).astype(np.float32),
        emitted_prob=probs[rows, :, answer].astype(np.float32).reshape(length, logits.shape[1]),
        emitted_rank=(logits > emitted).sum(axis=-1).astype(np.int64),
        entropy=-(probs * log_probs).sum(axis=-1).astype(np.float32),
        kl_to_final=kl.astype(np.float32),
        sampled_prob=np.asarray(sampled_prob if sampled_prob is not None else [1.0] * length, dtype=np.float32),
        pieces=pieces,
        meta=meta if meta is not None else {"model_id": "tiny", "lens": "logit"},
    )


def trace_of_tops(
    tops: list[list[int]], answer_ids: list[int], pieces: dict[int, str], *, sharp: float = 3.0, **more: Any
) -> Trace:
    """A trace in which ``tops[t][d]`` is top-1 at depth ``d`` of answer token ``t``; the ids after it follow in their order."""
    logits = np.full((len(tops), len(tops[0]), max(pieces) + 1), 0.0)
    logits -= 0.1 * np.arange(logits.shape[-1])
    for t, row in enumerate(tops):
        for depth, token in enumerate(row):
            logits[t, depth, token] += sharp
    return make_trace(logits, answer_ids, pieces, **more)


pieces_of_text = st.one_of(st.sampled_from(TRICKY), st.text(max_size=12))


@st.composite
def traces(draw: st.DrawFn, *, max_length: int = 7, max_depths: int = 9) -> Trace:
    """Any trace that holds together: greedy or drawn answers, sharp or flat, with any text in its tokens."""
    length, depths = draw(st.integers(0, max_length)), draw(st.integers(1, max_depths))
    pieces = dict(enumerate(draw(st.lists(pieces_of_text, min_size=VOCABULARY, max_size=VOCABULARY))))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = draw(st.sampled_from((0.0, 0.3, 2.0, 8.0, 60.0)))
    logits = random.normal(size=(length, depths + 1, VOCABULARY)) * spread
    if draw(st.booleans()):  # a residual stream changes little from depth to depth
        logits = np.cumsum(logits, axis=1) / 2
    greedy = [int(row[-1].argmax()) for row in logits]
    answer = [draw(st.integers(0, VOCABULARY - 1)) if draw(st.booleans()) else token for token in greedy]
    sampled = [1.0 if draw(st.booleans()) else draw(st.floats(0.0, 1.0, width=32)) for _ in answer]
    special = [draw(st.integers(0, 9)) == 0 for _ in answer]
    prompt = draw(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=400))
    k = draw(st.integers(1, VOCABULARY))
    return make_trace(logits, answer, pieces, prompt_ids=prompt, special=special, sampled_prob=sampled, k=k)
