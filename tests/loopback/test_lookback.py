"""Asked while nobody listened: the session was replaced, or the bot restarted. Nothing is lost, and nothing asked twice."""

from __future__ import annotations

import asyncio
import datetime
import itertools
import sqlite3
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import discord
import pytest
from discord.backoff import ExponentialBackoff

from bot.client import PERMISSIONS, ForwardPassBot
from bot.services import seen
from models.fakes.engine import FakeEngine
from tests.loopback import gateway, payloads
from tests.loopback.conftest import FOOT, config, connected
from tests.loopback.faults import broken
from tests.loopback.payloads import ALICE, BOB, CHANNEL, DM, Json
from tests.loopback.server import Server

BY_MENTION, BY_REPLY, BY_DM, IN_THREAD = "By mention?", "By reply?", "By DM?", "In a thread?"
CAROL, DAVE = 100000000000000004, 100000000000000005


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """discord.py waits before it connects again, and five seconds before each IDENTIFY but the first."""
    monkeypatch.setattr(ExponentialBackoff, "delay", lambda _self: 0.05)
    monkeypatch.setattr(ForwardPassBot, "before_identify_hook", _at_once)


async def _at_once(*_args: object, **_options: object) -> None:
    pass


def asked(engine: FakeEngine) -> Counter[str]:
    return Counter(job.question for job in engine.jobs)


def reads(server: Server) -> list[str]:
    return [call.path for call in server.rest.calls if call.line == "GET messages"]


def replies(server: Server, question: Json) -> list[Json]:
    references = ((m, m.get("message_reference") or {}) for m in server.rest.messages.values())
    return [m for m, reference in references if str(reference.get("message_id")) == question["id"]]


def settled(server: Server, question: Json) -> bool:
    """Not with a place in the line."""
    return any("answer is" in reply["content"] or "⚠" in reply["content"] for reply in replies(server, question))


async def answered(server: Server, *questions: Json) -> None:
    await server.until(lambda: all(settled(server, question) for question in questions))
    await asyncio.sleep(0.3)  # a second answer would come now


async def _op_9(server: Server) -> None:
    await server.gateway.invalidate(resumable=False)


async def _gateway_503(server: Server) -> None:
    """After one try in vain, discord.py gives the session up by itself and identifies anew."""
    server.gateway.upgrade, server.gateway.refused_upgrades = 503, 0
    server.gateway.ready.clear()
    server.gateway.current.cut()
    await server.until(lambda: server.gateway.refused_upgrades > 2)


async def _network_away(server: Server) -> None:
    server.gateway.refused_upgrades = 0
    server.leave()
    server.gateway.expire()
    await server.until(lambda: server.gateway.refused_upgrades > 2)


Loss = Callable[[Server], Awaitable[None]]


@asynccontextmanager
async def away(server: Server, loss: Loss = _gateway_503) -> AsyncIterator[None]:
    """The session is gone, and afterwards there is a new one."""
    identified = len(server.gateway.received(gateway.IDENTIFY))
    await loss(server)
    yield
    server.come_back()
    await server.until(lambda: len(server.gateway.received(gateway.IDENTIFY)) > identified)
    await server.gateway.ready.wait()


@pytest.mark.parametrize("loss", [_op_9, _gateway_503, _network_away])
async def test_the_session_is_replaced(server: Server, tmp_path: Path, loss: Loss) -> None:
    engine = FakeEngine()
    async with connected(server, config(tmp_path), engine) as (_, bot):
        await bot.wait_until_ready()
        first = await server.mention(FOOT)
        await answered(server, first)
        async with away(server, loss):
            missed = await server.mention(BY_MENTION)
        await answered(server, missed)
        later = await server.mention("And afterwards?")
        await answered(server, later)
    assert asked(engine) == {FOOT: 1, BY_MENTION: 1, "And afterwards?": 1}
    assert [len(replies(server, question)) for question in (first, missed, later)] == [1, 1, 1]


async def _everywhere(server: Server, answer: Json) -> list[Json]:
    """The bot is asked in each way, and other things are said."""
    await server.say("Nothing that is for the bot", CAROL)
    await server.say("A reply to somebody else", BOB, to=await server.say("This one", DAVE))
    return [
        await server.mention(BY_MENTION, CAROL),
        await server.say(BY_REPLY, BOB, to=answer),
        await server.say(BY_DM, where=DM),
        await server.say(f"{payloads.MENTION} {IN_THREAD}", DAVE, where=answer["id"]),
    ]


