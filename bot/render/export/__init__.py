"""Layer dumps as files: JSON, CSV, NPZ, safetensors and HTML, written as a stream, the same bytes for the same dump.

Every format carries the same head (see `bot.render.export.head`) and the same arrays; all but the page can be read back. What
differs between two files of one dump is the time stamp ``created`` alone. Knows no Discord, no torch and no database.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Literal, cast, get_args

from bot.errors import DumpChoiceError
from bot.render.export import binary, table, text
from bot.render.export.reading import load
from models.dump import LayerDump
from models.sentences import Sentence
from models.trace import Trace

Format = Literal["json", "csv", "npz", "safetensors", "html", "json.gz", "csv.gz"]
FORMATS: tuple[Format, ...] = get_args(Format)

__all__ = ["FORMATS", "Format", "load", "write"]

_WRITERS = {"json": text.write, "csv": table.write, "npz": binary.write_npz, "safetensors": binary.write_safetensors}


def write(
    dump: LayerDump,
    form: Format,
    path: Path,
    *,
    created: str,
    others: Sequence[Trace] = (),
    locale: str = "en-US",
    headlines: Mapping[str, str] | None = None,
) -> None:
    """Write ``dump`` to ``path``, a new file.

    Args:
        dump: what to write.
        form: in which format; ``.gz`` is the same, compressed.
        path: where to.
        created: the time stamp, ISO 8601 in UTC.
        others: for the page, the same answer through other lenses.
        locale: for the page, the language that it opens in.
        headlines: for the page, what stands under the answer, by locale.

    Raises:
        DumpChoiceError: the page cannot show this dump.
        OSError: the file cannot be written.
    """
    plain, _, packed = form.partition(".")
    shown = page(dump, created, others, locale, headlines).encode("utf-8") if plain == "html" else b""
    with ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(path.open("wb"))
        if packed:  # no name and no time of the file's own
            file = cast("IO[bytes]", stack.enter_context(gzip.GzipFile("", "wb", 9, file, mtime=0)))
        if plain == "html":
            file.write(shown)
        else:
            _WRITERS[plain](dump, file, created)


def page(dump: LayerDump, created: str, others: Sequence[Trace], locale: str, headlines: Mapping[str, str] | None = None) -> str:
    """The viewer's page of a lens dump.

    Raises:
        DumpChoiceError: it is no lens dump, or one without all depths.
    """
    from bot.render.viewer import viewer_html

    if dump.what != "lens":
        raise DumpChoiceError(
            Sentence("An HTML page shows what the lens reads, not {what}.", what=Sentence(dump.what)),
            hint="Choose json, csv, npz or safetensors.",
        )
    if dump.trace is None:
        raise DumpChoiceError("An HTML page always shows every depth.", hint="Choose only positions, or choose another format.")
    return viewer_html(dump.trace, others=others, created=created, locale=locale, headlines=headlines)
