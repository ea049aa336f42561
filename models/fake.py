"""A scripted engine: deterministic, no torch, no weights. It ships in the package for the Discord tests and the demos.

Its traces are invented, but they hold together: one small vocabulary, one logit per word and depth, and every number of the
trace is computed from those logits as the real lens computes them. Knows nothing of language.
"""

from __future__ import annotations

import re
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.errors import AnswerCancelledError, EmptyQuestionError, QuestionTooLongError
from models.trace import SCHEMA, FloatArray, IntArray, Trace
from models.types import Answer, FinalTop, Job, ModelInfo, Sampling, Style

DEFAULT_ANSWER = "The answer is 2."
FINAL_TOP = 16
_END = 0
_PROMPT_IDS = 40_000  # words of a question that the vocabulary lacks are hashed to ids from here on
_CONTEXT = 2048
_RIVALS = (
    "<|end|>", " no", " one", " two", " three", " four", " eyes", " eye", " foot", " a", " the", " not", " 1", " 3", " 4",
    " Your", " giraffe", " I", " It", " has", " have", " many", ".", ",", "\n", " 脚", " 眼睛", " 👀",
)  # fmt: skip

Doubles = npt.NDArray[np.float64]


class FakeEngine:
    """An `Engine` that says what it is told to.

    Args:
        script: question -> answer, compared without case and surrounding blanks; any other question gets `DEFAULT_ANSWER`.
        delay: seconds before each token.
        layers: L of its traces.
        answer_error: raised by every `answer`, in place of an answer.
        trace_error: raised by every `trace`.
        inner_voice: the reason why this model has none, as `ModelInfo.inner_voice`.
        gate: `answer` waits before its first token until this is set (or the answer is cancelled).
    """

    def __init__(
        self,
        script: Mapping[str, str] | None = None,
        *,
        delay: float = 0.0,
        layers: int = 12,
        answer_error: BaseException | None = None,
        trace_error: BaseException | None = None,
        inner_voice: str | None = None,
        gate: threading.Event | None = None,
    ) -> None:
        self._script = {_key(question): answer for question, answer in (script or {}).items()}
        self._delay = delay
        self._layers = layers
        self.gate = gate
        self._inner_voice = inner_voice
        self.answer_error = answer_error
        self.trace_error = trace_error
        words = [w for text in (DEFAULT_ANSWER, *self._script.values()) for w in _split(text)]
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
        words = _split(self._script.get(_key(job.question), DEFAULT_ANSWER))
        said = words[: job.sampling.max_new_tokens]
        for count in range(1, len(said) + 1):
            self._pause(stopped)
            if on_text:
                on_text("".join(said[:count]))
        ids = [self._ids[word] for word in said]
        if len(said) < job.sampling.max_new_tokens:
            ids.append(_END)
        return self._finish(job, ids, "".join(said), time.perf_counter() - started)

    def trace(self, answer: Answer, *, k: int = 10) -> Trace:
        started = time.perf_counter()
        if self.trace_error is not None:
            raise self.trace_error
        prompt, emitted = np.asarray(answer.prompt_ids, dtype=np.int64), np.asarray(answer.answer_ids, dtype=np.int64)
        row = _read(self._logits(emitted), emitted, min(k, len(self._words)))
        special = emitted == _END
        return Trace(
            prompt_ids=prompt,
            answer_ids=emitted,
            tokens=tuple("" if i == _END else self._words[i] for i in emitted),
            special=special,
            top_ids=row.top_ids,
            top_probs=row.top_probs,
            emitted_prob=row.emitted_prob,
            emitted_rank=row.emitted_rank,
            entropy=row.entropy,
            kl_to_final=row.kl_to_final,
            sampled_prob=np.asarray(answer.sampled_prob, dtype=np.float32),
            pieces={int(i): self._words[i] for i in np.union1d(row.top_ids, emitted)},
            meta=self._meta(answer, time.perf_counter() - started),
        )

    def _finish(self, job: Job, ids: list[int], text: str, seconds: float) -> Answer:
        logprobs = _log_softmax(self._logits(np.asarray(ids, dtype=np.int64))[:, -1])  # (T, V)
        order = np.argsort(-logprobs, axis=-1, kind="stable")[:, :FINAL_TOP]  # (T, m)
        sampling = job.sampling
        probs = np.exp(logprobs[np.arange(len(ids)), ids])  # (T,)
        style: Style = job.style or "chat"
        return Answer(
            prompt_ids=tuple(self._prompt_id(word) for word in _split(job.question)),
            answer_ids=tuple(ids),
            text=text.strip(),
            style=style,
            sampling=sampling,
            seed=sampling.seed or 0,
            finish="stop" if ids[-1] == _END else "length",
            sampled_prob=tuple(1.0 if sampling.temperature == 0 else float(p) for p in probs),
            final_top=FinalTop(
                ids=tuple(tuple(int(i) for i in row) for row in order),
                logprobs=tuple(tuple(float(x) for x in row) for row in np.take_along_axis(logprobs, order, -1)),
            ),
            dropped_turns=0,
            seconds_to_first=seconds / max(len(ids), 1),
            seconds=seconds,
        )

    def _logits(self, emitted: IntArray) -> Doubles:
        """One logit per word: noise, then a rival that leads in the middle, then the emitted word. Shape (T, L+1, V)."""
        rng = np.random.default_rng(zlib.crc32(emitted.tobytes()))
        length, size = len(emitted), len(self._words)
        share = np.linspace(0.0, 1.0, self._layers + 1)[None, :, None]  # (1, L+1, 1)
        logits: Doubles = rng.normal(size=(length, self._layers + 1, size)) * (1.5 - share)
        rivals = (emitted + rng.integers(1, size, length)) % size  # (T,) never the emitted word
        height = rng.uniform(2.0, 6.0, (length, 1))
        rise = 1 / (1 + np.exp(-(share[:, :, 0] - rng.uniform(0.6, 0.9, (length, 1))) * 20))  # (T, L+1)
        rows = np.arange(length)
        logits[rows, :, rivals] += height * np.sin(np.pi * share[:, :, 0] * 0.9)
        logits[rows, :, emitted] += 9.0 * rise
        final = logits[:, -1].max(axis=-1)  # (T,) a greedy answer: the emitted word leads at the end
        logits[rows, -1, emitted] = np.maximum(logits[rows, -1, emitted], final + 0.5)
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


