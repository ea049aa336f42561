"""Which process this is, and whether another one still runs, as far as that can be known from here. Knows no database.

A process id alone says little: it is given out again, and another container has its own. So a process also has a mark, of the
machine, its boot and its process namespace, and of the moment when the process was started as the system counts it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Process:
    """``host`` is for people; ``mark`` tells this process from all others that have its id."""

    host: str
    pid: int
    mark: str


def this_process() -> Process:
    """The one that asks."""
    return Process(platform.node()[:255] or "?", os.getpid(), f"{_machine()}:{_started(os.getpid())}")


def is_gone(process: Process) -> bool | None:
    """True when it has ended, False when it runs, None when that cannot be seen from here."""
    if process.mark.partition(":")[0] != _machine():
        return None
    if not psutil.pid_exists(process.pid):
        return True
    started = _started(process.pid)
    return None if started is None else started != process.mark.partition(":")[2]


def _machine() -> str:
    parts = [platform.node(), str(uuid.getnode())]
    with suppress(OSError):  # Linux alone has these
        namespace = Path("/proc/self/ns/pid").readlink()
        parts = [platform.node(), Path("/proc/sys/kernel/random/boot_id").read_text().strip(), str(namespace)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _started(pid: int) -> str | None:
    """When it was started; "ended" for one whose parent has not heard of its end; None when that cannot be seen."""
    try:
        if sys.platform != "linux":
            return str(psutil.Process(pid).create_time())
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, psutil.Error):
        return None
    return "ended" if state in {"Z", "X"} else fields[18]  # in ticks since the boot, which no change of the clock moves
