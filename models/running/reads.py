"""What an engine reads of its answers: the second pass and every probe, each in pieces or at one go.

Knows one loaded model, its lenses and the states that its answer passes left; knows no prompts and takes no questions.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from models.errors import ForwardPassError, OutOfMemoryError, UnsupportedArchitectureError
from models.findings import CausalCheck, Findings, Part, SelfReport
from models.lenses.shelf import Shelf
from models.memory import chunk_bytes, memory_errors
from models.network.adapters import Parts
from models.pieces import Pieces, whole
from models.probes.prober import Probes
from models.reading import lens
from models.reading.held import HeldStates
from models.trace import Trace
from models.types import LENSES, Answer, LensName, ModelInfo

_LEAST_CHUNK = 1 << 20

log = logging.getLogger(__name__)


class Reads:
    """The reading half of an engine; `models.running.engine.TorchEngine` is the other one. One thread at a time."""

    model: Any
    tokenizer: Any
    _info: ModelInfo
    _parts: Parts | None
    _held: HeldStates
    _lenses: Shelf
    _memory_limit: int | None

    def _meta(self, answer: Answer) -> dict[str, Any]:
        """What a trace or a dump says of where it is from."""
        raise NotImplementedError

    def trace(self, answer: Answer, *, k: int = 10, lens: LensName | None = None) -> Trace:
        if self._info.inner_voice is not None:
            raise UnsupportedArchitectureError(self._info.inner_voice)
        return whole(self._read([answer], k, self._lenses.get(lens)))[0]

    def traces(self, answers: Sequence[Answer], *, k: int = 10, lens: LensName | None = None) -> list[Trace | BaseException]:
        return whole(self.traces_in_pieces(answers, k=k, lens=lens))

    def traces_in_pieces(
        self, answers: Sequence[Answer], *, k: int = 10, lens: LensName | None = None
    ) -> Pieces[list[Trace | BaseException]]:
        if self._info.inner_voice is not None:
            return [UnsupportedArchitectureError(self._info.inner_voice) for _ in answers]
        if len(answers) > 1:
            try:
                return [*(yield from self._read(answers, k, self._lenses.get(lens)))]
            except ForwardPassError:  # one of them fails: each alone, so that the others do not
                pass
        found: list[Trace | BaseException] = []
        for answer in answers:
            try:
                found += yield from self._read([answer], k, self._lenses.get(lens))
            except Exception as error:  # noqa: BLE001  it belongs to who awaits this trace
                found.append(error)
        return found

    def findings(self, answer: Answer, trace: Trace, *, question: str | None = None, watch: Sequence[str] = ()) -> Findings:
        return whole(self.findings_in_pieces(answer, trace, question=question, watch=watch))

    def findings_in_pieces(
        self, answer: Answer, trace: Trace, *, question: str | None = None, watch: Sequence[str] = ()
    ) -> Pieces[Findings]:
        through = self._lens_of(trace) if watch else None
        return self._probes.findings(answer, trace, question=question, watch=watch, lens=through)

    def follow(self, answer: Answer, trace: Trace, words: Sequence[str]) -> Findings:
        return whole(self.follow_in_pieces(answer, trace, words))

    def follow_in_pieces(self, answer: Answer, trace: Trace, words: Sequence[str]) -> Pieces[Findings]:
        states = self._held.get(answer.prompt_ids, answer.answer_ids)
        return self._probes.follow(answer, words, states=states, lens=self._lens_of(trace))

    def why(self, answer: Answer, t: int, *, parts: Sequence[Part] = ("block",), seed: int = 0) -> CausalCheck:
        return whole(self.why_in_pieces(answer, t, parts=parts, seed=seed))

    def why_in_pieces(self, answer: Answer, t: int, *, parts: Sequence[Part] = ("block",), seed: int = 0) -> Pieces[CausalCheck]:
        return self._probes.why(answer, t, parts=parts, seed=seed)

    def self_report(self, question: str, answer: Answer) -> SelfReport:
        return whole(self.self_report_in_pieces(question, answer))

    def self_report_in_pieces(self, question: str, answer: Answer) -> Pieces[SelfReport]:
        return self._probes.self_report(question, answer)

    def _lens_of(self, trace: Trace) -> lens.Lens | None:
        """What a trace was read through."""
        name = trace.meta.get("lens")
        return self._lenses.get(name if name in LENSES else None)

    @property
    def _probes(self) -> Probes:
        return Probes(self.model, self.tokenizer, self._parts, memory_limit=self._memory_limit)

    def _read(self, answers: Sequence[Answer], k: int, through: lens.Lens | None) -> Pieces[list[Trace]]:
        """The second pass; on too little memory again with smaller chunks, down to one row at a time."""
        passages = [
            lens.Passage(
                answer.prompt_ids,
                answer.answer_ids,
                sampled_prob=answer.sampled_prob,
                final_top=answer.final_top,
                states=self._held.get(answer.prompt_ids, answer.answer_ids),
                meta=self._meta(answer),
            )
            for answer in answers
        ]
        limit = chunk_bytes(self.model.device, self._memory_limit)
        while True:
            try:
                with memory_errors():
                    options: dict[str, Any] = {"k": k, "tokenizer": self.tokenizer, "lens": through, "memory_limit": limit}
                    return (yield from lens.tracing(self.model, passages, **options))
            except OutOfMemoryError:
                if limit <= _LEAST_CHUNK:
                    raise
                limit = max(_LEAST_CHUNK, limit // 8)
                log.warning("the second pass ran out of memory; again with %d MiB at once", limit >> 20)