@pytest.mark.parametrize("restart", [False, True])
async def test_in_each_way_of_asking(server: Server, tmp_path: Path, restart: bool) -> None:
    """By mention, by a reply, by DM, in a thread that was collapsed; after a lost session, and after a restart."""
    engine = FakeEngine()
    async with connected(server, config(tmp_path), engine) as (_, bot):
        await bot.wait_until_ready()
        before = await server.say("Hello?", where=DM)
        first = await server.mention(FOOT, BOB)
        await answered(server, before, first)
        await server.until(lambda: server.rest.named("PATCH channel"))
        (answer,) = replies(server, first)
        if not restart:
            async with away(server):
                missed = await _everywhere(server, answer)
            await answered(server, *missed)
    if restart:
        server.gateway.expire()
        missed = await _everywhere(server, answer)
        async with connected(server, config(tmp_path), engine):
            await answered(server, *missed)
    assert asked(engine) == {"Hello?": 1, FOOT: 1, **dict.fromkeys((BY_MENTION, BY_REPLY, BY_DM, IN_THREAD), 1)}
    assert {len(replies(server, question)) for question in missed} == {1}
    (reply,) = [job for job in engine.jobs if job.question == BY_REPLY]
    assert [turn.text for turn in reply.history][:1] == [FOOT]
    assert sorted(set(reads(server))) == sorted(f"/channels/{one}/messages" for one in (CHANNEL, DM, answer["id"]))


async def test_without_read_message_history(server: Server, tmp_path: Path) -> None:
    """Then there is nothing to read, and nothing is tried."""
    server.rest.history.permissions = discord.Permissions(PERMISSIONS.value & ~discord.Permissions.read_message_history.flag)
    engine = FakeEngine()
    async with connected(server, config(tmp_path), engine) as (_, bot):
        await bot.wait_until_ready()
        await answered(server, await server.mention(FOOT))
        async with away(server):
            await server.mention(BY_MENTION)
        await asyncio.sleep(0.5)
    assert asked(engine) == {FOOT: 1}
    assert reads(server) == []


