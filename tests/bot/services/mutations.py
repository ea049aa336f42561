"""Traces in which one value is another: every place that a fact at one answer token may read. Knows no fact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from models.trace import Trace


def another(value: Any) -> Any:
    """A clearly different value of the same kind."""
    if isinstance(value, bool | np.bool_):
        return not value
    if isinstance(value, str):
        return f"zebra{value}"
    return value + 1 if isinstance(value, int | np.integer) else value / 2 + 0.013


def mutations(trace: Trace, t: int, *, beside: bool = True) -> Iterator[tuple[str, Trace]]:
    """Where, and the trace with that one value altered: row ``t`` of each array, and with ``beside`` what is of no row."""
    bare = replace(trace, findings=type(trace.findings)())
    for path, changed in _altered(bare, t):
        if beside or path.endswith(f"[{t}]") or f"[{t}, " in path:
            yield path, replace(changed, findings=trace.findings)
    if not beside:
        return
    for item in fields(trace.findings):
        found = getattr(trace.findings, item.name)
        for path, changed in _altered(found, t) if is_dataclass(found) else ():
            yield f"findings.{item.name}{path}", trace.with_findings(**{item.name: changed})


def _altered(whole: Any, t: int) -> Iterator[tuple[str, Any]]:
    for item in fields(whole):
        for path, value in _values(getattr(whole, item.name), t, item.name):
            yield f".{item.name}{path}", replace(whole, **{item.name: value})


def _values(value: Any, t: int, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, np.ndarray):
        for cell in _cells(value, t, name):
            last_place = name == "top_ids" and value.ndim == 3 and cell[1:] == (value.shape[1] - 1, value.shape[2] - 1)
            returned = np.setdiff1d(value[cell[0], :, 0], value[cell[0], -1]) if last_place else ()  # who led, and is gone
            for false in (*_others(value[cell], name), *returned):
                copy = value.copy()
                copy[cell] = false
                yield f"{list(map(int, cell))}", copy
    elif isinstance(value, dict) and name in {"pieces", "words"}:
        for key in value:
            yield f"[{key}]", value | {key: another(value[key])}
    elif isinstance(value, tuple):
        for n, one in enumerate(value):
            for path, changed in _altered(one, t) if is_dataclass(one) else [("", another(one))]:
                yield f"[{n}]{path}", (*value[:n], changed, *value[n + 1 :])
    elif isinstance(value, str):
        yield "", {"story": "chat", "chat": "story"}.get(value, value)
    elif isinstance(value, int | float):
        yield "", another(value)


def _others(value: Any, name: str) -> tuple[Any, ...]:
    """Different values: a distance falls and rises, a rank grows and becomes the first."""
    second = {"kl_to_final": 10 * value + 3, "emitted_rank": 0 * value}.get(name)
    return (another(value),) if second is None or second == value else (another(value), second)


def _cells(array: Any, t: int, name: str) -> Iterator[tuple[int, ...]]:
    """All of a list, row ``t`` of an array; of the candidates below the last depth the first alone."""
    for cell in np.ndindex(array.shape):
        watched = name == "probs" and array.ndim == 3
        row = cell[1] if watched else cell[0]
        below = name in {"top_ids", "top_probs"} and array.ndim == 3 and cell[1] < array.shape[1] - 1 and cell[2] > 0
        if (array.ndim == 1 or row == t) and not below:
            yield cell
