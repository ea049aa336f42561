"""Reading bytes that somebody else may have made: how large they become is known before anything is allocated.

A file says of itself how large it is, and a hostile one lies: a few kilobytes that unpack to a disk, an array of 10^18 numbers,
lists in lists in lists. Here each is held against the bytes that are really there. Knows no format of the project; NumPy only.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

FLOOR = 16 << 20
RATIO = 100
MOST = 4 << 30
"""A file may unpack to 16 MiB and a hundred times its own size, and to 4 GiB at most. Deflate alone reaches a thousand."""

_MEMBERS = 4096
_STREAM = 256 << 20
_BLOCK = 1 << 20
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_HEADER = re.compile(rb"\{'descr': '([<>|][biuf][1248])', 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\), \} *\n")

BROKEN = (
    ValueError, LookupError, TypeError, AttributeError, EOFError, StopIteration, ArithmeticError, OSError, RuntimeError,
    MemoryError, AssertionError, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, csv.Error, struct.error,
)  # fmt: skip
"""What Python and NumPy raise over bytes that are not what they say. RecursionError and NotImplementedError are RuntimeErrors."""

Array = np.ndarray[Any, Any]


def room(size: int) -> int:
    """Bytes that a packed file of ``size`` bytes may become."""
    return min(MOST, FLOOR + RATIO * size)


def read(file: IO[bytes], size: int) -> bytes:
    """A file's bytes; ``size`` is what the system says of it, 0 for a pipe or a device.

    Raises:
        ValueError: they are more than may be read.
    """
    most = size or _STREAM
    data = bytearray()
    while size <= MOST and len(data) <= most and (block := file.read(_BLOCK)):
        data += block
    if size > MOST or len(data) > most:
        raise ValueError(f"it is larger than {(MOST if size else most) >> 20:,} MiB, or it grows")
    return bytes(data)


def inflate(data: bytes) -> bytes:
    """What was packed with zlib or gzip, whole.

    Raises:
        ValueError: it is damaged, cut off, or grows beyond its `room`.
    """
    most, unpacker = room(len(data)), zlib.decompressobj(wbits=47)  # 32 + 15: either header
    try:
        out = unpacker.decompress(data, most + 1)
    except zlib.error as error:
        raise ValueError("it is not packed as it says") from error
    if len(out) > most:
        raise ValueError("it unpacks to far more than a file of ours does")
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("it is cut off, or something stands behind its end")
    return out


def from_json(data: bytes | str) -> Any:
    """JSON, which may not be nested deeper than Python reads.

    Raises:
        ValueError: it is none.
    """
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def read_zip(data: bytes) -> dict[str, bytes | Array]:
    """The members of an NPZ file by name: arrays without their ``.npy``, anything else as its bytes.

    Raises:
        ValueError: it is damaged, or larger than its bytes can be.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check_members(members, room(len(data)))
            raw = {info.filename: _unpacked(archive, info) for info in members}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, struct.error) as error:
        raise ValueError("it is a damaged archive") from error
    return {name.removesuffix(".npy"): read_array(held) if name.endswith(".npy") else held for name, held in raw.items()}


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """What a member says that it holds; a `read` without a number unpacks all that is there first."""
    with archive.open(info) as member:
        return member.read(info.file_size)


def _check_members(members: list[zipfile.ZipInfo], most: int) -> None:
    names = {info.filename.removesuffix(".npy") for info in members}
    if len(members) > _MEMBERS or len(names) < len(members):
        raise ValueError("it holds too many members, or one of them twice")
    if any(info.compress_type not in _PACKED or info.flag_bits & _ENCRYPTED for info in members):
        raise ValueError("it is packed in another way than ours")
    if sum(info.file_size for info in members) > most:
        raise ValueError("it unpacks to far more than a file of ours does")


def read_array(data: bytes) -> Array:
    """One array of numbers in NumPy's own format; its shape is held against its bytes first.

    Raises:
        ValueError: it is none, or not as large as it says.
    """
    if data[:6] != b"\x93NUMPY" or len(data) < 10 or data[6] not in (1, 2, 3):
        raise ValueError("it holds something else than arrays")
    start = 10 if data[6] == 1 else 12
    end = start + int.from_bytes(data[8:start], "little")
    found = _HEADER.fullmatch(data[start:end]) if end - start < 10_000 else None
    if found is None:
        raise ValueError("it holds an array with another header than ours")
    shape = tuple(int(size) for size in found[3].decode().split(",") if size.strip())
    dtype = np.dtype(found[1].decode())
    if len(shape) > 8 or math.prod(shape) * dtype.itemsize != len(data) - end or max(shape, default=0) > MOST:
        raise ValueError("it holds an array that is not as large as it says")
    flat = np.frombuffer(data, dtype, offset=end).astype(dtype.newbyteorder("="))
    return flat.reshape(shape[::-1]).T if found[2] == b"True" else flat.reshape(shape)


def filled(said: Mapping[str, Any], most: int) -> int:
    """How many numbers an array that is described by ``shape`` has, at most ``most``, as its text has no room for more.

    Raises:
        ValueError: no shape, or too large.
    """
    shape = said["shape"]
    if not isinstance(shape, list) or len(shape) > 8 or not all(type(size) is int and 0 <= size <= most for size in shape):
        raise ValueError("it holds an array of no possible shape")
    count = math.prod(shape)
    if count > most:
        raise ValueError("it holds an array that is not as large as it says")
    return count
