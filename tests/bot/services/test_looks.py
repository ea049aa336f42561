"""How many looks a person may have in flight, and that the same thing is looked at once."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from bot.errors import TooManyLooksError
from bot.services.looks import Looks, Sharing
from bot.services.voice import TOO_LONG
from bot.ui.voice_message import small_print
from models.findings import CausalCheck, Findings
from models.trace import Trace
from models.types import Answer
from tests.bot.services.rig import FOOT, Engine, rigged


def test_a_person_has_a_few_places_and_nobody_takes_another_s() -> None:
    looks = Looks(per_user=2)
    with looks.place(1), looks.place(1), looks.place(2), pytest.raises(TooManyLooksError, match="looking into 2 things"):  # noqa: SIM117
        with looks.place(1):
            pass
    with looks.place(1), looks.place(1):
        pass


async def test_the_same_is_done_once_and_who_leaves_stops_it_for_nobody_else() -> None:
    sharing, gate, begun = Sharing(), asyncio.Event(), []

    async def work() -> str:
        begun.append(1)
        await gate.wait()
        return "found"

    first, second = (asyncio.create_task(sharing.once("key", work)) for _ in range(2))
    other = asyncio.create_task(sharing.once("another", work))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    gate.set()
    assert [await second, await other] == ["found", "found"]
    assert len(begun) == 2
    assert await sharing.once("key", work) == "found"  # done is done: this one is new
    assert len(begun) == 3


async def test_what_nobody_waits_for_any_more_stops() -> None:
    sharing, stopped = Sharing(), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.append(1)
            raise

    task = asyncio.create_task(sharing.once("key", work))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0.01)
    assert stopped == [1]


async def test_an_error_reaches_everybody_who_waits() -> None:
    sharing = Sharing()

    async def work() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    found = await asyncio.gather(*(sharing.once("key", work) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in found] == [ZeroDivisionError] * 3


class Looking(Engine):
    """Counts its looks; ``gate`` holds them up."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[str] = []
        self.look_gate = threading.Event()

    def _look(self, name: str) -> None:
        self.look_gate.wait(10)
        self.looks.append(name)

    def why(self, answer: Answer, t: int, **options: Any) -> CausalCheck:
        self._look("why")
        return super().why(answer, t, **options)

    def follow(self, answer: Answer, trace: Trace, words: Any) -> Findings:
        self._look("follow")
        return super().follow(answer, trace, words)

    def findings(self, answer: Answer, trace: Trace, **options: Any) -> Findings:
        self.looks.append("findings")
        return super().findings(answer, trace, **options)

    def dump(self, answer: Answer, what: Any, **options: Any) -> Any:
        self._look("dump")
        return super().dump(answer, what, **options)


async def test_looks_at_the_same_run_with_the_same_arguments_are_one(tmp_path: Path) -> None:
    engine = Looking()
    async with rigged(tmp_path, engine) as rig:
        run = (await rig.ask()).run
        answer = await rig.app.voices.answer_of(run)
        trace = await rig.app.model.trace(answer)
        model = rig.app.model
        same = [asyncio.create_task(model.why(answer, 1)) for _ in range(5)]
        same += [asyncio.create_task(model.follow(answer, trace, ("no",))) for _ in range(5)]  # type: ignore[arg-type]
        same += [asyncio.create_task(model.dump(answer, "hidden", positions=[0])) for _ in range(5)]  # type: ignore[arg-type]
        other = [asyncio.create_task(model.why(answer, 2)), asyncio.create_task(model.dump(answer, "hidden"))]
        await asyncio.sleep(0.01)
        engine.look_gate.set()
        await asyncio.gather(*same, *other)
        assert sorted(name for name in engine.looks if name != "findings") == ["dump", "dump", "follow", "why", "why"]


async def test_followed_words_cost_no_evidence(tmp_path: Path) -> None:
    engine = Looking()
    engine.look_gate.set()
    async with rigged(tmp_path, engine) as rig:
        run = (await rig.ask()).run
        await rig.app.voices.prepare(run.id)
        engine.looks.clear()
        found = await rig.app.layers.tracks(run.id, ("no", "one"))
        assert found.watched.words == ("no", "one")
        assert engine.looks[0] == "follow"
        assert found.watched.probs.shape[0] == 2


async def test_looks_refuse_no_question(tmp_path: Path) -> None:
    engine = Looking()
    async with rigged(tmp_path, engine) as rig:
        answer = await rig.app.voices.answer_of((await rig.ask()).run)
        looks = [asyncio.create_task(rig.app.model.why(answer, 1, seed=n)) for n in range(100)]
        await asyncio.sleep(0.01)
        asking = asyncio.create_task(rig.ask("Another?"))
        await asyncio.sleep(0.01)
        engine.look_gate.set()
        assert (await asking).answer.text
        found = await asyncio.gather(*looks, return_exceptions=True)
        assert 60 <= sum(isinstance(one, CausalCheck) for one in found) < 100
        assert all("looking into answers" in str(one) for one in found if isinstance(one, BaseException))


async def test_a_long_text_is_told_from_the_lens_alone_and_says_so(tmp_path: Path) -> None:
    async with rigged(tmp_path, lens={"evidence_tokens": 12}) as rig:
        short = await rig.app.voices.of((await rig.ask("Why?")).run.id)
        assert short.trace.findings.attribution is not None
        long = await rig.app.voices.of((await rig.ask(FOOT, user=2)).run.id)
        count = len(long.trace.prompt_ids) + long.trace.length
        assert count > 12
        assert long.lines
        assert (long.trace.findings.attribution, long.trace.findings.self_report) == (None, None)
        assert set(long.trace.findings.notes.values()) == {TOO_LONG}
        assert f"{count} tokens, too long for evidence" in small_print(long)
        assert "too long" not in small_print(short)
        chinese = await rig.app.voices.of(long.run.id, locale="zh-CN")  # from the stored trace
        assert f"共 {count} 个词元，太长" in small_print(chinese)


async def test_a_kept_crossing_runs_no_second_pass(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        run = (await rig.ask()).run
        assert await rig.app.beyond.kept_crossing(run.id) is None
        assert rig.engine.traces == 0
        await rig.app.voices.prepare(run.id)
        kept = await rig.app.beyond.kept_crossing(run.id)
        assert kept == await rig.app.beyond.crossing(run.id)
        assert rig.engine.traces == 1
