"""Discord's REST, as far as the bot uses it: messages, threads, interactions, commands. Records every request; knows no socket.

https://docs.discord.com/developers/reference
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.loopback import payloads
from tests.loopback.history import History
from tests.loopback.interactions import EPHEMERAL, LOADING, Interactions, Issued, metadata
from tests.loopback.payloads import Json

Announce = Callable[[str, Json], Awaitable[None]]
Answer = tuple[int, Any]


@dataclass
class Call:
    """One request as it came in, and the status that it got."""

    method: str
    path: str
    body: Json
    files: dict[str, bytes] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    authorization: str | None = None
    at: float = field(default_factory=time.monotonic)
    status: int | None = None
    """None when the connection was cut."""
    given_up: bool = False

    @property
    def line(self) -> str:
        """For order: ``POST messages``, ``PATCH messages/*``, ``PATCH channel``, ``POST */callback`` …"""
        name = re.sub(r"^/(channels|webhooks|interactions|applications)/\d+", "", self.path)
        name = re.sub(r"/(interaction-)?\d+(?=/|$)", "/*", name).strip("/")
        return f"{self.method} {name or 'channel'}"


class Rest:
    """The state behind the requests. Effects are announced on the gateway, as Discord does.

    Attributes:
        tells_of_private: whether the gateway tells the bot of its own ephemeral messages, too. It does so, without a guild's id
            (discord/discord-api-docs#4557), and nobody has promised it.
        tells_of_own: whether the gateway tells of the bot's public messages; it may be away.
        lists: whether the bot may read a channel's history.
    """

    def __init__(self, token: str, announce: Announce) -> None:
        self._token = token
        self._announce = announce
        self.calls: list[Call] = []
        self.commands: list[Json] = []
        self.messages: dict[str, Json] = {}
        self.threads: dict[str, Json] = {}
        self.unknown: list[str] = []
        self.history = History(self.messages, self.threads)
        self._by_nonce: dict[str, Json] = {}
        self.interactions = Interactions()
        self.tells_of_private = True
        self.tells_of_own = True
        self.lists = True
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., Awaitable[Answer]]]] = [
            ("GET", re.compile(r"/users/@me"), self._me),
            ("GET", re.compile(r"/users/(\d+)"), self._user),
            ("POST", re.compile(r"/users/@me/channels"), self._open_dm),
            ("GET", re.compile(r"/oauth2/applications/@me"), self._application),
            ("PUT", re.compile(r"/applications/\d+/commands"), self._put_commands),
            ("GET", re.compile(r"/channels/(\d+)"), self._get_channel),
            ("PATCH", re.compile(r"/channels/(\d+)"), self._patch_channel),
            ("POST", re.compile(r"/channels/\d+/typing"), self._typing),
            ("GET", re.compile(r"/channels/(\d+)/messages"), self._list_messages),
            ("GET", re.compile(r"/channels/(\d+)/messages/(\d+)"), self._get_message),
            ("POST", re.compile(r"/channels/(\d+)/messages"), self._post_message),
            ("PATCH", re.compile(r"/channels/\d+/messages/(\d+)"), self._patch_message),
            ("DELETE", re.compile(r"/channels/\d+/messages/(\d+)"), self._delete_message),
            ("POST", re.compile(r"/channels/\d+/messages/(\d+)/threads"), self._post_thread),
            ("PUT", re.compile(r"/channels/\d+/messages/\d+/reactions/[^/]+/@me"), self._react),
            ("POST", re.compile(r"/interactions/\d+/([\w-]+)/callback"), self._callback),
            ("POST", re.compile(r"/webhooks/\d+/([\w-]+)"), self._follow_up),
            ("GET", re.compile(r"/webhooks/\d+/([\w-]+)/messages/(@original|\d+)"), self._get_response),
            ("PATCH", re.compile(r"/webhooks/\d+/([\w-]+)/messages/(@original|\d+)"), self._patch_response),
            ("DELETE", re.compile(r"/webhooks/\d+/([\w-]+)/messages/(@original|\d+)"), self._delete_response),
        ]

    @property
    def original(self) -> dict[str, str]:
        """The id of the first response to each interaction, by its token."""
        return self.interactions.originals()

    def named(self, line: str) -> list[Call]:
        """The calls that were let through, by `Call.line`."""
        return [call for call in self.calls if call.line == line and call.status is not None and call.status < 300]

    def answers(self) -> list[Json]:
        """What the bot has written in the channel, oldest first, as it stands now."""
        return [m for m in self.messages.values() if m["channel_id"] == str(payloads.CHANNEL)]

    async def serve(self, call: Call) -> Answer:
        public = call.path.startswith(("/interactions/", "/webhooks/"))
        if not public and call.authorization != f"Bot {self._token}":
            return 401, {"message": "401: Unauthorized", "code": 0}
        for method, pattern, handler in self._routes:
            if method == call.method and (found := pattern.fullmatch(call.path)):
                return await handler(call, *found.groups())
        self.unknown.append(f"{call.method} {call.path}")
        return 404, {"message": "404: Not Found", "code": 0}

    async def _me(self, _call: Call) -> Answer:
        return 200, payloads.user(payloads.BOT)

    async def _user(self, _call: Call, user_id: str) -> Answer:
        return 200, payloads.user(int(user_id))

    async def _open_dm(self, call: Call) -> Answer:
        return 200, payloads.dm(int(call.body["recipient_id"]))

    async def _application(self, _call: Call) -> Answer:
        return 200, payloads.application()

    async def _put_commands(self, call: Call) -> Answer:
        # Discord gives menus an empty description.
        own = {"application_id": str(payloads.BOT), "version": "1", "description": ""}
        self.commands = [{"id": payloads.snowflake(), **own, **command} for command in call.body]  # type: ignore[dict-item]
        return 200, self.commands

    async def _get_channel(self, _call: Call, channel_id: str) -> Answer:
        if channel_id in self.threads:
            return 200, self.threads[channel_id]
        if channel_id == str(payloads.DM):
            return 200, payloads.dm(payloads.ALICE)
        return (200, payloads.channel()) if channel_id == str(payloads.CHANNEL) else (404, {"message": "Unknown Channel"})

    async def _patch_channel(self, call: Call, channel_id: str) -> Answer:
        thread = self.threads[channel_id]
        metadata = {**thread["thread_metadata"], "archived": call.body.get("archived", False)}
        self.threads[channel_id] = {**thread, "thread_metadata": metadata}
        await self._announce("THREAD_UPDATE", self.threads[channel_id])
        return 200, self.threads[channel_id]

    async def _typing(self, _call: Call) -> Answer:
        return 204, None

    async def _react(self, _call: Call) -> Answer:
        return 204, None

    async def _list_messages(self, call: Call, channel_id: str) -> Answer:
        """Newest first; what one person alone sees is in no list."""
        if not self.lists:
            return 403, {"message": "Missing Access", "code": 50001}
        return 200, [_unsaid(m) for m in self.history.page(channel_id, call.query)]

    async def _get_message(self, _call: Call, _channel_id: str, message_id: str) -> Answer:
        if not self.lists:
            return 403, {"message": "Missing Access", "code": 50001}
        message = self.messages.get(message_id)
        if message is None or message["flags"] & EPHEMERAL:
            return 404, {"message": "Unknown Message", "code": 10008}
        return 200, _unsaid(message)

    async def _post_message(self, call: Call, channel_id: str) -> Answer:
        nonce = call.body.get("nonce")
        if nonce in self._by_nonce and call.body.get("enforce_nonce"):
            return 200, self._by_nonce[nonce]
        message = self._written(call, channel_id)
        if nonce is not None:
            self._by_nonce[nonce] = message
        if self.tells_of_own:
            await self._announce("MESSAGE_CREATE", message)
        return 200, message

    async def _patch_message(self, call: Call, message_id: str) -> Answer:
        if message_id not in self.messages:
            return 404, {"message": "Unknown Message", "code": 10008}
        return 200, await self._change(call, message_id)

    async def _delete_message(self, _call: Call, message_id: str) -> Answer:
        return (204, None) if self.messages.pop(message_id, None) else (404, {"message": "Unknown Message", "code": 10008})

    async def _post_thread(self, call: Call, message_id: str) -> Answer:
        if message_id in self.threads:
            return 400, {"message": "A thread has already been created for this message", "code": 160004}
        self.threads[message_id] = thread = payloads.thread(message_id, call.body["name"])
        await self._announce("THREAD_CREATE", thread)
        return 201, thread

    async def _callback(self, call: Call, token: str) -> Answer:
        issued = self.interactions.to_acknowledge(token)
        if isinstance(issued, tuple):
            return issued
        kind, data = call.body["type"], Call(call.method, call.path, call.body.get("data") or {}, call.files)
        issued.kind = kind
        if kind in (6, 7):
            issued.original = issued.payload["message"]["id"]
            message = await self._change(data, issued.original) if kind == 7 else None
        elif kind in (4, 5):
            flags = data.body.get("flags", 0) | (LOADING if kind == 5 else 0)
            data.body = {**data.body, "flags": flags}
            message = await self._respond(data, issued, follow_up=False)
            issued.original = message["id"]
        else:
            return 200, {"interaction": {"id": issued.id, "type": issued.payload["type"]}}
        interaction = {"id": issued.id, "type": issued.payload["type"], "response_message_id": issued.original}
        interaction["response_message_loading"] = kind == 5
        return 200, {"interaction": interaction, "resource": {"type": kind, **({"message": message} if message else {})}}

    async def _follow_up(self, call: Call, token: str) -> Answer:
        issued = self.interactions.to_answer(token)
        if isinstance(issued, tuple):
            return issued
        original = self.messages.get(issued.original or "")
        if original is not None and original["flags"] & LOADING:  # the first one takes the place of "thinking"
            return 200, await self._change(call, original["id"])
        return 200, await self._respond(call, issued, follow_up=True)

    async def _respond(self, call: Call, issued: Issued, *, follow_up: bool) -> Json:
        message = self._written(call, issued.payload["channel_id"], **metadata(issued, follow_up=follow_up))
        private = bool(message["flags"] & EPHEMERAL)
        if self.tells_of_private if private else self.tells_of_own:
            told = {key: value for key, value in message.items() if not (private and key in ("guild_id", "member"))}
            await self._announce("MESSAGE_CREATE", told)
        return message

    async def _get_response(self, _call: Call, token: str, which: str) -> Answer:
        return self._response(token, which)

    async def _patch_response(self, call: Call, token: str, which: str) -> Answer:
        status, body = self._response(token, which)
        return (status, body) if status != 200 else (200, await self._change(call, body["id"]))

    async def _delete_response(self, _call: Call, token: str, which: str) -> Answer:
        status, body = self._response(token, which)
        if status == 200:
            del self.messages[body["id"]]
        return (204, None) if status == 200 else (status, body)

    def _response(self, token: str, which: str) -> Answer:
        issued = self.interactions.to_answer(token)
        if isinstance(issued, tuple):
            return issued
        message = self.messages.get((issued.original or "") if which == "@original" else which)
        return (200, message) if message else (404, {"message": "Unknown Message", "code": 10008})

    def _written(self, call: Call, channel_id: str, **more: Any) -> Json:
        message = payloads.message(payloads.BOT, call.body.get("content") or "", channel_id, **_body_of(call), **more)
        self.messages[message["id"]] = message
        return message

    async def _change(self, call: Call, message_id: str) -> Json:
        old, body = self.messages[message_id], _body_of(call)
        new = {key: call.body[key] for key in ("content", "components") if key in call.body}
        files = {"attachments": body["attachments"]} if call.files or "attachments" in call.body else {}
        flags = (old["flags"] | call.body.get("flags", 0)) & ~LOADING
        message = {**old, **new, **files, "flags": flags, "edited_timestamp": payloads.now()}
        self.messages[message_id] = message
        await self._announce("MESSAGE_UPDATE", message)
        return message


def _unsaid(message: Json) -> Json:
    """A message of the history says no nonce."""
    return {key: value for key, value in message.items() if key != "nonce"}


def _body_of(call: Call) -> Json:
    """Attachments, components, flags and the reference of a posted message."""
    attachments = [
        {"id": payloads.snowflake(), "filename": name, "size": len(data), "url": f"http://127.0.0.1/{name}", "proxy_url": ""}
        for name, data in call.files.items()
    ]
    kept = {key: call.body[key] for key in ("flags", "nonce", "components", "message_reference") if call.body.get(key)}
    reply = {"type": 19} if "message_reference" in kept else {}
    return {"attachments": attachments, **kept, **reply}
