"""Rough handling: odd questions, and a Discord in which things vanish while they are used. Somebody always sees a sentence."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Iterator
from typing import Any

import discord
import pytest

from bot.errors import ModelNotPulledError, StorageError
from bot.services import voice as service
from bot.services.monologue import Line
from bot.ui import trouble
from bot.ui.text import units
from bot.ui.threads import thread_name
from tests.cogs.conftest import ANSWER, FOOT, World, buttons, texts, told

SLOW = {"stream_after_seconds": 0.0, "edit_interval_seconds": 0.05}


@pytest.fixture(autouse=True)
def no_defect(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever Discord does, it is no defect of ours; and nobody waits long before trying again."""
    monkeypatch.setattr(trouble, "RETRY_DELAYS", (0.01, 0.01))
    caplog.set_level(logging.INFO)
    yield
    defects = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert defects == []


def whispers(world: World) -> list[str]:
    try:
        return [m.content for m in world.alice.user.dm_channel.history() if m.author.id == world.bot.user.id]
    except Exception:
        return []


async def test_an_attachment_without_words(world: World) -> None:
    await world.alice.send(world.channel, world.mention, attachments=[("foot.png", b"\x89PNG")])
    await world.alice.send_dm(attachments=world.env.backend.store_attachments(world.channel.id, [("foot.png", b"\x89PNG")]))
    (answer,) = world.answers()
    assert "You did not ask anything" in answer.content
    assert "You did not ask anything" in whispers(world)[-1]


@pytest.mark.parametrize(
    "question",
    [
        "x" * 1900,
        "why " * 470,
        "👀" * 900,
        "\u200b\u200b",
        "脚有几只眼睛？ " * 100,
        "# a\n> b\n```\nc\n||d|| <@1> <#1> <:a:1> [e](https://example.com)\n-# f",
        "\u202eright to left",
        "Z\u0351\u0343" * 300,
        "half \ud83d a character",
        "\x00\x1b[31m\x07",
        "\\",
        "```",
    ],
)
async def test_whatever_is_asked_is_answered_in_one_thread(world: World, question: str) -> None:
    await world.ask(question)
    (answer,) = world.answers()
    assert answer.content.startswith(ANSWER)
    (thread,) = world.channel.threads
    assert thread.name.startswith("💭 ")
    assert units(thread.name) <= 100
    assert "\n" not in thread.name


@pytest.mark.parametrize(
    ("question", "name"),
    [
        (" \n\t ", "💭 …"),
        ("a\nb\u2028c\x00d", "💭 a b c d"),
        ("x" * 200, "💭 " + "x" * 96 + "…"),
        ("👀" * 200, "💭 " + "👀" * 48 + "…"),
        ("\u202eabc\u2066d\u200b\u200fe", "💭 abcde"),
        ("\u200b\ufe0f\u3164", "💭 …"),
        ("@everyone @\u200bhere <\u200b@1> <@&2> a@b.c", "💭 ＠everyone ＠here <＠1> <＠&2> a@b.c"),
    ],
)
def test_a_thread_always_has_a_name(question: str, name: str) -> None:
    assert thread_name(question) == name


@pytest.mark.parametrize(
    "question",
    [
        "one\ntwo\r\nthree\u2028four\x85five",
        "a\n# heading\n>>> quote\n-# small",
        "@everyone <@1> <@&2> **bold** `code` ||spoiler|| [x](https://example.com) https://example.com :smile:",
        "```\ncode\n```",
        "*" * 1500,
        "\\" * 1499,
    ],
)
async def test_a_hostile_question_stays_in_its_quote(world: World, question: str) -> None:
    result = await world.alice.slash(world.channel, "ask", question=question)
    heading, answer, *_ = result.response.content.split("\n")
    assert heading.startswith("> ")
    assert len(heading) <= 510
    assert answer == ANSWER
    bare = re.sub(r"\\[^0-9A-Za-z\s]", "", heading.removeprefix("> "))
    assert not set("`*_|<[\\") & set(bare)
    assert "@everyone" not in heading


async def test_blanks_in_a_slash_command_are_refused_kindly(world: World) -> None:
    result = await world.alice.slash(world.channel, "ask", question="   ")
    assert "You did not ask anything" in result.response.content


@pytest.mark.world(engine={"script": {"code": "Look:\n```py\nx = 1\nx = 2"}}, sampling={"max_new_tokens": 14})
async def test_the_small_line_is_not_drawn_into_an_open_code_block(world: World) -> None:
    await world.ask("code")
    (answer,) = world.answers()
    code, small = answer.content.rsplit("\n", 1)
    assert code.endswith("\n```")
    assert small.startswith("-# Scripted")


