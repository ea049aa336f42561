"""Where the parts of a model would lie on this machine: which blocks on which device, and whether they fit. Loads nothing.

Uses transformers' own placement, the one that `from_pretrained` follows, on a model that is laid out without numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn
from transformers.integrations import accelerate as inside

from models.types import ModelConfig


class Sizes(Protocol):
    """What transformers asks of a quantizer when it weighs a model."""

    def param_element_size(self, model: Any, name: str, param: torch.Tensor, /) -> float:
        """Bytes per element of one parameter."""
        ...


@dataclass(frozen=True, slots=True)
class Needs:
    """What the weights of each module come to, in bytes."""

    sizes: Sizes
    by_module: Mapping[str, float]

    @classmethod
    def of(cls, model: Any, sizes: Sizes) -> Needs:
        """Weigh a model that may lie on the meta device; tied weights count once."""
        by_module, _ = inside.compute_module_sizes(model, sizes, only_modules=False)  # type: ignore[arg-type]
        return cls(sizes, by_module)

    @property
    def total(self) -> int:
        return int(self.by_module[""])


@dataclass(frozen=True, slots=True)
class Working:
    """What an answer takes beside the weights, in bytes."""

    cache: int
    """Keys and values; they lie where their blocks lie."""
    second_pass: int
    """Beside the unembedding, after the last block."""


@dataclass(frozen=True, slots=True)
class Place:
    """One device, and what would lie on it. Sizes are in bytes."""

    device: str
    blocks: tuple[tuple[int, int], ...]
    """First and last of each run of blocks, counted from 0."""
    weights: int
    free: int | None
    """None where that cannot be asked."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model would lie."""

    places: tuple[Place, ...]
    fits: bool
    words: str
    """All of it in a sentence or two."""


def place(config: ModelConfig, device: torch.device, model: Any, needs: Needs, working: Working) -> Placement:
    """Where ``model`` would lie with this config.

    Args:
        config: its device, device map and limits.
        device: what ``config.device`` comes to.
        model: laid out on the meta device.
        needs: what its parts weigh.
        working: what an answer takes beside the weights.
    """
    limits: Any = dict(config.max_memory) if config.max_memory else None
    free = {_name(key): int(size) for key, size in inside.get_max_memory(limits).items() if _exists(_name(key))}
    mapped = _mapped(config, device, model, needs)
    places = _places(model, mapped, needs, free)
    return Placement(
        tuple(places), *_verdict(places, needs.total, working, len(_blocks(model)), on_disk="disk" in mapped.values())
    )


def _mapped(config: ModelConfig, device: torch.device, model: Any, needs: Needs) -> dict[str, str]:
    """Module to device, as `from_pretrained` would decide it."""
    if config.device_map is None and config.max_memory is None:
        return {"": _name(device)}
    if isinstance(config.device_map, dict):
        return {module: _name(where) for module, where in config.device_map.items()}
    kept = {"no_split_module_classes": model._no_split_modules, "hf_quantizer": needs.sizes}
    limits: Any = dict(config.max_memory) if config.max_memory else None
    if config.device_map == "sequential":
        limits = inside.get_max_memory(limits)
    else:
        limits = inside.get_balanced_memory(model, limits, low_zero=config.device_map == "balanced_low_0", **kept)
    found = inside.infer_auto_device_map(model, max_memory=limits, **kept)
    return {module: _name(where) for module, where in found.items()}


def _places(model: Any, mapped: Mapping[str, str], needs: Needs, free: Mapping[str, int]) -> list[Place]:
    blocks = {
        device: [i for i, name in enumerate(_blocks(model)) if _covering(name, mapped) == device] for device in mapped.values()
    }
    weights = dict.fromkeys(blocks, 0.0)
    for module, device in mapped.items():
        weights[device] += needs.by_module.get(module, 0.0)
    return [Place(device, _runs(held), int(weights[device]), free.get(device)) for device, held in blocks.items()]


def _covering(name: str, mapped: Mapping[str, str]) -> str | None:
    """The device of the longest entry that holds the module ``name``."""
    parts = name.split(".")
    return next((mapped[key] for n in range(len(parts), -1, -1) if (key := ".".join(parts[:n])) in mapped), None)


def _blocks(model: Any) -> list[str]:
    """Names of the model's blocks: the first list of modules that is as long as the config says."""
    count = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return [f"{name}.{i}" for i in range(len(module))]
    return []


def _runs(numbers: list[int]) -> tuple[tuple[int, int], ...]:
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    return tuple(zip(starts, ends, strict=True))


def _verdict(places: list[Place], total: int, working: Working, blocks: int, *, on_disk: bool) -> tuple[bool, str]:
    """Whether it fits, and the words."""
    if missing := next((held.device for held in places if not _exists(held.device)), None):
        return False, f"does not fit: this machine has no device {missing}"
    if on_disk:
        room = sum(place.free or 0 for place in places)
        return False, f"does not fit: needs {gigabytes(total)}, {gigabytes(room)} free; the rest would have to stay on the disk"
    for held in places:
        count = sum(last - first + 1 for first, last in held.blocks)
        ends = len(places) == 1 or (count and held.blocks[-1][1] == blocks - 1)
        share = count / blocks if blocks else float(ends)
        need = held.weights + share * working.cache + (working.second_pass if ends else 0)
        if held.free is not None and need > held.free:
            return False, f"does not fit: needs {gigabytes(need)} on {held.device}, {gigabytes(held.free)} free"
    if len(places) == 1:
        return True, f"all on {places[0].device}"
    return True, ", ".join(f"{held.device}: {_told(held.blocks, blocks)}" for held in places)


def _told(runs: tuple[tuple[int, int], ...], blocks: int) -> str:
    if not runs:
        return "no blocks"
    if runs == ((0, blocks - 1),):
        return "all blocks"
    if len(runs) == 1 and runs[0][0] == runs[0][1]:
        return f"block {runs[0][0]}"
    return "blocks " + " and ".join(str(first) if first == last else f"{first}–{last}" for first, last in runs)


def gigabytes(size: float) -> str:
    """Bytes in words, in powers of ten as disks and downloads are sold."""
    if size < 1e6:
        return f"{size / 1e3:.0f} kB"
    if size < 1e9:
        return f"{size / 1e6:.0f} MB"
    return f"{size / 1e9:.1f} GB" if size < 1e11 else f"{size / 1e9:,.0f} GB"


def _name(device: Any) -> str:
    """As torch writes it; a bare number and a bare `cuda` are CUDA devices."""
    if isinstance(device, int) or (isinstance(device, str) and device.isdigit()):
        return f"cuda:{device}"
    return "cuda:0" if str(device) == "cuda" else str(device)


def _exists(device: str) -> bool:
    kind, _, number = device.partition(":")
    return kind != "cuda" or int(number or 0) < torch.cuda.device_count()
