"""The limiter of all requests: its rate, its classes, fairness, lanes, pauses, and whoever goes away while waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.services.limiter import BURST, RATE, Limiter, NoRoomError, Urgency, Wish, urgency, wished
from tests.bot.clocked import jumping


def clocked(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        jumping(test(*args, **kwargs))

    return run


class Sender:
    """Sends one request at a time in each lane, and notes when each went."""

    def __init__(self, limiter: Limiter) -> None:
        self.limiter = limiter
        self.gone: list[tuple[str, float]] = []

    async def send(self, name: str, level: Urgency, lane: object = None, takes: float = 0.0) -> None:
        async with self.limiter.turn(Wish(level), lane or name):
            self.gone.append((name, asyncio.get_running_loop().time()))
            await asyncio.sleep(takes)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.gone]


@clocked
async def test_never_more_than_rate_and_burst_in_any_second() -> None:
    sender = Sender(Limiter())
    await asyncio.gather(*(sender.send(str(n), Urgency.ANSWER) for n in range(400)))
    times = [at for _, at in sender.gone]
    busiest = max(sum(start <= at < start + 1 for at in times) for start in times)
    assert busiest <= RATE + BURST < 50
    assert times[-1] == pytest.approx((400 - BURST) / RATE, abs=0.05)


@clocked
async def test_the_urgent_go_first_and_inside_a_class_whoever_came_first() -> None:
    sender = Sender(Limiter(rate=1, burst=1))
    levels = [Urgency.VOICE, Urgency.SIGN, Urgency.ANSWER, Urgency.ACKNOWLEDGE]
    async with asyncio.TaskGroup() as group:
        for n in range(3):
            for level in levels:
                group.create_task(sender.send(f"{level.name} {n}", level))
    first, *rest = sender.names
    assert first == "VOICE 0"  # alone at that moment
    expected = [f"{level.name} {n}" for level in reversed(levels) for n in range(3)]
    assert rest == [name for name in expected if name != first]


@clocked
async def test_typing_and_edits_do_not_wait() -> None:
    limiter = Limiter(rate=1, burst=1)
    sender = Sender(limiter)
    await sender.send("edit", Urgency.EDIT)
    for level in (Urgency.EDIT, Urgency.TYPING):
        with pytest.raises(NoRoomError):
            await sender.send("late", level)
    assert limiter.dropped == 2
    await asyncio.sleep(1.0)
    await sender.send("typing", Urgency.TYPING)
    assert sender.names == ["edit", "typing"]


@clocked
async def test_an_edit_does_not_overtake_whoever_waits_for_a_lane() -> None:
    limiter = Limiter()
    sender = Sender(limiter)
    async with asyncio.TaskGroup() as group:
        group.create_task(sender.send("one", Urgency.ANSWER, lane="room", takes=1.0))
        group.create_task(sender.send("two", Urgency.ANSWER, lane="room"))
        await asyncio.sleep(0.5)
        with pytest.raises(NoRoomError):
            await sender.send("edit", Urgency.EDIT, lane="room")


@clocked
async def test_a_busy_lane_holds_up_nobody_else() -> None:
    sender = Sender(Limiter())
    async with asyncio.TaskGroup() as group:
        group.create_task(sender.send("slow", Urgency.ANSWER, lane="room", takes=9.0))
        group.create_task(sender.send("behind", Urgency.ANSWER, lane="room"))
        group.create_task(sender.send("beside", Urgency.VOICE, lane="other room"))
    assert dict(sender.gone) == pytest.approx({"slow": 0.0, "beside": 0.0, "behind": 9.0}, abs=0.01)


@clocked
async def test_the_urgent_overtake_in_their_own_lane() -> None:
    sender = Sender(Limiter())
    async with asyncio.TaskGroup() as group:
        group.create_task(sender.send("first", Urgency.SIGN, lane="room", takes=1.0))
        group.create_task(sender.send("refusal", Urgency.SIGN, lane="room"))
        await asyncio.sleep(0.5)
        group.create_task(sender.send("answer", Urgency.ANSWER, lane="room"))
    assert sender.names == ["first", "answer", "refusal"]


@clocked
async def test_a_lane_that_rests_lets_its_caller_go() -> None:
    limiter, loop = Limiter(), asyncio.get_running_loop()
    async with limiter.turn(Wish(Urgency.ANSWER), "room") as turn:
        turn.rest = asyncio.create_task(asyncio.sleep(5.0))
    assert loop.time() == 0.0
    async with limiter.turn(Wish(Urgency.ANSWER), "room"):
        assert loop.time() == pytest.approx(5.0, abs=0.01)


@clocked
async def test_who_is_cancelled_leaves_the_line_and_takes_no_turn() -> None:
    limiter = Limiter(rate=1, burst=1)
    sender = Sender(limiter)
    await sender.send("first", Urgency.ANSWER)
    wish = Wish(Urgency.ANSWER)

    async def wait() -> None:
        async with limiter.turn(wish, "lane"):
            raise AssertionError("it went")

    gone = asyncio.create_task(wait())
    await asyncio.sleep(0.1)
    assert wish.waiting
    assert limiter.waiting == 1
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert not wish.waiting
    assert limiter.waiting == 0
    await sender.send("second", Urgency.ANSWER, lane="lane")
    assert sender.gone[-1][1] == pytest.approx(1.0, abs=0.01)


@clocked
async def test_cancelled_in_the_moment_of_its_turn_it_gives_the_lane_back() -> None:
    limiter = Limiter(rate=1, burst=1)
    sender = Sender(limiter)
    await sender.send("first", Urgency.ANSWER)
    unlucky = asyncio.create_task(sender.send("unlucky", Urgency.ANSWER, lane="room"))
    await asyncio.sleep(0)
    limiter._waiting[0].go.add_done_callback(lambda _: unlucky.cancel())
    await asyncio.gather(unlucky, return_exceptions=True)
    assert unlucky.cancelled()
    async with asyncio.timeout(3):
        await sender.send("next", Urgency.ANSWER, lane="room")


@clocked
async def test_a_further_try_takes_a_turn_of_its_own() -> None:
    limiter, loop = Limiter(rate=1, burst=1), asyncio.get_running_loop()
    async with limiter.turn(Wish(Urgency.ANSWER), "room") as turn:
        await limiter.again(turn)
        assert loop.time() == pytest.approx(1.0, abs=0.01)
    async with asyncio.timeout(3):
        async with limiter.turn(Wish(Urgency.ANSWER), "room"):
            pass


@clocked
async def test_after_discords_own_refusal_nobody_goes_for_so_long() -> None:
    sender = Sender(Limiter())
    sender.limiter.pause(7.0)
    async with asyncio.TaskGroup() as group:
        for n in range(100):
            group.create_task(sender.send(str(n), Urgency.ANSWER))
    times = [at for _, at in sender.gone]
    assert times[0] >= 7.0
    assert sum(at < 8.0 for at in times) <= RATE + 1


@clocked
async def test_how_urgent_is_said_for_one_piece_of_code() -> None:
    assert wished() is None
    with urgency(Urgency.EDIT) as wish:
        assert wished() is wish
        with urgency(Urgency.VOICE) as inner:
            assert wished() is inner
        assert wished() is wish
    assert wished() is None


STEP = st.tuples(st.sampled_from(list(Urgency)), st.integers(0, 3), st.floats(0, 0.3), st.booleans())


@given(st.lists(STEP, max_size=40))
def test_whatever_comes_and_goes_the_lanes_and_the_line_are_empty_in_the_end(
    steps: list[tuple[Urgency, int, float, bool]],
) -> None:
    async def walk() -> None:
        sender = Sender(Limiter(rate=5, burst=2))
        tasks = []
        for number, (level, lane, takes, leaves) in enumerate(steps):
            task = asyncio.create_task(sender.send(str(number), level, lane=f"lane {lane}", takes=takes))
            tasks.append(task)
            await asyncio.sleep(takes / 3)
            if leaves:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert sender.limiter.waiting == 0
        assert not sender.limiter._busy

    jumping(walk())
