"""``forwardpass compare``: what it prints, draws and refuses, with the scripted engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bot.cli import cli
from bot.errors import ForwardPassError
from models.fakes.engine import FakeEngine

FOOT, GIRAFFE = "How many eyes does my foot have?", "How many eyes does a giraffe have?"


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeEngine:
    fake = FakeEngine({GIRAFFE: "Two of them."})
    monkeypatch.setattr("bot.cli.terminal.load_engine", lambda _config: fake)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    return fake


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["compare", *arguments])


def test_a_table_and_a_picture(tmp_path: Path, engine: FakeEngine) -> None:
    result = run(FOOT, GIRAFFE, "--plot", "two.png", "--max-new-tokens", "9")
    assert result.exit_code == 0, result.output
    for words in (FOOT, "The answer is 2.", "Two of them.", "final probability", "considered tokens", "5 controls: "):
        assert words in result.stdout
    assert (tmp_path / "two.png").read_bytes().startswith(b"\x89PNG")
    assert [job.question for job in engine.jobs][:2] == [FOOT, GIRAFFE]
    assert {job.sampling.max_new_tokens for job in engine.jobs} == {9}


def test_json_has_every_figure_of_every_answer() -> None:
    result = run(FOOT, GIRAFFE, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert len(found["controls"]) == 5
    by_name = {row["figure"]: row for row in found["differences"]}
    own, other = found["a"]["figures"], found["b"]["figures"]
    rest = [control["figures"]["entropy"] for control in found["controls"]]
    entropy = by_name["entropy"]
    assert (entropy["a"], entropy["b"]) == (own["entropy"], other["entropy"])
    assert entropy["spread"] == max(rest) - min(rest)
    assert entropy["told"] == (abs(own["entropy"] - other["entropy"]) > entropy["spread"])
    assert len(own["probs"]) == len(own["entropies"]) == 12


def test_without_controls_nothing_is_claimed_and_with_ones_own_it_is() -> None:
    assert "nothing is claimed" in run("Why?", "Why not?").stdout
    assert "3 controls: one · two · three" in run("Why?", "Why not?", "--controls", "one; two; three").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((FOOT, " "), "empty"),
        ((FOOT, GIRAFFE, "--controls", "one;two"), "2 control questions"),
        ((FOOT, GIRAFFE, "--plot", "two.pdf"), "no PNG"),
        ((FOOT, GIRAFFE, "--plot", "nowhere/two.png"), "no folder"),
    ],
)
def test_refusals_come_before_the_model(arguments: tuple[str, ...], words: str, engine: FakeEngine) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, ForwardPassError)
    assert words in result.exception.for_user()
    assert engine.jobs == []
