"""From a file back to a `LayerDump`, whatever format it is in; a broken or foreign file is a sentence, not a traceback."""

from __future__ import annotations

import csv
import gzip
import zipfile
import zlib
from pathlib import Path

from safetensors import SafetensorError

from bot.errors import DumpFileError
from bot.render.export import binary, table, text
from models.dump import LayerDump

_BROKEN = (
    ValueError, LookupError, TypeError, AttributeError, EOFError, StopIteration, RecursionError, OverflowError, OSError,
    NotImplementedError, zipfile.BadZipFile, zlib.error, csv.Error, SafetensorError,
)  # fmt: skip
_PAGE = b"<!doctype"


def load(path: Path) -> LayerDump:
    """Read a dump that `write` wrote as JSON, CSV, NPZ or safetensors; JSON and CSV also compressed.

    Raises:
        DumpFileError: there is no such file, it is no dump, it is damaged, or of another version.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DumpFileError(f"`{path}` cannot be read: {error.strerror or error}.", hint="") from error
    if _PAGE in data[:256].lower():
        raise DumpFileError(
            f"`{path}` is an HTML page, which is only for viewing.", hint="Open it in a browser, or load another format."
        )
    try:
        return _read(data)
    except _BROKEN as error:
        why = f": {error}" if type(error) is ValueError and str(error).startswith("it") else ""
        raise DumpFileError(f"`{path}` is not a layer dump, or it is damaged{why}.") from error


def _read(data: bytes) -> LayerDump:
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if data[:2] == b"PK":
        return binary.read_npz(data)
    if data[8:9] == b"{" and data[:1] != b"{":
        return binary.read_safetensors(data)
    if data[:1] == b"{":
        return text.read(data)
    return table.read(data)
