"""Bad days of the REST: too busy, broken, slow, cut off. The answer arrives, once, and where it should."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path

import pytest

from models.fakes.engine import FakeEngine
from tests.loopback import payloads
from tests.loopback.conftest import ANSWER, FOOT, config, connected
from tests.loopback.faults import banned, broken, dropped, limited, slow
from tests.loopback.server import Server

MESSAGES = rf"/channels/{payloads.CHANNEL}/messages"
LONG = " ".join(f"word{i}" for i in range(60))
STREAMED = {"stream_after_seconds": 0.05, "edit_interval_seconds": 0.05}


def told(server: Server) -> bool:
    return bool(server.rest.named("PATCH channel"))


async def test_limits_are_waited_out(server: Server, tmp_path: Path) -> None:
    """429 with ``Via``: every step waits as long as it is told to, and nothing is written twice."""
    server.faults.add("POST", MESSAGES, limited(0.2), limited(0.2))
    server.faults.add("POST", MESSAGES + r"/\d+/threads", limited(0.2))
    server.faults.add("PATCH", r"/channels/\d+", limited(0.2))
    async with connected(server, config(tmp_path)):
        await server.mention(FOOT)
        await server.until(lambda: told(server))
    tries = [call for call in server.rest.calls if call.line == "POST messages" and call.path == MESSAGES]
    assert [call.status for call in tries] == [429, 429, 200]
    assert all(later.at - earlier.at >= 0.19 for earlier, later in itertools.pairwise(tries))
    assert len(server.rest.answers()) == 1
    assert len(server.rest.threads) == 1


@pytest.mark.parametrize("fault", [broken(500), broken(502), broken(503), banned(), dropped(), dropped(after=True)], ids=str)
async def test_an_answer_that_was_not_taken_is_sent_again(server: Server, tmp_path: Path, fault: object) -> None:
    """Also when the message was posted and only the reply got lost: the nonce keeps it from standing there twice."""
    server.faults.add("POST", MESSAGES, fault)
    async with connected(server, config(tmp_path)):
        question = await server.mention(FOOT)
        await server.until(lambda: told(server))
    (answer,) = server.rest.answers()
    assert answer["content"].startswith(ANSWER)
    assert str(answer["message_reference"]["message_id"]) == question["id"]


async def test_each_part_of_a_long_answer_stands_once(server: Server, tmp_path: Path) -> None:
    engine = FakeEngine({FOOT: " ".join(f"word{i}" for i in range(480))})
    server.faults.add("POST", MESSAGES, slow(0.0), dropped())
    async with connected(server, config(tmp_path, sampling={"max_new_tokens": 1000}), engine):
        await server.mention(FOOT)
        await server.until(lambda: told(server))
    first, second = server.rest.answers()
    assert first["content"].startswith("word0 ")
    assert "word479" in second["content"]


async def test_the_thread_under_a_long_slash_answer_pings_nobody(server: Server, tmp_path: Path) -> None:
    """Its last part comes by the interaction's token, and discord.py gives nothing of that the bot's allowed_mentions."""
    engine = FakeEngine({FOOT: " ".join(f"word{i}" for i in range(480))})
    async with connected(server, config(tmp_path, sampling={"max_new_tokens": 1000}), engine):
        await server.slash("ask", question=FOOT)
        await server.until(lambda: told(server))
    voice = [call for call in server.rest.named("POST messages") if call.body.get("components")]
    assert voice
    assert all(call.body["allowed_mentions"]["parse"] == [] for call in voice)


async def test_a_limited_edit_does_not_hold_back_the_whole_answer(server: Server, tmp_path: Path) -> None:
    """One step of the stream is told to wait for half a minute; the final flush does not queue behind it."""
    server.faults.add("PATCH", MESSAGES + r"/\d+", limited(30.0))
    async with connected(server, config(tmp_path, discord=STREAMED), FakeEngine({FOOT: LONG}, delay=0.02)):
        await server.mention(FOOT)
        await server.until(lambda: told(server), seconds=8.0)
    (answer,) = server.rest.answers()
    assert "word59" in answer["content"]
    assert "▌" not in answer["content"]


@pytest.mark.parametrize("fault", [banned(), dropped(), dropped(after=True)], ids=str)
async def test_a_lost_step_of_the_stream_is_no_loss(server: Server, tmp_path: Path, fault: object) -> None:
    server.faults.add("POST", MESSAGES, fault)
    server.faults.add("PATCH", MESSAGES + r"/\d+", slow(0.0), fault)
    async with connected(server, config(tmp_path, discord=STREAMED), FakeEngine({FOOT: LONG}, delay=0.01)):
        await server.mention(FOOT)
        await server.until(lambda: told(server))
    (answer,) = server.rest.answers()
    assert "word59" in answer["content"]
    assert "▌" not in answer["content"]
    assert len(server.rest.named("PATCH messages/*")) > 2


@pytest.mark.parametrize("fault", [limited(20.0), broken(500), dropped(), slow(20.0)], ids=str)
async def test_the_typing_sign_never_delays_an_answer(server: Server, tmp_path: Path, fault: object) -> None:
    server.faults.add("POST", r"/channels/\d+/typing", fault)
    async with connected(server, config(tmp_path)):
        await server.mention(FOOT)
        await server.until(lambda: told(server), seconds=3.0)


@pytest.mark.parametrize("fault", [limited(0.1), broken(500), dropped()], ids=str)
async def test_a_slash_answer_is_filled_in_spite_of_trouble(server: Server, tmp_path: Path, fault: object) -> None:
    server.faults.add("PATCH", r"/webhooks/.*", fault)
    async with connected(server, config(tmp_path)):
        await server.slash("ask", question=FOOT)
        await server.until(lambda: told(server))
    (answer,) = server.rest.answers()
    assert ANSWER in answer["content"]


@pytest.mark.parametrize("fault", [broken(503), dropped(), dropped(after=True)], ids=str)
async def test_the_thread_is_opened_once(server: Server, tmp_path: Path, fault: object) -> None:
    server.faults.add("POST", MESSAGES + r"/\d+/threads", fault)
    async with connected(server, config(tmp_path)):
        await server.mention(FOOT)
        await server.until(lambda: told(server))
    assert len(server.rest.threads) == 1
    assert len(server.rest.answers()) == 1


@pytest.mark.parametrize("fault", [broken(503), banned(), dropped(), dropped(after=True)], ids=str)
async def test_the_inner_voice_is_whole_in_spite_of_trouble(server: Server, tmp_path: Path, fault: object) -> None:
    """No message of the monologue is missing or doubled, and the picture is uploaded again in full."""
    async with connected(server, config(tmp_path)):
        await server.mention(FOOT)
        await server.until(lambda: told(server))
        plain = _voices(server)
        server.faults.add("POST", rf"/channels/(?!{payloads.CHANNEL})\d+/messages", fault, slow(0.0), fault)
        await server.mention(FOOT)
        await server.until(lambda: len(server.rest.named("PATCH channel")) == 2)
    again = _voices(server)[len(plain) :]
    assert [set(m["components"][0]) for m in again] == [set(m["components"][0]) for m in plain]
    assert [[a["size"] > 1000 for a in m["attachments"]] for m in again] == [[], [True]]


def _voices(server: Server) -> list[dict]:  # type: ignore[type-arg]
    return [m for m in server.rest.messages.values() if m["channel_id"] in server.rest.threads]


async def test_no_trouble_of_the_network_is_a_defect(server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A cut connection is a line in the log, not a traceback; when the channel takes nothing at all, the answer comes by DM."""
    caplog.set_level(logging.INFO)
    server.faults.add("POST", MESSAGES, *[dropped()] * 3)
    async with connected(server, config(tmp_path)):
        await server.mention(FOOT)
        await server.until(lambda: server.rest.messages)
        (by_dm,) = server.rest.messages.values()
        assert by_dm["channel_id"] == str(payloads.DM)
        assert ANSWER in by_dm["content"]
        await server.mention(FOOT)
        await server.until(lambda: told(server))
    assert "unexpected" not in caplog.text
    assert "Traceback" not in caplog.text
