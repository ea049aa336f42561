"""The benchmark as a whole: which parts, how often, on what; gives one `Report`. Knows the parts; prints nothing."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from models.bench import crowd, floor, passes, starve
from models.bench import scaling as growth
from models.bench.results import Machine, Report, SecondPass
from models.bench.subject import Say, Subject
from models.errors import ModelError
from models.reading import lens

USUAL = ("answer", "second", "askers", "lag", "scaling")
PARTS = (*USUAL, "starve")
T = TypeVar("T")

NEEDS_TWIN = frozenset({"answer", "second"})
NEEDS_MODEL = frozenset(PARTS) - {"scaling"}


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is measured."""

    parts: tuple[str, ...] = USUAL
    askers: tuple[int, ...] = (1, 4, 16, 64)
    repeats: int = 9
    answer_tokens: int = 20
    """Of the second pass; measured for four times as many, too."""
    new_tokens: int = 48
    """Of the answer pass."""
    asker_tokens: int = 24
    """Of each asker's answer."""
    k: int = 5
    quick: bool = False
    small: bool = False
    """Sizes at which floors mean nothing, for a test."""

    @property
    def few(self) -> int:
        """Repeats of what takes long."""
        return min(self.repeats, max(3, self.repeats // 3))


def parts_of(words: str) -> tuple[str, ...]:
    """The parts named in a list with commas, in the order in which they are measured.

    Raises:
        ModelError: one is unknown, or there is none.
    """
    named = {word.strip() for word in words.split(",") if word.strip()}
    unknown = sorted(named - set(PARTS))
    if unknown or not named:
        what = f"There is no part `{unknown[0]}` to measure." if unknown else "There is no part to measure."
        raise ModelError(what, hint=f"Choose from: {', '.join(PARTS)}.")
    return tuple(part for part in PARTS if part in named)


def run(open_subject: Callable[[], Subject], settings: Settings, *, device: torch.device, dtype: torch.dtype, say: Say) -> Report:
    """Measure the parts that the settings name.

    Args:
        open_subject: loads the model; called when a part needs one.
        settings: how much.
        device: where the small models of `scaling` go, and what is told of the machine.
        dtype: likewise.
        say: gets a few words before each step.

    Raises:
        ForwardPassError: the model cannot be loaded, does not fit, or has no inner voice to measure.
    """
    subject = apart(open_subject) if NEEDS_MODEL & set(settings.parts) else None
    wanted, few, repeats = settings.parts, settings.few, settings.repeats
    rates = answer = second = found_askers = lag = found_scaling = starved = None
    if subject is not None:
        device, dtype = subject.device, subject.dtype
        # First what runs in the scheduler's thread, as long as this one has no OpenMP workers: see `apart`.
        if "askers" in wanted:
            found_askers = crowd.askers(subject, settings.askers, new_tokens=settings.asker_tokens, repeats=few, say=say)
        if "lag" in wanted:
            idle = 0.2 if settings.small else 2.0
            lag = crowd.loop_lag(subject, askers=4, new_tokens=settings.asker_tokens, rounds=few, idle_seconds=idle, say=say)
        if "starve" in wanted:
            starved = starve.starving(subject, SMALL_LOAD if settings.small else starve.Load(), say=say)
        if NEEDS_TWIN & set(wanted):
            say("what the device can do")
            rates = floor.measure(device, dtype, repeats=repeats, small=settings.small)
            if "answer" in wanted:
                answer = passes.answer_pass(subject, rates, new_tokens=settings.new_tokens, repeats=repeats, say=say)
            if "second" in wanted:
                work = ((settings.answer_tokens, repeats), (4 * settings.answer_tokens, few))
                second = tuple(
                    passes.second_pass(subject, rates, answer_tokens=tokens, k=settings.k, repeats=often, say=say)
                    for tokens, often in work
                )
            subject.forget_reference()
    if "scaling" in wanted:
        sweeps = SMALL_SWEEPS if settings.small else None
        found_scaling = growth.scaling(device, dtype, repeats=few, quick=settings.quick, say=say, sweeps=sweeps)
    return Report(
        machine=machine(device, dtype),
        model=subject.measured if subject else None,
        rates=rates,
        answer=answer,
        second=second,
        askers=found_askers,
        lag=lag,
        scaling=found_scaling,
        starve=starved,
        notes=(*through(subject), *notes(second)),
    )


def apart(work: Callable[[], T]) -> T:
    """Do ``work`` in a thread of its own, which ends with it.

    Each thread that calls torch on a CPU gets OpenMP workers of its own, and where there are more of them than cores they sleep
    between two products: a decode step then takes 25 ms instead of 15. The bot has one such thread alone.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(work).result()


SMALL_SWEEPS: dict[str, Sequence[int]] = {growth.LENGTH: (2, 4), growth.DEPTH: (1, 2), growth.VOCABULARY: (300, 600)}


SMALL_LOAD = starve.Load(askers=2, seconds=0.3, new_tokens=4, long_tokens=200, repeats=1, looks=4)


def machine(device: torch.device, dtype: torch.dtype) -> Machine:
    """What this machine is."""
    return Machine(
        device=str(device),
        kind=torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        dtype=str(dtype).removeprefix("torch."),
        versions={"python": platform.python_version(), **lens.versions()},
    )


def _processor() -> str:
    """The processor's name as Linux tells it, else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def through(subject: Subject | None) -> tuple[str, ...]:
    """What a reader must know of the lens."""
    if subject is None or subject.lens == "logit":
        return ()
    return (
        f"The engine's second passes are read through the {subject.lens} lens, the plain reference's through the logit lens.",
    )


def notes(second: Sequence[SecondPass] | None) -> tuple[str, ...]:
    """What a reader of the figures must know."""
    told = []
    for work in second or ():
        way = work.ways.get(passes.CAPTURED)
        if way is None:
            told.append("This engine keeps no states of the answer pass, so every second pass recomputes them.")
        elif way.states != "captured":
            told.append(f"After {work.answer_tokens} tokens, the engine no longer had the captured states and recomputed them.")
    return tuple(dict.fromkeys(told))
