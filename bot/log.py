"""Logging: one readable line, or one JSON object, per record, to stderr. The text of messages never gets in, at any level.

Three things hold that promise for code that is not ours: libraries whose DEBUG records quote messages are held at a level where
they do not; tracebacks are told as types, frames and source lines, since an exception's own words may quote its input; and only
exceptions whose words are about the program or the machine keep them. Knows no Discord.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import os
import secrets
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from traceback import format_tb
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from bot.errors import ForwardPassError
from bot.redacting import clean
from bot.render.text import safe

if TYPE_CHECKING:
    from bot.sections import LogConfig

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

LOWEST = {
    "discord": logging.INFO,  # its gateway and HTTP records at DEBUG are whole payloads
    "aiosqlite": logging.WARNING,  # logs each statement with its values
    "sqlalchemy": logging.WARNING,  # so does this
    "alembic": logging.WARNING,
    "asyncio": logging.INFO,
    "aiohttp": logging.INFO,
    "simcord": logging.INFO,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "urllib3": logging.WARNING,
    "filelock": logging.WARNING,
    "fsspec": logging.WARNING,
    "huggingface_hub": logging.ERROR,  # warns at each of ten tries when it is offline; our own error says it once
    "transformers": logging.WARNING,
    "torchao": logging.ERROR,  # transformers imports it where it is installed, and it warns of each kernel that a machine lacks
    "torch.utils._pytree": logging.ERROR,  # what torch says of torchao
    "accelerate": logging.WARNING,
    "matplotlib": logging.WARNING,
    "PIL": logging.INFO,
}
"""The least serious level that each library may log, whatever the config says."""

# Their words speak of files, devices, shapes, names and types. A ValueError, a KeyError or a Discord error may quote a message.
SPEAKING = (ForwardPassError, OSError, RuntimeError, MemoryError, ImportError, AttributeError, NameError, TypeError)

_ID_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"  # none that are mistaken for one another when read aloud
_FIELDS = ("error_id", "run_id")


def setup(config: LogConfig, *, stream: TextIO | None = None) -> None:
    """Send the log to stderr (or ``stream``), in place of what an earlier call set up; other handlers are left alone."""
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if config.json_lines else LineFormatter())
    handler.addFilter(no_content)
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(config.level)
    # It brings a handler of its own and takes its level from here when it is imported, later.
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    for name, lowest in LOWEST.items():
        logging.getLogger(name).setLevel(max(lowest, root.level))


def error_id() -> str:
    """A short id that a user can read out, and that finds the record in the log."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(8))


def log_unexpected(logger: logging.Logger, exc: BaseException, *, run_id: str | None = None) -> str:
    """Log a defect with its traceback; returns the id to show to the user in its place."""
    name = error_id()
    # As text and not as exc_info: another handler (a host's own, a test's) would print the exception's words.
    text = "unexpected %s (error id %s, run %s)\n%s"
    extra = {"error_id": name, "run_id": run_id}
    logger.error(text, type(exc).__qualname__, name, run_id or "-", safe_traceback(exc), extra=extra)
    return name


def no_content(record: logging.LogRecord) -> bool:
    """Hold a library at its lowest level, even one whose logger has been set lower later on."""
    return record.levelno >= LOWEST.get(record.name.partition(".")[0], logging.NOTSET)


def safe_traceback(exc: BaseException) -> str:
    """Types, frames and source lines of an exception and of those that it came from; words only where they hold no message."""
    return "\n".join(_told(exc, set()))


def _told(exc: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(exc))
    earlier = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    if earlier is not None and id(earlier) not in seen:
        yield from _told(earlier, seen)
        yield "which led to:" if exc.__cause__ else "and while that was handled:"
    yield "Traceback (most recent call last):"
    yield "".join(format_tb(exc.__traceback__)).rstrip("\n")
    yield _headline(exc)
    if isinstance(exc, BaseExceptionGroup):
        for part in exc.exceptions:
            yield f"part of {type(exc).__qualname__}:"
            yield from _told(part, seen)


def _headline(exc: BaseException) -> str:
    name = f"{type(exc).__module__}.{type(exc).__qualname__}".removeprefix("builtins.")
    if isinstance(exc, SPEAKING):
        return f"{name}: {exc}"
    codes = [f"{key} {value}" for key in ("status", "code") if type(value := getattr(exc, key, None)) is int]
    return f"{name}: ({', '.join([*codes, 'its words are not logged'])})"


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """Ours, so that a second `setup` finds and replaces it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Say where a record went wrong; logging's own way would print its arguments."""
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(f"a log record of {record.pathname}:{record.lineno} could not be written\n")


class _SafeFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        kept = copy.copy(record)
        kept.exc_text = None  # another handler's formatter may have left a traceback with words there
        if record.name == "asyncio":
            # "Task exception was never retrieved" goes on with the exception's words, "Exception in callback" with arguments.
            kept.msg, kept.args = record.getMessage().partition("\n")[0].partition("(")[0], None
        return self.line(kept)

    def line(self, record: logging.LogRecord) -> str:
        return super().format(record)

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802 (logging's name)
        return clean(safe_traceback(ei[1])) if ei[1] is not None else ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class LineFormatter(_SafeFormatter):
    """``2026-01-31T12:00:00.000Z INFO bot.client: ready``; it goes to a terminal, so nothing in it may steer one."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def line(self, record: logging.LogRecord) -> str:
        return safe(clean(super().line(record)))


class JsonFormatter(_SafeFormatter):
    """One JSON object a line: time (UTC), level, logger, message, and traceback, error_id, run_id where there are such."""

    def line(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": clean(record.getMessage()),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        line.update({name: value for name in _FIELDS if (value := getattr(record, name, None)) is not None})
        return json.dumps(line, ensure_ascii=False)
