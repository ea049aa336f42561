"""Asked again in the background: how often the model says the same, kept with the run's trace."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.errors import RunExpiredError
from bot.services import voice as voice_module
from models.types import Answer, Job
from tests.bot.services.rig import ANSWER, FOOT, Engine, rigged, until

WORDS = (ANSWER, "It is 2, I think.", "None at all.", "3")


class Moody(Engine):
    """Says the answer first, and then something else at each seed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(script={f"say {n}": text for n, text in enumerate(WORDS)}, **options)
        self.asked: list[Job] = []

    def answer(self, job: Job, **options: Any) -> Answer:
        self.asked.append(job)
        if job.sampling.temperature == 0:
            return super().answer(job, **options)
        spoken = Job(f"say {job.sampling.seed or 0}", sampling=job.sampling)
        said = super().answer(spoken, **options)
        plain = super().answer(job)
        return type(said)(**{**_fields(said), "prompt_ids": plain.prompt_ids})


def _fields(answer: Answer) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in answer.__dataclass_fields__}


AGAIN = {"lens": {"agreement": 3}}


async def test_the_line_has_the_agreement_and_it_is_kept(tmp_path: Path) -> None:
    async with rigged(tmp_path, engine := Moody(), **AGAIN) as rig:
        answered = await rig.ask()
        assert "again" not in (await rig.app.voices.of(answered.run.id)).sureness
        line = await rig.app.voices.ask_again(answered.run.id)
        assert line is not None
        assert "1 of 3 further answers meant the same (3 different meanings among them)" in line
        assert "asked whether its answer is right" in line
        (report,) = [(await rig.app.voices.read(answered.run.id))[1].findings.self_report]
        assert report is not None
        assert (report.agreement, report.samples, report.groups) == (pytest.approx(1 / 3), 3, 3)
        assert (await rig.app.voices.of(answered.run.id)).sureness == line
        seeds = [job.sampling.seed for job in engine.asked if job.sampling.temperature > 0]
        assert seeds == [1, 2, 3]
        await rig.app.voices.ask_again(answered.run.id)
        assert len(engine.asked) == 4  # known by now


async def test_none_is_asked_for_when_the_host_wants_none(tmp_path: Path) -> None:
    async with rigged(tmp_path, engine := Moody()) as rig:
        answered = await rig.ask()
        assert await rig.app.voices.ask_again(answered.run.id) is None
        assert len(engine.asked) == 1


async def test_without_a_self_report_the_agreement_stands_alone(tmp_path: Path) -> None:
    async with rigged(tmp_path, Moody(), lens={"agreement": 2, "self_report": False}) as rig:
        answered = await rig.ask(locale="zh-CN")
        line = await rig.app.voices.ask_again(answered.run.id)
        assert line is not None
        assert "再问 2 次，1 次意思相同" in line
        assert "自问" not in line


async def test_the_conversation_is_asked_again_whole_and_a_broken_one_is_not(tmp_path: Path) -> None:
    async with rigged(tmp_path, engine := Moody(), **AGAIN) as rig:
        first = await rig.ask()
        await rig.app.asks.shown(first.run.id, [50])
        second = await rig.ask("And mine?", reply_to_message_id=50)
        assert await rig.app.voices.ask_again(second.run.id) is not None
        samples = [job for job in engine.asked if job.sampling.temperature > 0]
        assert {(job.question, job.history) for job in samples} == {("And mine?", engine.asked[1].history)}
        third = await rig.ask("And his?")
        answer = await rig.runs.load_answer(third.run.id)
        wrong = type(answer)(**{**_fields(answer), "prompt_ids": (1, 2, 3)})
        await rig.runs.save_answer(third.run.id, wrong, model_id="fake", revision=None, dtype="float32")
        assert await rig.app.voices.ask_again(third.run.id) is None


async def test_a_why_that_ends_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    async with rigged(tmp_path, engine := Moody(), **AGAIN) as rig:
        answered = await rig.ask()
        await rig.app.voices.prepare(answered.run.id)
        engine.gate = threading.Event()
        sampling = asyncio.create_task(rig.app.voices.ask_again(answered.run.id))
        await until(lambda: len(engine.asked) > 1)
        checked = await rig.app.beyond.why(answered.run.id)  # the sample gives way to it
        engine.gate.set()
        await sampling
        _, trace = await rig.app.voices.read(answered.run.id)
        assert trace.findings.causal is not None
        assert trace.findings.causal.t == checked.check.t
        assert trace.findings.self_report is not None
        assert trace.findings.self_report.samples == 3


async def test_an_asker_does_not_wait_for_samples(tmp_path: Path) -> None:
    async with rigged(tmp_path, engine := Moody(), **AGAIN) as rig:
        answered = await rig.ask()
        await rig.app.voices.prepare(answered.run.id)
        engine.gate = threading.Event()
        sampling = asyncio.create_task(rig.app.voices.ask_again(answered.run.id))
        await until(lambda: len(engine.asked) == 2)
        other = asyncio.create_task(rig.ask("Mine?", user=2))
        await until(lambda: len(engine.asked) == 3)
        assert engine.asked[-1].question == "Mine?"
        engine.gate.set()
        await asyncio.gather(sampling, other)
        order = [job.question for job, _ in itertools.groupby(engine.asked, key=lambda job: job)]
        assert order[:4] == [FOOT, FOOT, "Mine?", FOOT]


async def test_a_model_that_is_always_busy_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice_module, "PATIENCE", 0.05)
    async with rigged(tmp_path, engine := Moody(), **AGAIN) as rig:
        answered = await rig.ask()
        await rig.app.voices.prepare(answered.run.id)
        engine.gate = threading.Event()
        assert await rig.app.voices.ask_again(answered.run.id) is None
        engine.gate.set()


async def test_a_question_deleted_meanwhile_leaves_nothing(tmp_path: Path) -> None:
    async with rigged(tmp_path, engine := Moody(), **AGAIN) as rig:
        answered = await rig.ask(question_message_id=5)
        await rig.app.voices.prepare(answered.run.id)
        engine.gate = threading.Event()
        sampling = asyncio.create_task(rig.app.voices.ask_again(answered.run.id))
        await until(lambda: len(engine.asked) == 2)
        await rig.app.deleting.messages([5])
        engine.gate.set()
        with pytest.raises(RunExpiredError):
            await sampling


@pytest.fixture(autouse=True)
def _no_samples_left() -> Iterator[None]:
    yield
    assert not [t for t in threading.enumerate() if t.name == "forward-pass-device"]
