"""What nobody confirmed: looked for before it is said again, read back when it may come late; and clocks that go wrong."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from typing import Any

import discord
import pytest

from models.fakes.engine import FakeEngine
from tests.loopback import payloads, scenes
from tests.loopback.conftest import ANSWER, FOOT, LEDGER, config, connected
from tests.loopback.faults import Fault, broken, dropped, late
from tests.loopback.scenes import CALLBACK, FOLLOW_UP, LONG, MESSAGES, ORIGINAL, SCRIPT, SLOW
from tests.loopback.server import Server

PRIVATE = {"private": True}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.ui.followups.LOOKS", (0.05, 0.15))
    monkeypatch.setattr("bot.ui.followups.TWIN_LOOKS", (0.3, 0.5))
    monkeypatch.setattr("bot.ui.replies.LOOKS", (0.05, 0.2, 0.4))


def told(server: Server) -> bool:
    return bool(server.rest.named("PATCH channel"))


def by_dm(server: Server) -> list[Any]:
    return [m for m in server.rest.messages.values() if m["channel_id"] == str(payloads.DM)]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("sees", ["the gateway", "the history"])
async def test_an_answer_that_no_try_confirmed_is_found_before_a_dm_says_it_again(
    server: Server, tmp_path: Path, sees: str
) -> None:
    server.rest.lists, server.rest.tells_of_own = sees == "the history", sees == "the gateway"
    server.faults.add("POST", MESSAGES, *[dropped(after=True)] * 3)
    async with connected(server, config(tmp_path)):
        await server.mention(FOOT)
        await server.until(lambda: told(server))
    (answer,) = server.rest.answers()
    assert ANSWER in answer["content"]
    assert by_dm(server) == []
    LEDGER.note(f"three replies cut, seen by {sees}", 3, lost=0, doubled=0, opened=0)


@pytest.mark.usefixtures("quick")
async def test_an_answer_that_came_late_is_found_as_well(server: Server, tmp_path: Path) -> None:
    server.faults.add("POST", MESSAGES, *[late(0.5, dropped())] * 3)
    async with connected(server, config(tmp_path)):
        await server.mention(FOOT)
        await server.until(lambda: told(server))
    assert len(server.rest.answers()) == 1
    assert by_dm(server) == []


@pytest.mark.usefixtures("quick")
async def test_an_answer_that_is_nowhere_comes_by_dm_once(server: Server, tmp_path: Path) -> None:
    """Also when the reply to the DM is lost."""
    server.faults.add("POST", MESSAGES, *[dropped()] * 3)
    server.faults.add("POST", rf"/channels/{payloads.DM}/messages", dropped(after=True))
    async with connected(server, config(tmp_path)):
        await server.mention(FOOT)
        await server.until(lambda: by_dm(server) and len(server.rest.named("POST messages")) > 0)
    assert server.rest.answers() == []
    assert len(by_dm(server)) == 1


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "fault", [dropped(after=True), broken(502, done=True), broken(503, done=True)], ids=["cut", "502", "503"]
)
@pytest.mark.parametrize("options", [{}, PRIVATE], ids=["public", "private"])
async def test_a_follow_up_that_was_carried_out_is_asked_for_once(
    server: Server, tmp_path: Path, fault: Fault, options: Any
) -> None:
    """discord.py's own repeats are off: the second part is seen, and no second request is made."""
    server.faults.add("POST", FOLLOW_UP, fault)
    async with connected(server, config(tmp_path, sampling={"max_new_tokens": 1000}), FakeEngine(SCRIPT)):
        await server.slash("ask", question=LONG, **options)
        await server.until(lambda: len(server.rest.messages) >= 2)
        await server.until(lambda: server.rest.named("GET */messages/*") or server.rest.named("PATCH channel"))
        await asyncio.sleep(0.3)
    posted = [call for call in server.rest.calls if call.method == "POST" and call.path.startswith("/webhooks/")]
    assert len(posted) == 1
    assert len(server.rest.answers()) == 2


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("fault", "copies"), [(dropped(), 1), (dropped(after=True), 2)], ids=["before", "after"])
async def test_where_nothing_can_be_seen_the_repeat_says_so(server: Server, tmp_path: Path, fault: Fault, copies: int) -> None:
    """Nothing tells the two kinds apart there, and a part that is missing would be worse."""
    server.rest.tells_of_private = False
    server.faults.add("POST", FOLLOW_UP, fault)
    async with connected(server, config(tmp_path, sampling={"max_new_tokens": 1000}), FakeEngine(SCRIPT)):
        await server.slash("ask", question=LONG, **PRIVATE)
        await server.until(lambda: any("may see it twice" in m["content"] for m in server.rest.answers()), seconds=15)
    found = [m["content"] for m in server.rest.answers() if "word479" in m["content"]]
    assert len(found) == copies
    assert sum("may see it twice" in content for content in found) == 1


