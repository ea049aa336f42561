"""Findings: one more forward pass over an answer, shared by all probes that read it, and one short pass for the template pull.

Knows which probe needs what, and why one has nothing to say; how each looks is in its own module.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

import torch

from models.findings import Findings
from models.memory import memory_errors
from models.network.adapters import Parts
from models.pieces import Pieces
from models.probes.attention import attention
from models.probes.attribution import attribution
from models.probes.pull import pull
from models.probes.watched import Translator, watched
from models.reading.seen import Seen, Unseen
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
) -> Pieces[Findings]:
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
    with memory_errors():
        seen = yield from look_again(model, parts, answer.prompt_ids, answer.answer_ids)
        found = _Gathered()
        yield from found.take("attribution", lambda: attribution(parts, seen, trace))
        yield from found.take("attention", lambda: attention(seen, tokenizer, answer.prompt_ids, question))
        if question:
            yield from found.take("pull", lambda: pull(model, parts, tokenizer, answer, question, seen))
        if watch:
            yield from found.take("watched", lambda: watched(parts, seen, tokenizer, watch, lens=lens, memory_limit=memory_limit))
    return found.findings


def follow(
    model: Any,
    tokenizer: Any,
    parts: Parts,
    answer: Answer,
    words: Sequence[str],
    *,
    states: Sequence[torch.Tensor] | None = None,
    lens: Translator | None = None,
    memory_limit: int | None = None,
) -> Pieces[Findings]:
    """Watched words alone, from ``states`` (depths 0 to L, the last normed) where they are held, else from one more pass.

    Raises:
        OutOfMemoryError.
    """
    with memory_errors():
        if states is None:
            bare = replace(parts, attends=None, attention=None)  # nothing of the attention is asked for
            seen = yield from look_again(model, bare, answer.prompt_ids, answer.answer_ids)
        else:
            seen = Seen(dict(enumerate(states)), states[-1])
        found = _Gathered()
        yield from found.take("watched", lambda: watched(parts, seen, tokenizer, words, lens=lens, memory_limit=memory_limit))
    return found.findings


class _Gathered:
    """What the probes found, one after the other."""

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}
        self._notes: dict[str, str] = {}

    def take(self, name: str, probe: Callable[[], Pieces[Any] | Any]) -> Pieces[None]:
        """Let one probe look, as one piece unless it pauses by itself."""
        try:
            result = probe()
            self._found[name] = (yield from result) if isinstance(result, Generator) else result
        except Unseen as why:
            self._notes[name] = str(why)
        yield

    @property
    def findings(self) -> Findings:
        return Findings(**self._found, notes=self._notes)
