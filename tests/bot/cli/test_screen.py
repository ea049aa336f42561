"""Nothing that a model, a file or a person wrote steers the terminal: not on stdout, not on stderr, not in the log."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from pathlib import Path

import pytest
from rich.console import Group
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

from bot import __main__ as door
from bot.cli import cli, terminal
from bot.cli.dump import show
from bot.cli.screen import Screen
from bot.errors import ForwardPassError
from bot.log import LineFormatter
from bot.render.export import write
from bot.render.text import safe
from models.dump import lens_dump
from models.fakes.engine import FakeEngine
from models.types import Job

ROOT = Path(__file__).parents[3]
HOSTILE = (
    "\x1b]0;x\x07",
    "\x1b[2J",
    "\x9b2J",
    "\u202e",
    "\x1b]8;;http://x\x1b\\",
    "\x7f",
    "\x85",
    "\u2066",
    "\x08",
    "\x00",
    "\U000e0041",
)
OWN = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[[0-9]*[AK]|\r")
"""What rich writes itself: colours, and the cursor of a live display."""
STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")


def is_harmless(out: str) -> bool:
    return not STEERS.search(OWN.sub("", out))


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("colours", [False, True])
def test_whatever_is_printed(text: str, colours: bool) -> None:
    file = io.StringIO()
    screen = Screen(file=file, force_terminal=colours, width=60)
    table = Table("name", f"b{text}")
    table.add_row(Text(f"a{text}"), f"a{text}b")
    screen.print(f"a{text}b", Text(f"a{text}"), table, Panel(Padding(Group(Text(f"a{text}b"), f"c{text}")), title=f"t{text}"))
    with Live(Text(f"a{text}b"), console=screen, transient=True) as live:
        live.update(Text(f"c{text}d"))
    with screen.status(f"a{text}b"):
        pass
    assert is_harmless(file.getvalue())
    assert "a" in file.getvalue()


def test_what_is_harmless_stays() -> None:
    told = "脚 👩‍👩‍👧 ﷺ हिन्दी می‌خواهم\n½\xa0%"
    assert safe(told) == told
    assert safe("\x1b[2J\x9b\u202e") == "␛[2J⟨U+009B⟩⟨U+202E⟩"


def test_a_panel_keeps_its_edges_around_what_is_named() -> None:
    file = io.StringIO()
    Screen(file=file, width=40).print(Panel(Text("a\u202eb")))
    top, body, end = file.getvalue().splitlines()
    assert "⟨U+202E⟩" in body
    assert len(top) == len(body) == len(end) == 40


def test_only_this_door_is_used() -> None:
    for path in [ROOT / "bot" / "__main__.py", *(ROOT / "bot" / "cli").glob("*.py")]:
        if path.name != "screen.py":
            assert not re.search(r"\bConsole\(", path.read_text(encoding="utf-8")), path.name


def answer() -> str:
    return "two " + " ".join(HOSTILE) + " eyes"


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeEngine:
    engine = FakeEngine({"How many?": answer()})
    monkeypatch.setattr(terminal, "load_engine", lambda _config: engine)
    monkeypatch.chdir(tmp_path)
    return engine


@pytest.mark.parametrize("options", [["--why", "--watch", "\x1b[2J,\u202e"], ["--json"], []])
def test_an_answer(hostile: FakeEngine, options: list[str]) -> None:
    done = CliRunner().invoke(cli, ["ask", "How many?", *options])
    assert done.exit_code == 0, done.output
    assert is_harmless(done.output)
    if options == ["--json"]:
        assert json.loads(done.stdout)["answer"] == answer()


def test_a_chat(hostile: FakeEngine) -> None:
    done = CliRunner().invoke(cli, ["chat"], input="How many?\n\n")
    assert done.exit_code == 0, done.output
    assert is_harmless(done.output)


def test_the_fields_of_a_dump(hostile: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = hostile.answer(Job("How many?"))
    dump = lens_dump(hostile.trace(said, k=3))
    dump.meta.update(
        name=answer(), revision="\x1b[2J", dtype="\x9b", lens="\u202e", sampler={"temperature": "\x1b[2J"}, seed="\x07"
    )  # type: ignore[attr-defined]
    write(dump, "json", tmp_path / "dump.json", created="2026-11-28T00:00:00Z")
    show(tmp_path / "dump.json")
    show(tmp_path / "dump.json", 1)
    out = capsys.readouterr().out
    assert is_harmless(out)
    assert "⟨U+202E⟩" in out


@pytest.mark.parametrize("text", HOSTILE)
def test_errors(text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ForwardPassError(f"There is no `{text}` [/red] [bold]\\[x].", hint=f"Try {text}\\[/]")

    monkeypatch.setattr("bot.cli.cli", fail)
    monkeypatch.setattr(sys, "argv", ["forwardpass"])
    with pytest.raises(SystemExit):
        door.main()
    err = capsys.readouterr().err
    assert is_harmless(err)
    assert "[/red] [bold]\\[x]." in err


def test_log_lines() -> None:
    record = logging.LogRecord("bot", logging.WARNING, __file__, 1, "the model %s", (answer(),), None)
    assert is_harmless(LineFormatter().format(record))
