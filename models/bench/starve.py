"""Who waits for whom: inner voices while people keep asking, a short question beside a long one and beside many looks.

Each is told as a ratio to the same thing alone, measured in the same run. Knows asyncio and the scheduler.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from models.bench.results import BesideLong, BesideLooks, Starving, Voices, percentile
from models.bench.subject import Say, Subject, endless
from models.errors import ForwardPassError, ModelError, QuestionTooLongError
from models.findings import Findings, SelfReport
from models.pieces import Pieces
from models.running.scheduler import Scheduler
from models.trace import Trace
from models.types import Answer, Engine, Job, Sampling

_DRAIN = 240.0
"""Seconds after which voices that did not come are given up."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much is asked."""

    askers: int = 8
    seconds: float = 20.0
    """Of each of the two loads, without and with inner voices."""
    new_tokens: int = 24
    long_tokens: int = 1400
    """Of the long question; what the model does not take is asked half as long."""
    evidence: int | None = 1000
    """Tokens up to which a question gets evidence, as `lens.evidence_tokens`."""
    repeats: int = 5
    looks: int = 80
    """More than all places for looks."""


def starving(subject: Subject, load: Load, *, say: Say) -> Starving:
    """All three, one after the other.

    Raises:
        ModelError: the model has no inner voice.
    """
    if subject.engine.info.inner_voice is not None:
        raise ModelError("This model has no inner voice that could starve.", hint="Leave the part `starve` out.")

    async def measure() -> Starving:
        scheduler = Scheduler(subject.engine)
        try:
            return Starving(
                voices=await _voices(scheduler, subject, load, say),
                long=await _beside_long(scheduler, subject, load, say),
                looks=await _beside_looks(scheduler, subject, load, say),
            )
        finally:
            await scheduler.aclose()

    with endless(subject.engine):
        return asyncio.run(measure())


@dataclass(slots=True)
class _Kept:
    """What askers saw, in seconds."""

    answers: list[float] = field(default_factory=list)
    begun: list[tuple[float, float]] = field(default_factory=list)
    """(when its second pass began after the answer, its answer)."""
    told: list[tuple[float, float]] = field(default_factory=list)
    refused: int = 0


async def _voices(scheduler: Scheduler, subject: Subject, load: Load, say: Say) -> Voices:
    say("starve: warming up")
    await _steady(scheduler, subject, load, seconds=1.0, voices=True)
    say(f"starve: {load.askers} askers, no inner voice")
    plain, plain_seconds, _ = await _steady(scheduler, subject, load, seconds=load.seconds, voices=False)
    say(f"starve: {load.askers} askers, each answer with its inner voice")
    kept, seconds, in_time = await _steady(scheduler, subject, load, seconds=load.seconds, voices=True)
    began, ended = ([late / own for late, own in pairs] for pairs in (kept.begun, kept.told))
    return Voices(
        askers=load.askers,
        answered=len(kept.answers),
        told_during_load=in_time,
        told=len(kept.told),
        refused=kept.refused,
        begun_p50=percentile(began, 50) if began else None,
        begun_p95=percentile(began, 95) if began else None,
        told_p50=percentile(ended, 50) if ended else None,
        told_p95=percentile(ended, 95) if ended else None,
        latency_price=statistics.median(kept.answers) / statistics.median(plain.answers),
        speed_price=(len(kept.answers) / seconds) / (len(plain.answers) / plain_seconds),
    )


async def _steady(
    scheduler: Scheduler, subject: Subject, load: Load, *, seconds: float, voices: bool
) -> tuple[_Kept, float, int]:
    """Everybody asks again as soon as the answer is there; how long it took, and how many voices had come by then."""
    kept, telling = _Kept(), set[asyncio.Task[None]]()
    started = time.perf_counter()

    async def asker(job: Job) -> None:
        while time.perf_counter() - started < seconds:
            asked = time.perf_counter()
            answer = await scheduler.answer(job, on_text=lambda _text: None)
            kept.answers.append(time.perf_counter() - asked)
            if voices:
                telling.add(asyncio.create_task(_tell(scheduler, subject, job, answer, kept, kept.answers[-1])))

    await asyncio.gather(*(asker(job) for job in subject.jobs(load.askers, load.new_tokens)))
    took, in_time = time.perf_counter() - started, len(kept.told)
    if telling:
        _, late = await asyncio.wait(telling, timeout=_DRAIN)
        for task in late:
            task.cancel()
    return kept, took, in_time


