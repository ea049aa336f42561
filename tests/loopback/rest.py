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

    @property
    def line(self) -> str:
        """For order: ``POST messages``, ``PATCH messages/*``, ``PATCH channel``, ``POST */callback`` …"""
        name = re.sub(r"^/(channels|webhooks|interactions|applications)/\d+", "", self.path)
        name = re.sub(r"/(interaction-)?\d+(?=/|$)", "/*", name).strip("/")
        return f"{self.method} {name or 'channel'}"


class Rest:
    """The state behind the requests. Effects are announced on the gateway, as Discord does."""

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
        self._original: dict[str, str] = {}
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
            ("POST", re.compile(r"/channels/(\d+)/messages"), self._post_message),
            ("PATCH", re.compile(r"/channels/\d+/messages/(\d+)"), self._patch_message),
            ("DELETE", re.compile(r"/channels/\d+/messages/(\d+)"), self._delete_message),
            ("POST", re.compile(r"/channels/\d+/messages/(\d+)/threads"), self._post_thread),
            ("POST", re.compile(r"/interactions/(\d+)/([\w-]+)/callback"), self._callback),
            ("POST", re.compile(r"/webhooks/\d+/([\w-]+)"), self._follow_up),
            ("PATCH", re.compile(r"/webhooks/\d+/([\w-]+)/messages/(@original|\d+)"), self._patch_response),
        ]

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
        return (200, payloads.channel()) if channel_id == str(payloads.CHANNEL) else (404, {"message": "Unknown Channel"})

    async def _patch_channel(self, call: Call, channel_id: str) -> Answer:
        thread = self.threads[channel_id]
        metadata = {**thread["thread_metadata"], "archived": call.body.get("archived", False)}
        self.threads[channel_id] = {**thread, "thread_metadata": metadata}
        await self._announce("THREAD_UPDATE", self.threads[channel_id])
        return 200, self.threads[channel_id]

    async def _typing(self, _call: Call) -> Answer:
        return 204, None

    async def _list_messages(self, call: Call, channel_id: str) -> Answer:
        return 200, self.history.page(channel_id, call.query)

    async def _post_message(self, call: Call, channel_id: str) -> Answer:
        nonce = call.body.get("nonce")
        if nonce in self._by_nonce and call.body.get("enforce_nonce"):
            return 200, self._by_nonce[nonce]
        message = self._written(call, channel_id)
        if nonce is not None:
            self._by_nonce[nonce] = message
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

    async def _callback(self, call: Call, interaction_id: str, token: str) -> Answer:
        message = self._written(Call(call.method, call.path, call.body.get("data") or {}), str(payloads.CHANNEL))
        self._original[token] = message["id"]
        loading = call.body["type"] == 5
        interaction = {"id": interaction_id, "type": 2, "response_message_id": message["id"], "response_message_loading": loading}
        return 200, {"interaction": interaction, "resource": {"type": call.body["type"], "message": message}}

    async def _follow_up(self, call: Call, _token: str) -> Answer:
        return 200, self._written(call, str(payloads.CHANNEL))

    async def _patch_response(self, call: Call, token: str, which: str) -> Answer:
        message_id = self._original.get(token, "") if which == "@original" else which
        if message_id not in self.messages:
            return 404, {"message": "Unknown Webhook", "code": 10015}
        return 200, await self._change(call, message_id)

    def _written(self, call: Call, channel_id: str) -> Json:
        message = payloads.message(payloads.BOT, call.body.get("content") or "", channel_id, **_body_of(call))
        self.messages[message["id"]] = message
        return message

    async def _change(self, call: Call, message_id: str) -> Json:
        new = {key: call.body[key] for key in ("content", "components") if key in call.body}
        self.messages[message_id] = message = {**self.messages[message_id], **new, "edited_timestamp": payloads.now()}
        await self._announce("MESSAGE_UPDATE", message)
        return message


def _body_of(call: Call) -> Json:
    """Attachments, components, flags and the reference of a posted message."""
    attachments = [
        {"id": payloads.snowflake(), "filename": name, "size": len(data), "url": f"http://127.0.0.1/{name}", "proxy_url": ""}
        for name, data in call.files.items()
    ]
    kept = {key: call.body[key] for key in ("flags", "nonce", "components", "message_reference") if call.body.get(key)}
    reply = {"type": 19} if "message_reference" in kept else {}
    return {"attachments": attachments, **kept, **reply}
