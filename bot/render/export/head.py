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
from dataclasses import fields, is_dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from typing import Any

import numpy as np

from models import holding, typed
from models.dump import WHATS, LayerDump
from models.findings import Findings
from models.holding import AXES, LENS_ARRAYS
from models.trace import Trace

FORMAT = "forward-pass-dump"
SCHEMA = 1
DTYPES = {"float32": np.float32, "int64": np.int64, "bool": np.bool_}
_LAYERS = range(1, 100_000)  # more than any model has
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
    dump = LayerDump(
        what=about["what"],
        prompt_ids=np.asarray(about["prompt_ids"], dtype=np.int64),
        answer_ids=np.asarray(about["answer_ids"], dtype=np.int64),
        positions=np.asarray(about["positions"], dtype=np.int64),
        depths=np.asarray(about["depths"], dtype=np.int64),
        tokens=typed.value_of(tuple[str, ...], about["tokens"], "tokens"),
        pieces=typed.value_of(Mapping[int, str], about["pieces"], "pieces"),
        arrays=dict(arrays),
        meta=typed.value_of(Mapping[str, Any], about["meta"], "meta"),
        findings=findings,
    )
    if len(dump.tokens) != len(dump.positions):
        raise ValueError("it does not have one token for each position")
    named = {"prompt_ids": dump.prompt_ids, "answer_ids": dump.answer_ids, **dump.arrays}
    holding.check_names(named, dump.pieces, findings, _sizes(about))
    return replace(dump, trace=_trace(about, dump)) if dump.what == "lens" else dump


def check_kind(about: Any) -> None:
    """Raises ValueError when a head is none of ours, or of a version that is not known."""
    if not isinstance(about, Mapping) or about.get("format") != FORMAT:
        raise ValueError("it is not a layer dump")
    if about.get("schema") != SCHEMA:
        raise ValueError(f"it is of schema {about.get('schema')}, and this version reads schema {SCHEMA}")


def _check(about: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    check_kind(about)
    said, what = about["arrays"], about["what"]
    if what not in WHATS or set(said) != set(arrays) or not set(_NEEDED[what]) <= set(arrays):
        raise ValueError("its arrays are not the ones that such a dump has")
    layers = about["meta"]["layers"]
    if not all(name in AXES or name.startswith(_REMOVALS) for name in arrays) or type(layers) is not int or layers not in _LAYERS:
        raise ValueError("it holds something that no dump from Forward Pass has")
    for name, array in arrays.items():
        if list(array.shape) != said[name]["shape"] or str(array.dtype) != said[name]["dtype"]:
            raise ValueError(f"its array `{name}` does not have the shape that it says")
    _check_places(about, what, layers)
    holding.check_shapes(arrays, _sizes(about))


def _check_places(about: Mapping[str, Any], what: str, layers: int) -> None:
    """Positions and depths rise, and are those of the text and of the model."""
    prompt, answer = (typed.value_of(tuple[int, ...], about[name], name) for name in ("prompt_ids", "answer_ids"))
    least = len(prompt) if what == "lens" else 0
    ends = {"positions": (least, len(prompt) + len(answer)), "depths": (int(what == "attention"), layers + 1)}
    for name, (first, end) in ends.items():
        places = typed.value_of(tuple[int, ...], about[name], name)
        rising = all(one < other for one, other in pairwise(places))
        if not rising or not places or places[0] < first or places[-1] >= end:
            raise ValueError(f"its {name} are not those of its text and its model")


def _sizes(about: Mapping[str, Any]) -> holding.Sizes:
    depths = about["depths"]
    return holding.Sizes(len(about["positions"]), len(depths), sum(d > 0 for d in depths), len(about["prompt_ids"]))


def _trace(about: Mapping[str, Any], dump: LayerDump) -> Trace | None:
    """The trace of a lens dump with all depths: as many as the model has, rising from 0."""
    if len(dump.depths) != dump.layers + 1:
        return None
    start, answer = len(dump.prompt_ids), about["answer_ids"]
    return Trace(
        prompt_ids=dump.prompt_ids,
        answer_ids=np.asarray([answer[p - start] for p in about["positions"]], dtype=np.int64),
        tokens=dump.tokens,
        pieces=dump.pieces,
        meta=dump.meta,
        findings=dump.findings,
        **{name: dump.arrays[name] for name in LENS_ARRAYS},
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
    for name, array in arrays.items():
        if name.startswith("findings."):
            *path, last = name.split(".")[1:]
            place: Any = whole
            for step in path:
                place = place[int(step)] if step.isdigit() else place.setdefault(step, {})
            place[last] = array
    return Findings.from_json(whole)
