"""Invented evidence for the scripted engine: deterministic, and as coherent as its traces. Knows no model; loads no torch.

Every figure comes from the scripted logits by the same sums as the real evidence, so that what is told of it can be checked.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.findings import Attention, Attribution, CausalCheck, IntArray, Part, Pull, Removals, SelfReport, Watched
from models.trace import Trace
from models.types import Answer, Style

Doubles = npt.NDArray[np.float64]

_KEPT = 10  # candidates of a template pull
_LOOKED_AT = 4  # prompt tokens of an attention row
_WEIGHT = {"block": 1.0, "attention": 0.4, "mlp": 0.7}


def log_softmax(logits: Doubles) -> Doubles:
    """Over the last axis."""
    logprobs: Doubles = logits - logits.max(-1, keepdims=True)
    logprobs -= np.log(np.exp(logprobs).sum(-1, keepdims=True))
    return logprobs


def attribution(final: Doubles, emitted: IntArray, layers: int) -> Attribution:
    """Parts that add up to the difference of the logits at depth L, (T, V)."""
    rows = np.arange(len(emitted))
    others = final.copy()
    others[rows, emitted] = -np.inf
    against = others.argmax(-1)  # (T,)
    difference = final[rows, emitted] - final[rows, against]
    rng = _dice(emitted)
    blocks = rng.normal(size=(len(emitted), layers, 2)) * np.linspace(0.1, 0.6, layers)[:, None]
    embedding = rng.normal(size=len(emitted)) * 0.1
    blocks[:, -1, 1] += difference - embedding - blocks.sum((1, 2))
    small = (blocks.astype(np.float32), embedding.astype(np.float32), np.zeros(len(emitted), np.float32))
    return Attribution(against.astype(np.int64), *small, difference.astype(np.float32))


def attention(trace: Trace, words: Sequence[str]) -> Attention | None:
    """Looks at words of the question, first of all at the last one of them."""
    places = [i for i, word in enumerate(words[: len(trace.prompt_ids)]) if i and word.strip().isalnum()]
    if not places:
        return None
    count = min(_LOOKED_AT, len(places))
    shape = (trace.length, count)
    weights = np.broadcast_to(0.2 / 2.0 ** np.arange(count), shape).astype(np.float32)
    positions = np.broadcast_to(np.asarray(places[::-1][:count], dtype=np.int64), shape).copy()
    sink = np.full(trace.length, 0.55, dtype=np.float32)
    return Attention(positions, weights, sink, {i: words[i] for i in sorted(places[::-1][:count])})


def watched(logits: Doubles, words: Sequence[str], vocabulary: Sequence[str]) -> Watched:
    """The words' own probabilities at every depth, from logits (T, L+1, V)."""
    found = [_first_token(word, vocabulary) for word in words]
    probs = np.exp(log_softmax(logits))[:, :, found]  # (T, L+1, W)
    whole = tuple(vocabulary[i].strip() == word.strip() for i, word in zip(found, words, strict=True))
    return Watched(tuple(words), np.asarray(found, dtype=np.int64), np.moveaxis(probs, -1, 0).astype(np.float32), whole)


def _first_token(word: str, vocabulary: Sequence[str]) -> int:
    """The word itself, with the blank before it if there is one so; else the longest that it begins with, else any one."""
    bare = word.strip()
    for spelled in (f" {bare}", bare):
        if spelled in vocabulary:
            return vocabulary.index(spelled)
    starts = [i for i, other in enumerate(vocabulary) if other.strip() and bare.startswith(other.strip())]
    return max(starts, key=lambda i: len(vocabulary[i]), default=zlib.crc32(bare.encode()) % len(vocabulary))


def pull(final: Doubles, style: Style, vocabulary: Sequence[str]) -> Pull:
    """Between the logits (V,) of the first answer token and a flatter copy of them."""
    bound, free = log_softmax(final), log_softmax(final * 0.6 + _dice(final).normal(size=final.shape) * 0.8)
    orders = [np.argsort(-row, kind="stable")[:_KEPT] for row in (bound, free)]
    return Pull(
        pattern=style,
        kl=float((np.exp(bound) * (bound - free)).sum()),
        with_ids=orders[0].astype(np.int64),
        with_probs=np.exp(bound[orders[0]]).astype(np.float32),
        without_ids=orders[1].astype(np.int64),
        without_probs=np.exp(free[orders[1]]).astype(np.float32),
        pieces={int(i): vocabulary[i] for i in np.union1d(*orders)},
    )


def why(logits: Doubles, t: int, emitted: int, parts: Sequence[Part], seed: int, vocabulary: Sequence[str]) -> CausalCheck:
    """What each block of (L+1, V) added is taken from the last row again; a control moves it at random, and less."""
    removals = tuple(_removals(logits, emitted, part, seed) for part in parts)
    final = log_softmax(logits[-1])
    ids = np.concatenate([[emitted, int(final.argmax())], *(r.top_ids for r in removals), *(r.control_top_ids for r in removals)])
    pieces = {int(i): vocabulary[i] for i in np.unique(ids)}
    return CausalCheck(t, emitted, float(final[emitted]), int(final.argmax()), removals, pieces, seed, 0.0)


def _removals(logits: Doubles, emitted: int, part: Part, seed: int) -> Removals:
    added = np.diff(logits, axis=0)  # (L, V)
    rng = np.random.default_rng([seed, emitted, len(part)])
    random = rng.normal(size=added.shape)
    random *= 0.5 * np.linalg.norm(added, axis=-1, keepdims=True) / np.linalg.norm(random, axis=-1, keepdims=True)
    gone, control = (log_softmax(logits[-1] - _WEIGHT[part] * moved) for moved in (added, random))  # (L, V)
    rows, tops = np.arange(len(gone)), gone.argmax(-1)
    return Removals(
        part=part,
        logprob=gone[:, emitted].astype(np.float32),
        top_ids=tops.astype(np.int64),
        top_probs=np.exp(gone[rows, tops]).astype(np.float32),
        control_logprob=control[:, emitted].astype(np.float32),
        control_top_ids=control.argmax(-1).astype(np.int64),
        jitter=np.zeros(len(gone), dtype=np.float32),
    )


def self_report(question: str, answer: Answer) -> SelfReport:
    """Drawn by the words of question and answer."""
    rng = np.random.default_rng(zlib.crc32(f"{question}\n{answer.text}".encode()))
    return SelfReport(p_true=float(rng.uniform(0.05, 0.95)), said=float(rng.uniform(0.5, 0.99)))


def _dice(values: npt.NDArray[np.generic]) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(values.tobytes()))
