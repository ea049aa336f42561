"""How much memory the second pass may take for its chunks, by device and by what is free. Knows devices; allocates nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psutil
import torch

from models.errors import OutOfMemoryError

_USUAL = {"cpu": 48 << 20, "cuda": 1 << 30, "mps": 256 << 20}
"""Bytes that serve best. On a CPU a chunk must stay near its caches; a GPU wants as many rows at once as it can get."""

_SHARE = 8
"""At most this part of what is free: answers that run beside it need memory too."""

_LEAST = 1 << 20


def chunk_bytes(device: torch.device, limit: int | None = None) -> int:
    """Bytes for the buffers of one chunk, all together.

    Args:
        device: where they will lie.
        limit: the user's own limit in bytes.
    """
    usual = _USUAL.get(device.type, _USUAL["cpu"])
    return min(max(_LEAST, min(usual, free_bytes(device) // _SHARE)), limit if limit is not None else usual)


def free_bytes(device: torch.device) -> int:
    """What could be allocated on ``device`` now, torch's own unused cache included."""
    if device.type == "cuda":
        free, _total = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return int(psutil.virtual_memory().available)


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Turn what torch raises when a device or the machine is out of memory into `OutOfMemoryError`."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise OutOfMemoryError("The device ran out of memory.") from error


def _is_out_of_memory(error: BaseException) -> bool:
    words = str(error).lower()
    known = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(w in words for w in known)
