"""The writer of an answer: one request at a time, the latest text wins, and the final flush comes in any case, once."""

from __future__ import annotations

import asyncio
from typing import Any

import discord
import pytest

from bot.ui import replies
from bot.ui.replies import AnswerWriter, footer


class Message:
    def __init__(self, number: int, content: str) -> None:
        self.id = number
        self.content = content


class _Response:
    def __init__(self, status: int) -> None:
        self.status, self.reason = status, "made up"


def refused(status: int) -> discord.HTTPException:
    kind = {403: discord.Forbidden, 404: discord.NotFound}.get(status, discord.HTTPException)
    return kind(_Response(status), "made up")  # type: ignore[arg-type]


class Surface:
    """Keeps what was posted; ``gate`` holds requests up, ``faults`` are raised first, each by one request."""

    def __init__(self) -> None:
        self.posted: dict[int, str] = {}
        self.history: list[str] = []
        self.views: dict[int, Any] = {}
        self.faults: list[Exception | None] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.busy = 0
        self.left: Message | None = None
        self.looks = 0

    async def find(self, content: str) -> Any:
        self.looks += 1
        return self.left

    async def send(self, content: str, *, view: Any = None) -> Any:
        await self._request()
        message = Message(len(self.history), content)
        self._keep(message, content, view)
        return message

    async def edit(self, message: Any, content: str, *, view: Any = None) -> Any:
        await self._request()
        if message.id not in self.posted:
            raise refused(404)
        self._keep(message, content, view)
        return message

    async def delete(self, message: Any) -> None:
        await self._request()
        if self.posted.pop(message.id, None) is None:
            raise refused(404)

    async def _request(self) -> None:
        assert self.busy == 0, "two requests at once"
        self.busy += 1
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
            if self.faults and (fault := self.faults.pop(0)) is not None:
                raise fault
        finally:
            self.busy -= 1

    def _keep(self, message: Message, content: str, view: Any) -> None:
        assert 0 < len(content) <= 2000
        message.content = self.posted[message.id] = content
        self.views[message.id] = view
        self.history.append(content)


@pytest.fixture
async def surface() -> Surface:
    return Surface()


def writer(surface: Surface, *, stream_after: float = 0.0, interval: float = 0.01) -> AnswerWriter:
    return AnswerWriter(surface, stream_after=stream_after, interval=interval)


async def until(true: Any) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_quick_answer_is_one_message(surface: Surface) -> None:
    answer = writer(surface, stream_after=30)
    answer.text("The")
    answer.text("The answer")
    (message,) = await answer.finish("The answer is 2.", view="a view")  # type: ignore[arg-type]
    assert surface.history == ["The answer is 2."]
    assert surface.views[message.id] == "a view"


async def test_a_slow_one_is_streamed_into_one_message(surface: Surface) -> None:
    answer = writer(surface)
    for text in ("The", "The answer", "The answer is"):
        answer.text(text)
        await until(lambda text=text: f"{text} ▌" in surface.history)
    await answer.finish("The answer is 2.")
    assert surface.history == ["The ▌", "The answer ▌", "The answer is ▌", "The answer is 2."]
    assert list(surface.posted.values()) == ["The answer is 2."]


async def test_the_latest_text_wins(surface: Surface) -> None:
    surface.gate.clear()
    answer = writer(surface)
    answer.text("1")
    await until(lambda: surface.busy)
    for number in range(2, 50):
        answer.text(str(number))
    surface.gate.set()
    await until(lambda: "49 ▌" in surface.history)
    await answer.finish("50")
    assert surface.history == ["1 ▌", "49 ▌", "50"]


async def test_the_same_text_is_not_written_twice(surface: Surface) -> None:
    answer = writer(surface)
    for _ in range(5):
        answer.text("same")
        await asyncio.sleep(0.03)
    await answer.finish("same!")
    assert surface.history == ["same ▌", "same!"]


async def test_blanks_are_no_text(surface: Surface) -> None:
    answer = writer(surface)
    answer.text(" \n")
    await asyncio.sleep(0.03)
    await answer.finish("x")
    assert surface.history == ["x"]


async def test_a_step_under_way_is_let_through_and_makes_no_second_message(surface: Surface) -> None:
    surface.gate.clear()
    answer = writer(surface)
    answer.text("half")
    await until(lambda: surface.busy)
    finishing = asyncio.create_task(answer.finish("whole"))
    await asyncio.sleep(0.02)
    surface.gate.set()
    await finishing
    assert surface.history == ["half ▌", "whole"]
    assert list(surface.posted.values()) == ["whole"]


async def test_a_step_that_never_ends_does_not_hold_back_the_answer(surface: Surface, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "GRACE", 0.05)
    surface.gate.clear()
    answer = writer(surface)
    answer.text("half")
    await until(lambda: surface.busy)
    asyncio.get_running_loop().call_later(0.2, surface.gate.set)
    async with asyncio.timeout(5):
        await answer.finish("whole")
    assert list(surface.posted.values()) == ["whole"]