@pytest.mark.world(discord=SLOW, engine={"delay": 0.15})
async def test_the_answer_is_deleted_while_it_streams(world: World) -> None:
    """By a moderator, say: the final flush posts it anew."""
    world.detach()
    await world.ask()
    await world.until(world.answers)
    first = world.answers()[0].id
    world.env.backend.delete_message(world.channel.id, first)
    await world.until(lambda: any(m.content.startswith(f"{ANSWER}\n") for m in world.answers()))
    await world.until(lambda: world.channel.threads)
    assert [m.id == first for m in world.answers()] == [False]


@pytest.mark.world(discord=SLOW, engine={"delay": 0.15})
async def test_every_edit_fails(world: World) -> None:
    world.env.inject_error("PATCH", f"/channels/{world.channel.id}/messages/*", status=404, code=10008, times=None)
    world.detach()
    await world.ask()
    await world.until(lambda: any(m.content.startswith(f"{ANSWER}\n") for m in world.answers()))
    await world.until(lambda: world.channel.threads)


@pytest.mark.world(discord=SLOW, engine={"delay": 0.15})
async def test_the_channel_is_deleted_while_it_answers(world: World) -> None:
    world.detach()
    channel = world.guild.create_text_channel("short-lived")
    await world.alice.send(channel, f"{world.mention} {FOOT}")
    await world.until(lambda: world.answers(channel))
    world.env.backend.delete_channel(channel.id)
    await world.until(lambda: whispers(world))
    assert ANSWER in whispers(world)[-1]
    await world.ask()  # and it goes on
    await world.until(lambda: any(m.content.startswith(f"{ANSWER}\n") for m in world.answers()))


@pytest.mark.world(engine={"delay": 0.1})
async def test_the_bot_is_removed_while_it_answers(world: World) -> None:
    world.detach()
    await world.ask()
    await world.until(lambda: world.engine.jobs)
    world.env.backend.remove_guild(world.guild.id)
    await world.until(lambda: not world.app.asks._line._held)
    await asyncio.sleep(0.2)
    await world.alice.user.send_dm(FOOT)
    await world.until(lambda: any(text.startswith(ANSWER) for text in whispers(world)))


@pytest.mark.world(discord={"inner_voice": "button"})
async def test_two_presses_at_once(world: World) -> None:
    passes: list[Any] = []
    gate, real = threading.Event(), world.engine.trace

    def trace(*args: Any, **kwargs: Any) -> Any:
        passes.append(args)
        gate.wait(10)
        return real(*args, **kwargs)

    world.engine.trace = trace  # type: ignore[method-assign]
    world.detach()
    await world.ask()
    await world.until(lambda: passes)
    (answer,) = world.answers()
    presses = [await person.click(answer, label="Inner voice") for person in (world.alice, world.bob)]
    gate.set()
    await world.until(lambda: all(told(press) for press in presses))
    assert all("Inner voice" in texts(told(press).message) for press in presses)
    assert len(passes) == 1


async def test_a_thread_that_is_said_to_be_there_and_is_not(world: World) -> None:
    world.env.inject_error("POST", "/channels/*/messages/*/threads", status=400, code=160004, message="already created")
    await world.ask()
    (answer,) = world.answers()
    assert buttons(answer) == ["Inner voice"]