@pytest.mark.parametrize("minutes", [-20, 0, 20])
async def test_for_ten_minutes_at_most(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    """Of Discord's time, wherever the host's clock stands."""
    monkeypatch.setattr(payloads, "AHEAD", datetime.timedelta(minutes=minutes))
    engine = FakeEngine()
    async with connected(server, config(tmp_path), engine):
        await answered(server, last := await server.say(f"{payloads.MENTION} {FOOT}", ago=1800))
    await asyncio.to_thread(_was_there, tmp_path, int(last["id"]))
    server.gateway.expire()
    await server.say(f"{payloads.MENTION} Eleven minutes ago", BOB, ago=660)
    missed = await server.say(f"{payloads.MENTION} Nine minutes ago", CAROL, ago=540)
    async with connected(server, config(tmp_path), engine):
        await answered(server, missed)
    assert asked(engine) == {FOOT: 1, "Nine minutes ago": 1}


def _was_there(folder: Path, message_id: int) -> None:
    """The last process read up to that message, half an hour ago."""
    with closing(sqlite3.connect(folder / "runs.sqlite3")) as connection:
        assert connection.execute("UPDATE seen SET message_id = ?", (message_id,)).rowcount == 1
        connection.commit()


async def test_just_installed(server: Server, tmp_path: Path) -> None:
    """What was said before the bot was there at all is none of its business."""
    engine = FakeEngine()
    await server.mention("Are you there yet?")
    async with connected(server, config(tmp_path), engine) as (_, bot):
        await bot.wait_until_ready()
        await asyncio.sleep(0.3)
    assert asked(engine) == {}
    assert reads(server) == []


async def test_started_and_never_asked(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its first session on there is a mark to look back from."""
    monkeypatch.setattr(seen, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(seen, "MARGIN", 0)
    engine = FakeEngine()
    async with connected(server, config(tmp_path), engine) as (_, bot):
        await bot.wait_until_ready()
        await asyncio.sleep(1.0)
    server.gateway.expire()
    missed = await server.mention(BY_MENTION)
    async with connected(server, config(tmp_path), engine):
        await answered(server, missed)
    assert asked(engine) == {BY_MENTION: 1}


async def test_what_was_answered_or_refused_is_left_alone(server: Server, tmp_path: Path) -> None:
    """By the journal, by the reply that stands there, by a reaction."""
    engine = FakeEngine(gate=threading.Event())
    async with connected(server, config(tmp_path), engine) as (_, bot):
        await bot.wait_until_ready()
        first = await server.mention(FOOT)
        await server.until(lambda: engine.jobs)
        refused = await server.mention("One too many")
        await answered(server, refused)
        engine.gate.set()
        await answered(server, first)
    server.gateway.expire()
    marked = await server.mention("Refused by a reaction", CAROL)
    server.rest.history.said[marked["id"]]["reactions"] = [{"emoji": {"id": None, "name": "⏳"}, "count": 1, "me": True}]
    missed = await server.mention(BY_MENTION, BOB)
    async with connected(server, config(tmp_path), engine):
        await answered(server, missed)
    assert asked(engine) == {FOOT: 1, BY_MENTION: 1}
    assert [len(replies(server, question)) for question in (first, refused, marked, missed)] == [1, 1, 0, 1]


async def test_a_refusal_without_a_trace_is_remembered(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the channel nothing says that the bot has read it; the mark does."""
    monkeypatch.setattr(seen, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(seen, "MARGIN", 0)
    engine = FakeEngine(gate=threading.Event())
    async with connected(server, config(tmp_path), engine) as (_, bot):
        await bot.wait_until_ready()
        await server.mention(FOOT)
        await server.until(lambda: engine.jobs)
        refused = await server.mention("One too many")
        await answered(server, refused)
        for reply in replies(server, refused):
            del server.rest.messages[reply["id"]]
        engine.gate.set()
        await asyncio.sleep(0.5)
    server.gateway.expire()
    missed = await server.mention(BY_MENTION, BOB)
    async with connected(server, config(tmp_path), engine):
        await answered(server, missed)
    assert asked(engine) == {FOOT: 1, BY_MENTION: 1}


async def test_a_resumed_session_needs_no_looking_back(server: Server, tmp_path: Path) -> None:
    engine = FakeEngine()
    async with connected(server, config(tmp_path), engine) as (_, bot):
        await bot.wait_until_ready()
        await answered(server, await server.mention(FOOT))
        server.gateway.current.cut()
        missed = await server.mention(BY_MENTION)
        await answered(server, missed)
    assert server.gateway.resumed == 1
    assert asked(engine) == {FOOT: 1, BY_MENTION: 1}
    assert reads(server) == []


async def test_a_server_that_comes_late(server: Server, tmp_path: Path) -> None:
    """When Discord is slow, its GUILD_CREATE comes after discord.py has stopped to wait for it."""
    engine = FakeEngine()
    async with connected(server, config(tmp_path), engine) as (_, bot):
        await bot.wait_until_ready()
        await answered(server, await server.mention(FOOT))
        server.gateway.withheld = True
        async with away(server):
            missed = await server.mention(BY_MENTION)
        await asyncio.sleep(0.5)
        assert asked(engine) == {FOOT: 1}
        await server.gateway.dispatch("GUILD_CREATE", server.rest.history.guild())
        await answered(server, missed)
    assert asked(engine) == {FOOT: 1, BY_MENTION: 1}


async def test_one_person_asked_several_times(server: Server, tmp_path: Path) -> None:
    """One after the other: at once, the second would be refused. One that is deleted before its turn is not asked."""
    engine = FakeEngine(gate=threading.Event())
    async with connected(server, config(tmp_path), engine) as (_, bot):
        await bot.wait_until_ready()
        await server.say("Hello")
        async with away(server):
            one, two, three = [await server.mention(text) for text in ("One?", "Two?", "Three?")]
        await server.until(lambda: engine.jobs)
        gone = {"id": two["id"], "channel_id": two["channel_id"], "guild_id": two["guild_id"]}
        await server.gateway.dispatch("MESSAGE_DELETE", gone)
        engine.gate.set()
        await answered(server, one, three)
    assert [job.question for job in engine.jobs] == ["One?", "Three?"]
    assert replies(server, two) == []


async def test_what_could_not_be_read_is_read_after_the_next_session(server: Server, tmp_path: Path) -> None:
    engine = FakeEngine()
    server.faults.add("GET", rf"/channels/{CHANNEL}/messages", *[broken(400 + 108)] * 3)  # 508: discord.py gives up at once
    async with connected(server, config(tmp_path), engine) as (_, bot):
        await bot.wait_until_ready()
        await answered(server, await server.mention(FOOT))
        async with away(server):
            missed = await server.mention(BY_MENTION)
        await server.until(lambda: len(reads(server)) == 3)
        async with away(server):
            pass
        await answered(server, missed)
    assert asked(engine) == {FOOT: 1, BY_MENTION: 1}


async def test_a_busy_channel_is_read_page_by_page(server: Server, tmp_path: Path) -> None:
    """Oldest first, and each question once."""
    engine = FakeEngine()
    async with connected(server, config(tmp_path), engine) as (_, bot):
        await bot.wait_until_ready()
        await server.say("Hello")
        async with away(server):
            for number in range(250):
                await server.say(f"Talk {number}", CAROL)
            missed = [await server.mention(f"Question {user}?", user) for user in (ALICE, BOB)]
        await answered(server, *missed)
    assert asked(engine) == {f"Question {user}?": 1 for user in (ALICE, BOB)}
    assert len(reads(server)) == 3


async def test_lost_and_doubled(server: Server, tmp_path: Path) -> None:
    """Sessions and processes after one another, and questions in each gap: every one is asked once."""
    engine, questions, numbers = FakeEngine(), [], itertools.count()

    async def ask() -> None:
        users = (ALICE, BOB, CAROL, DAVE)
        questions.extend([await server.mention(f"Number {next(numbers)}?", user) for user in users])

    await server.say("Before everything")
    for _ in range(2):
        async with connected(server, config(tmp_path, queue={"per_user": 5}), engine) as (_, bot):
            await bot.wait_until_ready()
            await ask()
            for loss in (_op_9, _gateway_503):
                async with away(server, loss):
                    await ask()
            await server.until(lambda: all(settled(server, question) for question in questions), 90)
        server.gateway.expire()
        await ask()
    async with connected(server, config(tmp_path, queue={"per_user": 5}), engine):
        await answered(server, *questions)
    counts = Counter(len(replies(server, question)) for question in questions)
    assert counts == {1: 32}
    assert sum(asked(engine).values()) == 32
