"""What every command leaves behind is put back: handlers and levels of the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from bot.log import LOWEST


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    root, levels = logging.getLogger(), {name: logging.getLogger(name).level for name in ("", *LOWEST)}
    handlers = list(root.handlers)
    yield
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