async def _tell(scheduler: Scheduler, subject: Subject, job: Job, answer: Answer, kept: _Kept, own: float) -> None:
    """An inner voice as the bot makes it."""
    answered = time.perf_counter()

    def read(trace: Trace) -> None:
        kept.begun.append((time.perf_counter() - answered - trace.meta["second_pass_seconds"], own))

    try:
        await _read_all(scheduler, subject, job, answer, read)
    except ForwardPassError:
        kept.refused += 1
    else:
        kept.told.append((time.perf_counter() - answered, own))


async def _read_all(
    scheduler: Scheduler, subject: Subject, job: Job, answer: Answer, read: Callable[[Trace], None], evidence: int | None = None
) -> None:
    """The second pass, then its evidence unless prompt and answer have more tokens than ``evidence``."""
    trace = await scheduler.trace(answer)
    read(trace)
    if evidence is None or len(answer.prompt_ids) + len(answer.answer_ids) <= evidence:

        def look(_engine: Engine) -> Findings | Pieces[Findings]:
            return subject.engine.findings_in_pieces(answer, trace, question=job.question)

        def report(_engine: Engine) -> SelfReport | Pieces[SelfReport]:
            return subject.engine.self_report_in_pieces(job.question, answer)

        await scheduler.voice(look, answer)
        await scheduler.voice(report, answer)


async def _alone(scheduler: Scheduler, job: Job, repeats: int) -> float:
    """Median seconds of a question that is asked while nothing else is."""
    took = [await _timed(scheduler, job) for _ in range(1 + repeats)]
    return statistics.median(took[1:])


async def _timed(scheduler: Scheduler, job: Job) -> float:
    asked = time.perf_counter()
    await scheduler.answer(job, on_text=lambda _text: None)
    return time.perf_counter() - asked


async def _beside_long(scheduler: Scheduler, subject: Subject, load: Load, say: Say) -> BesideLong:
    """Short questions, one after the other, from the moment a long one is asked until its inner voice is told."""
    say("starve: a short question alone")
    job = subject.jobs(1, load.new_tokens)[0]
    alone = await _alone(scheduler, job, load.repeats)
    long, size = _long(subject, load)
    say(f"starve: a short question beside one of {size} tokens")
    started = time.perf_counter()
    answering = asyncio.create_task(scheduler.answer(long, on_text=lambda _text: None))
    answered: list[float] = []

    async def tell() -> None:
        answer = await answering
        answered.append(time.perf_counter() - started)
        await _read_all(scheduler, subject, long, answer, lambda _trace: None, load.evidence)

    telling = asyncio.create_task(tell())
    beside: list[float] = []
    while not telling.done():
        await asyncio.sleep(0.05)
        beside.append(await _timed(scheduler, job))
    await telling
    return BesideLong(
        long_tokens=size,
        long_answered=answered[0],
        long_told=time.perf_counter() - started,
        short_alone=alone,
        asked=len(beside),
        median=statistics.median(beside) / alone,
        most=max(beside) / alone,
    )


def _long(subject: Subject, load: Load) -> tuple[Job, int]:
    """A question of so many tokens, or half as many, until the model takes it."""
    count, sampling = load.long_tokens, Sampling(max_new_tokens=load.new_tokens)
    while True:
        words = itertools.islice(itertools.cycle(" ".join(subject.questions(64)).split()), count)
        text = " ".join(words)
        ids = subject.engine.tokenizer(text, add_special_tokens=False)["input_ids"][:count]
        job = Job(subject.engine.tokenizer.decode(ids), style="chat", sampling=sampling)
        try:
            return job, len(subject.prompt_ids(job))
        except QuestionTooLongError:
            count //= 2


async def _beside_looks(scheduler: Scheduler, subject: Subject, load: Load, say: Say) -> BesideLooks:
    """A short question after so many dumps were asked for at once."""
    say(f"starve: a short question beside {load.looks} looks")
    job = subject.jobs(1, load.new_tokens)[0]
    alone = await _alone(scheduler, job, load.repeats)
    answer = await scheduler.answer(job)
    prompt = len(answer.prompt_ids)
    looks = [
        asyncio.create_task(scheduler.dump(answer, "hidden", positions=[i % prompt], depths=[i % 3])) for i in range(load.looks)
    ]
    await asyncio.sleep(0)
    beside: list[float] = []
    refused = 0
    for _ in range(load.repeats):
        try:
            beside.append(await _timed(scheduler, job) / alone)
        except ModelError:
            refused += 1
            await asyncio.sleep(alone)
    found = await asyncio.gather(*looks, return_exceptions=True)
    return BesideLooks(
        looks=load.looks,
        looks_refused=sum(isinstance(look, BaseException) for look in found),
        asked=load.repeats,
        refused=refused,
        median=statistics.median(beside) if beside else None,
        most=max(beside, default=None),
    )
