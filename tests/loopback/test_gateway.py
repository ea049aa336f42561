"""Logging in, asking and being answered, over a real websocket and real HTTP."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from discord import app_commands

from models.fakes.engine import FakeEngine
from tests.loopback import gateway, payloads
from tests.loopback.conftest import ANSWER, FOOT, config, connected
from tests.loopback.server import TOKEN, Server

PNG = b"\x89PNG\r\n\x1a\n"
COMPONENTS_V2 = 1 << 15


async def test_logging_in(server: Server, tmp_path: Path) -> None:
    """Token on every request, commands synced before the gateway opens, intents as declared, then presence."""
    async with connected(server, config(tmp_path)) as (_, bot):
        await server.until(lambda: server.gateway.received(gateway.PRESENCE))
        lines = [call.line for call in server.rest.calls]
        assert lines == ["GET users/@me", "GET oauth2/applications/@me", "PUT commands", "GET gateway/bot"]
        assert {call.authorization for call in server.rest.calls} == {f"Bot {TOKEN}"}
        assert {command["name"] for command in server.rest.commands} == {
            command.name for command in bot.tree.get_commands() if isinstance(command, app_commands.Command)
        } | {command.name for command in bot.tree.get_commands()}
        (identify,) = server.gateway.received(gateway.IDENTIFY)
        assert identify["token"] == TOKEN
        assert identify["intents"] == bot.intents.value
        assert server.gateway.received(gateway.PRESENCE)[-1]["activities"][0]["state"] == "thinking with Scripted"


async def test_a_mention_is_answered_and_its_inner_voice_told(server: Server, tmp_path: Path) -> None:
    """The answer, the thread, the Components V2 messages with the picture, the archiving: in this order."""
    async with connected(server, config(tmp_path)):
        question = await server.mention(FOOT)
        await server.until(lambda: server.rest.named("PATCH channel"))
    writes = [call for call in server.rest.calls if call.line in _WRITES]
    answer, thread, *voice, archive = writes
    assert answer.body["content"].startswith(ANSWER)
    assert str(answer.body["message_reference"]["message_id"]) == question["id"]
    assert answer.body["allowed_mentions"] == {"parse": [], "replied_user": True}
    (message,) = server.rest.answers()
    assert thread.path == f"/channels/{payloads.CHANNEL}/messages/{message['id']}/threads"
    assert thread.body["name"] == f"💭 {FOOT}"
    assert {call.path for call in voice} == {f"/channels/{message['id']}/messages"}
    assert all(call.body["flags"] & COMPONENTS_V2 and not call.body.get("content") for call in voice)
    assert all(call.body["allowed_mentions"]["parse"] == [] for call in voice)
    (picture,) = voice[-1].files.items()
    assert picture[0] == "heatmap.png"
    assert picture[1].startswith(PNG)
    assert "attachment://heatmap.png" in json.dumps(voice[-1].body["components"])
    assert archive.method == "PATCH"
    assert archive.body == {"archived": True}


_WRITES = {"POST messages", "POST messages/*/threads", "PATCH channel"}


async def test_a_slash_command_is_deferred_while_the_model_works(server: Server, tmp_path: Path) -> None:
    """Discord waits three seconds; the model takes longer than that is comfortable, and the answer then fills the response."""
    engine = FakeEngine(delay=0.15)
    async with connected(server, config(tmp_path), engine):
        await server.mention("Something that keeps the model busy", author=payloads.BOB)
        await server.until(lambda: engine.jobs)
        asked = asyncio.get_running_loop().time()
        await server.slash("ask", question=FOOT)
        await server.until(lambda: server.rest.named("POST */callback"))
        deferred = server.rest.named("POST */callback")[0]
        assert deferred.at - asked < 1.0
        assert deferred.body["type"] == 5
        await server.until(lambda: len(server.rest.named("PATCH channel")) == 2)
    (filled,) = [m for m in server.rest.answers() if FOOT[:8] in m["content"]]
    assert ANSWER in filled["content"]
    assert {call.authorization for call in server.rest.named("PATCH */messages/@original")} == {None}


async def test_a_question_that_comes_before_on_ready_is_no_left_over(server: Server, tmp_path: Path) -> None:
    """discord.py holds `on_ready` back for two seconds; the recovery that runs then must not answer it a second time."""
    engine = FakeEngine(delay=0.2)
    async with connected(server, config(tmp_path), engine, ready_after=0.4) as (_, bot):
        await server.mention(FOOT)
        await bot.wait_until_ready()
        await server.until(lambda: server.rest.named("PATCH channel"))
        await asyncio.sleep(0.3)
    assert len(engine.jobs) == 1
    assert len(server.rest.answers()) == 1
