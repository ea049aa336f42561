"""Dumps as CSV: one long tidy table, a row for each number, that pandas and a spreadsheet can read.

The first row is the head, as JSON in its ``text``. Then each array, by name, in the order of its cells; a column for each axis
says where (positions and depths by their own numbers). ``text`` shows the token that a value is the id of, ``token`` that of the
row's position. Both are for show and harmless: invisible characters are named, and a cell that a spreadsheet could take for a
formula begins with an apostrophe; the strings themselves are in the head. Numbers are numbers, a minus included.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import product, repeat
from typing import IO, Any

import numpy as np

from bot.render.export.head import DTYPES, Array, check_kind, from_head, head, to_json
from bot.render.export.text import words
from bot.render.text import visible
from models import bounds
from models.dump import LayerDump
from models.holding import AXES

AXIS_ORDER = ("word", "position", "depth", "block", "part", "head", "key", "k", "channel")
META = "meta"
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_LONGEST = 10_000


def harmless(text: str) -> str:
    """A cell that no spreadsheet runs: nothing invisible in it, and an apostrophe before what begins like a formula."""
    shown = visible(text, limit=_LONGEST)
    return "'" + shown if shown.startswith(_FORMULA) else shown


def write(dump: LayerDump, file: IO[bytes], created: str) -> None:
    """The table; see the module."""
    about = head(dump, created)
    axes = _columns(about)
    names = _names(dump)
    stream = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(["array", *axes, "value", *(["token"] if dump.what == "lens" else []), "text"])
    table.writerow([META, *repeat("", len(axes) + 1), *([""] if dump.what == "lens" else []), to_json(about)])
    for name, array in dump.arrays.items():
        table.writerows(_rows(dump, about, name, array, axes, names))
    stream.flush()
    stream.detach()


def _columns(about: Mapping[str, Any]) -> list[str]:
    used = {axis for said in about["arrays"].values() for axis in said["axes"]}
    return [axis for axis in AXIS_ORDER if axis in used]


def _labels(about: Mapping[str, Any], name: str, shape: Sequence[int]) -> list[list[str]]:
    """What each place along each axis of an array is called."""
    depths = about["depths"]
    known: dict[str, list[str]] = {
        "position": [str(p) for p in about["positions"]],
        "depth": [str(d) for d in depths],
        "block": [str(d) for d in depths if d > 0],
        "part": ["attention", "mlp"],
        "word": [harmless(word) for word in about["findings"].get("watched", {}).get("words", ())],
    }
    axes = AXES.get(name, ("block",))
    return [known.get(axis, [str(i) for i in range(size)]) for axis, size in zip(axes, shape, strict=True)]


def _rows(
    dump: LayerDump, about: Mapping[str, Any], name: str, array: Array, axes: list[str], names: Mapping[int, str]
) -> Iterator[list[str]]:
    own = AXES.get(name, ("block",))
    at = [1 + axes.index(axis) for axis in own]
    tokens = dict(zip(map(str, dump.positions), map(harmless, dump.tokens), strict=True)) if dump.what == "lens" else {}
    speaks = name.endswith(("ids", "against", "attention.positions"))
    shown = _looked_at(dump) if name.endswith("attention.positions") else names
    value = 1 + len(axes)
    empty = [name, *repeat("", len(axes) + 2 + bool(tokens))]
    labels = _labels(about, name, array.shape)
    for place, row in zip(product(*labels[:-1]), array.reshape(-1, array.shape[-1]), strict=True):
        for last, word, number in zip(labels[-1], words(_numbers(row)), row.tolist() if speaks else repeat(0), strict=False):
            cells = empty.copy()
            for column, label in zip(at, (*place, last), strict=True):
                cells[column] = label
            cells[value] = word
            if tokens and "position" in own:
                cells[value + 1] = tokens[cells[1 + axes.index("position")]]
            if speaks:
                cells[-1] = harmless(shown.get(number, ""))
            yield cells


def _numbers(row: Array) -> Array:
    """Truth as 1 and 0: a column of numbers alone is one that pandas takes for numbers."""
    return row.astype(np.int64) if row.dtype == np.bool_ else row


def _names(dump: LayerDump) -> dict[int, str]:
    """Strings of all ids that an array may hold."""
    found = dump.findings
    more = [part.pieces for part in (found.pull, found.causal) if part is not None]
    return {int(i): piece for pieces in (*more, dump.pieces) for i, piece in pieces.items()}


def _looked_at(dump: LayerDump) -> dict[int, str]:
    return dict(dump.findings.attention.words) if dump.findings.attention is not None else {}


def read(data: bytes) -> LayerDump:
    """What `write` wrote, in its order. Raises ValueError and its like for anything else."""
    csv.field_size_limit(max(csv.field_size_limit(), len(data)))
    rows = csv.reader(io.StringIO(data.decode("utf-8"), newline=""))
    columns, first = next(rows), next(rows)
    if columns[:1] != ["array"] or first[0] != META:
        raise ValueError("it is not a layer dump")
    about = bounds.from_json(first[-1])
    check_kind(about)
    axes, arrays = _columns(about), {}
    for name, said in about["arrays"].items():
        bounds.filled(said, len(data))  # a row for each number
        arrays[name] = _array(rows, about, name, said, axes)
    if next(rows, None) is not None:
        raise ValueError("it has more rows than it says")
    return from_head(about, arrays)


def _array(rows: Iterator[list[str]], about: Mapping[str, Any], name: str, said: Mapping[str, Any], axes: list[str]) -> Array:
    """The next rows as an array; they must be where they were."""
    at = [1 + axes.index(axis) for axis in AXES.get(name, ("block",))]
    value, found = 1 + len(axes), []
    for place in product(*_labels(about, name, said["shape"])):
        row = next(rows, None)
        if row is None or row[0] != name or [row[column] for column in at] != list(place):
            raise ValueError(f"its rows of `{name}` are out of order, or some are missing")
        found.append(row[value])
    dtype = DTYPES[said["dtype"]]
    with np.errstate(all="ignore"):
        read = np.asarray(found, dtype=np.float64 if dtype is np.float32 else np.int64)
        return read.astype(dtype).reshape(said["shape"])
