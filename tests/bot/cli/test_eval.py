"""``forwardpass eval``: what it prints, keeps, goes on from and refuses, with the scripted engine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bot.cli import cli, evaluate
from bot.errors import ForwardPassError
from bot.services import scoring
from bot.services.bank import load_bank
from bot.services.evaluation import FIGURES, items
from models.fakes.engine import FakeEngine

SCRIPT = {entry.twin.question: entry.twin.accept[0] for entry in load_bank()}


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeEngine:
    fake = FakeEngine(SCRIPT)
    monkeypatch.setattr(evaluate, "_load", lambda _config, _wishes: fake)
    monkeypatch.setattr(scoring, "REPLICATES", 40)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")
    return fake


def run(*options: str) -> Result:
    return CliRunner().invoke(cli, ["eval", *options])


def test_tables_and_a_picture(tmp_path: Path) -> None:
    result = run("--limit", "10", "--samples", "1", "--plot", "eval.png")
    assert result.exit_code == 0, result.output
    for words in ("Right answers", "riddle", "P(True)", "answer probability (baseline)", "Reliability", "AUROC"):
        assert words in result.stdout
    assert "plain answer probability" in result.stdout
    assert (tmp_path / "eval.png").read_bytes().startswith(b"\x89PNG")


def test_json_has_every_figure_and_counts_right() -> None:
    result = run("--limit", "5", "--samples", "2", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [score["name"] for score in found["scores"]] == list(FIGURES)
    twins = [a for a in found["accuracies"] if a["role"] == "twin" and a["kind"] == "all"]
    assert [(a["right"], a["count"]) for a in twins] == [(5, 5)]
    agreement = found["scores"][-1]
    assert agreement["count"] == 10
    assert agreement["bins"][-1]["confidence"] == 1.0  # it says the same each time


def test_a_run_goes_on_where_it_ended(engine: FakeEngine, tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    first = run("--limit", "4", "--samples", "0", "--json", "--output", "kept.jsonl")
    assert first.exit_code == 0, first.output
    assert len(engine.jobs) == 8
    whole = kept.read_text(encoding="utf-8")
    lines = whole.splitlines(keepends=True)
    kept.write_text("".join(lines[:4]) + lines[4][:20], encoding="utf-8")  # killed while it wrote
    again = run("--limit", "4", "--samples", "0", "--json", "--output", "kept.jsonl")
    assert len(engine.jobs) == 8 + 5
    assert again.stdout == first.stdout
    assert kept.read_text(encoding="utf-8") == whole
    run("--limit", "4", "--samples", "0", "--output", "kept.jsonl")
    assert len(engine.jobs) == 8 + 5


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    assert run("--limit", "1", "--samples", "0", "--output", "kept.jsonl").exit_code == 0
    other = run("--limit", "1", "--samples", "1", "--output", "kept.jsonl")
    assert isinstance(other.exception, ForwardPassError)
    assert "samples 0, now 1" in other.exception.message
    (tmp_path / "letter.txt").write_text("Dear model,\n", encoding="utf-8")
    letter = run("--limit", "1", "--output", "letter.txt")
    assert isinstance(letter.exception, ForwardPassError)
    assert "holds no evaluation" in letter.exception.message
    assert (tmp_path / "letter.txt").read_text(encoding="utf-8") == "Dear model,\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--plot", "figure.doc"], "no picture"),
        (["--plot", "nowhere/a.png"], "no folder"),
        (["--output", "no/a.jsonl"], "written"),
    ],
)
def test_what_cannot_be_written_is_said_in_words(options: list[str], words: str) -> None:
    result = run("--limit", "1", "--samples", "0", *options)
    assert isinstance(result.exception, ForwardPassError)
    assert words in result.exception.message


def test_languages_and_kinds_can_be_chosen() -> None:
    bank = load_bank()
    assert {item.lang for item in items(bank, langs=("en", "zh"))} == {"en", "zh"}
    assert {item.kind for item in items(bank, kind="riddle")} == {"riddle"}
    assert len({item.kind for item in items(bank, limit=5)}) == 5
    assert len(items(bank)) == 2 * len(bank)
    result = run("--lang", "zh", "--kind", "riddle", "--limit", "2", "--samples", "0")
    assert result.exit_code == 0, result.output
    assert "zh" in result.stdout


def test_the_lens_of_the_config_is_read_and_runs_of_two_lenses_are_not_mixed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = FakeEngine(SCRIPT, lenses=("logit", "tuned", "jacobian"))
    monkeypatch.setattr(evaluate, "_load", lambda _config, _wishes: fake)
    found = {}
    for kind in ("logit", "tuned"):
        monkeypatch.setenv("FORWARDPASS_LENS__KIND", kind)
        result = run("--limit", "5", "--samples", "0", "--json", "--output", f"{kind}.jsonl")
        assert result.exit_code == 0, result.output
        found[kind] = {s["name"]: s["auroc"] for s in json.loads(result.stdout)["scores"]}
        assert json.loads((tmp_path / f"{kind}.jsonl").read_text(encoding="utf-8").splitlines()[0])["lens"] == kind
    assert found["logit"]["p_true"] == found["tuned"]["p_true"]
    rows = {k: (tmp_path / f"{k}.jsonl").read_text(encoding="utf-8").splitlines()[1:] for k in found}
    assert rows["logit"] != rows["tuned"]
    refused = run("--limit", "5", "--samples", "0", "--output", "logit.jsonl")
    assert isinstance(refused.exception, ForwardPassError)
    assert "lens 'logit', now 'tuned'" in str(refused.exception)


LINE = {
    "key": "a", "entry": "a", "kind": "count", "lang": "en", "role": "trick", "right": True, "answer": "2", "finish": "eos",
    "tokens": 3, "figures": {"perplexity": 1.5},
}  # fmt: skip


@pytest.mark.parametrize("key", ["tokens", "right", "kind", "role", "figures", "answer", "key"])
@pytest.mark.parametrize("value", [None, [], {"perplexity": "x"}, {"perplexity": float("inf")}, 10**40, -1, 1.5, [[]]])
def test_a_line_of_another_type_is_refused(key: str, value: object) -> None:
    assert evaluate._record(LINE | {"kind": load_bank()[0].kind})
    with pytest.raises(ValueError, match=r"^it holds"):
        evaluate._record(LINE | {"kind": load_bank()[0].kind, key: value})


@pytest.mark.parametrize("row", ["[" * 100_000, "null", "5", "[]", '{"key": 5}', '{"a":' * 5000, '"' + "x" * 99])
def test_a_line_of_another_form_is_refused(row: str, tmp_path: Path) -> None:
    for kept in (row, f'{{"schema": 1}}\n{row}\n'):
        (tmp_path / "kept.jsonl").write_text(kept + "\n", encoding="utf-8")
        found = run("--limit", "1", "--output", "kept.jsonl")
        assert isinstance(found.exception, ForwardPassError)
        assert re.search(r"holds (no|another) evaluation", found.exception.message)
