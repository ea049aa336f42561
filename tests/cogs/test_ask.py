"""Asking in Discord, through discord.py's real machinery."""

from __future__ import annotations

import pytest

from tests.cogs.conftest import ANSWER, FOOT, World, buttons, texts, told


async def test_a_mention_is_answered_with_a_reply_and_an_inner_voice_thread(world: World) -> None:
    question = await world.ask()

    (answer,) = world.answers()
    assert answer.content.startswith(ANSWER)
    assert "-# Scripted · " in answer.content
    assert answer.reference is not None
    assert answer.reference.message_id == question.id
    assert buttons(answer) == []

    (thread,) = world.channel.threads
    assert thread.id == answer.id
    assert thread.name == f"💭 {FOOT}"
    *monologue, picture = thread.history()
    assert all(message.flags.components_v2 for message in (*monologue, picture))
    assert "Inner voice" in texts(monologue[0])
    assert len(texts(monologue[0])) > 60
    (attachment,) = picture.attachments
    assert attachment.filename == "heatmap.png"
    assert attachment.description
    last = world.env.http_requests[-1]
    assert (last.method, last.path, last.json) == ("PATCH", f"/channels/{thread.id}", {"archived": True})


async def test_the_mention_is_not_part_of_the_question_and_other_mentions_are_names(world: World) -> None:
    await world.ask(f"How many eyes does {world.bob.mention} have?")
    assert world.engine.jobs[-1].question == "How many eyes does @bob have?"


async def test_talk_between_people_is_left_alone(world: World) -> None:
    await world.alice.send(world.channel, "How many eyes does my foot have?")
    await world.alice.send(world.channel, f"{world.bob.mention} hello")
    assert world.answers() == []


async def test_a_reply_goes_on_with_the_conversation(world: World) -> None:
    await world.ask()
    (first,) = world.answers()
    await world.alice.send(world.channel, "Are you sure?", reply_to=first)

    job = world.engine.jobs[-1]
    assert job.question == "Are you sure?"
    assert [(turn.role, turn.text) for turn in job.history] == [("user", FOOT), ("assistant", ANSWER)]
    assert len(world.answers()) == 2


@pytest.mark.world(discord={"history_turns": 2})
async def test_the_chain_is_as_long_as_the_config_says(world: World) -> None:
    await world.ask()
    for _ in range(2):
        await world.alice.send(world.channel, "Why?", reply_to=world.answers()[-1])
    assert len(world.engine.jobs[-1].history) == 2


async def test_a_dm_gets_a_button_and_the_button_an_inner_voice(world: World) -> None:
    await world.alice.send_dm(FOOT)
    (answer,) = [m for m in world.alice.user.dm_channel.history() if m.author.id == world.bot.user.id]
    assert answer.content.startswith(ANSWER)
    assert buttons(answer) == ["Inner voice"]

    result = await world.alice.user.click(answer, label="Inner voice")
    voice = told(result)
    assert "Inner voice" in texts(voice.message)
    assert [a.filename for a in voice.attachments] == ["heatmap.png"]


async def test_ask_is_deferred_quotes_the_question_and_opens_a_thread(world: World) -> None:
    result = await world.alice.slash(world.channel, "ask", question=FOOT, style="story")

    first = next(r for r in world.env.http_requests if r.path.endswith("/callback"))
    assert first.json["type"] == 5  # deferred, thinking
    assert not result.ephemeral
    assert result.response.content.startswith(f"> {FOOT}\n{ANSWER}")
    assert world.engine.jobs[-1].style == "story"
    (thread,) = world.channel.threads
    assert thread.id == result.response.id


async def test_an_empty_question_is_told_what_to_do(world: World) -> None:
    await world.ask("   ")
    (answer,) = world.answers()
    assert "You did not ask anything" in answer.content
    assert "after the mention" in answer.content
    assert world.channel.threads == []


@pytest.mark.world(engine={"script": {"ping": "Hello @everyone and <@1> and <@&2>"}})
async def test_an_answer_pings_nobody(world: World) -> None:
    await world.ask("ping")
    posts = [r for r in world.env.http_requests if r.method == "POST" and r.path.endswith(f"{world.channel.id}/messages")]
    assert posts
    for request in posts:
        allowed = request.json["allowed_mentions"]
        assert allowed.get("parse", []) == []
        assert allowed["replied_user"] is True
    (answer,) = world.answers()
    assert not answer.mention_everyone


@pytest.mark.world(engine={"script": {"long": "word " * 900}}, sampling={"max_new_tokens": 4000})
async def test_a_long_answer_becomes_several_messages_and_each_leads_to_its_run(world: World) -> None:
    await world.ask("long")
    parts = world.answers()
    assert len(parts) >= 2
    assert all(len(part.content) <= 2000 for part in parts)
    assert "-# Scripted" in parts[-1].content
    await world.alice.send(world.channel, "Why?", reply_to=parts[0])
    assert world.engine.jobs[-1].history


@pytest.mark.world(discord={"inner_voice": "off"})
async def test_off_means_off(world: World) -> None:
    await world.ask()
    (answer,) = world.answers()
    assert buttons(answer) == []
    assert world.channel.threads == []


@pytest.mark.world(discord={"button_beside_thread": True})
async def test_the_button_may_stand_beside_the_thread(world: World) -> None:
    await world.ask()
    (answer,) = world.answers()
    assert buttons(answer) == ["Inner voice"]
    result = await world.bob.click(answer, label="Inner voice")
    assert told(result).ephemeral
    assert len(world.channel.threads) == 1


@pytest.mark.world(engine={"inner_voice": "Its blocks are unknown to the lens."})
async def test_a_model_that_cannot_be_read_still_answers_and_says_why(world: World) -> None:
    await world.ask()
    (answer,) = world.answers()
    assert answer.content.startswith(ANSWER)
    assert "no inner voice: Its blocks are unknown to the lens." in answer.content
    assert world.channel.threads == []


async def test_help_and_about(world: World) -> None:
    for name, words in (("help", "`/ask`"), ("about", "Scripted"), ("model info", "12 blocks")):
        shown = told(await world.alice.slash(world.channel, name))
        assert shown.ephemeral
        assert words in texts(shown.message)
