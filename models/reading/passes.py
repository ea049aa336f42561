"""One forward pass over a text, cut into pieces where the text is long: each reads on from the keys and values before it.

A short text is one plain pass, bit for bit. Knows modules and token ids; knows nothing of what is watched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from models.answering.kv import GrowingCache, SharedCache
from models.network.adapters import Parts
from models.network.edges import edge_of
from models.network.forward import input_device, last_row_only
from models.pieces import Pieces

PIECE = 256
"""Tokens of one piece: a quarter of a second on a CPU, which is what the answers under way wait for it."""

WHOLE = 2 * PIECE
"""Tokens up to which a text is read in one plain pass."""

Watch = Callable[[int], AbstractContextManager[Any]]
"""Entered around a pass whose last so many positions count."""


def forward(
    model: Any,
    parts: Parts | None,
    ids: Sequence[int],
    tail: int,
    watch: Watch | None = None,
    rows: int = 1,
    *,
    begun: int = 0,
) -> Pieces[Any]:
    """A forward pass over ``ids`` (S,).

    Args:
        model: in eval mode.
        parts: of it; None, or a model whose cache cannot be shared, is read whole.
        ids: the text.
        tail: how many of its last positions are watched.
        watch: entered around the passes that hold them, and left before a pause.
        rows: of the logits, the last ones; at most ``tail``.
        begun: so many tokens are read before the others, in a pass of their own.

    Returns:
        What the model gave for the last piece.
    """
    edge = edge_of(model)
    if begun:
        cache = GrowingCache()
        with torch.inference_mode():
            model.base_model(input_ids=_tokens(model, ids[:begun]), past_key_values=cache, use_cache=True)
            with _watching(watch, tail):
                rest = _tokens(model, ids[begun:])
                return model(input_ids=rest, past_key_values=cache, use_cache=True, **last_row_only(model, rows))
    if len(ids) <= WHOLE or parts is None or not parts.batches or (edge is not None and edge.beyond(len(ids))):
        with torch.inference_mode(), _watching(watch, tail):
            return model(input_ids=_tokens(model, ids), use_cache=False, **last_row_only(model, rows))
    cache = yield from _read(model, ids[:-tail])
    out = None
    for start, stop in _cuts(tail, least=rows):
        piece = ids[len(ids) - tail + start : len(ids) - tail + stop]
        with torch.inference_mode(), _watching(watch, stop - start):
            keep = last_row_only(model, rows)
            out = model(input_ids=_tokens(model, piece), past_key_values=cache, use_cache=True, **keep)
        if stop < tail:
            yield
    return out


def prefix(model: Any, ids: Sequence[int]) -> Pieces[SharedCache]:
    """Keys and values of ``ids`` (S,), for any number of rows to go on from; as `models.answering.decoding.shared_prefix`."""
    return SharedCache((yield from _read(model, ids)))


def _read(model: Any, ids: Sequence[int]) -> Pieces[GrowingCache]:
    """Keys and values of ``ids``, at most `WHOLE` of them in one pass."""
    cache = GrowingCache()
    edge = edge_of(model)
    at_once = len(ids) <= WHOLE or (
        edge is not None and edge.beyond(len(ids))
    )  # pieces before the edge would be turned otherwise
    width = len(ids) if at_once else PIECE
    for start in range(0, len(ids), max(1, width)):
        with torch.inference_mode():
            model.base_model(input_ids=_tokens(model, ids[start : start + width]), past_key_values=cache, use_cache=True)
        yield
    return cache


def _cuts(count: int, *, least: int) -> list[tuple[int, int]]:
    """Where ``count`` positions are cut; the last part has at least ``least``."""
    starts = list(range(0, count, PIECE))
    if len(starts) > 1 and count - starts[-1] < least:
        starts.pop()
    return list(zip(starts, [*starts[1:], count], strict=True))


def _watching(watch: Watch | None, rows: int) -> AbstractContextManager[Any]:
    return nullcontext() if watch is None else watch(rows)


def _tokens(model: Any, ids: Sequence[int]) -> torch.Tensor:
    return torch.tensor([list(ids)], device=input_device(model))  # (1, S)
