"""A key-value cache for sequences of different lengths that come and go: one batch, padded on the left.

transformers' own dynamic cache copies everything it holds at each token. This one keeps room to grow, gives views, and can take
sequences in and let them go between two tokens. Layers with a sliding window keep everything too; the mask cuts the window, so
that sequences of different lengths stay aligned. Knows tensors; knows no tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from transformers import Cache
from transformers.cache_utils import DynamicLayer

_ROOM = 64
"""Positions of room beyond what is asked for, so that a copy is made seldom."""


class GrowingLayer(DynamicLayer):  # type: ignore[misc,no-untyped-call,unused-ignore]
    """Keys and values (B, H, S, D) of one layer, in buffers with room for more positions."""

    keys: torch.Tensor  # both are set with the first update
    values: torch.Tensor

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]
        self._room: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any) -> Any:
        """Append (B, H, n, D) and return all keys and values."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
        length, new = self.keys.shape[2], key_states.shape[2]
        if self._room is None or self._room[0].shape[2] < length + new:
            room = length + new + max(_ROOM, length // 2)
            self._room = (_copied(self.keys, room), _copied(self.values, room))
        keys, values = self._room
        keys.narrow(2, length, new).copy_(key_states)
        values.narrow(2, length, new).copy_(value_states)
        self.keys, self.values = keys.narrow(2, 0, length + new), values.narrow(2, 0, length + new)
        return self.keys, self.values

    def keep(self, rows: Sequence[int], trim: int) -> None:
        """Let all sequences but ``rows`` go, and the first ``trim`` positions, which are padding in all that stay."""
        if self.is_initialized:
            index = torch.tensor(rows, device=self.keys.device)
            self._hold(self.keys[:, :, trim:].index_select(0, index), self.values[:, :, trim:].index_select(0, index))

    def spread(self, padding: Sequence[int]) -> None:
        """Make one sequence many: each begins with so many positions of padding, and with less of the end."""
        if self.is_initialized:
            self._hold(_spread(self.keys, padding), _spread(self.values, padding))

    def join(self, other: GrowingLayer) -> None:
        """Take the sequences of ``other`` in, the shorter ones padded on the left with zeros."""
        if not self.is_initialized or not other.is_initialized:
            return  # a layer that shares the keys of another one holds none of its own
        room = max(self.keys.shape[2], other.keys.shape[2]) + _ROOM
        pairs = ((self.keys, other.keys), (self.values, other.values))
        joined = tuple(_joined(mine, theirs, room) for mine, theirs in pairs)
        self._room = (joined[0], joined[1])
        self.keys, self.values = (room_of[:, :, : room - _ROOM] for room_of in self._room)

    def _hold(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        self._room, self.keys, self.values = None, keys, values


class GrowingCache(Cache):  # type: ignore[misc,unused-ignore]
    """`GrowingLayer`s for all layers of a model."""

    layers: list[GrowingLayer]  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=GrowingLayer)

    def keep(self, rows: Sequence[int], trim: int = 0) -> None:
        """`GrowingLayer.keep` in all layers."""
        for layer in self.layers:
            layer.keep(rows, trim)

    def spread(self, padding: Sequence[int]) -> None:
        """`GrowingLayer.spread` in all layers."""
        for layer in self.layers:
            layer.spread(padding)

    def join(self, other: GrowingCache) -> None:
        """`GrowingLayer.join` in all layers."""
        for mine, theirs in zip(self.layers, other.layers, strict=True):
            mine.join(theirs)


def _copied(held: torch.Tensor, room: int) -> torch.Tensor:
    fresh = held.new_empty(*held.shape[:2], room, held.shape[3])
    fresh[:, :, : held.shape[2]] = held
    return fresh


def _spread(one: torch.Tensor, padding: Sequence[int]) -> torch.Tensor:
    """(1, H, S, D) to (B, H, S, D)."""
    length = one.shape[2]
    many = one.new_zeros(len(padding), *one.shape[1:])
    for row, pad in enumerate(padding):
        many[row, :, pad:] = one[0, :, : length - pad]
    return many


def _joined(mine: torch.Tensor, theirs: torch.Tensor, room: int) -> torch.Tensor:
    """Both (B, H, S, D) in one buffer of ``room`` positions, the last held one of each at ``room - _ROOM``."""
    end = room - _ROOM
    both = mine.new_zeros(mine.shape[0] + theirs.shape[0], mine.shape[1], room, mine.shape[3])
    both[: mine.shape[0], :, end - mine.shape[2] : end] = mine
    both[mine.shape[0] :, :, end - theirs.shape[2] : end] = theirs
    return both


class SharedLayer(DynamicLayer):  # type: ignore[misc,no-untyped-call,unused-ignore]
    """Keys and values (1, H, S, D) of one sequence, which any number of rows go on from and none adds to."""

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, layer: GrowingLayer) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]
        if layer.is_initialized:
            self.lazy_initialization(layer.keys, layer.values)
            self.keys, self.values = layer.keys, layer.values

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any) -> Any:
        """All keys and values with (B, H, n, D) behind them; they are not kept."""
        pairs = ((self.keys, key_states), (self.values, value_states))
        return tuple(torch.cat((held.expand(len(new), -1, -1, -1), new), dim=2) for held, new in pairs)


def _nudged(layer: SharedLayer, ulps: int, seed: int) -> SharedLayer:
    other = copy.copy(layer)
    if layer.is_initialized:
        generator = torch.Generator().manual_seed(seed)
        for name in ("keys", "values"):
            held: torch.Tensor = getattr(layer, name)
            signs = torch.randint(0, 2, held.shape, generator=generator).to(held.device) * 2 - 1
            setattr(other, name, held * (1 + signs * ulps * torch.finfo(held.dtype).eps).to(held.dtype))
    return other


class SharedCache(Cache):  # type: ignore[misc,unused-ignore]
    """What one sequence left in a `GrowingCache`, for passes over many ways to go on from it."""

    layers: list[SharedLayer]  # type: ignore[assignment]

    def __init__(self, cache: GrowingCache) -> None:
        super().__init__(layers=[SharedLayer(layer) for layer in cache.layers])

    def nudged(self, ulps: int = 32) -> SharedCache:
        """All keys and values off by ``ulps`` units in the last place, up or down.

        Measured on the default model: two ways to sum up the products of one pass leave fp32 values 5 to 40 units apart.
        """
        other = copy.copy(self)
        other.layers = [_nudged(layer, ulps, seed) for seed, layer in enumerate(self.layers)]
        return other

    @property
    def row_bytes(self) -> int:
        """What a row takes while it looks back: one layer's keys and values at a time."""
        held = [layer.keys for layer in self.layers if layer.is_initialized]
        return 4 * max((keys.numel() * keys.element_size() for keys in held), default=0)
