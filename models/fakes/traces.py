"""The arrays of an invented trace, computed from its logits as the real lens computes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.fakes.findings import Doubles, log_softmax
from models.trace import FloatArray, IntArray
from models.types import Answer


@dataclass(frozen=True, slots=True)
class Rows:
    """The arrays of a trace, with the shapes of `models.trace.Trace`."""

    top_ids: IntArray
    top_probs: FloatArray
    emitted_prob: FloatArray
    emitted_rank: IntArray
    entropy: FloatArray
    kl_to_final: FloatArray


def rows_of(logits: Doubles, emitted: IntArray, k: int) -> Rows:
    """Every number of a trace from the logits (T, L+1, V) of all its cells."""
    logprobs = log_softmax(logits)
    probs = np.exp(logprobs)
    order = np.argsort(-logits, axis=-1, kind="stable")[..., :k]  # (T, L+1, k)
    at = emitted[:, None, None]
    own = np.take_along_axis(logits, np.broadcast_to(at, (*logits.shape[:2], 1)), -1)  # (T, L+1, 1)
    final = logprobs[:, -1:, :]
    return Rows(
        top_ids=order.astype(np.int64),
        top_probs=np.take_along_axis(probs, order, -1).astype(np.float32),
        emitted_prob=np.take_along_axis(probs, np.broadcast_to(at, own.shape), -1)[..., 0].astype(np.float32),
        emitted_rank=(logits > own).sum(-1).astype(np.int64),
        entropy=-(probs * logprobs).sum(-1).astype(np.float32),
        kl_to_final=np.maximum((np.exp(final) * (final - logprobs)).sum(-1), 0).astype(np.float32),
    )


def leaders_of(answer: Answer) -> IntArray:
    """The likeliest token of each row, shape (T,): the emitted one, but for a token that was forced."""
    return np.asarray([row[0] for row in answer.final_top.ids], dtype=np.int64)
