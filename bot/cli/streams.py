"""What the commands read from and write to: a question from a pipe, one JSON object, characters that an encoding lacks.

Knows no command and no model.
"""

from __future__ import annotations

import codecs
import io
import json
import re
import sys
from typing import Any

from rich.cells import cell_len

from bot.render.text import STEERING

STDIN = "-"
_SURROGATES = re.compile("[\ud800-\udfff]")
_PLAIN = dict(zip("✓✗×…·•–—−›≤“”‘’░▒▓█▀▼→", "vxx..*---><\"\"'':+%##v>", strict=True))
"""Stand-ins of the same width, so that marks keep their meaning and a map of shades its shades."""


def prepare() -> None:
    """Let no character end a command: what stdout or stderr cannot encode, and stdin cannot decode, is replaced."""
    codecs.register_error("forwardpass", _plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="forwardpass")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(_PLAIN.get(char, "?" * max(1, cell_len(char))) for char in lost), error.end


def whole(argument: str) -> str:
    """An argument of the command line, with U+FFFD for each byte that was no text."""
    return _SURROGATES.sub("\ufffd", argument)


def question_of(given: str | None) -> str | None:
    """The question: the argument, or standard input for ``-`` and where a pipe or a file stands in for the keyboard.

    None when there is neither an argument nor such an input.
    """
    if given is not None and given != STDIN:
        return given
    if sys.stdin is None or (given is None and sys.stdin.isatty()):
        return None
    try:
        text = sys.stdin.read()
    except OSError:  # closed, or not ours to read
        return None
    return whole(text).lstrip("\ufeff").strip() or None


def write_json(data: object) -> None:
    """One JSON object on a line of stdout; in ASCII where stdout is not UTF-8, so that no character is lost.

    A character that would steer a terminal stands as its number, which means the same in JSON.
    """
    text = json.dumps(data, ensure_ascii=not _is_utf8(sys.stdout), allow_nan=False)
    sys.stdout.write(STEERING.sub(lambda found: json.dumps(found[0])[1:-1], text) + "\n")


def _is_utf8(stream: Any) -> bool:
    return codecs.lookup(getattr(stream, "encoding", None) or "utf-8").name == "utf-8"
