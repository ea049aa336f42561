"""Traces for the viewer's tests: one with all evidence, hostile ones, and one as large as is promised."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.fakes import findings as fake
from models.findings import SelfReport
from models.trace import Trace
from tests.bot.strategies import TRICKY, make_trace

WORDS = (" foot", " two", " no", " eyes", " has", "2", " one", ".", " the", "脚", "眼睛", " four", "\n", " ")
HOSTILE = (
    "</script><script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    "<!--<script>",
    "`${window.pwned=1}`",
    "{word}",
    "{a|b}",
    "\u2028window.pwned=1",
    "\u202egnihton",
    "\x00",
    "\ud800",
    "javascript:window.pwned=1",
    "&lt;b&gt;",
    "\"'><svg onload=window.pwned=1>",
    "__proto__",
)


def logits_of(length: int, depths: int, words: int, seed: int = 1) -> np.ndarray:
    """(T, L+1, V) a stream that grows towards its end."""
    random = np.random.default_rng(seed)
    return np.cumsum(random.normal(size=(length, depths + 1, words)) * 0.9, axis=1)


def whole_trace(words: tuple[str, ...] = WORDS, *, length: int = 7, depths: int = 12, k: int = 5, lens: str = "logit") -> Trace:
    """All findings beside it; another ``lens`` reads other depths of the same answer."""
    logits = logits_of(length, depths, len(words))
    final = logits[:, -1].copy()
    if lens != "logit":
        logits = logits * 0.6
        logits[:, -1] = final
    answer = [int(i) for i in final.argmax(-1)]
    prompt = list(range(len(words)))
    meta = {
        "name": words[0],
        "lens": lens,
        "tied_embeddings": True,
        "sampler": {"temperature": 0.0},
        "answer_seconds": 1.5,
        "seed": 0,
    }
    trace = make_trace(logits, answer, dict(enumerate(words)), k=k, meta=meta, prompt_ids=prompt)
    ids, at = np.asarray(answer, dtype=np.int64), min(2, length - 1)
    return trace.with_findings(
        attribution=fake.attribution(final, ids, depths),
        attention=fake.attention(trace, [f" word{i}" if i else words[0] for i in prompt]),
        watched=fake.watched(logits, words[1:3], words),
        pull=fake.pull(final[0], "chat", words),
        causal=fake.why(logits[at], at, answer[at], ("block", "mlp"), 0, words),
        self_report=SelfReport(0.4, 0.9, 0.75, 8, 3),
        notes={"attention": f"no {words[0]}"},
    )


def hostile_trace() -> Trace:
    trace = whole_trace((*HOSTILE, *TRICKY))
    return replace(trace, meta={**trace.meta, "name": HOSTILE[1], "revision": HOSTILE[0], HOSTILE[0]: HOSTILE[12]})


def large_trace(lens: str = "logit", *, length: int = 60, depths: int = 80, k: int = 10, vocabulary: int = 9_000) -> Trace:
    """60 tokens by 80 blocks, thousands of different candidates; only its size counts."""
    random = np.random.default_rng(len(lens))
    shape = (length, depths + 1)
    probs = np.sort(random.dirichlet(np.ones(k) * 0.4, size=shape), axis=-1)[..., ::-1]
    answer = np.arange(length, dtype=np.int64)
    return Trace(
        prompt_ids=np.arange(400, dtype=np.int64),
        answer_ids=answer,
        tokens=tuple(f" word{i}" for i in answer),
        special=np.zeros(length, dtype=np.bool_),
        top_ids=random.integers(0, vocabulary, size=(*shape, k)).astype(np.int64),
        top_probs=probs.astype(np.float32),
        emitted_prob=random.random(shape).astype(np.float32),
        emitted_rank=random.integers(0, 150_000, size=shape).astype(np.int64),
        entropy=(random.random(shape) * 11).astype(np.float32),
        kl_to_final=(random.random(shape) * 20).astype(np.float32),
        sampled_prob=np.ones(length, dtype=np.float32),
        pieces={i: f" word{i}" for i in range(vocabulary)},
        meta={"name": "large", "lens": lens},
    )