@dataclass(frozen=True, slots=True)
class _Reading:
    """The arrays of a trace, with the shapes of `models.trace.Trace`."""

    top_ids: IntArray
    top_probs: FloatArray
    emitted_prob: FloatArray
    emitted_rank: IntArray
    entropy: FloatArray
    kl_to_final: FloatArray


def _read(logits: Doubles, emitted: IntArray, k: int) -> _Reading:
    """Every number of a trace from the logits (T, L+1, V) of all its cells."""
    logprobs = _log_softmax(logits)
    probs = np.exp(logprobs)
    order = np.argsort(-logits, axis=-1, kind="stable")[..., :k]  # (T, L+1, k)
    at = emitted[:, None, None]
    own = np.take_along_axis(logits, np.broadcast_to(at, (*logits.shape[:2], 1)), -1)  # (T, L+1, 1)
    final = logprobs[:, -1:, :]
    return _Reading(
        top_ids=order.astype(np.int64),
        top_probs=np.take_along_axis(probs, order, -1).astype(np.float32),
        emitted_prob=np.take_along_axis(probs, np.broadcast_to(at, own.shape), -1)[..., 0].astype(np.float32),
        emitted_rank=(logits > own).sum(-1).astype(np.int64),
        entropy=-(probs * logprobs).sum(-1).astype(np.float32),
        kl_to_final=np.maximum((np.exp(final) * (final - logprobs)).sum(-1), 0).astype(np.float32),
    )


def _log_softmax(logits: Doubles) -> Doubles:
    logprobs: Doubles = logits - logits.max(-1, keepdims=True)
    logprobs -= np.log(np.exp(logprobs).sum(-1, keepdims=True))
    return logprobs


def _check(job: Job) -> None:
    if not job.question.strip():
        raise EmptyQuestionError("There is no question to answer.")
    words = len(_split(job.question))
    if words + 16 > _CONTEXT:
        raise QuestionTooLongError(f"The question has {words} tokens; {_CONTEXT - 16} fit.")


def _sampler(sampling: Sampling) -> dict[str, float | int]:
    return {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}


def _split(text: str) -> list[str]:
    """Words with the blank before them, and punctuation marks; joined they are the text."""
    return re.findall(r"\s?\w+|\s?[^\w\s]|\s", text)


def _key(question: str) -> str:
    return " ".join(question.casefold().split())
