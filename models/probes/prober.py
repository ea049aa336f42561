"""All that can be looked at beside the lens, for one loaded model: what `models.types.Prober` promises, in pieces.

Knows which probe answers which question; how each one looks is in its own module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from models.errors import UnsupportedArchitectureError
from models.findings import CausalCheck, Findings, Part, SelfReport
from models.network import adapters
from models.network.adapters import Parts
from models.network.edges import edge_of
from models.pieces import Pieces
from models.probes import causal, look, self_report
from models.probes.watched import Translator
from models.sentences import Sentence
from models.trace import Trace
from models.types import Answer


class Probes:
    """The probes of one model.

    Args:
        model: a causal language model in eval mode.
        tokenizer: of it.
        parts: where it keeps what; None when the adapters do not know the model.
        memory_limit: bytes that one chunk may take; by what is free when None.
    """

    def __init__(self, model: Any, tokenizer: Any, parts: Parts | None, *, memory_limit: int | None = None) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._maybe_parts = parts
        self._memory_limit = memory_limit

    def _on_one_side(self, answer: Answer) -> None:
        """Evidence is one pass over the whole text, and an answer that crossed the edge saw two kinds of positions."""
        edge = edge_of(self._model)
        if edge is not None and edge.crossed(len(answer.prompt_ids), len(answer.answer_ids) + 1):
            raise UnsupportedArchitectureError(
                Sentence(
                    "This model places its words in another way beyond {at} tokens, and this answer crossed that length.",
                    at=edge.at,
                )
            )

    def findings(
        self,
        answer: Answer,
        trace: Trace,
        *,
        question: str | None = None,
        watch: Sequence[str] = (),
        lens: Translator | None = None,
    ) -> Pieces[Findings]:
        """See `models.types.Prober.findings`; ``lens`` is what the trace was read through, None the logit lens."""
        self._on_one_side(answer)
        return look.findings(
            self._model,
            self._tokenizer,
            self._parts,
            answer,
            trace,
            question=question,
            watch=watch,
            lens=lens,
            memory_limit=self._memory_limit,
        )

    def follow(
        self,
        answer: Answer,
        words: Sequence[str],
        *,
        states: Sequence[torch.Tensor] | None = None,
        lens: Translator | None = None,
    ) -> Pieces[Findings]:
        """See `models.types.Prober.follow`; ``states`` are what the answer pass held, where they are kept."""
        self._on_one_side(answer)
        limit = self._memory_limit
        return look.follow(self._model, self._tokenizer, self._parts, answer, words, states=states, lens=lens, memory_limit=limit)

    def why(self, answer: Answer, t: int, *, parts: Sequence[Part] = ("block",), seed: int = 0) -> Pieces[CausalCheck]:
        """See `models.types.Prober.why`."""
        self._on_one_side(answer)
        return causal.why(self._model, self._parts, self._tokenizer, answer, t, parts, seed=seed, memory_limit=self._memory_limit)

    def self_report(self, question: str, answer: Answer) -> Pieces[SelfReport]:
        """See `models.types.Prober.self_report`."""
        return self_report.self_report(self._model, self._tokenizer, question, answer.text, self._maybe_parts)

    @property
    def _parts(self) -> Parts:
        if self._maybe_parts is None:
            raise UnsupportedArchitectureError(adapters.reason_against(self._model) or "The lens cannot read this model.")
        return self._maybe_parts
