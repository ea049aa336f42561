"""Whose Discord is in Chinese reads Chinese, also when something goes wrong, and no message is too long for Discord."""

from __future__ import annotations

import contextvars
import datetime
import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import discord
import pytest
from discord import app_commands
from sqlalchemy import update

from bot.app import open_app
from bot.catalogue import written_in
from bot.client import create_bot
from bot.errors import DownloadError, LensNotFoundError, ModelNotPulledError
from bot.storage.database import Database
from bot.storage.records import NewRun
from bot.storage.runs import RunStore
from bot.storage.tables import RunRow
from bot.ui.failures import refusal
from models.fakes import engine as fake
from models.fakes.engine import FakeEngine
from models.sentences import Sentence
from tests.cogs.conftest import ANSWER, FOOT, World, buttons, config, populate, running, simulated, texts, told

CHINESE = {"locale": "zh-CN"}
ENGLISH = re.compile(r"[A-Za-z]{2,} [A-Za-z]{2,}")
chinese = pytest.mark.world(discord=CHINESE)


def read(result: Any) -> str:
    found = told(result)
    assert found is not None
    return checked(f"{found.content}\n{texts(found.message)}".strip())


def checked(text: str, *also: str) -> str:
    """What a person reads, without what is quoted, holds no English phrase and is short enough."""
    assert 0 < len(text) <= 2000
    assert re.search(r"[\u4e00-\u9fff]", text), text
    bare = re.sub(r"`[^`]*`|“[^”]*”|<[^>]*>", "", text)
    for quoted in (FOOT, ANSWER, *also):
        bare = bare.replace(quoted, "")
    assert not ENGLISH.search(bare), text
    return text


def answers(world: World, *also: str) -> list[str]:
    return [checked(message.content, *also) for message in world.answers()]


def whispers(world: World) -> list[str]:
    channel = world.alice.user.dm_channel
    return [checked(m.content) for m in (channel.history() if channel else []) if m.author.id == world.bot.user.id]


