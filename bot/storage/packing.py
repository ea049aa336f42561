"""Between the tuples of an `Answer` and compact bytes: zlib over little-endian arrays, the same on every machine.

Token ids are int32, probabilities float64, so that what comes back equals what went in; anything else is one of
`models.bounds.BROKEN`, and none of it unpacks to more than it may. Knows no database.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence

import numpy as np

from models.bounds import from_json, inflate
from models.types import FinalTop


def pack_ids(ids: Sequence[int]) -> bytes:
    """Token ids (n,) as int32."""
    return zlib.compress(np.asarray(ids, dtype=np.int64).astype("<i4", casting="same_kind").tobytes())


def unpack_ids(data: bytes) -> tuple[int, ...]:
    """What `pack_ids` wrote."""
    return tuple(np.frombuffer(inflate(data), dtype="<i4").tolist())


def pack_floats(values: Sequence[float]) -> bytes:
    """Numbers (n,) as float64."""
    return zlib.compress(np.asarray(values, dtype="<f8").tobytes())


def unpack_floats(data: bytes) -> tuple[float, ...]:
    """What `pack_floats` wrote."""
    return tuple(np.frombuffer(inflate(data), dtype="<f8").tolist())


def pack_final_top(top: FinalTop) -> bytes:
    """Ids and logprobs (T, m); as JSON, whose floats come back exactly and whose rows may differ in length."""
    rows = {"ids": [[int(i) for i in row] for row in top.ids], "logprobs": [[float(p) for p in row] for row in top.logprobs]}
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode())


def unpack_final_top(data: bytes) -> FinalTop:
    """What `pack_final_top` wrote."""
    rows = from_json(inflate(data))
    return FinalTop(
        ids=tuple(tuple(int(i) for i in row) for row in rows["ids"]),
        logprobs=tuple(tuple(float(p) for p in row) for row in rows["logprobs"]),
    )