async def test_an_acknowledgement_that_stays_away_is_asked_for_again_in_time(server: Server, tmp_path: Path) -> None:
    """Its tries get no reply at all; the response itself says that one of them was taken."""
    server.faults.add("POST", CALLBACK, late(0.2, dropped()), *[dropped()] * 30)
    async with connected(server, config(tmp_path)):
        await server.slash("ask", question=FOOT)
        await server.until(lambda: told(server))
    (answer,) = server.rest.answers()
    assert ANSWER in answer["content"]
    assert scenes.left_open(server) == []


async def test_an_interaction_that_a_resumed_session_brings_again_is_answered_once(server: Server, tmp_path: Path) -> None:
    async with connected(server, config(tmp_path)):
        server.gateway.replayed_again = 100
        asked = await server.slash("ask", question=FOOT)
        await server.until(lambda: told(server))
        server.faults.add("POST", CALLBACK, dropped())
        await server.gateway.dispatch("INTERACTION_CREATE", asked)
        await server.until(lambda: len([c for c in server.rest.calls if c.line.endswith("callback")]) > 2)
        await asyncio.sleep(0.3)
    assert len(server.rest.answers()) == 1


async def test_edits_that_were_confirmed_cost_no_look(server: Server, tmp_path: Path) -> None:
    streamed = {"stream_after_seconds": 0.05, "edit_interval_seconds": 0.05}
    async with connected(server, config(tmp_path, discord=streamed), FakeEngine(SCRIPT, delay=0.02)):
        await server.mention(SLOW)
        await server.until(lambda: told(server))
    assert len(server.rest.named("PATCH messages/*")) > 2
    assert [call.line for call in server.rest.calls if call.method == "GET" and "messages" in call.path] == []


@pytest.mark.faults
@pytest.mark.parametrize("answer", [dropped(), broken(502), None], ids=["cut", "502", "none"])
async def test_an_edit_that_is_carried_out_nine_seconds_late_does_not_stay(
    server: Server, tmp_path: Path, answer: Fault | None
) -> None:
    """With the pauses of production."""
    streamed = {"stream_after_seconds": 0.05, "edit_interval_seconds": 0.1}
    server.faults.add("PATCH", MESSAGES + r"/\d+", Fault(), late(9.0, answer))
    async with connected(server, config(tmp_path, discord=streamed), FakeEngine(SCRIPT, delay=0.04)):
        await server.mention(SLOW)
        await server.until(lambda: told(server))
        assert "word24" in server.rest.answers()[0]["content"]
        await server.settled()
        await server.until(lambda: "word24" in server.rest.answers()[0]["content"], seconds=12)
        await asyncio.sleep(1)
    (shown,) = server.rest.answers()
    wrong = "▌" in shown["content"]
    LEDGER.note("a streamed edit 9 s late", 1, lost=int(wrong), doubled=0, opened=int(wrong))
    assert not wrong


@pytest.mark.parametrize("minutes", [-20, 20])
async def test_clocks_that_disagree_change_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    """Discord's ids say a time that is twenty minutes from the host's."""
    there = discord.utils.utcnow() + datetime.timedelta(minutes=minutes)
    monkeypatch.setattr(payloads, "snowflake", lambda: str(discord.utils.time_snowflake(there) + next(payloads._counter)))
    async with connected(server, config(tmp_path)):
        await server.slash("ask", question=FOOT)
        await server.until(lambda: told(server))
    (answer,) = server.rest.answers()
    assert ANSWER in answer["content"]
    assert scenes.left_open(server) == []
    assert server.rest.named("PATCH */messages/@original")


@pytest.mark.parametrize("options", [{}, PRIVATE], ids=["public", "private"])
async def test_a_token_that_dies_before_its_time_leads_to_the_channel(server: Server, tmp_path: Path, options: Any) -> None:
    """The host slept, and its monotonic clock with it."""
    server.faults.add("PATCH", ORIGINAL, Fault(401, {"message": "Invalid Webhook Token", "code": 50027}))
    async with connected(server, config(tmp_path)):
        await server.slash("ask", question=FOOT, **options)
        await server.until(lambda: any(ANSWER in m["content"] for m in server.rest.messages.values()))
    (answer,) = [m for m in server.rest.messages.values() if ANSWER in m["content"]]
    assert answer["channel_id"] == str(payloads.DM if options else payloads.CHANNEL)
