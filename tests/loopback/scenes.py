"""What people ask of the bot, and which requests that takes: the material for injecting faults. Knows no fault.

A scene is played twice, without and with a fault. What stands in Discord must be the same, figures aside.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.loopback import payloads
from tests.loopback.conftest import FOOT
from tests.loopback.interactions import EPHEMERAL, LOADING
from tests.loopback.payloads import Json
from tests.loopback.server import Server

LONG = "Say a great deal."
LONG_ANSWER = " ".join(f"word{i}" for i in range(480))
SLOW = "Say it slowly."
SLOW_ANSWER = " ".join(f"word{i}" for i in range(25))
SCRIPT = {LONG: LONG_ANSWER, SLOW: SLOW_ANSWER}

MESSAGES = rf"/channels/{payloads.CHANNEL}/messages"
IN_THREAD = rf"/channels/(?!{payloads.CHANNEL})\d+/messages"
CALLBACK = r"/interactions/\d+/[\w-]+/callback"
FOLLOW_UP = r"/webhooks/\d+/[\w-]+"
ORIGINAL = r"/webhooks/\d+/[\w-]+/messages/[^/]+"
Point = tuple[str, str]
Stand = Counter[tuple[str, bool, str]]


@dataclass(frozen=True)
class Scene:
    """One thing that people do.

    Attributes:
        play: does it, after `before`.
        points: the requests that it takes, by a name.
        before: what has to stand there already; without faults.
        fresh: whether a second time would be something else, as with a vote.
    """

    play: Callable[[Server, Any], Awaitable[object]]
    points: dict[str, Point]
    before: Callable[[Server], Awaitable[Any]] | None = None
    fresh: bool = False


def stand(server: Server) -> Stand:
    """Everything of the bot's that people see: where, whether for one alone, and the words; runs and figures left out."""
    return Counter(
        (_where(server, m["channel_id"]), bool(m["flags"] & EPHEMERAL), _words(m))
        for m in server.rest.messages.values()
        if m["author"]["id"] == str(payloads.BOT)
    )


def left_open(server: Server) -> list[str]:
    """Signs of something under way: "thinking", a cursor, a press that nobody answered."""
    messages = server.rest.messages.values()
    found = ["thinking" for m in messages if m["flags"] & LOADING] + ["cursor" for m in messages if m["content"].endswith("▌")]
    return found + ["no response" for _ in server.rest.interactions.unanswered()]


def _where(server: Server, channel_id: str) -> str:
    return {str(payloads.CHANNEL): "channel", str(payloads.DM): "dm"}.get(channel_id, "thread")


def _words(message: Json) -> str:
    """A card's own text depends on the run: of that only the headings count."""
    card = re.sub(r"fp:v1:(\w+):[\w-]{16}", r"\1", "|".join(_texts(message["components"])))
    texts = [message["content"], card, *(a["filename"] for a in message["attachments"])]
    return re.sub(r"(?<!word)\b\d+([\\.,]+\d+)*", "#", "|".join(texts))


def _texts(found: Any) -> list[str]:
    if isinstance(found, list):
        return [text for each in found for text in _texts(each)]
    if not isinstance(found, dict):
        return []
    own = [str(found[key]) for key in ("custom_id", "label") if found.get(key)]
    own += [line for line in str(found.get("content") or "").splitlines() if line.startswith("#")]
    return own + [text for value in found.values() if isinstance(value, list | dict) for text in _texts(value)]


async def _answered(server: Server) -> Json:
    """A question with its thread; the answer's message."""
    told = len(server.rest.named("PATCH channel"))
    await server.mention(FOOT)
    await server.until(lambda: len(server.rest.named("PATCH channel")) > told)
    return server.rest.answers()[-1]


async def _voiced(server: Server) -> Json:
    """The message under which the controls stand."""
    answer = await _answered(server)
    return [m for m in server.rest.messages.values() if m["channel_id"] == answer["id"]][-1]


def _control(message: Json, action: str) -> str:
    found = re.search(rf"fp:v1:{action}:[\w-]{{16}}[\w:]*", str(message["components"]))
    assert found, action
    return found[0]


def _pressing(action: str) -> Callable[[Server, Any], Awaitable[object]]:
    return lambda server, message: server.press(message, _control(message, action))


def _asking(question: str, **options: Any) -> Callable[[Server, Any], Awaitable[object]]:
    return lambda server, _: server.slash("ask", question=question, **options)


async def _reply(server: Server, answer: Json) -> None:
    reference = {"message_id": answer["id"], "channel_id": answer["channel_id"], "guild_id": str(payloads.GUILD), "type": 0}
    more = {"type": 19, "message_reference": reference, "referenced_message": answer, "mentions": [payloads.user(payloads.BOT)]}
    message = payloads.message(payloads.ALICE, "And yours?", str(payloads.CHANNEL), **more)
    await server.gateway.dispatch("MESSAGE_CREATE", message)


THREAD = {
    "the thread": ("POST", MESSAGES + r"/\d+/threads"),
    "the voice": ("POST", IN_THREAD),
    "collapsing": ("PATCH", r"/channels/\d+"),
}
POST, EDIT = ("POST", MESSAGES), ("PATCH", MESSAGES + r"/\d+")
SLASH = {"the acknowledgement": ("POST", CALLBACK), "the response": ("PATCH", ORIGINAL)}
SCENES = {
    "a mention": Scene(lambda server, _: server.mention(FOOT), {"the answer": POST, **THREAD}),
    "a streamed answer": Scene(lambda server, _: server.mention(SLOW), {"its beginning": POST, "an edit": EDIT}),
    "a long answer": Scene(lambda server, _: server.mention(LONG), {"a part": POST}),
    "a reply": Scene(_reply, {"the answer": POST}, _answered),
    "/ask": Scene(_asking(FOOT), SLASH),
    "/ask, long": Scene(_asking(LONG), {**SLASH, "the second part": ("POST", FOLLOW_UP)}),
    "/ask, streamed": Scene(_asking(SLOW), SLASH),
    "private /ask": Scene(_asking(FOOT, private=True), SLASH),
    "private /ask, long": Scene(_asking(LONG, private=True), {**SLASH, "the second part": ("POST", FOLLOW_UP)}),
    "/layers": Scene(lambda server, _: server.slash("layers"), SLASH, _answered),
    "/why": Scene(lambda server, _: server.slash("why"), SLASH, _answered),
    "/dump": Scene(lambda server, _: server.slash("dump", what="lens", format="json"), SLASH, _answered),
    "/compare": Scene(lambda server, _: server.slash("compare", a=FOOT, b="And a giraffe?", controls="1?;2?;3?"), SLASH),
    "/help": Scene(lambda server, _: server.slash("help"), {"the response": ("POST", CALLBACK)}),
    "the menu Inner voice": Scene(lambda server, message: server.menu("Inner voice", message), SLASH, _answered),
    "Layers, pressed": Scene(_pressing("layers"), SLASH, _voiced),
    "Second thoughts, pressed": Scene(_pressing("again"), SLASH, _voiced),
    "a token, chosen": Scene(lambda server, message: server.press(message, _control(message, "look"), "0"), SLASH, _voiced),
    "a vote": Scene(_pressing("up"), {"the counts": ("POST", CALLBACK)}, _answered, fresh=True),
}
