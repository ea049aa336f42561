"""Every request that the bot makes, held against Discord's own description of its REST API."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import discord
import pytest

from models.fakes.engine import FakeEngine
from tests.cogs import discord_schema
from tests.cogs.conftest import ANSWER, FOOT, World, config, running
from tests.cogs.discord_schema import operation, problems

LONG = {"long": "word " * 900, "short": "2"}
MEBIBYTES_10 = 10 * 1024 * 1024


@pytest.fixture(autouse=True)
def sizes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The bytes of every file that was sent: simcord's log of requests does not hold them."""
    seen: list[int] = []
    real = discord.http.handle_message_parameters

    def watched(*args: Any, **kwargs: Any) -> Any:
        given = [kwargs.get("files"), kwargs.get("attachments"), [kwargs.get("file")]]
        for file in (each for some in given if isinstance(some, (list, tuple)) for each in some):
            if isinstance(file, discord.File):
                seen.append(len(file.fp.read()))
                file.reset()
        return real(*args, **kwargs)

    for module in (discord.abc, discord.webhook.async_, discord.interactions, discord.message, discord.http):
        if hasattr(module, "handle_message_parameters"):
            monkeypatch.setattr(module, "handle_message_parameters", watched)
    yield seen
    assert all(size <= MEBIBYTES_10 for size in seen)


def check(world_or_env: Any) -> set[str]:
    """No request may be wrong; returns ``METHOD operation id`` of all that were made."""
    env = getattr(world_or_env, "env", world_or_env)
    found = [text for r in env.http_requests for text in problems(r.method, r.path, r.json)]
    assert found == []
    return {operation(r.method, r.path)["operationId"] for r in env.http_requests}


async def test_a_mention_its_thread_and_the_command_sync(world: World, sizes: list[int]) -> None:
    await world.ask()
    made = check(world)
    assert {"create_message", "create_thread_from_message", "update_channel", "bulk_set_application_commands"} <= made
    assert len(sizes) == 1


async def test_a_reply(world: World) -> None:
    await world.ask()
    await world.alice.send(world.channel, "Sure?", reply_to=world.answers()[0])
    check(world)


async def test_a_dm_and_a_press(world: World, sizes: list[int]) -> None:
    await world.alice.send_dm(FOOT)
    answer = world.alice.user.dm_channel.history()[-1]
    await world.alice.user.click(answer, label="Inner voice")
    made = check(world)
    assert {"create_interaction_response", "update_original_webhook_message"} <= made
    assert len(sizes) == 1


@pytest.mark.world(engine={"script": LONG}, sampling={"max_new_tokens": 4000})
async def test_ask_short_and_long(world: World) -> None:
    for question in ("short", "long"):
        await world.alice.slash(world.channel, "ask", question=question)
    check(world)


@pytest.mark.world(discord={"stream_after_seconds": 0.0, "edit_interval_seconds": 0.05}, engine={"delay": 0.1})
async def test_a_streamed_answer(world: World) -> None:
    world.detach()
    await world.ask()
    await world.until(lambda: world.answers() and world.answers()[0].content.startswith(f"{ANSWER}\n"))
    await world.until(lambda: world.channel.threads)
    await world.until(lambda: any(r.json == {"archived": True} for r in world.env.http_requests))
    assert "update_message" in check(world)


async def test_the_queue_and_a_refusal(world: World) -> None:
    gate = world.engine.gate = threading.Event()
    world.detach()
    await world.ask()
    await world.bob.send(world.channel, f"{world.mention} And mine?")
    await world.ask("And my hand?")
    await world.until(lambda: len(world.answers()) == 2)
    gate.set()
    await world.until(lambda: sum(m.content.startswith(ANSWER) for m in world.answers()) == 2)
    check(world)


