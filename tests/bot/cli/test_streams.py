"""Output that is not UTF-8, and arguments that are no text: never a traceback, always valid JSON. In processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot.cli.streams import whole

ROOT = Path(__file__).parents[3]
SCRIPTED = """
import sys
import bot.cli.terminal
from models.fakes.engine import FakeEngine
bot.cli.terminal.load_engine = lambda _config: FakeEngine({"脚": "两只眼睛 👀 has 2 – “eyes”."})
from bot.__main__ import main
main()
"""
ENCODINGS = ("cp936", "ascii", "latin-1", "utf-8")


def started(tmp_path: Path, encoding: str, *arguments: str | bytes, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The front door with the scripted engine, in an empty folder."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FORWARDPASS_")}
    environ |= {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    environ |= {"FORWARDPASS_STORAGE__URL": f"sqlite:///{tmp_path / 'runs.sqlite3'}"}
    command = [sys.executable, "-c", SCRIPTED, *arguments]
    return subprocess.run(command, capture_output=True, cwd=tmp_path, env=environ, input=stdin)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_answer_and_its_map_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    done = started(tmp_path, encoding, "ask", "脚", "--why")
    assert (done.returncode, done.stderr) == (0, b"")
    out = done.stdout.decode(encoding)
    assert "has 2" in out
    assert "inner voice" in out
    assert ("两只眼睛" in out) == (encoding in {"cp936", "utf-8"})
    assert len({char for char in "#%+:" if char in out}) >= 2 or encoding in {"cp936", "utf-8"}  # shades stay apart


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_is_json_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    done = started(tmp_path, encoding, "ask", "脚", "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    shown = json.loads(done.stdout.decode(encoding))
    assert (shown["question"], shown["answer"]) == ("脚", "两只眼睛 👀 has 2 – “eyes”.")
    assert done.stdout.isascii() == (encoding != "utf-8")


@pytest.mark.parametrize("encoding", ["cp936", "ascii", "latin-1"])
def test_paths_and_errors_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "设置 💭.yaml").write_text("prompt:\n  system: 脚 👀\n", encoding="utf-8")
    done = started(tmp_path, encoding, "check-config", "-c", "设置 💭.yaml")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "The config is good." in done.stdout.decode(encoding)
    missing = started(tmp_path, encoding, "check-config", "-c", "没有 💭.yaml")
    assert missing.returncode == 1
    assert "there is no settings file" in " ".join(missing.stderr.decode(encoding).split())
    info = started(tmp_path, encoding, "model", "info", "./没有 💭")
    assert info.returncode == 1
    assert b"Traceback" not in info.stderr
    assert started(tmp_path, encoding, "dump", "--help").returncode == 0


def test_bytes_that_are_no_text_become_a_mark(tmp_path: Path) -> None:
    done = started(tmp_path, "utf-8", "ask", b"What is \xff\xfe?", "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["question"] == "What is \ufffd\ufffd?"
    for arguments in (("check-config", "-c", b"\xff.yaml"), ("invite", b"\xff"), ("dump", b"\xff", "-o", b"x.\xff"), (b"\xff",)):
        wrong = started(tmp_path, "utf-8", *arguments)
        assert wrong.returncode in {1, 2}
        assert b"Traceback" not in wrong.stderr
        assert "\ufffd" in wrong.stderr.decode()


def test_a_pipe_brings_a_question_of_any_bytes(tmp_path: Path) -> None:
    done = started(tmp_path, "utf-8", "ask", "--json", stdin="脚".encode() + b" \xff\n")
    assert (done.returncode, json.loads(done.stdout)["question"]) == (0, "脚 \ufffd")


def test_each_lone_surrogate_becomes_one_mark() -> None:
    assert whole("a\udcff\ud800 脚 👀") == "a\ufffd\ufffd 脚 👀"
