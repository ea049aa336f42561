"""Whether the arrays of a trace and of its evidence hold together: what each axis counts, and which numbers may stand there.

Whoever reads a trace from a file or a database may then index it without looking. Knows no file; NumPy only.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from models.findings import CausalCheck, Findings

Array = np.ndarray[Any, Any]

AXES: Mapping[str, tuple[str, ...]] = {
    "special": ("position",),
    "top_ids": ("position", "depth", "k"),
    "top_probs": ("position", "depth", "k"),
    "emitted_prob": ("position", "depth"),
    "emitted_rank": ("position", "depth"),
    "entropy": ("position", "depth"),
    "kl_to_final": ("position", "depth"),
    "sampled_prob": ("position",),
    "findings.attribution.against": ("position",),
    "findings.attribution.blocks": ("position", "block", "part"),
    "findings.attribution.embedding": ("position",),
    "findings.attribution.constant": ("position",),
    "findings.attribution.difference": ("position",),
    "findings.attention.positions": ("position", "k"),
    "findings.attention.weights": ("position", "k"),
    "findings.attention.sink": ("position",),
    "findings.watched.ids": ("word",),
    "findings.watched.probs": ("word", "position", "depth"),
    "findings.pull.with_ids": ("k",),
    "findings.pull.with_probs": ("k",),
    "findings.pull.without_ids": ("k",),
    "findings.pull.without_probs": ("k",),
    "hidden": ("depth", "position", "channel"),
    "output": ("position", "channel"),
    "attention": ("depth", "head", "position", "key"),
}
"""What the axes of each array count; those of ``findings.causal.removals`` count blocks."""

LENS_ARRAYS = ("special", "top_ids", "top_probs", "emitted_prob", "emitted_rank", "entropy", "kl_to_final", "sampled_prob")
_IDS = ("ids", "against")
_MOST = 1.001  # a probability, with its rounding


@dataclass(frozen=True, slots=True)
class Sizes:
    """How long the axes are: answer tokens, depths, blocks, and the prompt's tokens."""

    positions: int
    depths: int
    blocks: int
    prompt: int


def finding_arrays(findings: Findings) -> Iterable[tuple[str, np.ndarray[Any, Any]]]:
    """Every array among the evidence, under its dotted name such as ``findings.attribution.blocks``."""
    for item in fields(findings):
        value = getattr(findings, item.name)
        if value is None or isinstance(value, Mapping):
            continue
        inner = [(f"removals.{i}.", r) for i, r in enumerate(value.removals)] if isinstance(value, CausalCheck) else [("", value)]
        for prefix, part in inner:
            for f in fields(part):
                if isinstance(getattr(part, f.name), np.ndarray):
                    yield f"findings.{item.name}.{prefix}{f.name}", getattr(part, f.name)


def check_shapes(arrays: Mapping[str, Array], sizes: Sizes) -> None:
    """See that each array of a lens or of its evidence is as long along its axes as the others, and holds possible numbers.

    Raises:
        ValueError: one is not; the sentence names it.
    """
    lengths: dict[str, int] = {"position": sizes.positions, "depth": sizes.depths, "block": sizes.blocks, "part": 2}
    for name, array in arrays.items():
        axes = AXES.get(name, ("block",))
        own = lengths | {axis: size for axis, size in zip(axes, array.shape, strict=False) if axis not in lengths}
        if array.shape != tuple(own[axis] for axis in axes) or array.dtype != _dtype(name):
            raise ValueError(f"its array `{name}` is not of the shape that it says")
        if not _is_possible(name, array):
            raise ValueError(f"its array `{name}` holds numbers that cannot be")


def _dtype(name: str) -> type[np.generic]:
    if name == "special":
        return np.bool_
    whole = name.endswith((*_IDS, "rank", "positions"))
    return np.int64 if whole else np.float32


def _is_possible(name: str, array: Array) -> bool:
    if array.dtype.kind == "i":
        return bool((array >= 0).all())
    if array.dtype.kind == "b" or ("." not in name and name not in LENS_ARRAYS):
        return True
    if name.endswith(("prob", "probs", "weights", "sink")) and "logprob" not in name:
        return bool(((array >= 0) & (array <= _MOST)).all())
    return not bool(np.isnan(array).any())


def check_names(arrays: Mapping[str, Array], pieces: Container[int], findings: Findings, sizes: Sizes) -> None:
    """See that every id has its string, and that the evidence is of tokens that are there.

    Raises:
        ValueError: they are not.
    """
    known: dict[str, Container[int]] = {}
    if findings.pull is not None:
        known["findings.pull."] = findings.pull.pieces
    if findings.causal is not None:
        known["findings.causal."] = findings.causal.pieces
        if not 0 <= findings.causal.t < sizes.positions or not {findings.causal.emitted, findings.causal.top_id} <= set(
            findings.causal.pieces
        ):
            raise ValueError("its causal check is of a token that it does not hold")
    if findings.attention is not None:
        known["findings.attention."] = findings.attention.words
    for name, array in arrays.items():
        if name.endswith(_IDS) or name == "findings.attention.positions":
            named = next((part for start, part in known.items() if name.startswith(start)), pieces)
            if not all(int(i) in named for i in np.unique(array)):
                raise ValueError(f"it has not a string for each id of `{name}`")
    _check_evidence(findings, sizes)


def _check_evidence(findings: Findings, sizes: Sizes) -> None:
    looked, watched = findings.attention, findings.watched
    if looked is not None and (looked.positions.shape != looked.weights.shape or (looked.positions >= sizes.prompt).any()):
        raise ValueError("its attention looks at what is not in the prompt")
    if watched is not None and not len(watched.words) == len(watched.whole) == len(watched.ids) == len(watched.probs):
        raise ValueError("its watched words are not those of its arrays")
    pull = findings.pull
    if pull is not None and (pull.with_ids.shape != pull.with_probs.shape or pull.without_ids.shape != pull.without_probs.shape):
        raise ValueError("its template pull is not of the shape that it says")
