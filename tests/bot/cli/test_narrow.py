"""A terminal of 60 columns: no line is wider, no word and no figure is cut."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from rich.console import Console

import models.running.engine
from bot.cli import cli, lens
from bot.render.eval_table import tables
from bot.render.glyphs import columns
from bot.services.evaluation import FIGURES, Accuracy, Report, Score
from bot.services.scoring import Bin, Interval
from models.fakes.engine import FakeEngine
from models.lenses.affine import Card
from models.loading import wheel
from tests.bot.conftest import Run
from tests.models import tiny

WIDTH = 60
FOOT, GIRAFFE = "How many eyes does my foot have?", "How many eyes does a giraffe have?"


def commands() -> Iterator[tuple[str, ...]]:
    root: Any = typer.main.get_command(cli)
    yield ()
    for name, command in root.commands.items():
        yield (name,)
        yield from ((name, sub) for sub in getattr(command, "commands", ()))


@pytest.fixture
def narrow(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``forwardpass`` with the scripted engine in a narrow terminal; each line is looked at."""
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setenv("FORWARDPASS_MODEL__DEVICE", "cpu")
    monkeypatch.setattr(models.running.engine, "load", lambda *_, **__: FakeEngine({GIRAFFE: "Two of them."}))

    def call(*arguments: str) -> tuple[int, str, str]:
        code, out, err = run(*arguments)
        assert code == 0, err
        fits(out)
        return code, out, err

    return call


def fits(out: str) -> None:
    wide = [line for line in out.splitlines() if columns(line.rstrip()) > WIDTH]
    assert wide == []


def drawn(*shown: Any) -> str:
    console = Console(width=WIDTH, file=io.StringIO(), highlight=False)
    for part in shown:
        console.print(part)
    out = console.file.getvalue()  # type: ignore[attr-defined]
    fits(out)
    return out


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_help(narrow: Run, command: tuple[str, ...]) -> None:
    _, out, _ = narrow(*command, "--help")
    told = out.replace("[ARGS]...", "")
    assert not re.search(r"\.\.\.|…", told)  # neither an option nor a line of the list of commands is cut
    root: Any = typer.main.get_command(cli)
    for name in command:
        root = root.commands[name]
    words = out.split()
    for option in root.params:
        for name in option.opts if option.param_type_name == "option" else ():
            assert name in words or f"{name}," in words, name
    for line in re.sub("[<>]=", "", out).splitlines():
        assert line.count("<") == line.count(">"), line  # nor is a list of choices broken


def test_an_answer_with_its_map_and_its_check(narrow: Run) -> None:
    _, out, _ = narrow("ask", FOOT, "--why")
    lines = [line.rstrip() for line in out.splitlines()]
    assert any(re.fullmatch(r" {6,} 0%  · 5%  ▒ 25%  ▓ 50%  █ 100%", line) for line in lines)
    assert lines[lines.index("     rows: depth 12 (output) down to 0 (embeddings), two a") + 1] == "     row; logit lens"
    bars = [line for line in lines if re.match(r" +\d+ +[+-]\d\.\d\d ", line)]
    assert len(bars) == 12
    assert all(re.search(r"[+-]\d\.\d\d$", line) and "…" not in line for line in bars)


def test_two_questions(narrow: Run) -> None:
    _, out, _ = narrow("compare", FOOT, GIRAFFE)
    assert "…" not in out
    assert re.search(r"^final +99\.\d% +99\.\d% +\d\.\d% +99\.\d%–99\.\d% +\d\.\d%", out, re.M)
    assert "\nprobability" in out


@pytest.mark.parametrize("what", ["lens", "hidden", "attention"])
def test_a_dump(narrow: Run, run: Run, what: str) -> None:
    assert run("dump", FOOT, "--what", what, "-o", "foot.npz")[0] == 0
    _, out, _ = narrow("dump", "--load", "foot.npz")
    assert what in out
    assert "…" not in out
    if what == "lens":
        _, out, _ = narrow("dump", "--load", "foot.npz", "--token", "2")
        assert len([line for line in out.splitlines() if re.search(r"\d\.\d\d +\d\.\d\d$", line)]) == 13
        assert run("dump", FOOT, "--depths", "1,2", "-o", "some.npz")[0] == 0
        assert "…" not in narrow("dump", "--load", "some.npz")[1]


def test_what_a_model_needs(narrow: Run, tmp_path: Path) -> None:
    tiny.save(tmp_path / "tiny-model")
    _, out, _ = narrow("model", "info", str(tmp_path / "tiny-model"))
    assert "inner voice" in out
    assert "…" not in out


def test_a_lens(monkeypatch: pytest.MonkeyPatch) -> None:
    kl = {name: [1234.567] * 3 for name in ("logit", "ridge", "tuned")}
    card = Card(
        kind="tuned",
        model="someone/some-model",
        revision=None,
        architecture="LlamaForCausalLM",
        layers=3,
        width=8,
        dtype="float32",
        fingerprint=(),
        seed=0,
        source="text.txt",
        tokens={"train": 20000, "held_out": 2000},
        held_out_kl=kl,
        chosen=("identity", "ridge", "tuned"),
    )
    out = drawn(lens._table(card))
    assert out.count("1234.567") == 9
    assert "logit lens" in out


def test_an_evaluation() -> None:
    bins = tuple(Bin(b / 5, (b + 1) / 5, 240, 0.5, 1.0) for b in range(5))
    below = Interval(-0.55, -0.65, -0.45)
    scores = tuple(
        Score(
            name,
            figure.label,
            240,
            below,
            below,
            {"trick": 0.1, "twin": 0.2},
            0.3,
            bins,
        )
        for name, figure in FIGURES.items()
    )
    counts = tuple(Accuracy("category_mistake", "en", role, 100, 160) for role in ("trick", "twin"))
    out = drawn(*tables(Report({"name": "SmolLM2-135M-Instruct"}, counts, scores), width=WIDTH))
    assert "…" not in out
    assert out.count("100/160 (62 %)") == 2
    assert out.count("-0.55") == 20
    assert out.count("(240)") == 5 * len(FIGURES)
    words = " ".join(out.split())
    assert all(word in words.split() for figure in FIGURES.values() for word in figure.label.split())


def test_the_help_says_how_large_the_default_model_is(run: Run) -> None:
    assert f"about {wheel.SIZE / 1e6:.0f} MB" in " ".join(run("model", "pull", "--help")[1].split())
