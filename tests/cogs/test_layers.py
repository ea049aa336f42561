"""`/layers`, `/track`, `/dump`, their menus and the controls under an inner voice: on any answer, for whoever can see it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import discord
import pytest
import simcord
from simcord.backend.errors import BackendError
from sqlalchemy import update

from bot.app import open_app
from bot.client import create_bot
from bot.config import Config
from bot.storage.database import Database
from bot.storage.tables import RunRow
from bot.ui import pressing
from models.fakes.engine import FakeEngine
from tests.cogs.conftest import FOOT, World, config, control, populate, running, texts, told
from tests.cogs.test_openapi import check

LONG = {"script": {"long": "one two three, " * 20}}


def read(result: Any) -> str:
    found = told(result)
    assert found is not None
    return f"{found.content}\n{texts(found.message)}"


def names(result: Any) -> list[str]:
    return [attachment.filename for attachment in told(result).attachments]


def options(message: Any) -> list[Any]:
    return next(c.options for row in message.components for c in getattr(row, "children", []) if hasattr(c, "options"))


def link(world: World, message: Any) -> str:
    return f"https://discord.com/channels/{world.guild.id}/{message.channel.id}/{message.id}"


def last(world: World) -> Any:
    return world.channel.threads[-1].history()[-1]


async def test_layers_of_a_token_in_text_and_pictures_for_the_asker_alone(world: World) -> None:
    await world.ask()
    result = await world.bob.slash(world.channel, "layers", token=2, colour="entropy")
    assert told(result).ephemeral
    text = read(result)
    assert "Token 2 of 6: “answer”" in text
    assert [line.split()[0] for line in text.split("```")[1].splitlines()[2:]] == [str(d) for d in range(12, -1, -1)]
    assert names(result) == ["layers.png", "layers-2.png", "layers-3.png", "layers-4.png"]
    assert all(attachment.description for attachment in told(result).attachments)
    assert "logit lens" in text
    check(world)


async def test_without_a_token_it_is_the_pivotal_one_and_share_shows_it_to_all(world: World) -> None:
    await world.ask()
    result = await world.bob.slash(world.channel, "layers", share=True)
    assert not told(result).ephemeral
    assert "Token 2 of 6" in read(result)
    check(world)


async def test_an_earlier_answer_by_its_link(world: World) -> None:
    await world.ask()
    await world.ask("And my hand?")
    first = world.answers()[0]
    run = await world.app.beyond.find((world.channel.id,), first.id)
    result = await world.bob.slash(world.channel, "layers", answer=link(world, first))
    assert run.id in control(told(result).message, "look")


async def test_what_cannot_be_is_said(world: World) -> None:
    for name, values in (("layers", {}), ("dump", {}), ("track", {"words": "no"})):
        assert "cannot find that answer" in read(await world.bob.slash(world.channel, name, **values))
    await world.ask()
    assert "no token 99" in read(await world.bob.slash(world.channel, "layers", token=99))
    assert "not a link" in read(await world.bob.slash(world.channel, "layers", answer="hello"))
    assert "one to 5 words" in read(await world.bob.slash(world.channel, "track", words="a, b, c, d, e, f"))
    assert "1-5,8" in read(await world.bob.slash(world.channel, "dump", positions="the first"))
    assert "tokens 1 to 6" in read(await world.bob.slash(world.channel, "dump", positions="4-9"))
    assert "0,10-12" in read(await world.bob.slash(world.channel, "dump", depths="deep", format="json"))
    check(world)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (str(1 << 63), "cannot find that answer"),
        ("9" * 20, "cannot find that answer"),
        ("9" * 5000, "cannot find that answer"),
        ("0" * 30, "cannot find that answer"),
        ("https://discord.com/channels/1/2/99999999999999999999", "cannot find that answer"),
        (str((1 << 63) - 1), "cannot find that answer"),
        ("-123456789012345678", "not a link"),
        ("１２３４５６７８９０１２３４５６７８", "not a link"),
        ("٣" * 18, "not a link"),
        ("\ud800", "not a link"),
    ],
)
async def test_a_number_that_can_be_no_answer_is_none(world: World, number: str, words: str) -> None:
    await world.ask()
    given: dict[str, dict[str, Any]] = {"track": {"words": "no"}, "fork": {"word": "no"}}
    for name in ("layers", "dump", "track", "why", "fork", "reconsider"):
        result = await world.bob.slash(world.channel, name, answer=number, **given.get(name, {}))
        assert words in read(result)
        assert told(result).ephemeral
    for name, option in (("layers", "token"), ("dump", "positions"), ("fork", "word")):
        assert await world.bob.autocomplete(world.channel, name, option, "", answer=number) == []
    check(world)


async def test_half_a_character_is_not_offered_back(world: World) -> None:
    await world.ask()
    for option in ("positions", "depths"):
        offered = await world.bob.autocomplete(world.channel, "dump", option, "1\ud83d")
        assert offered[0]["value"] == "1\ufffd"
    assert "\ufffd" in read(await world.bob.slash(world.channel, "track", words="half\ud83d"))
    check(world)


@pytest.mark.parametrize("name", ["layers", "dump", "track"])
async def test_a_link_opens_no_other_channel(world: World, name: str) -> None:
    await world.ask()
    answer = world.answers()[0]
    values = {"words": "no"} if name == "track" else {}
    other = world.guild.create_text_channel("other")
    for place in (other, world.guild.create_text_channel("third")):
        result = await world.bob.slash(place, name, answer=link(world, answer), **values)
        assert "cannot find that answer" in read(result)
        assert names(result) == []
    assert await world.bob.autocomplete(other, "layers", "token", "", answer=link(world, answer)) == []


async def test_a_stranger_who_cannot_see_the_channel_gets_nothing_anywhere(world: World) -> None:
    nobody = {world.guild.default_role: discord.PermissionOverwrite(view_channel=False)}
    seen = {member: discord.PermissionOverwrite(view_channel=True) for member in (world.alice, world.env.bot.user)}
    hidden = world.guild.create_text_channel("hidden", overwrites={**nobody, **seen})
    await world.alice.send(hidden, f"{world.mention} {FOOT}")
    answer, thread = world.answers(hidden)[0], hidden.threads[0]
    there = f"https://discord.com/channels/{world.guild.id}/{hidden.id}/{answer.id}"
    await world.bob.send_dm("How many eyes does a giraffe have?")
    for result in (
        await world.bob.slash(world.channel, "layers", answer=there),
        await world.bob.slash(world.channel, "dump", answer=there, share=True),
        await world.bob.user.slash("layers", answer=there),
        await world.bob.user.slash("track", answer=there, words="no"),
    ):
        assert "cannot find that answer" in read(result)
    refused = (
        lambda: world.bob.slash(hidden, "layers"),
        lambda: world.bob.click(thread.history()[-1], label="Layers"),
        lambda: world.bob.context_menu(hidden, "Layer dump", answer),
        lambda: world.bob.click(answer, custom_id=control(answer, "up")),
    )
    for attempt in refused:  # Discord itself lets them in nowhere
        with pytest.raises((BackendError, simcord.SetupError)):
            await attempt()
    assert "Token" in read(await world.alice.slash(hidden, "layers"))
    check(world)


async def test_a_dm_of_ones_own(world: World) -> None:
    await world.alice.send_dm(FOOT)
    assert "Token 2 of 6" in read(await world.alice.user.slash("layers"))
    assert names(await world.alice.user.slash("dump", format="json")) == ["forward-pass-lens.json"]
    check(world)


async def test_words_are_followed(world: World) -> None:
    await world.ask()
    result = await world.bob.slash(world.channel, "track", words="no，two, zebra", token=3)
    assert names(result) == ["tracks.png"]
    text = read(result)
    assert text.count("at the end") == 3
    assert "“zebra” (its first token)" in text
    assert told(result).ephemeral
    check(world)


@pytest.mark.parametrize("form", ["json", "csv", "npz", "safetensors", "html", "json.gz"])
async def test_a_dump_in_each_format(world: World, form: str) -> None:
    await world.ask()
    result = await world.bob.slash(world.channel, "dump", format=form)
    (file,) = told(result).attachments
    assert file.filename == f"forward-pass-lens.{form}"
    assert "6 positions × 13 depths" in read(result)
    check(world)


@pytest.mark.parametrize("what", ["hidden", "attention"])
async def test_states_at_chosen_tokens_and_depths(world: World, what: str) -> None:
    await world.ask()
    values = {"what": what, "format": "json", "positions": "p1-p2,2", "depths": "3,12"}
    result = await world.bob.slash(world.channel, "dump", **values)
    dump = json.loads(await told(result).message.attachments[0].read())
    prompt = len(dump["prompt_ids"]) if "prompt_ids" in dump else len(dump["head"]["prompt_ids"])
    assert f"[0, 1, {prompt + 1}]" in json.dumps(dump)
    assert "3 positions × 2 depths" in read(result)
    check(world)


async def test_what_is_too_large_is_refused_with_a_choice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.ask()
    small = property(lambda _: 2_000, lambda _, value: None)
    monkeypatch.setattr(discord.Interaction, "filesize_limit", small)
    text = read(await world.bob.slash(world.channel, "dump", format="json"))
    assert "may be sent here" in text
    assert "Choose" in text


@pytest.mark.world(engine={"lenses": ("logit", "tuned", "jacobian")})
async def test_another_lens(world: World) -> None:
    await world.ask()
    assert "tuned lens" in read(await world.bob.slash(world.channel, "layers", lens="tuned"))
    disposed = read(await world.bob.slash(world.channel, "layers", lens="jacobian"))
    assert "disposed to say" in disposed
    assert "settled" not in disposed
    assert "tuned lens" in read(await world.bob.slash(world.channel, "dump", lens="tuned", format="json"))
    check(world)


async def test_a_lens_that_is_not_there(world: World) -> None:
    await world.ask()
    for name, values in (("layers", {}), ("dump", {"format": "json"})):
        assert "⚠️" in read(await world.bob.slash(world.channel, name, lens="tuned", **values))
    check(world)


async def test_autocomplete_offers_tokens_and_depths(world: World) -> None:
    assert await world.bob.autocomplete(world.channel, "layers", "token", "") == []
    await world.ask()
    offered = await world.bob.autocomplete(world.channel, "layers", "token", "answ")
    assert [(choice["value"], "answer" in choice["name"]) for choice in offered] == [(2, True)]
    assert len(await world.bob.autocomplete(world.channel, "track", "token", "")) == 6
    positions = await world.bob.autocomplete(world.channel, "dump", "positions", "1-2,answ")
    assert {"1-2,answ", "1-2,2"} == {choice["value"] for choice in positions}
    depths = [choice["value"] for choice in await world.bob.autocomplete(world.channel, "dump", "depths", "")]
    assert depths[:2] == ["0-12", "8-12"]
    assert all(len(choice["name"]) <= 100 for choice in offered + positions)
    check(world)


async def test_the_menus_on_an_answer_and_on_nothing(world: World) -> None:
    await world.ask()
    answer = world.answers()[0]
    voice = await world.bob.context_menu(world.channel, "Inner voice", answer)
    assert "Inner voice" in read(voice)
    assert told(voice).ephemeral
    offer = await world.bob.context_menu(world.channel, "Layer dump", answer)
    assert told(offer).ephemeral
    assert len(options(told(offer).message)) == 13
    file = await world.bob.select(told(offer).message, ["hidden:npz"])
    assert names(file) == ["forward-pass-hidden.npz"]
    plain = await world.alice.send(world.channel, "just talk")
    for menu in ("Inner voice", "Layer dump"):
        assert "cannot find that answer" in read(await world.bob.context_menu(world.channel, menu, plain))
    check(world)


async def test_a_menu_on_a_message_of_the_thread_leads_to_its_answer(world: World) -> None:
    await world.ask()
    (thread,) = world.channel.threads
    assert "Layer dump" in read(await world.bob.context_menu(thread, "Layer dump", last(world)))


@pytest.mark.world(discord={"inner_voice": "off"})
async def test_where_the_inner_voice_is_off_the_menu_still_tells_it(world: World) -> None:
    await world.ask()
    assert "Inner voice" in read(await world.bob.context_menu(world.channel, "Inner voice", world.answers()[0]))


@pytest.mark.world(engine=LONG)
async def test_the_controls_in_the_thread(world: World) -> None:
    await world.ask("long")
    message = last(world)
    assert "Token" in read(await world.bob.click(message, label="Layers"))
    assert "Layer dump" in read(await world.bob.click(message, label="Layer dump"))
    choices = options(message)
    assert len(choices) <= 25
    chosen = await world.bob.select(message, [choices[1].value])
    assert f"Token {int(choices[1].value) + 1} of 82" in read(chosen)
    later = next(choice.value for choice in choices if choice.value.startswith("page:"))
    page = await world.bob.select(message, [later])
    assert "of 82" in read(page)
    assert {o.value for o in options(told(page).message)}.isdisjoint({choices[1].value})
    for result in (chosen, page):
        assert told(result).ephemeral
    edits = [r.json for r in world.env.http_requests if (r.method, r.path) == ("PATCH", f"/channels/{message.channel.id}")]
    assert edits == [{"archived": True}]  # looking opens nothing
    check(world)


async def test_a_thread_that_takes_nothing_while_archived_is_opened_for_a_moment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.ask()
    message, real, tries = last(world), pressing._send, []

    async def send(*args: Any, **kwargs: Any) -> None:
        tries.append(1)
        if len(tries) == 1:
            response = SimpleNamespace(status=400, reason="Bad Request")
            raise discord.HTTPException(response, {"code": pressing.ARCHIVED, "message": "Thread is archived"})  # type: ignore[arg-type]
        await real(*args, **kwargs)

    monkeypatch.setattr(pressing, "_send", send)
    assert "Token 2 of 6" in read(await world.bob.click(message, label="Layers"))
    edits = [r.json for r in world.env.http_requests if (r.method, r.path) == ("PATCH", f"/channels/{message.channel.id}")]
    assert edits == [{"archived": True}, {"archived": False}, {"archived": True}]
    check(world)


@pytest.mark.world(engine=LONG)
async def test_the_pages_of_the_heat_map_turn_in_place_for_the_presser_alone(world: World) -> None:
    await world.ask("long")
    opened = await world.bob.click(last(world), label="All pages")
    mine = told(opened)
    assert mine.ephemeral
    assert "page 1 of 6" in read(opened)
    turned = await world.bob.click(mine.message, custom_id=control(mine.message, "turn").replace(":9998:", ":1:"))
    assert turned.response.id == mine.id
    assert "page 2 of 6" in texts(turned.response.message)
    coloured = await world.bob.select(turned.response.message, ["rank"])
    text = texts(coloured.response.message)
    assert "page 2 of 6" in text
    assert "rank of the token that I said" in text
    assert len(coloured.response.attachments) == 1
    check(world)


async def test_a_short_answer_has_no_pages(world: World) -> None:
    await world.ask()
    with pytest.raises(StopIteration):
        control(last(world), "map")
    assert not any(o.value.startswith("page:") for o in options(last(world)))


async def test_a_forgotten_answer_says_so_everywhere(world: World) -> None:
    question = await world.ask()
    message = last(world)
    await world.app.deleting.messages([question.id])
    for label in ("Layers", "Layer dump"):
        assert "do not remember" in read(await world.bob.click(message, label=label))
    assert "do not remember" in read(await world.bob.select(message, ["0"]))
    for name in ("layers", "dump"):
        assert "cannot find that answer" in read(await world.bob.slash(world.channel, name))
    check(world)


async def test_all_of_it_after_a_restart(tmp_path: Path) -> None:
    settings, engine = config(tmp_path), FakeEngine(**LONG)
    async with running(settings, engine) as (app, env):
        world = populate(env, app, engine)
        await world.ask("long")
        message, answer = last(world), world.answers()[0]
        async with open_app(settings, engine_factory=lambda: engine) as reborn:
            await reborn.model.start()
            await env.restart_bot(create_bot(reborn, shard_count=1))
            assert "Token" in read(await world.bob.click(message, label="Layers"))
            assert "page 1" in read(await world.bob.click(message, label="All pages"))
            assert "Token 1 of" in read(await world.bob.select(message, ["0"]))
            offer = told(await world.bob.click(message, label="Layer dump"))
            assert names(await world.bob.select(offer.message, ["lens:csv"])) == ["forward-pass-lens.csv"]
            assert "Inner voice" in read(await world.bob.context_menu(world.channel, "Inner voice", answer))
            assert names(await world.bob.slash(world.channel, "track", words="one two")) == ["tracks.png"]
            assert names(await world.bob.slash(world.channel, "dump", what="attention", format="npz", positions="1"))


async def forget_traces(settings: Config) -> None:
    """As after an update that cannot read the stored form any more."""
    async with Database.open(settings.storage.resolved_url()) as database, database.write() as session:
        await session.execute(update(RunRow).values(trace=None))


async def test_it_is_recomputed_from_the_stored_ids(tmp_path: Path) -> None:
    settings, engine = config(tmp_path), FakeEngine()
    async with running(settings, engine) as (app, env):
        world = populate(env, app, engine)
        await world.ask()
        before = read(await world.bob.slash(world.channel, "layers", token=3))
        async with open_app(settings, engine_factory=FakeEngine) as reborn:
            await reborn.model.start()
            await env.restart_bot(create_bot(reborn, shard_count=1))
            await forget_traces(settings)
            assert await world.bob.autocomplete(world.channel, "layers", "token", "") == []  # nobody waits for a second pass here
            assert read(await world.bob.slash(world.channel, "layers", token=3)) == before
            assert len(await world.bob.autocomplete(world.channel, "layers", "token", "")) == 6


async def test_another_model_by_now_is_said_where_it_is_needed(tmp_path: Path) -> None:
    """What was kept is still shown; what needs the model is refused with a clear word."""
    settings, engine = config(tmp_path), FakeEngine()
    async with running(settings, engine) as (app, env):
        world = populate(env, app, engine)
        await world.ask()

        class Other(FakeEngine):
            @property
            def info(self) -> Any:
                from dataclasses import replace

                return replace(super().info, id="another", name="Another")

        async with open_app(settings, engine_factory=Other) as reborn:
            await reborn.model.start()
            await env.restart_bot(create_bot(reborn, shard_count=1))
            assert "Token 2 of 6" in read(await world.bob.slash(world.channel, "layers"))
            for name, values in (("track", {"words": "no"}), ("dump", {"what": "hidden", "format": "npz"})):
                assert "came from the model fake, and I now run Another" in read(
                    await world.bob.slash(world.channel, name, **values)
                )
            await forget_traces(settings)
            assert "came from the model fake, and I now run Another" in read(await world.bob.click(last(world), label="Layers"))


@pytest.mark.world(engine={"script": {"x": "``` @everyone <@1> `a` | [x](http://x) *b*"}})
async def test_hostile_tokens_stay_text(world: World) -> None:
    await world.ask("x")
    for t in range(1, 12):
        text = read(await world.bob.slash(world.channel, "layers", token=t))
        assert text.count("```") == 2
    assert "Words followed" in read(await world.bob.slash(world.channel, "track", words="```, @everyone"))
    check(world)


@pytest.mark.world(discord={"locale": "zh-CN"}, engine=LONG)
async def test_in_chinese(world: World) -> None:
    await world.ask("long")
    message = last(world)
    assert "个词元（共 82 个）" in read(await world.bob.click(message, label="逐层"))
    assert "所有深度" in read(await world.bob.click(message, label="所有分页"))
    offer = told(await world.bob.click(message, label="导出各层"))
    assert "个位置" in read(await world.bob.select(offer.message, ["lens:json"]))
    assert "处追踪" in read(await world.bob.slash(world.channel, "track", words="没有"))
    for name in ("help", "about", "model info"):
        assert texts(told(await world.bob.slash(world.channel, name)).message)
    check(world)
