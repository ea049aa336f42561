"""The bot keeps Discord's limits, over real sockets: turns, pauses, retries, one flooding person, full lines, and few DMs."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import discord
import pytest

from bot.client import ForwardPassBot
from bot.discord_http import LimitedHTTP
from bot.services.limiter import Urgency, urgency
from models.fakes.engine import FakeEngine
from tests.loopback import payloads
from tests.loopback.conftest import ANSWER, FOOT, config, connected
from tests.loopback.crowd import Crowd
from tests.loopback.faults import broken
from tests.loopback.limits import Limits
from tests.loopback.rest import Call
from tests.loopback.server import Server

REFUSED = "I cannot take more"
BUSY = "still busy"


def said(server: Server, words: str) -> list[Call]:
    """What was posted or edited with these words in it."""
    return [call for call in server.rest.calls if words in str(call.body)]


def limited(bot: ForwardPassBot) -> LimitedHTTP:
    assert isinstance(bot.http, LimitedHTTP)
    return bot.http


async def test_the_small_discord_counts_as_discord_does() -> None:
    limits = Limits(clock=lambda: 7.0)
    refusals = [limits.check(Call("POST", f"/channels/{n}/messages", {}))[0] for n in range(60)]
    assert [refusal is None for refusal in refusals] == [True] * 50 + [False] * 10
    assert refusals[-1] is not None
    assert refusals[-1].headers["X-RateLimit-Global"] == "true"
    assert refusals[-1].body["global"]
    assert limits.check(Call("POST", "/interactions/1/interaction-1/callback", {}))[0] is None
    own = Limits(clock=lambda: 7.0)
    answers = [own.check(Call("POST", "/channels/1/messages", {})) for _ in range(6)]
    assert [headers["X-RateLimit-Remaining"] for _, headers in answers] == ["4", "3", "2", "1", "0", "0"]
    assert answers[-1][0] is not None
    assert not answers[-1][0].body["global"]


async def test_the_limits_of_threads_long_quiet_are_not_kept(server: Server, tmp_path: Path) -> None:
    """Each thread has buckets of its own: a bot that keeps them all grows with every inner voice."""
    async with connected(server, config(tmp_path), FakeEngine()) as (_, bot):
        http = limited(bot)
        for number in range(300):
            http.get_ratelimit(f"thread {number}")._last_request -= 400
        http.get_ratelimit("a new one")
        assert len(http._buckets) < 256
        assert "a new one" in http._buckets


async def test_a_flood_by_one_person_holds_nobody_back(server: Server, tmp_path: Path) -> None:
    """Twenty mentions: one answer, one refusal, then silence. The other's answer does not wait behind refusals."""
    server.limits = Limits()
    gate = threading.Event()
    async with connected(server, config(tmp_path), FakeEngine(gate=gate)):
        for _ in range(20):
            await server.mention(FOOT)
        question = await server.mention(FOOT, payloads.BOB)
        await server.until(lambda: said(server, BUSY))
        gate.set()
        await server.until(lambda: len(server.rest.named("PATCH channel")) == 2)
        assert len(said(server, BUSY)) == 1
        answers = [m for m in server.rest.answers() if m["content"].startswith(ANSWER)]
        assert len(answers) == 2
        assert question["id"] in {str(m["message_reference"]["message_id"]) for m in answers}
    assert server.limits.refused.total() == 0


async def test_those_of_one_channel_are_refused_in_one_message(server: Server, tmp_path: Path) -> None:
    crowd, gate = Crowd(server, channels=1, people=12), threading.Event()
    async with connected(server, config(tmp_path, queue={"max_waiting": 0}), FakeEngine(gate=gate)):
        await crowd.arrive()
        await crowd.burst("mention")
        await server.until(lambda: said(server, REFUSED))
        gate.set()
        await server.until(lambda: server.rest.named("PATCH channel"))
        crowd.judge()
        assert [asker.refused for asker in crowd.askers] == [False] + [True] * 11
        assert len(said(server, REFUSED)) == 1


