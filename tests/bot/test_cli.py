"""The command line, as a person meets it: what it prints, and one sentence with exit code 1 for whatever is wrong."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import discord
import pytest

import models.running.engine
from bot.client import PERMISSIONS
from bot.errors import OutOfMemoryError, TraceMismatchError
from bot.services.monologue import tell, verify
from models.fakes.engine import FakeEngine
from models.trace import Trace
from tests.bot.conftest import Run

FOOT = "How many eyes does my foot have?"
ANSWER = "The answer is 2."
# Fields of DESIGN: what a trace says of each answer token at each depth.
TRACE_FIELDS = {
    "prompt_ids", "answer_ids", "tokens", "top_ids", "top_probs", "emitted_prob", "emitted_rank", "entropy", "kl_to_final",
    "sampled_prob", "meta",
}  # fmt: skip


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """In place of the transformers engine."""
    fake = FakeEngine({"And now?": "It is still 2."})
    monkeypatch.setattr(models.running.engine, "load", lambda *_, **__: fake)
    return fake


def refused(result: tuple[int, str, str], *words: str) -> None:
    """Exit code 1, a sentence on stderr, nothing on stdout, and never a traceback."""
    code, out, err = result
    assert code == 1, err
    assert out == ""
    assert err.lstrip().startswith("✗")
    assert "Traceback" not in err
    for word in words:
        assert word in " ".join(err.split())


def test_ask_prints_the_answer_the_inner_voice_and_a_map(run: Run, engine: FakeEngine) -> None:
    code, out, _ = run("ask", FOOT)
    assert code == 0
    assert out.startswith(ANSWER)
    assert "Scripted · 6 tokens · " in out
    assert "nner voice" in out
    assert engine.jobs[-1].question == FOOT


def test_ask_json_is_one_object_with_everything(run: Run, engine: FakeEngine) -> None:
    code, out, err = run("ask", FOOT, "--json")
    assert code == 0
    assert err == ""
    shown = json.loads(out)
    assert out.count("\n") == 1
    assert (shown["answer"], shown["question"], shown["style"], shown["finish"]) == (ANSWER, FOOT, "chat", "stop")
    assert shown["trace"].keys() >= TRACE_FIELDS
    length, depths = len(shown["trace"]["answer_ids"]), 12 + 1
    for name in ("emitted_prob", "emitted_rank", "entropy", "kl_to_final"):
        assert [len(row) for row in shown["trace"][name]] == [depths] * length
    assert shown["timings"].keys() == {
        "load_seconds", "answer_pass_seconds", "seconds_to_first_token", "tokens_per_second", "second_pass_seconds",
    }  # fmt: skip
    assert shown["monologue"]
    assert all(line["text"] and "facts" in line for line in shown["monologue"])
    assert any(line["facts"] for line in shown["monologue"])
    assert 0 < shown["mean_token_probability"] <= 1


def test_the_lines_of_the_json_are_those_that_hold(run: Run, engine: FakeEngine) -> None:
    shown = json.loads(run("ask", FOOT, "--json")[1])
    answer = engine.answer(engine.jobs[-1])
    trace = engine.trace(answer)
    assert isinstance(trace, Trace)
    trace = replace(trace, findings=engine.findings(answer, trace, question=FOOT))
    assert [line["text"] for line in shown["monologue"]] == [line.text for line in verify(tell(trace), trace)]


def test_greedy_twice_is_the_same_but_for_the_times(run: Run, engine: FakeEngine) -> None:
    first, second = (json.loads(run("ask", FOOT, "--json")[1]) for _ in range(2))
    assert {**first, "timings": 0} == {**second, "timings": 0}


def test_the_options_reach_the_model(run: Run, engine: FakeEngine) -> None:
    options = ("--style", "story", "--temperature", "0.5", "--seed", "7", "--max-new-tokens", "3")
    shown = json.loads(run("ask", FOOT, "--json", *options)[1])
    job = engine.jobs[-1]
    assert (job.style, job.sampling.temperature, job.sampling.seed, job.sampling.max_new_tokens) == ("story", 0.5, 7, 3)
    assert shown["finish"] == "length"


@pytest.mark.parametrize("question", ["[bold]x[/] :smile: \\", "脚 👀 \u202e", "--why", "a\nb", "x" * 3000])
def test_whatever_is_asked_is_printed_as_it_is(run: Run, engine: FakeEngine, question: str) -> None:
    assert run("ask", "--json", "--", question)[0] == 0
    assert run("ask", "--", question)[0] == 0
    assert engine.jobs[-1].question == question


def test_an_answer_in_markup_is_printed_as_it_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.running.engine, "load", lambda *_, **__: FakeEngine({"x": "[red]2[/red] [/] :smile:"}))
    assert run("ask", "x")[1].startswith("[red]2[/red] [/] :smile:")


@pytest.mark.parametrize("nothing", ["", "  \n"])
@pytest.mark.parametrize("how", [(), ("--json",)])
def test_an_empty_question(run: Run, engine: FakeEngine, nothing: str, how: tuple[str, ...]) -> None:
    refused(run("ask", nothing, *how), "no question", "forwardpass ask")
    assert engine.jobs == []


def test_a_question_that_is_too_long(run: Run, engine: FakeEngine) -> None:
    refused(run("ask", "why " * 3000, "--json"), "tokens")


def test_out_of_memory(run: Run, engine: FakeEngine) -> None:
    engine.answer_error = OutOfMemoryError("The device ran out of memory.")
    refused(run("ask", FOOT), "ran out of memory", "Ask something shorter")


def test_an_answer_without_an_inner_voice_still_stands(run: Run, engine: FakeEngine) -> None:
    engine.trace_error = TraceMismatchError("The second pass does not agree with the answer pass.")
    code, out, _ = run("ask", FOOT)
    assert (code, ANSWER in out, "does not agree" in out) == (0, True, True)
    shown = json.loads(run("ask", FOOT, "--json")[1])
    assert (shown["answer"], shown["trace"], shown["monologue"]) == (ANSWER, None, [])
    assert "does not agree" in shown["no_inner_voice"]


def test_chat_goes_on_until_an_empty_line(run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{FOOT}\nAnd now?\n\nnever read\n"))
    code, out, _ = run("chat", "--style", "chat")
    assert code == 0
    assert out.index(ANSWER) < out.index("It is still 2.")
    assert [job.question for job in engine.jobs] == [FOOT, "And now?"]
    assert [turn.text for turn in engine.jobs[-1].history] == [FOOT, ANSWER]


def test_chat_survives_an_error_and_ends_with_the_input(run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("why " * 3000 + f"\n{FOOT}\n"))
    code, out, _ = run("chat")
    assert code == 0
    assert "✗ The question has" in out
    assert ANSWER in out
    assert engine.jobs[-1].history == ()


def test_ctrl_c_is_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(models.running.engine, "load", interrupted)
    code, _, err = run("ask", FOOT)
    assert (code, "Traceback" in err) == (130, False)


def test_an_unknown_key_in_the_config(run: Run) -> None:
    Path("config.yaml").write_text("model:\n  identity: x\n", encoding="utf-8")
    for command in (("check-config",), ("ask", FOOT), ("run",), ("chat",), ("model", "path")):
        refused(run(*command), "model.identity")


def test_a_config_that_does_not_exist_and_one_that_is_no_yaml(run: Run, tmp_path: Path) -> None:
    refused(run("check-config", "--config", "nowhere.yaml"), "nowhere.yaml")
    Path("broken.yaml").write_text("model: [", encoding="utf-8")
    refused(run("check-config", "-c", "broken.yaml"), "broken.yaml")


def test_check_config_shows_the_settings_but_no_secret(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDPASS_STORAGE__URL", "postgresql+asyncpg://me:hunter2@db/bot")
    monkeypatch.setenv("FORWARDPASS_TOKEN", "a.token.indeed")
    code, out, _ = run("check-config")
    assert code == 0
    assert "The config is good" in out
    assert "temperature: 0.0" in out
    assert "hunter2" not in out
    assert "a.token.indeed" not in out


def test_check_config_says_where_the_settings_come_from(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORWARDPASS_STORAGE__URL")
    out = run("check-config")[1]
    assert "I found no config file, so the defaults apply." in out
    assert "environment" not in out
    Path("config.yaml").write_text("sampling:\n  temperature: 0.5\n", encoding="utf-8")
    monkeypatch.setenv("FORWARDPASS_SAMPLING__TEMPERATURE", "0.75")
    out = run("check-config")[1]
    assert f"I read it from {tmp_path / 'config.yaml'}." in out
    assert "These environment variables override it: FORWARDPASS_SAMPLING__TEMPERATURE." in out
    assert "temperature: 0.75" in out
    Path("other.yaml").write_text("", encoding="utf-8")
    assert f"I read it from {tmp_path / 'other.yaml'}." in run("check-config", "-c", "other.yaml")[1]
    monkeypatch.setenv("FORWARDPASS_CONFIG", "other.yaml")
    assert f"I read it from {tmp_path / 'other.yaml'}, which FORWARDPASS_CONFIG names." in run("check-config")[1]


def test_the_version(run: Run) -> None:
    assert run("--version") == (0, f"forwardpass {metadata.version('forward-pass')}\n", "")


@pytest.mark.parametrize("how", [(), ("-",)])
def test_a_question_from_a_pipe(run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, how: tuple[str, ...]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"\ufeff {FOOT}\nIt has ten toes.\n"))
    code, out, err = run("ask", *how, "--json")
    assert (code, json.loads(out)["question"]) == (0, f"{FOOT}\nIt has ten toes."), err


def test_an_argument_goes_before_the_pipe(run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("never read"))
    assert run("ask", FOOT)[0] == 0
    assert engine.jobs[-1].question == FOOT


@pytest.mark.parametrize("how", [(), ("-",)])
@pytest.mark.parametrize("stdin", [None, io.StringIO(" \n")])
def test_a_pipe_without_a_question(
    run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, how: tuple[str, ...], stdin: io.StringIO | None
) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    refused(run("ask", *how), "no question", "Write it in quotes", "through a pipe")
    assert engine.jobs == []


def test_nobody_waits_at_a_keyboard_for_a_question(run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Keyboard(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Keyboard("never read"))
    refused(run("ask"), "no question")


def test_without_a_token(run: Run) -> None:
    refused(run("run"), "no bot token", "FORWARDPASS_TOKEN")


def test_a_model_that_was_not_pulled(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDPASS_MODEL__CACHE_DIR", str(tmp_path / "empty"))
    monkeypatch.setenv("FORWARDPASS_TOKEN", "a.token.indeed")
    for command in (("ask", FOOT), ("ask", FOOT, "--json"), ("chat",), ("model", "path"), ("run",)):
        refused(run(*command), "forwardpass model pull")


def test_a_model_that_does_not_exist(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDPASS_MODEL__ID", str(tmp_path / "no-such-folder"))
    refused(run("ask", FOOT), "model.id")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (discord.LoginFailure("Improper token has been passed."), ("refuses the bot token", "Reset Token")),
        (discord.PrivilegedIntentsRequired(None), ("Message Content intent", "discord.message_content: false")),
        (aiohttp.ClientConnectionError("no route"), ("cannot be reached", "network")),
        (TimeoutError(), ("cannot be reached", "network")),
    ],
)
def test_discord_does_not_let_it_in(
    run: Run, monkeypatch: pytest.MonkeyPatch, engine: FakeEngine, error: Exception, words: tuple[str, ...]
) -> None:
    async def start(*_: Any, **__: Any) -> None:
        await asyncio.sleep(0)
        raise error

    monkeypatch.setenv("FORWARDPASS_TOKEN", "a.token.indeed")
    monkeypatch.setenv("FORWARDPASS_MODEL__ID", "another/model")
    monkeypatch.setattr(discord.Client, "start", start)
    code, out, err = run("run")
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    assert "a.token.indeed" not in err
    told = " ".join(err[err.index("✗") :].split())
    assert all(word in told for word in words)


def test_invite_asks_for_what_it_needs_and_no_more(run: Run) -> None:
    code, out, _ = run("invite", "123456789012345678")
    assert code == 0
    query = parse_qs(urlsplit(out.strip()).query)
    assert query["client_id"] == ["123456789012345678"]
    assert set(query["scope"][0].split()) == {"bot", "applications.commands"}
    asked = {name for name, given in discord.Permissions(int(query["permissions"][0])) if given}
    assert asked == {name for name, given in PERMISSIONS if given}
    assert asked & {"administrator", "manage_messages", "manage_threads", "mention_everyone"} == set()


@pytest.mark.parametrize("what", ["x", "12", "1" * 21, "١" * 18, "123456789012345678x", "https://discord.com"])
def test_invite_refuses_what_is_no_application_id(run: Run, what: str) -> None:
    refused(run("invite", what), "no application id", "https://discord.com/developers/applications", "General Information")


@pytest.mark.parametrize("arguments", [("invite",), ("compare", "x"), ("ask", "x", "--style", "poem"), ("nothing",)])
def test_a_wrong_call_says_how_it_is_called(run: Run, arguments: tuple[str, ...]) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert "Usage:" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "command",
    [(), ("ask",), ("chat",), ("run",), ("demo",), ("model", "pull"), ("model", "info"), ("check-config",), ("invite",)],
)
def test_each_command_has_help(run: Run, command: tuple[str, ...]) -> None:
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert "Usage: " in out
    assert command == () or f" {' '.join(command)} " in out


def test_it_starts_as_a_module_and_speaks_on_stderr() -> None:
    command = [sys.executable, "-m", "bot", "check-config", "--config", "nowhere.yaml"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert (result.returncode, result.stdout) == (1, "")
    assert "nowhere.yaml" in result.stderr
    assert "Traceback" not in result.stderr


def test_why_and_watch(run: Run, engine: FakeEngine) -> None:
    code, out, _ = run("ask", "x", "--why", "--watch", "one, two")
    assert code == 0
    assert "Without each block" in out
    found = json.loads(run("ask", "x", "--json", "--why", "--watch", "one, two")[1])["trace"]["findings"]
    assert found["watched"]["words"] == ["one", "two"]
    assert len(found["causal"]["removals"][0]["logprob"]) == 12
    assert "seconds" not in found["causal"]