@pytest.fixture
def speaks_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interactions come from a Discord client in Chinese; the simulation says nothing of it, which reads as English."""
    plain = discord.Interaction._from_data

    def from_data(self: Any, data: Any) -> None:
        plain(self, {**data, "locale": "zh-CN"})

    monkeypatch.setattr(discord.Interaction, "_from_data", from_data)


@chinese
async def test_the_small_print_and_the_thread(world: World) -> None:
    await world.ask()
    (answer,) = answers(world)
    assert re.search(r"-# Scripted · \d+ 个词元 · 每秒 [\d.]+ 个词元 · 平均词元概率 \d+%$", answer)
    (thread,) = world.channel.threads
    last = thread.history()[-1]
    assert "logit 透镜 · 12 个块 · float32" in texts(last)


@pytest.mark.world(discord=CHINESE, sampling={"max_new_tokens": 2})
async def test_a_cut_answer(world: World) -> None:
    await world.ask()
    (answer,) = answers(world, "The answer")
    assert "到了我能回答的最大长度" in answer


@chinese
async def test_a_question_that_is_too_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "_CONTEXT", 100)
    await world.ask("脚 " * 900)
    assert answers(world) == ["⚠️ 这个问题有 900 个词元，最多放得下 84 个。"]


@chinese
async def test_no_question(world: World) -> None:
    await world.ask("")
    assert answers(world) == ["⚠️ 你还没有问问题。把问题写在提到我的后面，例如：我的脚有几只眼睛？"]


@pytest.mark.world(discord=CHINESE, queue={"max_waiting": 0})
async def test_a_full_line(world: World) -> None:
    gate = world.engine.gate = threading.Event()
    world.detach()
    await world.ask()
    await world.bob.send(world.channel, f"{world.mention} And mine?")
    await world.until(lambda: any("我最多只能接这么多" in text for text in answers(world)))
    gate.set()
    await world.until(lambda: any(text.startswith(ANSWER) for text in answers(world)))


@pytest.mark.world(discord={**CHINESE, "stream_after_seconds": 30})
async def test_the_place_in_the_line_and_one_question_a_person(world: World) -> None:
    gate = world.engine.gate = threading.Event()
    world.detach()
    await world.ask()
    await world.bob.send(world.channel, f"{world.mention} And mine?")
    await world.until(lambda: "⏳ 下一个就是你。" in answers(world))
    await world.ask("And my hand?")
    await world.until(lambda: any("我还在忙你上一个问题。请等那个回答" in text for text in answers(world)))
    gate.set()
    # An answer that is still being written has no small line yet, and so nothing Chinese.
    whole = f"{ANSWER}\n"
    await world.until(lambda: sum(message.content.startswith(whole) for message in world.answers()) == 2)
    assert sum(text.startswith(whole) for text in answers(world)) == 2


async def test_a_model_that_is_still_loading(tmp_path: Path) -> None:
    gate = threading.Event()

    class Slow(FakeEngine):
        def __init__(self) -> None:
            gate.wait(20)
            super().__init__()

    async with open_app(config(tmp_path, discord=CHINESE), engine_factory=Slow) as app:
        app.tasks.context = contextvars.copy_context()
        app.model.start()
        async with simulated(create_bot(app, shard_count=1)) as env:
            world = populate(env, app, FakeEngine())
            world.detach()
            await world.ask()
            await world.until(lambda: "⏳ 我还在醒来：权重正在载入。一醒来我就回答你的问题。" in answers(world))
            gate.set()
            await world.until(lambda: world.channel.threads)


FAILURES = [
    (ModelNotPulledError(Sentence("The default model ({name}) is not on this machine yet.", name="Smol")), "我的模型没能载入"),
    (DownloadError(Sentence("The default model could not be downloaded with pip.{so_far}", so_far="")), "我的模型没能载入"),
    (ValueError("a defect"), "模型无法载入（错误 "),
]


@pytest.mark.parametrize(("error", "words"), FAILURES)
async def test_a_model_that_could_not_be_loaded(tmp_path: Path, error: Exception, words: str) -> None:
    def fail() -> FakeEngine:
        raise error

    settings = config(tmp_path, discord=CHINESE)
    async with open_app(settings, engine_factory=fail) as app, simulated(create_bot(app, shard_count=1)) as env:
        world = populate(env, app, FakeEngine())
        await world.ask()
        assert [words in text for text in answers(world)] == [True]
        told_bob = read(await world.bob.slash(world.channel, "model info"))
        assert words in told_bob
        assert "forwardpass" not in answers(world)[0] + told_bob  # what to run is for the host, in the log


@chinese
async def test_an_unexpected_error_with_its_id(world: World) -> None:
    world.engine.answer_error = ValueError("a defect")
    await world.ask()
    (answer,) = answers(world)
    assert re.fullmatch(r"⚠️ 我内部出了故障。如果再次发生，请告诉我的主人：错误 \w+。", answer)
    world.engine.answer_error, world.engine.trace_error = None, ValueError("another")
    await world.ask()
    assert "-# 💭 ⚠️ 我内部出了故障" in answers(world)[-1]


@chinese
async def test_a_second_pass_that_is_refused(world: World) -> None:
    world.engine.trace_error = LensNotFoundError(
        Sentence("This model has no {name} lens yet.{where}", name=Sentence("tuned"), where=""),
        hint=Sentence("The person who hosts me can make one with `{train}`.", train="forwardpass lens train"),
    )
    await world.ask()
    (answer,) = answers(world)
    assert answer.endswith("-# 💭 这次没有内心独白：这个模型还没有调校透镜。我的主人可以用 `forwardpass lens train` 做一个。")


@pytest.mark.world(discord=CHINESE, engine={"inner_voice": "The lens cannot read this model."})
async def test_a_model_without_an_inner_voice(world: World) -> None:
    await world.ask()
    (answer,) = answers(world)
    assert answer.endswith(" · 没有内心独白：透镜读不了这个模型。")


@chinese
async def test_without_permissions(world: World) -> None:
    overwrite = discord.PermissionOverwrite(create_public_threads=False)
    channel = world.guild.create_text_channel("no-threads", overwrites={world.bot.user: overwrite})
    await world.alice.send(channel, f"{world.mention} {FOOT}")
    (answer,) = world.answers(channel)
    assert buttons(answer) == ["内心独白"]
    shown = told(await world.alice.click(answer, label="内心独白"))
    assert "我本想开一个子区，但缺少权限：创建公共子区。" in texts(shown.message)
    silent = world.guild.create_text_channel(
        "silent", overwrites={world.bot.user: discord.PermissionOverwrite(send_messages=False)}
    )
    await world.alice.send(silent, f"{world.mention} {FOOT}")
    assert "缺少权限：发送消息。请让服务器管理员给我这个权限。" in whispers(world)[-1]


@pytest.mark.world(discord={**CHINESE, "inner_voice": "button"})
async def test_a_run_that_expired(world: World) -> None:
    await world.ask()
    (answer,) = world.answers()
    run = await world.app.asks._runs.by_message(answer.id)
    assert run is not None
    await world.app.asks._runs.purge_expired(run.expires_at.replace(year=run.expires_at.year + 1))
    gone = "⚠️ 那个回答我已经不记得了。再问一次，就会有新的内心独白。"
    assert read(await world.bob.click(answer, label="内心独白")) == gone
    assert read(await world.bob.click(answer, custom_id=f"fp:v1:up:{run.id}")) == gone


async def test_a_run_of_another_model(tmp_path: Path) -> None:
    settings, engine = config(tmp_path, discord=CHINESE), FakeEngine()

    class Other(FakeEngine):
        @property
        def info(self) -> Any:
            return replace(super().info, id="another", name="Another")

    async with running(settings, engine) as (app, env):
        world = populate(env, app, engine)
        await world.ask()
        async with open_app(settings, engine_factory=Other) as reborn:
            await reborn.model.start()
            await env.restart_bot(create_bot(reborn, shard_count=1))
            async with Database.open(settings.storage.resolved_url()) as database, database.write() as session:
                await session.execute(update(RunRow).values(trace=None))
            text = read(await world.bob.slash(world.channel, "layers"))
            assert text == "⚠️ 那个回答出自模型 fake，而我现在运行的是 Another。再问一次这个问题，就会由现在的模型来回答。"


WRONG = [
    ("layers", {"token": 4000}, "这个回答有 6 个词元（词的片段），没有第 4000 个。请选回答里的词元"),
    ("layers", {"answer": "hello"}, "这不是消息链接。"),
    ("why", {"word": 4000}, "没有第 4000 个。"),
    ("fork", {"word": "zebra"}, "在那里我没有考虑过这个词。"),
    ("track", {"words": "a,b,c,d,e,f"}, "我一次能追踪一到 5 个词。"),
    ("track", {"words": "a" * 41}, "一个词最多 40 个字符。"),
    ("dump", {"positions": "x"}, "“x”我读不懂。回答的词元请写成 1-5,8"),
    ("dump", {"positions": "1-99"}, "回答有第 1 到第 6 个词元，“1-99”不在其中。"),
    ("dump", {"depths": "p1"}, "“p1”我读不懂。深度请写成 0,10-12。"),
    ("dump", {"depths": "40", "format": "json"}, "没有深度 40。请选 0 到 12。"),
    ("dump", {"what": "hidden", "format": "html"}, "HTML 网页总是显示透镜在每个深度读到的内容。"),
    ("layers", {"lens": "tuned"}, "没有调校透镜"),
    ("compare", {"a": FOOT, "b": "And a giraffe?", "controls": "One?"}, "这样就有 1 个对照问题。请写 "),
]


async def test_slash_commands_with_wrong_input(world: World, speaks_chinese: None) -> None:
    """The server fixes no language here: the user's own decides."""
    assert "在这个频道里我找不到这样的回答" in read(await world.bob.slash(world.channel, "layers"))
    await world.ask()
    for name, values, words in WRONG:
        text = read(await world.bob.slash(world.channel, name, **values))
        assert text.startswith("⚠️ "), text
        assert words in text, text