async def test_a_slash_command_is_refused_within_its_acknowledgement(server: Server, tmp_path: Path) -> None:
    """One request, which the asker alone sees. However often: a command is never left without a word."""
    gate = threading.Event()
    async with connected(server, config(tmp_path), FakeEngine(gate=gate)):
        for _ in range(4):
            await server.slash("ask", question=FOOT)
        await server.until(lambda: len(server.rest.named("POST */callback")) == 4)
        first, *others = [call.body for call in server.rest.named("POST */callback")]
        assert first["type"] == 5
        assert [(body["type"], body["data"]["flags"]) for body in others] == [(4, 64)] * 3
        assert all(BUSY in body["data"]["content"] for body in others)
        gate.set()
        await server.until(lambda: server.rest.named("PATCH channel"))
        await server.slash("ask", question=FOOT)  # the place was given back
        await server.until(lambda: len(server.rest.named("PATCH channel")) == 2)


async def test_a_blank_question_gives_its_place_back(server: Server, tmp_path: Path) -> None:
    async with connected(server, config(tmp_path)):
        await server.slash("ask", question=" ")
        await server.until(lambda: said(server, "did not ask anything"))
        await server.slash("ask", question=FOOT)
        await server.until(lambda: server.rest.named("PATCH channel"))


async def test_a_typing_sign_without_room_is_left_out(server: Server, tmp_path: Path) -> None:
    async with connected(server, config(tmp_path)) as (_, bot):
        await limited(bot).send_typing(payloads.CHANNEL)
        assert server.rest.named("POST typing")
        limited(bot).limiter.pause(30.0)
        await limited(bot).send_typing(payloads.CHANNEL)
        assert len(server.rest.named("POST typing")) == 1
        assert limited(bot).limiter.waiting == 0


async def test_discords_global_refusal_stops_everybody_and_nothing_is_lost(server: Server, tmp_path: Path) -> None:
    """As when another process of the same bot has used up the second."""
    async with connected(server, config(tmp_path)) as (_, bot):
        server.limits = Limits(per_second=0)
        tasks = [asyncio.create_task(bot.http.get_channel(payloads.CHANNEL)) for _ in range(3)]
        await server.until(lambda: server.limits and server.limits.refused["global"])
        server.limits.per_second = 50
        found = await asyncio.gather(*tasks)
        assert [channel["id"] for channel in found] == [str(payloads.CHANNEL)] * 3
        assert server.limits.refused["global"] == 1


async def test_a_further_try_waits_for_a_turn_of_its_own(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(server, config(tmp_path)) as (_, bot):
        again, turns = limited(bot).limiter.again, []

        async def counted(turn: object) -> None:
            turns.append(turn)
            await again(turn)  # type: ignore[arg-type]

        monkeypatch.setattr(limited(bot).limiter, "again", counted)
        server.faults.add("GET", f"/channels/{payloads.CHANNEL}", broken(502))
        await bot.http.get_channel(payloads.CHANNEL)
        assert len(turns) == 1


async def test_the_last_of_a_used_up_bucket_is_told_at_once(server: Server, tmp_path: Path) -> None:
    """discord.py sleeps out the bucket first. The sixth message waits, and the answer overtakes it."""
    server.limits = Limits()
    async with connected(server, config(tmp_path)) as (_, bot):
        loop, order = asyncio.get_running_loop(), list[str]()
        channel = bot.get_partial_messageable(payloads.CHANNEL)
        began = loop.time()
        for number in range(5):
            await channel.send(str(number))
        assert loop.time() - began < 3

        async def send(text: str, level: Urgency) -> None:
            with urgency(level):
                await channel.send(text)
            order.append(text)

        async with asyncio.TaskGroup() as group:
            group.create_task(send("refusal", Urgency.SIGN))
            await asyncio.sleep(0.05)
            group.create_task(send("answer", Urgency.ANSWER))
        assert order == ["answer", "refusal"]
        assert server.limits.refused.total() == 0


async def test_who_may_not_be_answered_is_told_by_dm_once_a_minute(server: Server, tmp_path: Path) -> None:
    server.rest.history.permissions = discord.Permissions.none()
    async with connected(server, config(tmp_path)):
        for _ in range(5):
            await server.mention(FOOT)
        await server.until(lambda: said(server, "Send Messages"))
        await asyncio.sleep(0.3)
        assert len(server.rest.named("POST users/@me/channels")) == 1
        assert len(said(server, "Send Messages")) == 1
