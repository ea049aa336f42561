"""A scripted engine: deterministic, no torch, no weights. It ships in the package for the Discord tests and the demos.

Its traces are invented, but they hold together: one small vocabulary, one logit per word and depth, and every number of the
trace is computed from those logits as the real lens computes them. Knows nothing of language.
"""

from __future__ import annotations

import re
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from models.dump import Chosen, LayerDump, What, lens_dump
from models.errors import AnswerCancelledError, EmptyQuestionError, QuestionTooLongError, UnsupportedArchitectureError
from models.fakes import dumps, findings
from models.fakes.findings import Doubles, log_softmax
from models.fakes.traces import leaders_of, rows_of
from models.findings import CausalCheck, Findings, Part, SelfReport
from models.roads import check_road, check_token
from models.sentences import Sentence
from models.trace import SCHEMA, IntArray, Trace
from models.types import Answer, FinalTop, Job, LensName, ModelInfo, Road, Sampling, Style

DEFAULT_ANSWER = "The answer is 2."
DEFAULT_ROAD = ", or so they say."
FINAL_TOP = 16
_END = 0
_PROMPT_IDS = 40_000  # words of a question that the vocabulary lacks are hashed to ids from here on
_CONTEXT = 2048
_RIVALS = (
    "<|end|>", " no", " one", " two", " three", " four", " eyes", " eye", " foot", " a", " the", " not", " 1", " 3", " 4",
    " Your", " giraffe", " I", " It", " has", " have", " many", ".", ",", "\n", " 脚", " 眼睛", " 👀",
)  # fmt: skip


