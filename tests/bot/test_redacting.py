"""Passwords and tokens stay out of every form of error: sentences, tracebacks, log lines, the terminal."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import traceback
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot import __main__ as door
from bot.cli import cli
from bot.errors import ForwardPassError, StorageError
from bot.log import JsonFormatter, LineFormatter, safe_traceback
from bot.redacting import clean
from bot.sections import LogConfig, StorageConfig
from bot.storage import Database, sqlite_file

SECRET = "s3cret"
URLS = (
    "postgresql+asyncpg://bot:s3cret@127.0.0.1:1/db",
    "postgresql://bot:s3cret@127.0.0.1/db",
    "postgresql+asyncpg://bot:s3cret@host:port/db",
    "postgresql+asyncpg://bot:p@s3cret@host/db",
    "postgresql+asyncpg://bot:p/s3cret@host/db",
    "postgresql+asyncpg://bot:a:s3cret@host/db",
    "postgresql+asyncpg://host/db?user=a&password=s3cret",
    "postgresql+nosuch://bot:s3cret@host/db",
    "mysql://bot:p@ss:s3cret@h/x",
    "s3cret",
    "://bot:s3cret@",
)


async def opened(url: str) -> BaseException:
    with pytest.raises(StorageError) as caught:
        async with Database.open(url):
            pass
    return caught.value


@pytest.mark.parametrize("url", URLS)
async def test_a_database_that_cannot_be_opened(url: str) -> None:
    error = await opened(url)
    assert isinstance(error, StorageError)
    told = [error.for_host(), error.for_user(), repr(error), safe_traceback(error), "".join(traceback.format_exception(error))]
    shown = [text.replace(f'opened("{url}")', "") for text in told]
    assert not any(SECRET in text for text in shown)
    with contextlib.suppress(StorageError):
        assert sqlite_file(url) is None


@pytest.mark.parametrize("url", [url for url in URLS if url != SECRET])
def test_a_log_line(url: str) -> None:
    try:
        raise OSError(f"cannot reach {url} now")
    except OSError:
        record = logging.LogRecord("bot", logging.ERROR, __file__, 1, "the url %s fails", (url,), sys.exc_info())
    for made in (LineFormatter(), JsonFormatter()):
        line = made.format(record)
        assert SECRET not in line
        assert "fails" in line
    assert json.loads(JsonFormatter().format(record))["message"].endswith("fails")
    assert LogConfig().json_lines is False


@pytest.mark.parametrize("url", [url for url in URLS if url != SECRET])
def test_settings_and_the_front_door(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "own.yaml"
    for text in (
        f"storage: {{url: '{url}'}}",
        f"storage: {{keep_days: '{url}'}}",
        f"storage: '{url}'",
        f"'{url}': 1",
        f"x: [{url}",
    ):
        settings.write_text(text, encoding="utf-8")
        done = CliRunner().invoke(cli, ["check-config", "-c", str(settings)])
        assert SECRET not in done.output
        assert SECRET not in str(done.exception)
    assert SECRET not in repr(StorageConfig.model_construct(url=url))

    def fail() -> None:
        raise ForwardPassError(f"I cannot reach {url} now.", hint=f"Look at {url}.")

    monkeypatch.setattr("bot.cli.cli", fail)
    monkeypatch.setattr(sys, "argv", ["forwardpass"])
    with pytest.raises(SystemExit):
        door.main()
    assert SECRET not in capsys.readouterr().err


def test_what_is_no_secret_stays() -> None:
    for text in ("see https://discord.com/developers", "somebody@example.org", "5 % of a://b", "the password is wrong"):
        assert clean(text) == text
    assert clean("HF_TOKEN is hf_" + "a" * 34) == "HF_TOKEN is (hidden)"
