"""Whatever goes wrong, somebody sees a sentence, and the log sees no content."""

from __future__ import annotations

import logging

import discord
import pytest

from bot.errors import OutOfMemoryError, QuestionTooLongError, TraceMismatchError
from tests.cogs.conftest import ANSWER, World, buttons, texts, told

SECRET = "my secret question about a foot"


def deny(world: World, name: str, **permissions: bool) -> object:
    """A channel in which the bot lacks something."""
    overwrite = discord.PermissionOverwrite(**permissions)
    return world.guild.create_text_channel(name, overwrites={world.bot.user: overwrite})


async def test_without_create_public_threads_there_is_a_button_that_says_what_is_missing(world: World) -> None:
    channel = deny(world, "no-threads", create_public_threads=False)
    await world.alice.send(channel, f"{world.mention} {SECRET}")
    (answer,) = world.answers(channel)
    assert buttons(answer) == ["Inner voice"]
    assert channel.threads == []
    result = await world.alice.click(answer, label="Inner voice")
    voice = told(result)
    assert voice.ephemeral
    assert "Create Public Threads" in texts(voice.message)


@pytest.mark.parametrize("permission", ["send_messages_in_threads", "attach_files"])
async def test_without_other_thread_permissions_there_is_a_button(world: World, permission: str) -> None:
    channel = deny(world, "some", **{permission: False})
    await world.alice.send(channel, f"{world.mention} {SECRET}")
    (answer,) = world.answers(channel)
    assert buttons(answer) == ["Inner voice"]


async def test_where_the_bot_may_not_write_the_asker_hears_it_by_dm(world: World) -> None:
    channel = deny(world, "silent", send_messages=False)
    await world.alice.send(channel, f"{world.mention} {SECRET}")
    assert world.answers(channel) == []
    whisper = world.alice.user.dm_channel.history()[-1]
    assert "Send Messages" in whisper.content


async def test_inside_a_thread_the_answer_has_a_button(world: World) -> None:
    await world.ask()
    (thread,) = world.channel.threads
    before = len(thread.history())
    await world.alice.send(thread, f"{world.mention} And what now?")
    answer = thread.history()[-1]
    assert len(thread.history()) == before + 2
    assert buttons(answer) == ["Inner voice"]


async def test_an_answer_survives_a_500(world: World) -> None:
    world.env.inject_error("POST", f"/channels/{world.channel.id}/messages", status=500)
    await world.ask()
    (answer,) = world.answers()
    assert answer.content.startswith(ANSWER)
    assert len(world.channel.threads) == 1


async def test_a_thread_survives_a_500_and_stays_one(world: World) -> None:
    world.env.inject_error("POST", "/channels/*/messages/*/threads", status=500)
    await world.ask()
    assert len(world.channel.threads) == 1


async def test_a_403_on_the_thread_turns_into_a_button(world: World) -> None:
    world.env.inject_error("POST", "/channels/*/messages/*/threads", status=403, code=50013, message="Missing Permissions")
    await world.ask()
    (answer,) = world.answers()
    assert buttons(answer) == ["Inner voice"]
    result = await world.alice.click(answer, label="Inner voice")
    assert "Inner voice" in texts(told(result).message)


async def test_a_403_on_the_answer_reaches_the_asker_by_dm(world: World) -> None:
    world.env.inject_error(
        "POST", f"/channels/{world.channel.id}/messages", status=403, code=50013, message="Missing Permissions", times=None
    )
    await world.ask()
    whisper = world.alice.user.dm_channel.history()[-1]
    assert "Send Messages" in whisper.content
    assert ANSWER in whisper.content


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OutOfMemoryError("The device ran out of memory."), "ran out of memory"),
        (QuestionTooLongError("Your question has 9,000 tokens and my context 2,048."), "9,000 tokens"),
    ],
)
async def test_errors_of_the_tree_are_shown_as_they_are(world: World, error: Exception, words: str) -> None:
    world.engine.answer_error = error
    await world.ask()
    (answer,) = world.answers()
    assert answer.content.startswith("⚠️")
    assert words in answer.content
    world.engine.answer_error = None
    await world.ask()  # the place in the line was given back
    assert world.answers()[-1].content.startswith(ANSWER)


async def test_a_defect_is_shown_with_its_id_and_logged_without_content(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world.engine.answer_error = ValueError(f"bad thing about {SECRET}")
    await world.ask(SECRET)
    (answer,) = world.answers()
    assert "Something broke inside me" in answer.content
    number = answer.content.rsplit("error ", 1)[1].rstrip(".")
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith(("bot", "cogs", "models")))
    assert number in ours
    assert SECRET not in ours


async def test_no_log_line_holds_a_question_or_an_answer(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await world.ask(SECRET)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("bot", "cogs", "models"))]
    assert ours
    assert not any(SECRET in line or ANSWER in line for line in ours)


async def test_a_refused_second_pass_leaves_the_answer_and_a_note(world: World) -> None:
    world.engine.trace_error = TraceMismatchError("The second pass does not agree with the answer pass.")
    await world.ask()
    (answer,) = world.answers()
    assert answer.content.startswith(ANSWER)
    assert "No inner voice this time: The second pass does not agree" in answer.content
    assert world.channel.threads == []


@pytest.mark.world(discord={"inner_voice": "button"})
async def test_a_refused_second_pass_is_told_to_who_presses(world: World) -> None:
    world.engine.trace_error = TraceMismatchError("The second pass does not agree with the answer pass.")
    await world.ask()
    (answer,) = world.answers()
    result = await world.alice.click(answer, label="Inner voice")
    assert "does not agree" in told(result).content


async def test_a_run_that_expired_is_answered_kindly(world: World) -> None:
    await world.alice.send_dm("hello?")
    answer = world.alice.user.dm_channel.history()[-1]
    run = await world.app.asks._runs.by_message(answer.id)
    assert run is not None
    await world.app.asks._runs.purge_expired(run.expires_at.replace(year=run.expires_at.year + 1))
    result = await world.alice.user.click(answer, label="Inner voice")
    assert "Ask the question again" in told(result).content