class FakeEngine:
    """An `Engine`, `Prober` and `Dumper` that says what it is told to.

    Args:
        script: question -> answer, compared without case and surrounding blanks; any other question gets `DEFAULT_ANSWER`.
        roads: forced word -> how a road not taken goes on after it, compared as questions are; else `DEFAULT_ROAD`.
        delay: seconds before each token.
        layers: L of its traces.
        answer_error: raised by every `answer`, in place of an answer.
        trace_error: raised by every `trace`.
        inner_voice: the reason why this model has none, as `ModelInfo.inner_voice`.
        gate: `answer` waits before its first token until this is set (or the answer is cancelled).
        lenses: that it has, the logit lens first.
    """

    def __init__(
        self,
        script: Mapping[str, str] | None = None,
        *,
        roads: Mapping[str, str] | None = None,
        delay: float = 0.0,
        layers: int = 12,
        answer_error: BaseException | None = None,
        trace_error: BaseException | None = None,
        inner_voice: str | None = None,
        gate: threading.Event | None = None,
        lenses: Sequence[LensName] = ("logit",),
    ) -> None:
        self._script = {_key(question): answer for question, answer in (script or {}).items()}
        self._roads = {_key(word): rest for word, rest in (roads or {}).items()}
        self._delay, self._layers, self._inner_voice = delay, layers, inner_voice
        self.gate, self._lenses = gate, lenses
        self.answer_error, self.trace_error = answer_error, trace_error
        words = [w for text in self._texts() for w in _split(text)]
        self._words = tuple(dict.fromkeys((*_RIVALS, *words)))  # same script, same ids: stored runs survive a restart
        self._ids = {word: i for i, word in enumerate(self._words)}
        self.jobs: list[Job] = []
        """Every job that was asked, in order."""

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(
            id="fake",
            revision=None,
            name="Scripted",
            architecture="fake",
            layers=self._layers,
            vocabulary=len(self._words),
            context=_CONTEXT,
            parameters=0,
            device="cpu",
            dtype="float32",
            quantization="none",
            styles=("chat", "story"),
            default_style="chat",
            inner_voice=self._inner_voice,
            load_seconds=0.0,
            versions={},
            width=dumps.WIDTH,
            heads=dumps.HEADS,
        )

    def answer(
        self,
        job: Job,
        *,
        on_text: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Answer:
        self.jobs.append(job)
        started = time.perf_counter()
        stopped = cancelled or (lambda: False)
        _check(job)
        self._wait_for_gate(stopped)
        if self.answer_error is not None:
            raise self.answer_error
        sampling = job.road.answer.sampling if job.road else job.sampling
        ids = (self._along(job.road) if job.road else self._plain(job.question))[: sampling.max_new_tokens]
        said = [self._words[i] for i in ids if i != _END]
        for count in range(job.road.t + 1 if job.road else 1, len(said) + 1):
            self._pause(stopped)
            if on_text:
                on_text("".join(said[:count]))
        return self._finish(job, ids, "".join(said), time.perf_counter() - started)

    def trace(self, answer: Answer, *, k: int = 10, lens: LensName | None = None) -> Trace:
        started = time.perf_counter()
        if self.trace_error is not None:
            raise self.trace_error
        name = dumps.through(lens, self._lenses)
        prompt, emitted = np.asarray(answer.prompt_ids, dtype=np.int64), np.asarray(answer.answer_ids, dtype=np.int64)
        row = rows_of(dumps.bent(self._logits(emitted, leaders_of(answer)), name), emitted, min(k, len(self._words)))
        return Trace(
            prompt_ids=prompt,
            answer_ids=emitted,
            tokens=tuple("" if i == _END else self._words[i] for i in emitted),
            special=emitted == _END,
            top_ids=row.top_ids,
            top_probs=row.top_probs,
            emitted_prob=row.emitted_prob,
            emitted_rank=row.emitted_rank,
            entropy=row.entropy,
            kl_to_final=row.kl_to_final,
            sampled_prob=np.asarray(answer.sampled_prob, dtype=np.float32),
            pieces={int(i): self._words[i] for i in np.union1d(row.top_ids, emitted)},
            meta=self._meta(answer, time.perf_counter() - started) | {"lens": name},
        )

    def findings(self, answer: Answer, trace: Trace, *, question: str | None = None, watch: Sequence[str] = ()) -> Findings:
        self._refuse()
        logits = self._logits(trace.answer_ids, leaders_of(answer))
        return Findings(
            attribution=findings.attribution(logits[:, -1], trace.answer_ids, self._layers),
            attention=findings.attention(trace, _split(question or "")),
            watched=findings.watched(logits, watch, self._words) if watch else None,
            pull=findings.pull(logits[0, -1], answer.style, self._words) if question else None,
        )

    def follow(self, answer: Answer, trace: Trace, words: Sequence[str]) -> Findings:
        return Findings(watched=self.findings(answer, trace, watch=words).watched)

    def why(self, answer: Answer, t: int, *, parts: Sequence[Part] = ("block",), seed: int = 0) -> CausalCheck:
        self._refuse()
        check_token(answer, t)
        emitted = np.asarray(answer.answer_ids, dtype=np.int64)
        logits = self._logits(emitted, leaders_of(answer))[t]
        return findings.why(logits, t, int(emitted[t]), parts, seed, self._words)

    def self_report(self, question: str, answer: Answer) -> SelfReport:
        return findings.self_report(question, answer)

    def dump(
        self,
        answer: Answer,
        what: What,
        *,
        positions: Chosen = None,
        depths: Chosen = None,
        lens: LensName | None = None,
        k: int = 10,
    ) -> LayerDump:
        self._refuse()
        if what == "lens":
            return lens_dump(self.trace(answer, k=k, lens=lens), positions=positions, depths=depths)
        return dumps.dump(answer, what, self._layers, self._words, self._meta(answer, 0.0), positions, depths)

    def bare_prompt(self, question: str, style: Style) -> tuple[int, ...]:
        return tuple(self._prompt_id(word) for word in _split(question))

    def _refuse(self) -> None:
        if self._inner_voice is not None:
            raise UnsupportedArchitectureError(self._inner_voice)
        if self.trace_error is not None:
            raise self.trace_error

    def _texts(self) -> list[str]:
        """Everything that may be said: the ids of its words must not depend on what is asked."""
        forced = [f" {word}" for word in self._roads]
        return [DEFAULT_ANSWER, *self._script.values(), *self._roads.values(), *forced, DEFAULT_ROAD]

    def _plain(self, question: str) -> list[int]:
        return [*(self._ids[word] for word in _split(self._script.get(_key(question), DEFAULT_ANSWER))), _END]

    def _along(self, road: Road) -> list[int]:
        """The kept beginning, the forced token and a scripted rest; the emitted token leads where it led."""
        check_road(road, len(self._words))
        kept = [*road.answer.answer_ids[: road.t], road.token]
        if road.token == road.answer.answer_ids[road.t]:
            return [*kept, *road.answer.answer_ids[road.t + 1 :]]
        if road.token == _END:
            return kept
        rest = self._roads.get(_key(self._words[road.token]), DEFAULT_ROAD)
        return [*kept, *(self._ids[word] for word in _split(rest)), _END]

    def _finish(self, job: Job, ids: list[int], text: str, seconds: float) -> Answer:
        road, emitted = job.road, np.asarray(ids, dtype=np.int64)
        leaders = emitted.copy()
        if road:
            leaders[: road.t + 1] = leaders_of(road.answer)[: road.t + 1]
        logprobs = log_softmax(self._logits(emitted, leaders)[:, -1])  # (T, V)
        order = np.argsort(-logprobs, axis=-1, kind="stable")[:, :FINAL_TOP]  # (T, m)
        sampling = road.answer.sampling if road else job.sampling
        probs = np.exp(logprobs[np.arange(len(ids)), ids])  # (T,)
        sampled = [float(i == j) for i, j in zip(ids, leaders, strict=True)] if sampling.temperature == 0 else probs.tolist()
        style: Style = road.answer.style if road else job.style or "chat"
        return Answer(
            prompt_ids=road.answer.prompt_ids if road else tuple(self._prompt_id(word) for word in _split(job.question)),
            answer_ids=tuple(ids),
            text=text.strip(),
            style=style,
            sampling=sampling,
            seed=road.answer.seed if road else sampling.seed or 0,
            finish="stop" if ids[-1] == _END else "length",
            sampled_prob=tuple(sampled),
            final_top=FinalTop(
                ids=tuple(tuple(int(i) for i in row) for row in order),
                logprobs=tuple(tuple(float(x) for x in row) for row in np.take_along_axis(logprobs, order, -1)),
            ),
            dropped_turns=0,
            seconds_to_first=seconds / max(len(ids), 1),
            seconds=seconds,
        )

    def _logits(self, emitted: IntArray, leaders: IntArray) -> Doubles:
        """One logit per word: noise, then a rival in the middle, then the word that leads at the end. Shape (T, L+1, V).

        A row depends on the tokens before it and on its leader alone, so that a road not taken shares the rows it kept.
        """
        return np.stack([self._row(emitted[:t], int(leader)) for t, leader in enumerate(leaders)])

    def _row(self, before: IntArray, leader: int) -> Doubles:
        """Shape (L+1, V)."""
        rng, size = np.random.default_rng(zlib.crc32(before.tobytes() + leader.to_bytes(8))), len(self._words)
        share = np.linspace(0.0, 1.0, self._layers + 1)  # (L+1,)
        logits: Doubles = rng.normal(size=(self._layers + 1, size)) * (1.5 - share[:, None])
        rival = (leader + int(rng.integers(1, size))) % size  # never the leader
        logits[:, rival] += rng.uniform(2.0, 6.0) * np.sin(np.pi * share * 0.9)
        logits[:, leader] += 9.0 / (1 + np.exp(-(share - rng.uniform(0.6, 0.9)) * 20))
        logits[-1, leader] = max(logits[-1, leader], logits[-1].max() + 0.5)
        return logits

    def _meta(self, answer: Answer, seconds: float) -> dict[str, object]:
        return {
            "schema": SCHEMA,
            "model": "fake",
            "revision": None,
            "architecture": "fake",
            "dtype": "float32",
            "device": "cpu",
            "quantization": "none",
            "lens": "logit",
            "style": answer.style,
            "sampler": _sampler(answer.sampling),
            "seed": answer.seed,
            "answer_seconds": answer.seconds,
            "second_pass_seconds": seconds,
            "argmax_agreement": 1.0,
            "tied_embeddings": False,
            "versions": {},
        }

    def _prompt_id(self, word: str) -> int:
        return self._ids.get(word, _PROMPT_IDS + zlib.crc32(word.encode()) % 9_000)

    def _wait_for_gate(self, stopped: Callable[[], bool]) -> None:
        while self.gate is not None and not self.gate.wait(0.01):
            self._stop_if(stopped)

    def _pause(self, stopped: Callable[[], bool]) -> None:
        self._stop_if(stopped)
        if self._delay:
            time.sleep(self._delay)

    def _stop_if(self, stopped: Callable[[], bool]) -> None:
        if stopped():
            raise AnswerCancelledError("The answer was stopped.")


def _check(job: Job) -> None:
    if job.road:
        return
    if not job.question.strip():
        raise EmptyQuestionError("There is no question to answer.")
    words = len(_split(job.question))
    if words + 16 > _CONTEXT:
        raise QuestionTooLongError(Sentence("The question has {count} tokens; only {most} fit.", count=words, most=_CONTEXT - 16))


def _sampler(sampling: Sampling) -> dict[str, float | int]:
    return {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}


def _split(text: str) -> list[str]:
    """Words with the blank before them, and punctuation marks; joined they are the text."""
    return re.findall(r"\s?\w+|\s?[^\w\s]|\s", text)


def _key(question: str) -> str:
    return " ".join(question.casefold().split())
