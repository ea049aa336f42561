"""``forwardpass dump``: the file that Discord would give, sentences for what is wrong, and files shown again."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import models.errors
import models.running.engine
from bot.app import open_app
from bot.config import Config
from bot.render.export import FORMATS, load
from bot.services.dumps import DumpService
from models.fakes.engine import FakeEngine
from models.running.engine import from_model
from models.types import Sampling
from tests.bot.conftest import Run
from tests.bot.services.rig import Heard, request
from tests.bot.test_cli import refused
from tests.models import tiny

FOOT = "How many eyes does my foot have?"
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """In place of the transformers engine."""
    fake = FakeEngine()
    monkeypatch.setattr(models.running.engine, "load", lambda *_, **__: fake)
    return fake


@pytest.mark.parametrize("what", ["lens", "hidden", "attention"])
@pytest.mark.parametrize("form", FORMATS)
def test_each_kind_in_each_format(run: Run, engine: FakeEngine, tmp_path: Path, what: str, form: str) -> None:
    if form == "html" and what != "lens":
        refused(run("dump", FOOT, "--what", what, "-o", "x.html"), "page")
        assert not (tmp_path / "x.html").exists()
        return
    code, out, _ = run("dump", FOOT, "--what", what, "-o", f"foot.{form}")
    assert code == 0
    file = tmp_path / f"foot.{form}"
    assert out.startswith(f"foot.{form}  {what}")
    assert f"{form}, " in out
    assert hashlib.sha256(file.read_bytes()).hexdigest() in out
    if form != "html":
        assert load(file).what == what
    assert [f.name for f in tmp_path.iterdir()] == [file.name]  # no database, nothing half done


@pytest.mark.parametrize("what", ["lens", "hidden", "attention"])
def test_the_same_bytes_as_in_discord(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: Any) -> None:
    """A real engine, with other people answered before; the clock stands still, and so nothing differs."""
    monkeypatch.setattr("bot.app.DumpService", partial(DumpService, now=lambda: NOON))
    monkeypatch.setattr(models.running.engine, "load", lambda *_, **__: from_model(tiny.model("llama"), tiny.tokenizer()))
    config = Config.model_validate(
        {"storage": {"url": f"sqlite+aiosqlite:///{tmp_path / 'discord.sqlite3'}"}, "sampling": {"max_new_tokens": 6, "seed": 3}}
    )

    async def in_discord() -> dict[str, bytes]:
        async with open_app(config) as app:
            await app.model.start()
            await app.asks.ask(request("Something else?", user=2), Heard())
            sampled = Sampling(temperature=1.0, seed=3, max_new_tokens=6)
            answered = await app.asks.ask(request(FOOT, user=1, sampling=sampled, guild_id=5, locale="zh-CN"), Heard())
            await app.voices.of(answered.run.id)
            return {
                form: (await app.dumps.of(answered.run.id, what, form)).data
                for form in FORMATS
                if what == "lens" or form != "html"
            }

    expected = asyncio.run(in_discord())
    for form, data in expected.items():
        options = ("--temperature", "1.0", "--seed", "3", "--max-new-tokens", "6")
        assert run("dump", FOOT, "--what", what, "-o", f"foot.{form}", *options)[0] == 0
        assert (tmp_path / f"foot.{form}").read_bytes() == data, form


def test_of_a_stored_run(run: Run, engine: FakeEngine, tmp_path: Path) -> None:
    config = Config.model_validate({"storage": {"url": f"sqlite+aiosqlite:///{tmp_path / 'runs.sqlite3'}"}})

    async def asked() -> str:
        async with open_app(config, engine_factory=lambda: engine) as app:
            await app.model.start()
            return str((await app.asks.ask(request(FOOT), Heard())).run.id)

    run_id = asyncio.run(asked())
    assert run("dump", "--run", run_id, "--what", "hidden", "-o", "run.npz")[0] == 0
    assert run("dump", FOOT, "--what", "hidden", "-o", "foot.npz")[0] == 0
    assert np.array_equal(load(tmp_path / "run.npz").arrays["hidden"], load(tmp_path / "foot.npz").arrays["hidden"])
    refused(run("dump", "--run", "nobody", "-o", "x.json"), "Ask the question again")


def test_choices_and_options_reach_the_dump(run: Run, engine: FakeEngine, tmp_path: Path) -> None:
    options = ("--style", "story", "--seed", "7", "--temperature", "0.5", "--max-new-tokens", "3")
    assert run("dump", FOOT, "-o", "x", "--format", "json", "--positions", "9-10", "--depths", "0,12", *options)[0] == 0
    shown = json.loads((tmp_path / "x").read_text())
    assert (shown["positions"], shown["depths"]) == ([9, 10], [0, 12])
    assert (shown["meta"]["style"], shown["meta"]["seed"], shown["meta"]["sampler"]["temperature"]) == ("story", 7, 0.5)
    assert len(shown["answer_ids"]) == 3
    assert engine.jobs[-1].sampling.max_new_tokens == 3


def test_an_unknown_ending_is_refused_before_the_model_and_taken_with_a_format(run: Run, engine: FakeEngine) -> None:
    refused(run("dump", FOOT, "-o", "x.xyz"), "no format")
    assert engine.jobs == []
    assert run("dump", FOOT, "-o", "x.xyz", "--format", "json")[0] == 0
    assert run("dump", FOOT, "-o", "foot")[0] == 0
    assert json.loads(Path("x.xyz").read_text())["answer_ids"] == json.loads(Path("foot").read_text())["answer_ids"]


@pytest.mark.parametrize("how", [(), ("-",)])
def test_a_question_from_a_pipe(run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, how: tuple[str, ...]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{FOOT}\n"))
    assert run("dump", *how, "-o", "foot.json")[0] == 0
    assert engine.jobs[-1].question == FOOT
    refused(run("dump", *how, "-o", "more.json"), "a question, or --run, or --load")  # the pipe is empty now


def test_to_the_standard_output(run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Out(io.TextIOWrapper):
        pass

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", Out(raw, encoding="utf-8", write_through=True))
    code, _, err = run("dump", FOOT, "-o", "-", "--format", "csv")
    assert code == 0
    assert raw.getvalue().startswith(b"array,")
    assert "sha256" in err


def test_a_file_that_is_there_stays(run: Run, engine: FakeEngine, tmp_path: Path) -> None:
    (tmp_path / "foot.json").write_text("mine")
    refused(run("dump", FOOT, "-o", "foot.json"), "there already", "--force")
    assert (tmp_path / "foot.json").read_text() == "mine"
    assert engine.jobs == []
    assert run("dump", FOOT, "-o", "foot.json", "--force")[0] == 0
    assert load(tmp_path / "foot.json").what == "lens"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "a question, or --run, or --load"),
        ((FOOT, "--load", "x"), "one of them"),
        ((FOOT,), "-o FILE"),
        (("  ", "-o", "x.json"), "no question"),
        ((FOOT, "-o", "none/x.json"), "folder"),
        ((FOOT, "-o", "."), "cannot be written"),
        ((FOOT, "-o", "x.xyz"), ".xyz, which is no format of a dump. Use one of these endings: .json, .csv, .npz"),
        ((FOOT, "-o", "x.gz"), "no format"),
        ((FOOT, "-o", "x.npz", "--format", "json"), "ends in .npz, and --format says json"),
        ((FOOT, "-o", "x.json.gz", "--format", "json"), "ends in .json.gz"),
        ((FOOT, "-o", "x.json", "--positions", "9-"), "3-7,9"),
        ((FOOT, "-o", "x.json", "--positions", "0"), "from 8 to 13"),
        ((FOOT, "-o", "x.json", "--what", "hidden", "--positions", "99"), "from 0 to 13"),
        ((FOOT, "-o", "x.json", "--depths", "13"), "from 0 to 12"),
        ((FOOT, "-o", "x.html", "--depths", "1"), "every depth"),
        ((FOOT, "-o", "x.json", "--lens", "tuned"), "lens"),
        (("--load", "none.json"), "cannot be read"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_a_sentence(
    run: Run, engine: FakeEngine, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    refused(run("dump", *arguments), words)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_model_leaves_nothing(run: Run, engine: FakeEngine, tmp_path: Path) -> None:
    engine.trace_error = models.errors.OutOfMemoryError("The device ran out of memory.")
    refused(run("dump", FOOT, "-o", "foot.json"), "out of memory")
    assert list(tmp_path.iterdir()) == []


def test_a_dump_is_shown_again(run: Run, engine: FakeEngine) -> None:
    for form in ("json", "csv", "npz", "safetensors"):
        run("dump", FOOT, "-o", f"foot.{form}")
        code, out, err = run("dump", "--load", f"foot.{form}")
        assert (code, err) == (0, "")
        assert "lens (logit) · fake float32 · 8 + 6 tokens · 6 positions, 13 of 13 depths · temperature 0.0, seed 0" in out
        assert "The answer is 2." in out
        assert "inner voice" in out
        assert "probability of the emitted token" in out
        assert "\x1b" not in out  # plain text when piped


def test_a_terminal_sees_what_was_written(run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = run("dump", FOOT, "-o", "foot.json")[1]
    assert "sha256" in out
    assert "inner voice" in out
    assert "\x1b[" in out
    assert "▀" in out
    assert "inner voice" not in run("dump", FOOT, "--what", "hidden", "-o", "foot.npz")[1]
    assert "▀" in run("dump", "--load", "foot.json")[1]


def test_what_is_told_is_told_of_a_whole_answer(run: Run, engine: FakeEngine) -> None:
    run("dump", FOOT, "-o", "some.json", "--positions", "9-11")
    out = run("dump", "--load", "some.json")[1]
    assert "3 positions, 13 of 13 depths" in out
    assert "inner voice" not in out
    assert "probability of the emitted token" in out


def test_one_token_of_a_file_is_shown_depth_by_depth(run: Run, engine: FakeEngine) -> None:
    run("dump", FOOT, "-o", "foot.json")
    trace = load(Path("foot.json")).trace
    assert trace is not None
    code, out, _ = run("dump", "--load", "foot.json", "--token", "2")
    assert code == 0
    assert f"token 2, “{trace.tokens[1].strip()}”" in out
    rows = out.split("\n\n")[1].splitlines()
    assert [int(row.split()[0]) for row in rows[1:]] == list(range(trace.depths, -1, -1))
    run("dump", FOOT, "-o", "some.json", "--positions", "9-11")  # the second to the fourth token after eight of the prompt
    assert run("dump", "--load", "some.json", "--token", "2")[1].split("\n\n")[1].splitlines() == rows


def test_a_token_that_a_file_does_not_hold(run: Run, engine: FakeEngine) -> None:
    run("dump", FOOT, "-o", "foot.json")
    refused(run("dump", "--load", "foot.json", "--token", "7"), "It holds 1 to 6")
    run("dump", FOOT, "-o", "some.json", "--positions", "9,11")
    refused(run("dump", "--load", "some.json", "--token", "3"), "It holds 2, 4")
    run("dump", FOOT, "-o", "cut.json", "--depths", "3-5")
    refused(run("dump", "--load", "cut.json", "--token", "1"), "without --depths")
    run("dump", FOOT, "--what", "hidden", "-o", "foot.npz")
    refused(run("dump", "--load", "foot.npz", "--token", "1"), "--what lens")
    refused(run("dump", FOOT, "-o", "new.json", "--token", "1"), "Add --load FILE")
    assert not Path("new.json").exists()


def test_a_file_does_not_steer_the_terminal(run: Run, engine: FakeEngine, tmp_path: Path) -> None:
    run("dump", FOOT, "-o", "foot.json")
    shown = json.loads((tmp_path / "foot.json").read_text())
    shown["tokens"][1] = "\x1b[31m\x07\u202e👩‍👩‍👧"
    shown["meta"]["name"] = "\x1b]0;title\x07"
    shown["meta"]["sampler"] = []
    (tmp_path / "foot.json").write_text(json.dumps(shown))
    code, out, _ = run("dump", "--load", "foot.json")
    assert code == 0
    assert not {"\x1b", "\x07", "\u202e"} & set(out)
    assert "👩‍👩‍👧" in out
    shown["meta"]["layers"] = "many"
    (tmp_path / "foot.json").write_text(json.dumps(shown))
    refused(run("dump", "--load", "foot.json"), "no dump from Forward Pass")


def test_nothing_is_told_from_dispositions(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.running.engine, "load", lambda *_, **__: FakeEngine(lenses=("logit", "jacobian")))
    assert run("dump", FOOT, "-o", "x.json", "--lens", "jacobian")[0] == 0
    out = run("dump", "--load", "x.json")[1]
    assert "disposed to say" in out
    assert "two a row; jacobian lens" in out
    assert "inner voice" not in out
    out = run("dump", "--load", "x.json", "--token", "2")[1]
    assert "disposed to say" in out
    assert "token 2, " in out


@pytest.mark.parametrize("more", [("--what", "hidden"), ("--what", "attention"), ("--depths", "1,2")])
def test_arrays_are_listed(run: Run, engine: FakeEngine, more: tuple[str, ...]) -> None:
    run("dump", FOOT, "-o", "x.npz", *more)
    out = run("dump", "--load", "x.npz")[1]
    assert "float32" in out
    assert ("depth × position × channel" in out) == ("hidden" in more)
