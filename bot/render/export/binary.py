"""Dumps as NPZ and safetensors: NumPy's arrays as they are, the head as JSON beside them.

Both are written here, byte for byte: `numpy.savez` puts the clock into the archive, and the safetensors package writes its
metadata in an order that differs each time.
"""

from __future__ import annotations

import zipfile
from typing import IO, Any

import numpy as np
from safetensors.numpy import load as load_safetensors

from bot.render.export.head import Array, check_kind, from_head, head, to_json
from models import bounds
from models.dump import LayerDump

HEAD = "head.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_TYPES = {"float32": "F32", "int64": "I64", "bool": "BOOL"}


def write_npz(dump: LayerDump, file: IO[bytes], created: str) -> None:
    """A compressed NPZ: an array of each name, and the head as ``head.json``."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        archive.writestr(_member(HEAD), to_json(head(dump, created)) + "\n")
        for name, array in dump.arrays.items():
            with archive.open(_member(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system, info.external_attr = 3, 0o644 << 16
    return info


def read_npz(data: bytes) -> LayerDump:
    """What `write_npz` wrote. Raises ValueError and its like for anything else."""
    members = bounds.read_zip(data)
    about = bounds.from_json(bytes(members.pop(HEAD)))
    check_kind(about)
    return from_head(about, {name: array for name, array in members.items() if isinstance(array, np.ndarray)})


def write_safetensors(dump: LayerDump, file: IO[bytes], created: str) -> None:
    """A tensor of each name; each key of the head, as JSON, in the metadata."""
    layout: dict[str, Any] = {"__metadata__": {key: to_json(value) for key, value in head(dump, created).items()}}
    tensors = sorted(dump.arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))  # the widest first: all aligned
    start = 0
    for name, array in tensors:
        layout[name] = {
            "dtype": _TYPES[str(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [start, start + array.nbytes],
        }
        start += array.nbytes
    written = to_json(layout).encode("ascii")
    written += b" " * (-len(written) % 8)
    file.write(len(written).to_bytes(8, "little") + written)
    for _name, array in tensors:
        file.write(_little(array).tobytes())


def _little(array: Array) -> Array:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))


def read_safetensors(data: bytes) -> LayerDump:
    """What `write_safetensors` wrote. Raises ValueError and its like for anything else."""
    length = int.from_bytes(data[:8], "little")
    layout = bounds.from_json(data[8 : 8 + length])
    about = {key: bounds.from_json(value) for key, value in layout.get("__metadata__", {}).items() if key in _KEYS}
    check_kind(about)
    return from_head(about, load_safetensors(data))


_KEYS = frozenset(
    (
        "format", "schema", "created", "what", "meta", "prompt_ids", "answer_ids", "positions", "depths", "tokens", "pieces",
        "findings", "arrays",
    )
)  # fmt: skip
