"""From a file back to a `LayerDump`, whatever format it is in; a broken or foreign file is a sentence, not a traceback."""

from __future__ import annotations

import logging
from pathlib import Path

from safetensors import SafetensorError

from bot.errors import DumpFileError
from bot.render.export import binary, table, text
from models import bounds
from models.dump import LayerDump

log = logging.getLogger(__name__)

_BROKEN = (*bounds.BROKEN, SafetensorError)
_PAGE = b"<!doctype"


def load(path: Path) -> LayerDump:
    """Read a dump that `write` wrote as JSON, CSV, NPZ or safetensors; JSON and CSV also compressed.

    Raises:
        DumpFileError: there is no such file, it is no dump, it is damaged, or of another version.
    """
    try:
        with path.open("rb") as file:
            data = bounds.read(file, path.stat().st_size)
    except OSError as error:
        raise DumpFileError(f"`{path}` cannot be read: {error.strerror or error}.", hint="") from error
    except (ValueError, MemoryError) as error:
        raise DumpFileError(f"`{path}` is larger than a dump that I can read.", hint="") from error
    if _PAGE in data[:256].lower():
        raise DumpFileError(
            f"`{path}` is an HTML page, which is only for viewing.", hint="Open it in a browser, or load another format."
        )
    try:
        return _read(data)
    except _BROKEN as error:
        log.info("a dump cannot be read: %s", type(error).__name__)
        why = f": {error}" if type(error) is ValueError and str(error).startswith("it") else ""
        raise DumpFileError(f"`{path}` is not a layer dump, or it is damaged{why}.") from error


def _read(data: bytes) -> LayerDump:
    if data[:2] == b"\x1f\x8b":
        data = bounds.inflate(data)
    if data[:2] == b"PK":
        return binary.read_npz(data)
    if data[8:9] == b"{" and data[:1] != b"{":
        return binary.read_safetensors(data)
    if data[:1] == b"{":
        return text.read(data)
    return table.read(data)
