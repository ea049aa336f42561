"""The inner voice of a stored run: one second pass however many ask, kept, and a sentence for whoever cannot have it."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.errors import LensNotFoundError, NoInnerVoiceError, RunExpiredError, RunOfAnotherModelError, TraceMismatchError
from bot.services.monologue import is_true, phrases_of, tell, verify
from bot.services.monologue.memory import PhraseMemory
from bot.ui.voice_message import small_print
from models.errors import OutOfMemoryError
from models.trace import Trace
from models.types import Answer, FinalTop, Job
from tests.bot.services.rig import FOOT, Engine, rigged, until


async def test_lines_that_hold_and_a_picture(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        answered = await rig.ask()
        voice = await rig.app.voices.of(answered.run.id)
        assert voice.lines
        assert all(is_true(line, voice.trace) for line in voice.lines)
        assert voice.heatmap.startswith(b"\x89PNG")
        assert voice.alt
        assert (voice.trace.answer_ids == answered.answer.answer_ids).all()


async def test_two_presses_at_once_are_one_second_pass(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        rig.engine.trace_gate = gate = threading.Event()
        run = (await rig.ask()).run
        presses = [asyncio.create_task(rig.app.voices.of(run.id)) for _ in range(3)]
        await until(lambda: rig.engine.traces)
        presses.pop().cancel()  # one of them leaves, and stops it for nobody
        gate.set()
        first, second = await asyncio.gather(*presses)
        assert first.lines == second.lines
        await rig.app.voices.of(run.id)
        assert rig.engine.traces == 1


async def test_a_kept_trace_needs_no_model(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        run = (await rig.ask()).run
        before = await rig.app.voices.of(run.id)
    async with rigged(tmp_path, load=False) as rig:
        assert (await rig.app.voices.of(run.id)).lines == before.lines
        assert rig.app.model.info is None


async def test_without_its_trace_a_run_of_another_model_is_refused(tmp_path: Path) -> None:
    class Other(Engine):
        @property
        def info(self):  # type: ignore[no-untyped-def]
            return replace(super().info, id="other", name="Another")

    async with rigged(tmp_path) as rig:
        run = (await rig.ask()).run
    async with rigged(tmp_path, Other()) as rig:
        with pytest.raises(RunOfAnotherModelError, match="I now run Another"):
            await rig.app.voices.of(run.id)


async def test_a_run_that_is_gone_and_one_that_was_never_answered(tmp_path: Path) -> None:
    async with rigged(tmp_path, Engine(answer_error=ValueError("no"))) as rig:
        with pytest.raises(RunExpiredError):
            await rig.app.voices.of("0" * 16)
        with pytest.raises(ValueError, match="no"):
            await rig.ask(question_message_id=5)
        run = await rig.runs.by_question(5)
        with pytest.raises(NoInnerVoiceError, match="never answered"):
            await rig.app.voices.of(run.id)


async def test_an_empty_answer_has_nothing_to_think(tmp_path: Path) -> None:
    class Silent(Engine):
        def trace(self, answer: Answer, *, k: int = 10, lens: object = None) -> Trace:
            raise AssertionError("there is nothing to trace")

        def answer(self, job, **hooks):  # type: ignore[no-untyped-def]
            said = super().answer(job, **hooks)
            return replace(said, answer_ids=(), sampled_prob=(), final_top=FinalTop((), ()), text="")

    async with rigged(tmp_path, Silent()) as rig:
        run = (await rig.ask()).run
        with pytest.raises(NoInnerVoiceError, match="no inner voice to tell"):
            await rig.app.voices.of(run.id)


async def test_a_failed_second_pass_may_be_tried_again(tmp_path: Path) -> None:
    async with rigged(tmp_path, Engine(trace_error=TraceMismatchError("It does not agree."))) as rig:
        run = (await rig.ask()).run
        with pytest.raises(TraceMismatchError):
            await rig.app.voices.of(run.id)
        rig.engine.trace_error = None
        assert (await rig.app.voices.of(run.id)).lines


async def test_a_question_deleted_during_the_second_pass_leaves_nothing(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        rig.engine.trace_gate = gate = threading.Event()
        run = (await rig.ask(question_message_id=5)).run
        press = asyncio.create_task(rig.app.voices.of(run.id))
        await until(lambda: rig.engine.traces)
        await rig.app.deleting.messages([5])
        gate.set()
        with pytest.raises(RunExpiredError):
            await press


async def test_what_was_told_is_marked_with_its_thread(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        run = (await rig.ask()).run
        await rig.app.voices.told(run.id, 99)
        stored = await rig.runs.get(run.id)
        assert (stored.state, stored.thread_id) == ("told", 99)


async def test_a_second_pass_does_not_outlive_the_app(tmp_path: Path) -> None:
    before, threads = asyncio.all_tasks(), set(threading.enumerate())
    gate = threading.Event()
    engine = Engine()
    async with rigged(tmp_path, engine) as rig:
        engine.trace_gate = gate
        run = (await rig.ask()).run
        press = asyncio.create_task(rig.app.voices.of(run.id))
        await until(lambda: engine.traces)
        press.cancel()
        asyncio.get_running_loop().call_later(0.1, gate.set)
    await asyncio.gather(press, return_exceptions=True)
    assert asyncio.all_tasks() == before
    await until(lambda: not [t for t in threading.enumerate() if t not in threads and not t.name.startswith("asyncio_")])


class Silenced(Engine):
    """Has a lens, and fails at everything beside it: once as foreseen, once as a defect."""

    def findings(self, *_: Any, **__: Any) -> Any:
        raise OutOfMemoryError("Too long.")

    def self_report(self, question: str, answer: Answer) -> Any:
        raise ZeroDivisionError


async def test_how_sure_it_was_stands_beside_the_lines_and_is_kept(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        run = (await rig.ask()).run
        voice = await rig.app.voices.of(run.id)
        report = voice.trace.findings.self_report
        assert report is not None
        assert report.p_true is not None
        assert f"asked whether its answer is right, it says yes with {report.p_true:.0%}" in voice.sureness
        assert "自问对不对" in (await rig.app.voices.of(run.id, locale="zh-CN")).sureness
        stored = await rig.runs.load_trace(run.id)
        assert stored is not None
        assert stored.findings.self_report is not None
        assert stored.findings.self_report.p_true == report.p_true


async def test_it_is_not_asked_when_the_host_says_so(tmp_path: Path) -> None:
    async with rigged(tmp_path, lens={"self_report": False}) as rig:
        voice = await rig.app.voices.of((await rig.ask()).run.id)
        assert voice.trace.findings.self_report is None
        assert voice.trace.findings.pull is not None
        assert "asked whether" not in voice.sureness


async def test_what_fails_beside_the_lens_keeps_nobody_from_the_lens(tmp_path: Path) -> None:
    async with rigged(tmp_path, Silenced()) as rig:
        voice = await rig.app.voices.of((await rig.ask()).run.id)
        assert voice.lines
        assert voice.trace.findings.pull is None
        assert voice.trace.findings.self_report is None


async def test_the_same_answer_again_is_told_in_other_words_and_a_second_press_in_the_same(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        runs = [(await rig.ask()).run for _ in range(2)]
        first, second = [await rig.app.voices.of(run.id) for run in runs]
        assert (first.trace.top_ids == second.trace.top_ids).all()
        fixed = {"over"}  # phrases there are few of come round
        assert not {p for p in phrases_of(first.lines) if p.split(":")[0] not in fixed} & set(phrases_of(second.lines))
        assert (await rig.app.voices.of(runs[0].id)).lines == first.lines
        assert (await rig.app.voices.of(runs[1].id)).lines == second.lines


def test_the_memory_of_phrases_is_bounded() -> None:
    memory = PhraseMemory(monologues=2, channels=2)
    for number in range(4):
        memory.told(1, f"run {number}", [f"phrase {number}"])
    assert memory.avoid(1, "new") == ("phrase 2", "phrase 3")
    assert memory.avoid(1, "run 3") == ("phrase 1", "phrase 2")
    assert memory.avoid(2, "new") == ()
    for channel in (2, 3):
        memory.told(channel, f"there {channel}", ["phrase"])
    assert memory.avoid(1, "new") == ()


async def test_another_lens_reads_a_stored_run_and_leaves_its_trace(tmp_path: Path) -> None:
    async with rigged(tmp_path, Engine(lenses=("logit", "tuned", "jacobian"))) as rig:
        run = (await rig.ask()).run
        voice = await rig.app.voices.of(run.id)
        assert rig.engine.traces == 1
        _, tuned = await rig.app.voices.read(run.id, lens="tuned")
        assert (tuned.meta["lens"], voice.trace.meta["lens"], voice.picture_lens) == ("tuned", "logit", "logit")
        assert (tuned.emitted_prob[:, -1] == voice.trace.emitted_prob[:, -1]).all()
        assert (tuned.emitted_prob[:, 1] != voice.trace.emitted_prob[:, 1]).any()
        assert tuned.findings.to_json() == voice.trace.findings.to_json()  # what is beside the lens is the same
        await rig.app.voices.read(run.id, lens="tuned")
        _, logit = await rig.app.voices.read(run.id, lens="logit")
        assert rig.engine.traces == 2  # one of each lens
        stored = await rig.runs.load_trace(run.id)
        assert stored is not None
        assert stored.to_bytes() == logit.to_bytes()
        assert stored.meta["lens"] == "logit"


async def test_a_lens_that_is_not_there_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        run = (await rig.ask()).run
        with pytest.raises(LensNotFoundError, match="no tuned lens"):
            await rig.app.voices.read(run.id, lens="tuned")
        assert (await rig.app.voices.of(run.id)).lines


async def test_with_the_jacobian_lens_the_picture_is_another_and_the_told_lines_are_the_same(tmp_path: Path) -> None:
    engine = Engine(lenses=("logit", "jacobian"))
    async with rigged(tmp_path / "a", engine) as rig:
        plain = await rig.app.voices.of((await rig.ask()).run.id)
    async with rigged(tmp_path / "b", engine, lens={"kind": "jacobian"}) as rig:
        voice = await rig.app.voices.of((await rig.ask()).run.id)
    assert (voice.trace.meta["lens"], voice.picture_lens) == ("logit", "jacobian")
    assert [line.text for line in voice.lines] == [line.text for line in plain.lines]
    assert voice.heatmap != plain.heatmap
    assert "Jacobian lens (disposed to say)" in voice.alt
    assert "logit lens" in small_print(voice)
    assert "Jacobian lens (disposed to say)" in small_print(voice)
    assert "Jacobian" not in small_print(plain)
    async with rigged(tmp_path / "c", Engine(), lens={"kind": "jacobian"}) as rig:  # it is gone: the logit lens's picture stands
        voice = await rig.app.voices.of((await rig.ask()).run.id)
    assert (voice.picture_lens, "logit lens" in voice.alt) == ("logit", True)


def test_nothing_is_told_from_the_jacobian_lens() -> None:
    engine = Engine(lenses=("logit", "jacobian"))
    answer = engine.answer(Job(FOOT))
    trace, disposed = engine.trace(answer), engine.trace(answer, lens="jacobian")
    lines = tell(trace)
    assert verify(lines, trace) == lines
    assert tell(disposed) == ()
    assert tell(disposed, everything=True) == ()
    assert verify(lines, replace(trace, meta={**trace.meta, "lens": "jacobian"})) == ()


async def test_what_the_model_wrote_itself_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with rigged(tmp_path, monologue={"writer": "model"}) as rig:
        run = (await rig.ask()).run
        answer, wishes = await rig.app.model.answer(Job(FOOT)), list[Job]()

        async def copyist(job: Job, **_more: Any) -> Answer:
            wishes.append(job)
            return replace(answer, text=job.question.partition("\n")[2])

        monkeypatch.setattr(rig.app.model, "answer", copyist)
        first = await rig.app.voices.of(run.id)
        assert (await rig.app.voices.of(run.id)).lines == first.lines
        assert len(wishes) == 1
        assert verify(first.lines, first.trace) == first.lines
        await rig.app.voices.of(run.id, locale="zh-CN")
        assert len(wishes) == 2
