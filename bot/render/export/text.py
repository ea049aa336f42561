"""Dumps as JSON: the head, with the numbers of each array beside what it says of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from bot.render.export.head import DTYPES, Array, check_kind, from_head, head, to_json
from models import bounds
from models.dump import LayerDump

_BEYOND = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}
"""JSON has no words for these; they are written as strings, which NumPy reads as numbers."""


def write(dump: LayerDump, file: IO[bytes], created: str) -> None:
    """One JSON object, a line for each key of the head and each array."""
    about = head(dump, created)
    said = about.pop("arrays")

    def put(line: str) -> None:
        file.write(line.encode("ascii"))

    put("{\n" + "".join(f"{to_json(key)}:{to_json(value)},\n" for key, value in about.items()) + '"arrays":{')
    for count, (name, array) in enumerate(dump.arrays.items()):
        put(",\n" if count else "\n")
        put(to_json(name) + ":" + to_json(said[name])[:-1] + ',"data":')
        for piece in nested(array):
            put(piece)
        put("}")
    put("\n}\n}\n")


def nested(array: Array) -> Iterator[str]:
    """The numbers as nested JSON lists, a row of the last axis at a time."""
    if array.ndim == 1:
        yield "[" + ",".join(_BEYOND.get(word, word) for word in words(array)) + "]"
        return
    for count, part in enumerate(array):
        yield "," if count else "["
        yield from nested(part)
    yield "]" if len(array) else "[]"


def words(row: Array) -> list[str]:
    """Numbers (n,) as text, each as short as it can be read back from."""
    if row.dtype == np.bool_:
        return ["true" if value else "false" for value in row.tolist()]
    return [str(word) for word in row.astype("U")] if row.dtype == np.float32 else [str(value) for value in row.tolist()]


def read(data: bytes) -> LayerDump:
    """What `write` wrote. Raises ValueError and its like for anything else."""
    about = bounds.from_json(data)
    check_kind(about)
    arrays = {name: _array(said, len(data)) for name, said in about["arrays"].items()}
    return from_head(about, arrays)


def _array(said: dict[str, Any], most: int) -> Array:
    """The numbers as an array; those of a type that has no fractions must have none."""
    bounds.filled(said, most)
    dtype = DTYPES[said["dtype"]]
    with np.errstate(all="ignore"):
        read: Array = np.asarray(said["data"], dtype=np.float64)
        made: Array = read.astype(dtype) if dtype is np.float32 else np.asarray(said["data"], dtype=dtype)
    if dtype is not np.float32 and not (made == read).all():
        raise ValueError("it holds fractions where whole numbers stand")
    return made.reshape(said["shape"] if made.size == 0 else made.shape)
