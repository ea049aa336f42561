"""Findings: one more forward pass over an answer, shared by all probes that read it, and one short pass for the template pull.

Knows which probe needs what, and why one has nothing to say; how each looks is in its own module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from models.findings import Findings
from models.memory import memory_errors
from models.network.adapters import Parts
from models.probes.attention import attention
from models.probes.attribution import attribution
from models.probes.pull import pull
from models.probes.watched import Translator, watched
from models.reading.seen import Unseen
from models.reading.seen import look as look_again
from models.trace import Trace
from models.types import Answer


def findings(
    model: Any,
    tokenizer: Any,
    parts: Parts,
    answer: Answer,
    trace: Trace,
    *,
    question: str | None = None,
    watch: Sequence[str] = (),
    lens: Translator | None = None,
    memory_limit: int | None = None,
) -> Findings:
    """What one more look gives; what cannot be seen is None, and `Findings.notes` says why.

    Args:
        model: a causal language model in eval mode.
        tokenizer: of it.
        parts: of it.
        answer: of this model.
        trace: of this answer.
        question: as it was asked; without one there is no template pull, and attention counts every word of the prompt.
        watch: words to follow; nothing is followed when empty.
        lens: what the trace was read through, for the watched words; None is the logit lens.
        memory_limit: bytes that a chunk of logits may take.

    Raises:
        OutOfMemoryError: the pass itself does not fit.
    """
    with torch.inference_mode(), memory_errors():
        seen = look_again(model, parts, answer.prompt_ids, answer.answer_ids)
        probes: dict[str, Callable[[], Any]] = {
            "attribution": lambda: attribution(parts, seen, trace),
            "attention": lambda: attention(seen, tokenizer, answer.prompt_ids, question),
        }
        if question:
            probes["pull"] = lambda: pull(model, parts, tokenizer, answer, question, seen)
        if watch:
            probes["watched"] = lambda: watched(parts, seen, tokenizer, watch, lens=lens, memory_limit=memory_limit)
        return _gathered(probes)


def _gathered(probes: dict[str, Callable[[], Any]]) -> Findings:
    found: dict[str, Any] = {}
    notes: dict[str, str] = {}
    for name, probe in probes.items():
        try:
            found[name] = probe()
        except Unseen as why:
            notes[name] = str(why)
    return Findings(**found, notes=notes)
