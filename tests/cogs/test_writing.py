"""What people write in Discord: forwards, mentions of all kinds, pasted files, replies to others, questions inside a thread."""

from __future__ import annotations

from typing import Any

import discord
import pytest

from bot.ui import questions
from bot.ui.markup import plain
from tests.cogs.conftest import ANSWER, FOOT, World

INTENT = pytest.mark.world(discord={"message_content": True})
GIRAFFE = "How many eyes does a giraffe have?"


def asked(world: World) -> list[tuple[str, list[str]]]:
    """Each question that reached the model, with its history."""
    return [(job.question, [turn.text for turn in job.history]) for job in world.engine.jobs]


async def test_a_reply_to_an_answer_of_ask_comes_without_words(world: World) -> None:
    answer = await world.alice.slash(world.channel, "ask", question=FOOT)
    await world.alice.send(world.channel, "Are you sure?", reply_to=answer.response)
    assert "I cannot read this reply: mention me in it, or use /ask." in world.answers()[-1].content
    assert len(world.engine.jobs) == 1


async def test_it_is_said_once_a_minute(world: World) -> None:
    answer = await world.alice.slash(world.channel, "ask", question=FOOT)
    for text in ("lol", "no way"):
        await world.alice.send(world.channel, text, reply_to=answer.response)
    assert sum("cannot read" in message.content for message in world.answers()) == 1


async def test_a_reply_that_mentions_the_bot_is_read(world: World) -> None:
    answer = await world.alice.slash(world.channel, "ask", question=FOOT)
    await world.alice.send(world.channel, f"{world.mention} Are you sure?", reply_to=answer.response)
    assert asked(world)[-1] == ("Are you sure?", [FOOT, ANSWER])


@INTENT
async def test_with_the_intent_every_reply_is_read(world: World) -> None:
    answer = await world.alice.slash(world.channel, "ask", question=FOOT)
    await world.alice.send(world.channel, "Are you sure?", reply_to=answer.response)
    assert asked(world)[-1] == ("Are you sure?", [FOOT, ANSWER])


async def test_a_forward_in_a_private_message(world: World) -> None:
    source = await world.bob.send(world.channel, GIRAFFE)
    await world.alice.send_dm("hi")
    await world.alice.forward(source, world.alice.user.dm_channel)
    assert asked(world)[-1] == (GIRAFFE, [])


async def test_a_forward_of_an_answer_opens_no_conversation(world: World) -> None:
    await world.ask()
    await world.bob.send_dm("hi")
    await world.bob.forward(world.answers()[0], world.bob.user.dm_channel)
    assert asked(world)[-1][1] == []  # the words that were forwarded, not the conversation that they come from


@pytest.mark.world(discord={"message_content": True, "listen": ["general"]})
async def test_a_forward_into_a_channel_where_everything_is_a_question(world: World) -> None:
    other = world.guild.create_text_channel("other")
    source = await world.bob.send(other, GIRAFFE)
    await world.alice.forward(source, world.channel)
    assert asked(world)[-1] == (GIRAFFE, [])


async def test_mentions_become_names(world: World) -> None:
    role = world.guild.create_role("zoo keepers")
    await world.ask(
        f"What do <@&{role.id}> and {world.bob.mention} do in <#{world.channel.id}> with <:giraffe:123456789012345678>"
        " at <t:1700000000:R>, after </ask:123456789012345678>?"
    )
    wanted = "What do @zoo keepers and @bob do in #general with :giraffe: at 2023-11-14 22:13 UTC, after /ask?"
    assert asked(world)[-1][0] == wanted
    (thread,) = world.channel.threads
    assert thread.name == f"💭 {wanted}"[:99].rstrip() + "…" or thread.name == f"💭 {wanted}"


