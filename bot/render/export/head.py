"""What every dump file says of itself, and the way back from a head and its arrays to a `LayerDump`.

The head is JSON: format, schema, writer, time stamp, kind, the ids of prompt and answer, chosen positions and depths, strings of
tokens, the trace's meta (model, revision, dtype, sampler, seed, lens, versions …), the evidence without its arrays, and dtype,
shape and axes of each array. Knows no file format.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from models.dump import AXES, LENS_ARRAYS, WHATS, LayerDump
from models.findings import Findings
from models.trace import Trace

FORMAT = "forward-pass-dump"
SCHEMA = 1
DTYPES = {"float32": np.float32, "int64": np.int64, "bool": np.bool_}
_REMOVALS = "findings.causal.removals."
_NEEDED = {"lens": LENS_ARRAYS, "hidden": ("hidden",), "attention": ("attention",)}

Array = np.ndarray[Any, Any]


def head(dump: LayerDump, created: str) -> dict[str, Any]:
    """The head of a dump, in the order in which it is written; plain values."""
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "writer": writer(),
        "created": created,
        "what": dump.what,
        "meta": {key: dump.meta[key] for key in sorted(dump.meta)},
        "prompt_ids": dump.prompt_ids.tolist(),
        "answer_ids": dump.answer_ids.tolist(),
        "positions": dump.positions.tolist(),
        "depths": dump.depths.tolist(),
        "tokens": list(dump.tokens),
        "pieces": {str(i): dump.pieces[i] for i in sorted(dump.pieces)},
        "findings": _bare(dump.findings),
        "arrays": {
            name: {"dtype": str(array.dtype), "shape": list(array.shape), "axes": list(dump.axes(name))}
            for name, array in dump.arrays.items()
        },
    }


@cache
def writer() -> str:
    """The program and its version."""
    try:
        return f"forward-pass {version('forward-pass')}"
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "forward-pass"


def to_json(value: Any) -> str:
    """JSON in one line of ASCII: whatever a token holds, it ends no line and turns no writing direction."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def from_head(about: Mapping[str, Any], arrays: Mapping[str, Array]) -> LayerDump:
    """The dump of a head and its arrays.

    Raises:
        ValueError: they do not hold together; the sentence says why.
    """
    _check(about, arrays)
    findings = _findings(about["findings"], arrays)
    positions = np.asarray(about["positions"], dtype=np.int64)
    dump = LayerDump(
        what=about["what"],
        prompt_ids=np.asarray(about["prompt_ids"], dtype=np.int64),
        answer_ids=np.asarray(about["answer_ids"], dtype=np.int64),
        positions=positions,
        depths=np.asarray(about["depths"], dtype=np.int64),
        tokens=tuple(str(token) for token in about["tokens"]),
        pieces={int(i): str(piece) for i, piece in about["pieces"].items()},
        arrays=dict(arrays),
        meta=dict(about["meta"]),
        trace=_trace(about, arrays, findings) if about["what"] == "lens" else None,
        findings=findings,
    )
    if len(dump.tokens) != len(positions):
        raise ValueError("it does not have one token for each position")
    return dump


def check_kind(about: Any) -> None:
    """Raises ValueError when a head is none of ours, or of a version that is not known."""
    if not isinstance(about, Mapping) or about.get("format") != FORMAT:
        raise ValueError("it is not a layer dump")
    if about.get("schema") != SCHEMA:
        raise ValueError(f"it is of schema {about.get('schema')}, and this version reads schema {SCHEMA}")


def _check(about: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    check_kind(about)
    said = about["arrays"]
    if about["what"] not in WHATS or set(said) != set(arrays) or not set(_NEEDED[about["what"]]) <= set(arrays):
        raise ValueError("its arrays are not the ones that such a dump has")
    if not all(name in AXES or name.startswith(_REMOVALS) for name in arrays) or not isinstance(about["meta"]["layers"], int):
        raise ValueError("it holds something that no dump from Forward Pass has")
    sizes: dict[str, int] = {"position": len(about["positions"]), "depth": len(about["depths"])}
    for name, array in arrays.items():
        axes = AXES.get(name, ("block",))
        dtype = str(array.dtype)
        same = list(array.shape) == said[name]["shape"] and dtype == said[name]["dtype"]
        known = same and dtype in DTYPES and len(axes) == array.ndim
        if not known or any(sizes.get(axis, size) != size for axis, size in zip(axes, array.shape, strict=True)):
            raise ValueError(f"its array `{name}` does not have the shape that it says")


def _trace(about: Mapping[str, Any], arrays: Mapping[str, Array], findings: Findings) -> Trace | None:
    """The trace of a lens dump with all depths."""
    if about["depths"] != list(range(int(about["meta"]["layers"]) + 1)):
        return None
    start, answer = len(about["prompt_ids"]), about["answer_ids"]
    return Trace(
        prompt_ids=np.asarray(about["prompt_ids"], dtype=np.int64),
        answer_ids=np.asarray([answer[p - start] for p in about["positions"]], dtype=np.int64),
        tokens=tuple(about["tokens"]),
        pieces={int(i): piece for i, piece in about["pieces"].items()},
        meta=dict(about["meta"]),
        findings=findings,
        **{name: arrays[name] for name in LENS_ARRAYS},
    )


def _bare(value: Any) -> Any:
    """Evidence as plain values, without its arrays, what is None, and the time that it took."""
    if is_dataclass(value):
        kept = {f.name: getattr(value, f.name) for f in fields(value) if f.name != "seconds"}
        return {name: _bare(v) for name, v in kept.items() if v is not None and not isinstance(v, np.ndarray)}
    if isinstance(value, Mapping):
        return {str(key): _bare(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return [_bare(item) for item in value] if isinstance(value, tuple) else value


def _findings(bare: Mapping[str, Any], arrays: Mapping[str, Array]) -> Findings:
    """The way back from `_bare` and the arrays by their dotted names."""
    whole: dict[str, Any] = copy.deepcopy(dict(bare))
    if "causal" in whole:
        whole["causal"]["seconds"] = 0.0  # not kept: it differs on each run
        whole["causal"]["logprob"] = float(whole["causal"]["logprob"])
    for name, array in arrays.items():
        if name.startswith("findings."):
            *path, last = name.split(".")[1:]
            place: Any = whole
            for step in path:
                place = place[int(step)] if step.isdigit() else place.setdefault(step, {})
            place[last] = array
    return Findings.from_json(whole)