async def test_a_step_that_waited_for_its_turn_costs_no_look(surface: Surface) -> None:
    """Cancelled before it was sent, it cannot come late."""
    answer = writer(surface)
    answer.text("half")
    await until(lambda: surface.history)
    surface.gate.clear()
    answer.text("more")
    await until(lambda: surface.busy)
    assert answer._wish is not None
    answer._wish.waiting = True
    finishing = asyncio.create_task(answer.finish("whole"))
    await asyncio.sleep(0.02)
    surface.gate.set()
    await finishing
    assert answer._last_word is None
    assert surface.history == ["half ▌", "whole"]


async def test_while_discord_is_away_nothing_is_looked_for_and_then_first_of_all(surface: Surface) -> None:
    """What an unconfirmed try left is found by the next round, before it sends again."""
    answer = writer(surface)
    surface.faults = [TimeoutError()] * 3
    with pytest.raises(TimeoutError):
        await answer.deliver("whole", away=lambda: True)
    assert surface.looks == 0
    surface.left = Message(0, "whole")
    assert await answer.deliver("whole") == [surface.left]
    assert surface.looks == 1
    assert surface.history == []


async def test_nothing_is_written_after_the_final_flush(surface: Surface) -> None:
    answer = writer(surface)
    answer.text("half")
    await until(lambda: surface.history)
    answer.text("more")
    await answer.finish("whole")
    await asyncio.sleep(0.05)
    assert surface.history[-1] == "whole"


async def test_a_notice_comes_at_once_and_gives_way_to_the_answer(surface: Surface) -> None:
    answer = writer(surface, stream_after=30)
    answer.notice("You are number 2.")
    await until(lambda: surface.history == ["You are number 2."])
    answer.notice("You are next.")
    await until(lambda: "You are next." in surface.history)
    answer.text("The")
    await until(lambda: "The ▌" in surface.history)
    await answer.finish("The answer is 2.")
    assert list(surface.posted.values()) == ["The answer is 2."]


async def test_a_message_that_was_deleted_is_written_anew(surface: Surface) -> None:
    answer = writer(surface)
    answer.text("half")
    await until(lambda: surface.posted)
    surface.posted.clear()
    await answer.finish("whole")
    assert list(surface.posted.values()) == ["whole"]


@pytest.mark.parametrize("error", [refused(403), refused(500), TimeoutError(), ConnectionResetError()])
async def test_a_missed_step_is_no_loss(surface: Surface, error: Exception) -> None:
    surface.faults = [error]
    answer = writer(surface)
    answer.text("half")
    await until(lambda: not surface.faults)
    answer.text("more")
    await until(lambda: surface.history)
    await answer.finish("whole")
    assert surface.history == ["more ▌", "whole"]


async def test_a_long_text_while_it_streams_is_clipped_and_in_the_end_whole(surface: Surface) -> None:
    answer = writer(surface)
    text = "word " * 900
    answer.text(text)
    await until(lambda: surface.history)
    messages = await answer.finish(text, view="a view")  # type: ignore[arg-type]
    assert len(messages) == len(surface.posted) == 3
    assert sum(content.count("word") for content in surface.posted.values()) == 900
    assert [surface.views[message.id] for message in messages] == [None, None, "a view"]


async def test_tried_again_it_goes_on_where_it_was(surface: Surface) -> None:
    answer = writer(surface)
    surface.faults = [None, refused(500)]
    text = "word " * 900
    with pytest.raises(discord.HTTPException):
        await answer.finish(text)
    assert len(surface.posted) == 1
    assert len(await answer.finish(text)) == 3
    assert sum(content.count("word") for content in surface.posted.values()) == 900


async def test_taken_back_nothing_stays(surface: Surface) -> None:
    surface.gate.clear()
    answer = writer(surface)
    answer.text("half")
    await until(lambda: surface.busy)
    discarding = asyncio.create_task(answer.discard())
    await asyncio.sleep(0.02)
    surface.gate.set()
    await discarding
    assert surface.posted == {}
    await writer(surface).discard()  # nothing was written: nothing to do


async def test_taking_back_what_is_gone_is_no_error(surface: Surface) -> None:
    answer = writer(surface)
    answer.text("half")
    await until(lambda: surface.posted)
    surface.posted.clear()
    await answer.discard()


async def test_no_task_is_left(surface: Surface) -> None:
    before = asyncio.all_tasks()
    for end in ("finish", "discard"):
        answer = writer(surface)
        answer.notice("wait")
        await asyncio.sleep(0.02)
        await (answer.finish("x") if end == "finish" else answer.discard())
    assert asyncio.all_tasks() == before


def test_the_small_line() -> None:
    assert footer(["a", "b"]) == "-# a · b"
