"""What is owed after a stop: tokens that died, questions that kill, messages of deleted questions, many at once."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.loopback import payloads
from tests.loopback.conftest import ANSWER, FOOT
from tests.loopback.faults import Fault, broken, dropped
from tests.loopback.server import Server
from tests.loopback.stops import LONG_QUESTION, SETTINGS, Stops, ask, check, hold, said
from tests.loopback.test_outbox import hurried as hurried
from tests.loopback.test_outbox import opens_thread, writes_answer

STREAMED = {"discord": {"stream_after_seconds": 0.0, "edit_interval_seconds": 0.05}}


def age(folder: Path, minutes: int) -> None:
    """As if everything had been asked earlier."""
    with closing(sqlite3.connect(folder / "runs.sqlite3")) as connection:
        connection.execute("UPDATE runs SET created_at = datetime(created_at, ?)", (f"-{minutes} minutes",))
        connection.commit()


@pytest.mark.parametrize("streamed", [False, True], ids=["thinking", "streamed"])
@pytest.mark.parametrize("way", ["slash", "private"])
async def test_a_token_that_died_meanwhile(server: Server, tmp_path: Path, way: str, streamed: bool) -> None:
    """The answer goes to the channel, or by DM where nobody else may see it; "thinking" is taken away where anybody can."""
    stops = Stops(server, tmp_path, "stop")
    if streamed:
        async with stops.bot(STREAMED, delay=0.1):
            await ask(server, way)
            await server.until(lambda: any("▌" in m["content"] for m in server.rest.messages.values()))
    else:
        held = hold(server, writes_answer)
        async with stops.bot():
            await ask(server, way)
            await held.wait()
    age(tmp_path, 20)
    server.rest.interactions.aged = 20 * 60.0
    async with stops.bot():
        await stops.settled()
    assert stops.tokens() == 0
    if way == "slash":
        return check(server)
    public = [m for m in said(server) if m["channel_id"] == str(payloads.CHANNEL) and not m["flags"] & 64]
    (by_dm,) = [m for m in said(server) if m["channel_id"] == str(payloads.DM)]
    assert public == []
    # A private question that was not answered yet has no place to be answered in.
    assert ("restarted before" if streamed else ANSWER) in by_dm["content"]


@pytest.mark.parametrize("fault", [dropped(after=True), broken(502, done=True), dropped()], ids=["cut", "502", "not done"])
@pytest.mark.parametrize("way", ["slash", "private"])
async def test_the_rest_of_a_long_answer_whose_reply_is_lost(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, fault: Fault
) -> None:
    """The first part stands from an earlier life; the second is seen before it is sent again."""
    monkeypatch.setattr("bot.ui.trouble.RETRY_DELAYS", (0.1, 0.3))
    stops = Stops(server, tmp_path, "stop")
    held = hold(server, writes_answer, nth=2)
    async with stops.bot():
        await ask(server, way, LONG_QUESTION)
        await held.wait()
    before = server.faults.injected
    server.faults.add("POST", r"/webhooks/\d+/[\w-]+", fault)
    async with stops.bot():
        await stops.settled()
    assert server.faults.injected == before + 1
    check(server, parts=2, thread=way == "slash")


async def test_a_question_that_kills_is_given_up_after_the_second_time(server: Server, tmp_path: Path) -> None:
    """The others, which were under way in the same moment, are answered."""
    stops = Stops(server, tmp_path, "kill")
    sections = {**SETTINGS, "model": {"max_batch": 1}}
    engine = {"script": {FOOT: ANSWER}, "fatal": "kill"}
    process = await stops.process(sections, **engine)
    await ask(server, "mention", "Please kill yourself", payloads.BOB)
    await ask(server, "mention", FOOT)
    assert await process.wait() == 9
    process = await stops.process(sections, **engine)
    assert await process.wait() == 9
    process = await stops.process(sections, **engine)
    await stops.settled()
    process.kill()
    await process.wait()
    apology, answer = sorted(said(server), key=lambda m: ANSWER in m["content"])
    assert "went down each time" in apology["content"]
    assert answer["content"].startswith(ANSWER)
    assert answer["id"] in server.rest.threads


async def test_a_second_pass_that_kills_is_given_up_after_the_second_time(server: Server, tmp_path: Path) -> None:
    stops = Stops(server, tmp_path, "kill")
    engine = {"script": {FOOT: ANSWER}, "fatal_voice": ANSWER}
    process = await stops.process(**engine)
    await ask(server, "mention")
    assert await process.wait() == 9
    process = await stops.process(**engine)
    assert await process.wait() == 9
    process = await stops.process(**engine)
    await stops.settled()
    process.kill()
    await process.wait()
    (answer,) = said(server)
    assert answer["content"].startswith(ANSWER)
    assert "No inner voice this time" in answer["content"]


async def test_a_stop_is_no_death(server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """However often it is stopped in the middle of an answer, the question is asked again."""
    stops = Stops(server, tmp_path, "stop")
    for attempt in range(3):
        async with stops.bot(STREAMED, delay=0.3):
            if attempt == 0:
                await ask(server, "mention")
            await server.until(lambda: server.rest.named("POST messages"))
            await asyncio.sleep(0.5)
    caplog.set_level(logging.INFO)
    async with stops.bot():
        await stops.settled()
    check(server)


async def test_what_stands_of_a_deleted_question_is_taken_back(server: Server, tmp_path: Path) -> None:
    """The question was deleted while its answer was written, and the bot stopped before it could take it back."""
    stops = Stops(server, tmp_path, "stop")
    async with stops.bot(STREAMED, delay=0.2):
        question = await ask(server, "mention")
        await server.until(lambda: any("▌" in m["content"] for m in server.rest.messages.values()))
        held = hold(server, lambda call: call.line == "DELETE messages/*")
        there = {"id": question["id"], "channel_id": str(payloads.CHANNEL), "guild_id": str(payloads.GUILD)}
        await server.gateway.dispatch("MESSAGE_DELETE", there)
        await held.wait()
    async with stops.bot():
        await stops.settled()
        await server.until(lambda: not server.rest.messages)


async def test_an_inner_voice_from_long_ago_becomes_a_button(server: Server, tmp_path: Path) -> None:
    stops = Stops(server, tmp_path, "stop")
    held = hold(server, opens_thread)
    async with stops.bot():
        await ask(server, "mention")
        await held.wait()
    age(tmp_path, 120)
    async with stops.bot():
        await stops.settled()
    check(server, thread=False)


async def test_many_are_taken_up_in_order_and_not_at_once(server: Server, tmp_path: Path) -> None:
    """Thirty questions wait when it ends; never are more than a few requests under way at once."""
    stops = Stops(server, tmp_path, "stop")
    many = {"queue": {"per_user": 5, "max_waiting": 64}}
    count = 10
    async with stops.bot(many, delay=5.0):
        for number in range(count):
            await ask(server, "mention", f"Question {number}?", payloads.ALICE if number % 2 else payloads.BOB)
        await server.until(lambda: stops.open_runs() == count)
    at_once = most = 0
    real = server.rest.serve

    async def serve(call: object) -> object:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.02)
        try:
            return await real(call)  # type: ignore[arg-type]
        finally:
            at_once -= 1

    server.rest.serve = serve  # type: ignore[assignment,method-assign]
    async with stops.bot(many):
        await stops.settled(60.0)
    check(server, questions=count)
    assert most <= 10