@pytest.mark.parametrize("command", ["ask", "compare"])
async def test_the_options_of_a_command_too(world: World, command: str) -> None:
    text = f"What happens in <#{world.channel.id}>?"
    options = {"question": text} if command == "ask" else {"a": text, "b": GIRAFFE}
    await world.alice.slash(world.channel, command, **options)
    assert asked(world)[0][0] == "What happens in #general?"


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("<#1>", "#channel"),
        ("<@&1>", "@role"),
        ("<@1> and <@!2>", "@user and @user"),
        ("<a:wave:1>", ":wave:"),
        ("</settings show:1>", "/settings show"),
        ("<t:0>", "1970-01-01 00:00 UTC"),
        ("<t:1700000000:t> <t:1700000000:T>", "22:13 UTC 22:13:20 UTC"),
        ("<t:1700000000:d>", "2023-11-14"),
        ("<t:-1>", "1969-12-31 23:59 UTC"),
        ("<t:9999999999999>", "<t:9999999999999>"),  # Discord shows no date either
        ("<id:guide>", "#Server Guide"),
        ("1 <2> 3, <b>, <:>, <t:x>, <@>", "1 <2> 3, <b>, <:>, <t:x>, <@>"),
    ],
)
def test_what_nobody_can_name(text: str, reads: str) -> None:
    assert plain(text, guild=None) == reads


async def test_a_channel_that_its_writer_may_not_see_stays_unnamed(world: World) -> None:
    nobody = discord.PermissionOverwrite(view_channel=False)
    hidden = world.guild.create_text_channel("secret-plans", overwrites={world.alice: nobody})
    await world.ask(f"What happens in <#{hidden.id}>?")
    assert asked(world)[-1][0] == "What happens in #channel?"


async def test_in_the_thread_under_an_answer_it_goes_on_from_that(world: World) -> None:
    await world.ask()
    (thread,) = world.channel.threads
    await world.alice.send(thread, f"{world.mention} Why did you say that?")
    assert asked(world)[-1] == ("Why did you say that?", [FOOT, ANSWER])
    await world.bob.send(thread, f"{world.mention} And a spider?")
    assert asked(world)[-1] == ("And a spider?", [FOOT, ANSWER, "Why did you say that?", ANSWER])


async def test_in_any_other_thread_it_begins_anew(world: World) -> None:
    start = await world.bob.send(world.channel, "Let us talk about feet")
    await world.bot.get_channel(world.channel.id).get_partial_message(start.id).create_thread(name="Feet")
    (thread,) = world.channel.threads
    for _ in range(2):
        await world.alice.send(thread, f"{world.mention} {FOOT}")
    assert asked(world) == [(FOOT, []), (FOOT, [])]


@INTENT
async def test_a_mention_in_a_reply_to_somebody_takes_that_along(world: World) -> None:
    claim = await world.bob.send(world.channel, "A foot has two eyes.")
    await world.alice.send(world.channel, f"{world.mention} is this true?", reply_to=claim)
    assert asked(world)[-1] == ("is this true?\n\n“A foot has two eyes.”", [])
    await world.alice.send(world.channel, world.mention, reply_to=claim)
    assert asked(world)[-1] == ("A foot has two eyes.", [])


async def test_where_it_cannot_be_read_the_question_stands_alone(world: World) -> None:
    claim = await world.bob.send(world.channel, "A foot has two eyes.")
    await world.alice.send(world.channel, f"{world.mention} is this true?", reply_to=claim)
    assert asked(world)[-1] == ("is this true?", [])


async def test_a_paste_is_read(world: World) -> None:
    long = "A foot. " * 400
    await world.ask("What is this about?", attachments=[("message.txt", long.encode())])
    assert asked(world)[-1][0] == f"What is this about?\n\n{long.strip()}"


async def test_a_paste_that_is_too_long_is_refused_with_a_word(world: World) -> None:
    await world.ask("What is this about?", attachments=[("message.txt", b"x" * (questions.MOST_BYTES + 1))])
    assert "has 101 kB, and I read at most 100 kB" in world.answers()[-1].content
    assert world.engine.jobs == []


async def test_a_paste_that_discord_does_not_hand_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_args: Any, **_kwargs: Any) -> bytes:
        raise discord.NotFound(_Response(), "gone")

    monkeypatch.setattr(discord.Attachment, "read", refuse)
    await world.ask("What is this about?", attachments=[("message.txt", b"feet")])
    assert "I could not read the text that you attached." in world.answers()[-1].content


async def test_a_picture_is_no_text(world: World) -> None:
    await world.ask("What is this about?", attachments=[("foot.png", b"\x89PNG")])
    assert asked(world)[-1][0] == "What is this about?"


class _Response:
    """As much of one as an error of discord.py looks at."""

    status = 404
    reason = "Not Found"
