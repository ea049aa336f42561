"""Timing: warm-up, a synchronised device, and ways that take turns so that a slow moment of the machine meets them all.

Also the most memory that a call holds. Knows torch; knows no models.
"""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

Call = Callable[[], Any]


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def timed(call: Call, device: torch.device) -> tuple[float, Any]:
    """Seconds of one call, device work included, and what it returned."""
    synchronise(device)
    started = time.perf_counter()
    result = call()
    synchronise(device)
    return time.perf_counter() - started, result


def in_turns(
    calls: Mapping[str, Call],
    device: torch.device,
    *,
    repeats: int,
    warm_ups: int = 1,
    before: Mapping[str, Call] | None = None,
) -> dict[str, list[float]]:
    """Seconds of each call, ``repeats`` times, A B C A B C …, after ``warm_ups`` turns that are not counted.

    Args:
        calls: by name.
        device: to synchronise.
        repeats: turns that count.
        warm_ups: turns before those.
        before: what must be done before each call of that name, outside of the clock.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    with _little_garbage():
        for turn in range(warm_ups + repeats):
            for name, call in calls.items():
                if before and name in before:
                    before[name]()
                gc.collect()
                spent, _ = timed(call, device)
                if turn >= warm_ups:
                    seconds[name].append(spent)
    return seconds


@contextlib.contextmanager
def _little_garbage() -> Iterator[None]:
    """Collect once, and from then on look only at what is made inside: a collection takes microseconds instead of 0.2 s."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def peak_bytes(call: Call, device: torch.device) -> int | None:
    """The most memory that ``call`` holds at once above what was held before; None where torch keeps no account (MPS).

    On CUDA it is the caching allocator's own peak. On a CPU torch keeps no peak, but its allocator reports each allocation and
    release to the profiler; their running sum has an exact maximum. What MKL and oneDNN take inside one product is in neither.
    """
    gc.collect()
    if device.type == "cuda":
        synchronise(device)
        torch.cuda.reset_peak_memory_stats(device)
        held = torch.cuda.memory_allocated(device)
        call()
        synchronise(device)
        return torch.cuda.max_memory_allocated(device) - held
    return _cpu_peak(call) if device.type == "cpu" else None


def _cpu_peak(call: Call) -> int:
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # read when the first profile starts; below it, two lines each go to stderr
    with torch.autograd.profiler.profile(use_kineto=True, use_cpu=True, profile_memory=True) as profiler:
        call()
    results: Any = profiler.kineto_results
    events = [event for event in results.events() if event.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most
