"""The waiting line: bounded, fair, and whatever happens to who waits, the place in front is given back."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import AlreadyAskingError, QueueFullError, ShuttingDownError
from bot.services.line import Place, WaitingLine
from tests.bot.clocked import jumping


def silent(_: int) -> None:
    pass


def heard(into: list[int]) -> Callable[[int], None]:
    return into.append


async def test_the_first_works_at_once_and_hears_of_no_place() -> None:
    line, positions = WaitingLine(max_waiting=4), []
    place = line.join(1, heard(positions))
    await line.wait(place)
    assert positions == []
    assert line.waiting == 0


async def test_who_waits_hears_each_better_place_once() -> None:
    line = WaitingLine(max_waiting=4)
    first, second = line.join(1, silent), line.join(2, silent)
    positions: list[int] = []
    third = line.join(3, heard(positions))
    line.leave(first)
    await line.wait(second)
    line.leave(second)
    await line.wait(third)
    assert positions == [2, 1]


@pytest.mark.parametrize(("seconds", "words"), [(0.0, [99, 1]), (1.0, [99, 49, 24, 12, 6, 1]), (9.0, [99, 49, 24, 12, 6, 3, 1])])
def test_a_place_is_told_again_when_it_has_halved(seconds: float, words: list[int]) -> None:
    """Each word is a request to Discord; with every step told, a line of a hundred would be thousands."""

    async def walk() -> None:
        line, people = WaitingLine(max_waiting=100), range(100)
        heard_by: list[list[int]] = [[] for _ in people]
        places = [line.join(person, heard_by[person].append) for person in people]
        for place in places:
            line.leave(place)
            await asyncio.sleep(seconds)
        assert heard_by[99] == words
        assert sum(map(len, heard_by)) < 7 * 100

    jumping(walk())


async def test_whoever_takes_over_a_place_hears_of_it_at_once() -> None:
    line, positions = WaitingLine(max_waiting=4), list[int]()
    working, waiting = line.join(1, silent), line.join(2, silent)
    line.listen(working, heard(positions))
    assert positions == []
    line.listen(waiting, heard(positions))
    assert positions == [1]


async def test_one_place_a_person() -> None:
    line = WaitingLine(max_waiting=4)
    place = line.join(1, silent)
    with pytest.raises(AlreadyAskingError, match="last question"):
        line.join(1, silent)
    line.leave(place)
    line.join(1, silent)


async def test_a_full_line_refuses_and_takes_again_when_somebody_left() -> None:
    line = WaitingLine(max_waiting=1)
    first, second = line.join(1, silent), line.join(2, silent)
    with pytest.raises(QueueFullError, match="1 people"):
        line.join(3, silent)
    line.leave(second)
    third = line.join(3, silent)
    line.leave(first)
    await line.wait(third)


async def test_without_room_to_wait_who_comes_alone_is_still_served() -> None:
    line = WaitingLine(max_waiting=0)
    await line.wait(line.join(1, silent))


async def test_a_second_question_waits_behind_everybody_elses_first() -> None:
    line = WaitingLine(max_waiting=9, per_user=3)
    working = line.join(1, silent)
    greedy = line.join(1, silent)
    modest = line.join(2, silent)
    line.leave(working)
    await line.wait(modest)
    assert not greedy.turn.done()
    line.leave(modest)
    await line.wait(greedy)


async def test_closing_refuses_who_comes_and_who_waits_but_not_who_works() -> None:
    line = WaitingLine(max_waiting=4)
    working, waiting = line.join(1, silent), line.join(2, silent)
    line.close()
    await line.wait(working)
    with pytest.raises(ShuttingDownError):
        await line.wait(waiting)
    with pytest.raises(ShuttingDownError):
        line.join(3, silent)
    line.leave(waiting)
    line.leave(working)


async def test_a_cancelled_wait_does_not_take_the_place_with_it() -> None:
    """The one in front leaves in the very step in which the next was cancelled and could not leave yet."""
    line = WaitingLine(max_waiting=4)
    first = line.join(1, silent)
    second = line.join(2, silent)
    third = line.join(3, silent)
    waiting = asyncio.create_task(line.wait(second))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)  # the future is cancelled, and nobody has called leave
    line.leave(first)
    async with asyncio.timeout(1):
        await line.wait(third)
    line.leave(second)
    line.leave(third)
    async with asyncio.timeout(1):
        await line.wait(line.join(4, silent))


async def test_who_is_cancelled_while_the_line_closes_leaves_no_unseen_error() -> None:
    unseen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
    line = WaitingLine(max_waiting=4)
    first = line.join(1, silent)
    second = line.join(2, silent)
    line.close()
    line.leave(second)
    line.leave(first)
    del second
    gc.collect()
    await asyncio.sleep(0)
    assert unseen == []


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["join", "leave first", "leave last"])), max_size=60))
def test_no_place_is_ever_lost_or_given_twice(steps: list[tuple[int, str]]) -> None:
    asyncio.run(_walk(steps))


async def _walk(steps: list[tuple[int, str]]) -> None:
    line, held = WaitingLine(max_waiting=3, per_user=2, running=2), list[Place]()
    for user, step in steps:
        if step == "join":
            with contextlib.suppress(AlreadyAskingError, QueueFullError):
                held.append(line.join(user, silent))
        elif held:
            line.leave(held.pop(0 if step == "leave first" else -1))
        working = [place for place in held if place.turn.done()]
        assert len(working) == min(2, len(held))
        assert line.waiting == len(held) - len(working) <= 3
        assert max(Counter(place.user_id for place in held).values(), default=0) <= 2
        positions = sorted(place.position or 0 for place in held if not place.turn.done())
        assert positions == list(range(1, len(positions) + 1))
    for place in held:
        line.leave(place)
    assert line.waiting == 0


async def test_between_two_pieces_of_work_whoever_waits_goes_first() -> None:
    line, positions = WaitingLine(max_waiting=1), list[int]()
    one = line.join(1, heard(positions))
    await line.let_pass(one)  # nobody waits
    other = line.join(2, silent)
    passing = asyncio.create_task(line.let_pass(one))
    async with asyncio.timeout(1):
        await line.wait(other)
    assert not passing.done()
    assert positions == [1]
    with pytest.raises(AlreadyAskingError):
        line.join(1, silent)
    line.leave(other)
    async with asyncio.timeout(1):
        await passing
    line.leave(one)
    assert line.waiting == 0


async def test_who_let_somebody_pass_and_left_holds_nothing_up() -> None:
    line = WaitingLine(max_waiting=4)
    one, other = line.join(1, silent), line.join(2, silent)
    passing = asyncio.create_task(line.let_pass(one))
    await line.wait(other)
    passing.cancel()
    await asyncio.gather(passing, return_exceptions=True)
    line.leave(one)
    line.leave(other)
    async with asyncio.timeout(1):
        await line.wait(line.join(3, silent))


async def test_closing_ends_a_work_of_several_pieces() -> None:
    line = WaitingLine(max_waiting=4)
    one, other = line.join(1, silent), line.join(2, silent)
    passing = asyncio.create_task(line.let_pass(one))
    await line.wait(other)
    line.close()
    with pytest.raises(ShuttingDownError):
        await passing
    line.leave(one)
    with pytest.raises(ShuttingDownError):
        await line.let_pass(other)
    line.leave(other)
