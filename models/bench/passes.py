"""The two passes beside the plain way: the answer pass against transformers' `generate`, the second pass against the reference.

Each is done in turns with what it is compared with, so that a slow moment of the machine meets both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from models.bench import floor, reference
from models.bench.clock import in_turns, peak_bytes
from models.bench.floor import Work
from models.bench.results import AnswerPass, Figure, Rates, SecondPass, Way
from models.bench.subject import Say, Subject, endless
from models.errors import ModelError
from models.reading import lens
from models.trace import Trace
from models.types import Answer, Job

QUESTIONS = 3
REFERENCE, LEAN, LENS, COLD, CAPTURED = "reference", "lean reference", "lens.trace", "cold", "captured"


def answer_pass(subject: Subject, rates: Rates, *, new_tokens: int, repeats: int, say: Say) -> AnswerPass:
    """Tokens/s of the engine and of `generate`, in turns, over a few questions one after the other.

    Raises:
        ModelError: an answer does not have the length that was asked for.
    """
    plain = subject.reference
    jobs = subject.jobs(QUESTIONS, new_tokens)
    prompts = [subject.prompt_ids(job) for job in jobs]
    answers: dict[int, Answer] = {}
    generated: dict[int, tuple[int, ...]] = {}
    speeds: dict[str, list[float]] = {"engine": [], "generate": [], "first": [], "decode": []}
    with endless(subject.engine):
        for turn in range(1 + repeats):
            at = turn % len(jobs)
            say(f"answer pass, {turn} of {repeats}" if turn else "answer pass, warming up")

            def engine(at: int = at) -> None:
                answers[at] = subject.engine.answer(jobs[at])

            def generate(at: int = at) -> None:
                generated[at] = reference.generate(plain, prompts[at], new_tokens)

            spent = in_turns({"engine": engine, "generate": generate}, subject.device, repeats=1, warm_ups=0)
            check_length(answers[at], new_tokens)
            if turn:
                for name in ("engine", "generate"):
                    speeds[name].append(new_tokens / spent[name][0])
                speeds["first"].append(answers[at].seconds_to_first)
                speeds["decode"].append((new_tokens - 1) / (answers[at].seconds - answers[at].seconds_to_first))
    limit = floor.decode_limit(subject.measured.weight_bytes, floor.best_rate(rates.bandwidth))
    decode = Figure.of(speeds["decode"], "tokens/s")
    return AnswerPass(
        new_tokens=new_tokens,
        prompt_tokens=tuple(len(ids) for ids in prompts),
        speed=Figure.of(speeds["engine"], "tokens/s"),
        generate_speed=Figure.of(speeds["generate"], "tokens/s"),
        ratio=Figure.ratio(speeds["engine"], speeds["generate"]),
        first_token=Figure.of(speeds["first"], "s"),
        decode_speed=decode,
        limit=limit,
        share_of_limit=decode.scaled(1 / limit, "×"),
        answers_compared=len(answers),
        answers_equal=sum(answers[at].answer_ids == generated[at] for at in answers),
    )


def second_pass(subject: Subject, rates: Rates, *, answer_tokens: int, k: int, repeats: int, say: Say) -> SecondPass:
    """The second pass over one answer in each way, in turns.

    Raises:
        ModelError: the model has no inner voice, or an answer does not have the length that was asked for.
    """
    if subject.engine.info.inner_voice is not None:
        raise ModelError(subject.engine.info.inner_voice, hint="Leave out `second` and `scaling` with --only.")
    with endless(subject.engine):
        ways = _Ways(subject, answer_tokens, k)
        say(f"second pass, {answer_tokens} answer tokens, {repeats} turns")
        spent = in_turns(ways.calls, subject.device, repeats=repeats, before=ways.before)
        say(f"second pass, {answer_tokens} answer tokens: memory")
        peaks = {name: ways.peak(name) for name in ways.calls}
    answer = ways.answer
    work = Work(
        prompt_tokens=len(answer.prompt_ids),
        answer_tokens=len(answer.answer_ids),
        layers=subject.measured.layers,
        block_parameters=subject.block_parameters,
        head_parameters=subject.head_parameters,
        itemsize=subject.dtype.itemsize,
    )
    own = CAPTURED if CAPTURED in ways.calls else COLD
    answer_seconds = ways.answer_seconds or [answer.seconds]
    return SecondPass(
        prompt_tokens=work.prompt_tokens,
        answer_tokens=work.answer_tokens,
        k=k,
        ways={name: _way(name, ways, spent, peaks[name], work, rates) for name in ways.calls},
        answer_seconds=Figure.of(answer_seconds, "s"),
        of_answer=Figure.of([seconds / answer.seconds for seconds in spent[own]], "×"),
    )


def check_length(answer: Answer, new_tokens: int) -> None:
    """An answer that ended by itself would be no measure.

    Raises:
        ModelError: it did, or the context left no room.
    """
    if len(answer.answer_ids) != new_tokens:
        raise ModelError(
            f"An answer has {len(answer.answer_ids)} tokens instead of the {new_tokens} that the benchmark asked for."
        )


class _Ways:
    """The ways to do one second pass, and what they gave last."""

    def __init__(self, subject: Subject, answer_tokens: int, k: int) -> None:
        self._subject = subject
        self._k = k
        self._job: Job = subject.jobs(1, answer_tokens)[0]
        self._tokens = answer_tokens
        self._forget: Callable[[], object] | None = getattr(subject.engine, "forget", None)
        self.answer_seconds: list[float] = []
        self.traces: dict[str, Trace] = {}
        self.answer = self._ask()
        prompt, ids = self.answer.prompt_ids, self.answer.answer_ids
        plain = subject.reference
        self.calls: dict[str, Callable[[], Any]] = {
            REFERENCE: lambda: reference.second_pass(plain, prompt, ids, k=k),
            LEAN: lambda: reference.second_pass(plain, prompt, ids, k=k, lean=True),
            LENS: lambda: self._keep(
                LENS, lens.trace(subject.engine.model, prompt, ids, k=k, tokenizer=subject.engine.tokenizer)
            ),
            COLD: lambda: self._keep(COLD, subject.engine.trace(self.answer, k=k, lens=subject.lens)),
        }
        self.before: dict[str, Callable[[], Any]] = {}
        if self._forget is not None:
            self.before[COLD] = self._forget
            self.calls[CAPTURED] = lambda: self._keep(CAPTURED, subject.engine.trace(self.answer, k=k, lens=subject.lens))
            self.before[CAPTURED] = self._ask_again
            self._ask_again()

    def _ask(self) -> Answer:
        answer = self._subject.engine.answer(self._job)
        check_length(answer, self._tokens)
        return answer

    def _ask_again(self) -> None:
        """So that its states are fresh in memory."""
        self.answer = self._ask()
        self.answer_seconds.append(self.answer.seconds)

    def _keep(self, name: str, trace: Trace) -> Trace:
        self.traces[name] = trace
        return trace

    def peak(self, name: str) -> int | None:
        if name in self.before:
            self.before[name]()
        return peak_bytes(self.calls[name], self._subject.device)

    def off(self, name: str) -> float | None:
        """Largest difference of a kept probability to the plain way's of the same token at the same place.

        Through a learned lens the plain way says the same at the last depth alone.
        """
        trace = self.traces.get(name)
        if trace is None:
            return None
        ids = torch.from_numpy(trace.top_ids)
        plain = reference.probabilities_at(self._subject.reference, trace.prompt_ids.tolist(), trace.answer_ids.tolist(), ids)
        same = slice(None) if trace.meta.get("lens") == "logit" else slice(-1, None)
        return float(np.abs(trace.top_probs - plain.numpy())[:, same].max())

    def states(self, name: str) -> str | None:
        trace = self.traces.get(name)
        found = trace.meta.get("states") if trace is not None else None
        return None if found is None else str(found)


def _way(name: str, ways: _Ways, spent: dict[str, list[float]], peak: int | None, work: Work, rates: Rates) -> Way:
    least = floor.least_seconds(
        work,
        flops=floor.best_rate(rates.matmul),
        bandwidth=floor.best_rate(rates.bandwidth),
        forward=name != CAPTURED or ways.states(name) != "captured",
    )
    seconds = Figure.of(spent[name], "s")
    return Way(
        seconds=seconds,
        to_reference=Figure.ratio(spent[name], spent[REFERENCE]),
        to_lean=Figure.ratio(spent[name], spent[LEAN]),
        floor=least,
        to_floor=seconds.scaled(1 / least, "×"),
        peak_bytes=peak,
        probability_off=ways.off(name),
        states=ways.states(name),
    )