async def test_a_thread_that_is_there_already_is_used(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier try did get through, and its response was lost."""
    real = discord.Message.create_thread

    async def twice(message: discord.Message, **kwargs: Any) -> Any:
        await real(message, **kwargs)
        return await real(message, **kwargs)

    monkeypatch.setattr(discord.Message, "create_thread", twice)
    await world.ask()
    (thread,) = world.channel.threads
    assert "Inner voice" in texts(thread.history()[0]) or "Inner voice" in texts(thread.history()[1])


async def test_without_read_message_history_it_answers_without_a_reply(world: World) -> None:
    world.env.inject_error("POST", f"/channels/{world.channel.id}/messages", status=400, code=160002)
    await world.ask()
    (answer,) = world.answers()
    assert answer.content.startswith(ANSWER)
    assert answer.reference is None
    assert whispers(world) == []


async def test_to_an_answer_that_was_deleted_nothing_is_added(world: World) -> None:
    world.env.inject_error("POST", "/channels/*/messages/*/threads", status=404, code=10008, message="Unknown Message")
    world.env.inject_error("PATCH", "/channels/*/messages/*", status=404, code=10008, message="Unknown Message")
    await world.ask()
    assert [m.content.startswith(ANSWER) for m in world.answers()] == [True]


async def test_a_message_that_discord_does_not_take_reaches_the_asker(world: World) -> None:
    world.env.inject_error("POST", f"/channels/{world.channel.id}/messages", status=400, code=50035, times=None)
    await world.ask()
    assert ANSWER in whispers(world)[-1]


@pytest.mark.world(engine={"script": {"long": "word " * 900}}, sampling={"max_new_tokens": 4000})
async def test_a_long_answer_reaches_the_asker_whole(world: World) -> None:
    world.env.inject_error("POST", f"/channels/{world.channel.id}/messages", status=403, code=50013, times=None)
    await world.ask("long")
    assert sum(text.count("word") for text in whispers(world)) == 900
    assert all(len(text) <= 2000 for text in whispers(world))


@pytest.mark.world(engine={"script": {"long": "word " * 900}}, sampling={"max_new_tokens": 4000})
async def test_a_long_answer_to_a_command_has_its_thread(world: World) -> None:
    await world.alice.slash(world.channel, "ask", question="long")
    parts = world.answers()
    assert len(parts) == 3
    (thread,) = world.channel.threads
    assert thread.id == parts[-1].id


@pytest.mark.world(discord={"inner_voice": "button"})
async def test_a_press_that_discord_has_forgotten(world: World) -> None:
    """The defer came too late, or a press was delivered twice."""
    await world.ask()
    (answer,) = world.answers()
    world.env.inject_error("POST", "/interactions/*/*/callback", status=404, code=10062, message="Unknown interaction")
    await world.alice.click(answer, label="Inner voice")
    assert "Inner voice" in texts(told(await world.alice.click(answer, label="Inner voice")).message)


async def test_a_command_that_discord_has_forgotten(world: World) -> None:
    for name, options in (("ask", {"question": FOOT}), ("help", {}), ("about", {})):
        world.env.inject_error(
            "POST", "/interactions/*/*/callback", status=404, code=10062, message="Unknown interaction", times=2
        )
        await world.alice.slash(world.channel, name, **options)
        world.env.backend.faults.clear()


@pytest.mark.world(discord={"inner_voice": "button"})
async def test_an_inner_voice_that_discord_does_not_take(world: World) -> None:
    await world.ask()
    (answer,) = world.answers()
    world.env.inject_error("POST", "/webhooks/*/*", status=413, code=40005, message="Request entity too large")
    result = await world.alice.click(answer, label="Inner voice")
    assert told(result) is not None


@pytest.mark.world(discord={"inner_voice": "button"})
async def test_a_long_monologue_behind_the_button_is_told_whole(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = tuple(Line(f"{number} " + "and on it went " * 60, ()) for number in range(12))
    monkeypatch.setattr(service, "verify", lambda *_: lines)
    await world.ask()
    (answer,) = world.answers()
    result = await world.alice.click(answer, label="Inner voice")
    messages = [m for m in [result.response, *result.followups] if m is not None and m.components]
    read = "\n".join(texts(m.message) for m in messages)
    assert read.count("and on it went") == 12 * 60
    assert all(len(texts(m.message)) <= 4000 for m in messages)
    assert all(m.ephemeral for m in messages)


async def test_a_database_that_fails_after_the_answer_costs_no_inner_voice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(world.app.asks, "shown", full)
    await world.ask()
    assert len(world.answers()) == len(world.channel.threads) == 1


async def test_a_database_that_fails_before_the_answer_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(world.app.asks._runs, "create", full)
    await world.ask()
    (answer,) = world.answers()
    assert answer.content == "⚠️ I cannot get at my notes right now. Ask again in a few minutes."  # the disk is for the host's log


@pytest.mark.world(discord={"inner_voice": "button"})
async def test_a_database_that_fails_under_the_button_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any) -> None:
        raise StorageError("The disk is full.")

    await world.ask()
    (answer,) = world.answers()
    monkeypatch.setattr(world.app.asks._runs, "get", full)
    assert "cannot get at my notes" in told(await world.alice.click(answer, label="Inner voice")).content


async def test_about_says_why_there_is_no_model(world: World) -> None:
    world.app.model._loading = asyncio.get_running_loop().create_future()  # type: ignore[assignment]
    world.app.model._loading.set_exception(ModelNotPulledError("The default model is not here."))  # type: ignore[attr-defined]
    for name in ("about", "model info"):
        result = await world.alice.slash(world.channel, name)
        assert "The default model is not here." in texts(result.response.message)


async def test_in_a_thread_whose_channel_is_not_known_it_answers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any) -> None:
        raise discord.ClientException("Parent channel not found")

    await world.ask()
    (thread,) = world.channel.threads
    monkeypatch.setattr(discord.Thread, "permissions_for", unknown)
    await world.alice.send(thread, f"{world.mention} And what now?")
    assert thread.history()[-1].content.startswith(ANSWER)


async def test_a_bot_and_a_webhook_are_not_answered(world: World) -> None:
    hook = world.guild.create_webhook(world.channel)
    await hook.send(f"{world.mention} {FOOT}")
    assert world.answers() == []