async def test_a_server_in_chinese_is_answered_in_chinese(world: World) -> None:
    guild = world.env.create_guild("动物园", preferred_locale="zh-CN")
    channel, carol = guild.create_text_channel("general"), guild.add_member(world.env.create_user("carol"))
    world.engine.answer_error = ValueError("a defect")
    await carol.send(channel, f"{world.mention} {FOOT}")
    assert "我内部出了故障" in checked(world.answers(channel)[0].content)


async def test_in_private_messages_a_chinese_question_is_answered_in_chinese(world: World) -> None:
    await world.alice.send_dm("我的脚有几只眼睛？")
    assert "平均词元概率" in whispers(world)[-1]


async def test_after_a_restart(tmp_path: Path) -> None:
    settings, engine = config(tmp_path), FakeEngine()
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=3)
    async with running(settings, engine) as (app, env):
        world = populate(env, app, engine)
        async with Database.open(settings.storage.resolved_url()) as database:
            runs = RunStore(database, now=lambda: long_ago)
            for private in (False, True):
                new = NewRun("脚", "slash", world.channel.id, world.alice.id, world.guild.id, locale="zh-CN", private=private)
                await runs.mark((await runs.create(new)).id, "answering")
        async with open_app(settings, engine_factory=lambda: engine) as reborn:
            await reborn.model.start()
            await env.restart_bot(create_bot(reborn, shard_count=1))
            assert ["⚠️ 我还没来得及回答就重启了。请再问一次。" in text for text in answers(world)] == [True]
            assert whispers(world) == ["> 脚\n⚠️ 我还没来得及回答就重启了。请再问一次。"]


def test_refused_commands() -> None:
    limit = app_commands.CommandOnCooldown(app_commands.Cooldown(1, 60), 12.4)
    assert refusal(limit, "zh-CN") == "⚠️ 太快了。请过 12 秒再试。"
    for error in (
        app_commands.CheckFailure(),
        app_commands.CommandNotFound("x", []),
        app_commands.TransformerError("x", discord.AppCommandOptionType.string, app_commands.Transformer()),
        app_commands.AppCommandError("a defect"),
    ):
        checked(refusal(error, "zh-CN"))
        assert refusal(error, "en-US").startswith("⚠️ ")


@pytest.mark.parametrize(
    ("text", "locale"),
    [
        ("我的脚有几只眼睛？", "zh-CN"),
        ("GPU 是什么？", "zh-CN"),
        ("What does 你好 mean?", "en-US"),
        ("日本語の質問です", "en-US"),
        ("How many eyes does my foot have?", "en-US"),
        ("2 + 2 = ?", "en-US"),
    ],
)
def test_the_language_that_a_text_is_written_in(text: str, locale: str) -> None:
    assert written_in(text) == locale


async def test_a_chinese_question_in_an_english_server_is_told_in_chinese(world: World) -> None:
    await world.ask("我的脚有几只眼睛？")
    (thread,) = world.channel.threads
    assert "内心独白" in texts(thread.history()[0]) or "内心独白" in texts(thread.history()[1])
