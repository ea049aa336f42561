"""From a question to a stored answer, without Discord: what is journaled, what is told, and how every way to fail is closed."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.errors import (
    AlreadyAskingError,
    AnswerCancelledError,
    EmptyQuestionError,
    ModelNotPulledError,
    OutOfMemoryError,
    QueueFullError,
    ShuttingDownError,
    StorageError,
)
from bot.services.figures import mean_probability
from bot.storage.records import Run
from models.types import FinalTop
from tests.bot.services.rig import ANSWER, FOOT, Engine, Heard, request, rigged, until

SECRET = "a secret about a foot"


async def test_an_answer_is_streamed_stored_and_found_again(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        heard = Heard()
        answered = await rig.ask(heard=heard, question_message_id=5, guild_id=3, locale="de")
        assert answered.answer.text == ANSWER
        assert heard.texts[-1] == ANSWER
        assert heard.loaded == 0
        assert heard.positions == []
        stored = await rig.runs.get(answered.run.id)
        assert (stored.state, stored.question, stored.answer_text, stored.locale) == ("answered", FOOT, ANSWER, "de")
        assert (stored.guild_id, stored.channel_id, stored.user_id, stored.question_message_id) == (3, 7, 1, 5)
        await rig.app.asks.shown(answered.run.id, [50, 51])
        assert (await rig.runs.by_message(51)).id == answered.run.id


async def test_a_reply_to_any_part_of_an_answer_goes_on_with_it(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        first = await rig.ask()
        await rig.app.asks.shown(first.run.id, [50, 51])
        await rig.ask("Sure?", reply_to_message_id=51)
        assert [turn.text for turn in rig.engine.jobs[-1].history] == [FOOT, ANSWER]
        await rig.ask("And you?", reply_to_message_id=404)
        assert rig.engine.jobs[-1].history == ()


async def test_the_job_is_what_was_asked(tmp_path: Path) -> None:
    async with rigged(tmp_path, sampling={"temperature": 0.5, "seed": 3}) as rig:
        answered = await rig.ask(f"  {FOOT}\n", style="story")
        job = rig.engine.jobs[-1]
        assert (job.question, job.style, job.sampling.temperature, job.request_id) == (FOOT, "story", 0.5, answered.run.id)


@pytest.mark.parametrize("nothing", ["", " ", "\n\t \u2003"])
async def test_nothing_is_asked_and_nothing_journaled(tmp_path: Path, nothing: str) -> None:
    async with rigged(tmp_path) as rig:
        with pytest.raises(EmptyQuestionError):
            await rig.ask(nothing)
        assert await rig.runs.unfinished() == ()
        await rig.ask()  # and the place in the line is free


async def test_while_it_loads_the_question_waits(tmp_path: Path) -> None:
    async with rigged(tmp_path, load=False) as rig:
        heard = Heard()
        assert (await rig.ask(heard=heard)).answer.text == ANSWER
        assert heard.loaded == 1


async def test_who_waits_hears_a_position_and_is_answered_in_turn(tmp_path: Path) -> None:
    gate = threading.Event()
    async with rigged(tmp_path, Engine(gate=gate)) as rig:
        heard = Heard()
        first = asyncio.create_task(rig.ask())
        await until(lambda: rig.engine.jobs)
        second = asyncio.create_task(rig.ask("And mine?", user=2, heard=heard))
        await until(lambda: heard.positions == [1])
        gate.set()
        await asyncio.gather(first, second)
        assert [job.question for job in rig.engine.jobs] == [FOOT, "And mine?"]


async def test_refusals_are_at_once_and_leave_nothing_open(tmp_path: Path) -> None:
    gate = threading.Event()
    async with rigged(tmp_path, Engine(gate=gate), queue={"max_waiting": 0}) as rig:
        first = asyncio.create_task(rig.ask())
        await until(lambda: rig.engine.jobs)
        with pytest.raises(AlreadyAskingError):
            await rig.ask()
        with pytest.raises(QueueFullError):
            await rig.ask(user=2)
        assert len(await rig.runs.unfinished()) == 1
        gate.set()
        await first


async def test_a_deleted_question_stops_and_is_forgotten(tmp_path: Path) -> None:
    async with rigged(tmp_path, Engine(delay=0.05)) as rig:
        heard = Heard()
        asking = asyncio.create_task(rig.ask(SECRET, heard=heard, question_message_id=5))
        await until(lambda: heard.texts)
        assert rig.app.asks.under_way.stop_by_messages([5])
        await rig.app.deleting.messages([5])
        with pytest.raises(AnswerCancelledError):
            await asking
        assert await rig.runs.by_question(5) is None
        assert not rig.app.asks.under_way.stop_by_messages([5])
        await rig.ask()


def everything_in(folder: Path) -> bytes:
    """All bytes of all files."""
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_deleted_before_it_is_journaled_it_leaves_nothing(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.app.deleting.messages([5])
        with pytest.raises(AnswerCancelledError):
            await rig.ask(SECRET, question_message_id=5)
        assert rig.engine.jobs == []
        assert await rig.runs.by_question(5) is None
    assert SECRET.encode() not in everything_in(tmp_path)


async def test_deleted_while_it_waits_it_is_never_begun(tmp_path: Path) -> None:
    gate = threading.Event()
    async with rigged(tmp_path, Engine(gate=gate)) as rig:
        first = asyncio.create_task(rig.ask())
        await until(lambda: rig.engine.jobs)
        heard = Heard()
        second = asyncio.create_task(rig.ask(SECRET, user=2, heard=heard, question_message_id=5))
        await until(lambda: heard.positions)
        await until(lambda: any(5 in one.messages for one in rig.app.asks.under_way._passes))
        rig.app.asks.under_way.stop_by_messages([5])
        gate.set()
        await first
        with pytest.raises(AnswerCancelledError):
            await second
        assert len(rig.engine.jobs) == 1


async def test_forgetting_what_nobody_asked_is_no_error(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.app.deleting.messages([404])


async def _only(rig: Any, question_message_id: int = 5) -> Run:
    run = await rig.runs.by_question(question_message_id)
    assert run is not None
    return run


@pytest.mark.parametrize("error", [OutOfMemoryError("Out of memory."), ValueError(SECRET)])
async def test_a_failed_question_is_closed_so_that_no_restart_asks_it_again(tmp_path: Path, error: Exception) -> None:
    async with rigged(tmp_path, Engine(answer_error=error)) as rig:
        with pytest.raises(type(error)):
            await rig.ask(SECRET, question_message_id=5)
        run = await _only(rig)
        assert run.state == "failed"
        assert run.error is not None
        assert run.error.kind == type(error).__name__
        assert SECRET not in run.error.sentence
        assert await rig.runs.unfinished() == ()


async def test_an_error_of_the_tree_knows_its_run(tmp_path: Path) -> None:
    async with rigged(tmp_path, Engine(answer_error=OutOfMemoryError("Out of memory."))) as rig:
        with pytest.raises(OutOfMemoryError) as caught:
            await rig.ask(question_message_id=5)
        assert caught.value.request_id == (await _only(rig)).id


async def test_a_model_that_cannot_be_loaded_is_told_to_everybody_who_asks(tmp_path: Path) -> None:
    def factory() -> Engine:
        raise ModelNotPulledError("The default model is not here yet.")

    async with rigged(tmp_path, load=False) as rig:
        rig.app.model._factory = factory
        for user in (1, 2):
            with pytest.raises(ModelNotPulledError, match="not here yet"):
                await rig.ask(user=user)


async def test_a_stop_leaves_the_question_open_for_the_next_start(tmp_path: Path) -> None:
    gate = threading.Event()
    async with rigged(tmp_path, Engine(gate=gate)) as rig:
        asking = asyncio.create_task(rig.ask())
        await until(lambda: rig.engine.jobs)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    async with rigged(tmp_path) as rig:
        (left,) = await rig.app.asks.unfinished()
        answered = await rig.app.asks.ask(request(left.question), Heard(), resume=left)
        assert answered.run.id == left.id
        assert await rig.app.asks.unfinished() == ()


async def test_closing_refuses_who_waits(tmp_path: Path) -> None:
    gate = threading.Event()
    async with rigged(tmp_path, Engine(gate=gate)) as rig:
        first = asyncio.create_task(rig.ask())
        await until(lambda: rig.engine.jobs)
        heard = Heard()
        second = asyncio.create_task(rig.ask(user=2, heard=heard))
        await until(lambda: heard.positions)
        rig.app.asks.close()
        with pytest.raises(ShuttingDownError):
            await second
        with pytest.raises(ShuttingDownError):
            await rig.ask(user=3)
        gate.set()
        await first


async def test_a_left_over_that_is_refused_is_not_asked_again_for_ever(tmp_path: Path) -> None:
    gate = threading.Event()
    async with rigged(tmp_path, Engine(gate=gate)) as rig:
        cut = asyncio.create_task(rig.ask(user=1))
        await until(lambda: rig.engine.jobs)
        cut.cancel()
        await asyncio.gather(cut, return_exceptions=True)
        (left,) = await rig.app.asks.unfinished()
        newer = asyncio.create_task(rig.ask(user=1))
        await until(lambda: len(rig.engine.jobs) == 2)
        with pytest.raises(AlreadyAskingError):
            await rig.app.asks.ask(request(user=1), Heard(), resume=left)
        gate.set()
        await newer
        assert await rig.app.asks.unfinished() == ()


async def test_a_database_that_fails_too_hides_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with rigged(tmp_path, Engine(answer_error=OutOfMemoryError("Out of memory."))) as rig:
        real = rig.runs.mark

        async def mark(run_id: str, state: Any, **more: Any) -> None:
            if state == "failed":
                raise StorageError("The disk is full.")
            await real(run_id, state, **more)

        monkeypatch.setattr(rig.runs, "mark", mark)
        with pytest.raises(OutOfMemoryError):
            await rig.ask()
        rig.engine.answer_error = None
        await rig.ask()


async def test_how_sure_it_was_is_the_geometric_mean_or_nothing(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        answer = (await rig.ask()).answer
    top = FinalTop(ids=((4, 1), (2, 5)), logprobs=((math.log(0.9), -3.0), (-1.0, math.log(0.4))))
    two = replace(answer, answer_ids=(4, 5), final_top=top)
    assert mean_probability(two) == pytest.approx(math.sqrt(0.9 * 0.4))
    assert mean_probability(replace(two, answer_ids=(4, 77))) is None
    assert mean_probability(replace(two, answer_ids=(), final_top=FinalTop((), ()))) is None


async def test_no_question_and_no_answer_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with rigged(tmp_path) as rig:
        await rig.ask(SECRET)
        assert SECRET not in repr(request(SECRET))
        rig.engine.answer_error = ValueError(SECRET)
        with pytest.raises(ValueError, match="secret"):
            await rig.ask(SECRET)
    ours = [record.getMessage() for record in caplog.records if record.name.split(".")[0] in ("bot", "models")]
    assert ours
    assert not any(SECRET in line or ANSWER in line for line in ours)