@pytest.mark.world(discord={"stream_after_seconds": 0.0, "edit_interval_seconds": 0.05}, engine={"delay": 0.2})
async def test_a_deleted_question(world: World) -> None:
    world.detach()
    question = await world.ask()
    await world.until(world.answers)
    await world.alice.delete(question)
    await world.until(lambda: not world.answers())
    assert "delete_message" in check(world)


async def test_an_error_and_the_small_commands(world: World) -> None:
    world.engine.answer_error = ValueError("a defect")
    await world.ask()
    await world.alice.slash(world.channel, "help")
    await world.alice.slash(world.channel, "about")
    check(world)


@pytest.mark.world(engine={"script": {"x": "`" * 30 + "\n> # hello <@1> @everyone\n" + "~~~\n" * 20 + "-# x"}})
async def test_hostile_words(world: World) -> None:
    await world.ask("x")
    await world.alice.slash(world.channel, "ask", question="x")
    check(world)


async def test_the_commands_keep_to_the_limits(tmp_path: Any) -> None:
    async with running(config(tmp_path), FakeEngine()) as (_, env):
        (sync,) = [r for r in env.http_requests if r.path.endswith("/commands") and r.method == "PUT"]
        assert problems(sync.method, sync.path, sync.json) == []
        assert {command["name"] for command in sync.json} >= {"ask", "help", "about"}


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/channels/1/messages", {"content": "x", "allowed_mentions": {"parse": []}, "contents": "y"}, "contents"),
        ("/channels/1/messages", {"content": "x" * 2001, "allowed_mentions": {"parse": []}}, "2001"),
        ("/channels/1/messages", {"content": "👀" * 1001, "allowed_mentions": {"parse": []}}, "2002"),
        ("/channels/1/messages", {"content": "\ud800", "allowed_mentions": {"parse": []}}, "half a character"),
        ("/channels/1/messages", {"content": "x"}, "allowed_mentions"),
        ("/channels/1/messages", {"content": "x", "allowed_mentions": {"replied_user": True}}, "allowed_mentions"),
        ("/channels/1/messages", {"content": "x", "allowed_mentions": {"parse": ["everyone"]}}, "everyone"),
        ("/channels/1/messages", {"content": "x", "allowed_mentions": {"parse": [], "users": ["1"]}}, "may ping"),
        ("/channels/1/messages", {"embeds": [{"title": "x"}]}, "allowed_mentions"),
        ("/channels/1/messages", {"flags": 1 << 15, "components": [{"type": 10, "content": "x"}]}, "allowed_mentions"),
        (
            "/interactions/1/t/callback",
            {"type": 4, "data": {"flags": 1 << 15, "components": [{"type": 10, "content": "x"}]}},
            "allowed_mentions",
        ),
        ("/channels/1/messages/2/threads", {"name": "x" * 101}, "too long"),
        ("/channels/1/messages/2/threads", {"name": "👀" * 51}, "102"),
        ("/channels/1/messages/2/threads", {"name": "x\u202ey"}, "the name"),
        ("/channels/1/messages/2/threads", {"name": "x\ny"}, "the name"),
        ("/interactions/1/t/callback", {"type": 8, "data": {"choices": [{"name": "👀" * 51, "value": "x"}]}}, "102"),
        ("/channels/1/messages/2/threads", {"name": "x", "auto_archive_duration": 61}, "auto_archive"),
        ("/channels/1/messages", {"flags": 1 << 15, "components": [{"type": 10, "content": "x" * 4001}]}, "4001|too long"),
        ("/channels/1/messages", {"flags": 1 << 15, "components": [{"type": 17, "components": [], "colour": 1}]}, "components"),
    ],
)
def test_the_check_sees_what_is_wrong(path: str, body: Any, words: str) -> None:
    assert re.search(words, " ".join(problems("POST", path, body)))


def test_an_unknown_route_is_one() -> None:
    with pytest.raises(AssertionError, match="no PUT"):
        operation("PUT", "/channels/1/messages")
    assert discord_schema.spec()["info"]["version"] == "10"
