"""Reading the residual stream while a model runs: hooks at the input of each block and at the output of the final norm.

Used by the second pass, and by the answer pass to keep what the second pass would compute again. Knows modules; knows no lens.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from models.network.adapters import Parts

_locks: weakref.WeakKeyDictionary[Any, threading.Lock] = weakref.WeakKeyDictionary()
_guard = threading.Lock()


@contextmanager
def tapped(model: Any, parts: Parts, take: Callable[[int, torch.Tensor], None]) -> Iterator[None]:
    """Call ``take(depth, state)`` at each depth of the passes inside, state (B, S, D); depth L is normed by the model itself.

    The hooks act for this thread alone, one pass of a model at a time, and go whatever happens.
    """
    owner = threading.get_ident()

    def before(depth: int) -> Callable[..., None]:
        def hook(_block: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if threading.get_ident() == owner:
                take(depth, args[0] if args else kwargs["hidden_states"])

        return hook

    def after(_norm: Any, _args: Any, out: torch.Tensor) -> None:
        if threading.get_ident() == owner:
            take(len(parts.blocks), out)

    with hooked(model) as handles:
        handles.extend(b.register_forward_pre_hook(before(d), with_kwargs=True) for d, b in enumerate(parts.blocks))
        handles.append(parts.norm.register_forward_hook(after))
        yield


@contextmanager
def hooked(model: Any) -> Iterator[list[Any]]:
    """A list for the handles of hooks: they go whatever happens, and one pass of a model at a time has any."""
    with _lock_of(model):
        handles: list[Any] = []
        try:
            yield handles
        finally:
            for handle in handles:
                handle.remove()


def _lock_of(model: Any) -> threading.Lock:
    with _guard:
        return _locks.setdefault(model, threading.Lock())
