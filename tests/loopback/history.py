"""What people said beside the bot's own messages, pages of a history, and a server as it stands now, as Discord gives them.

https://docs.discord.com/developers/resources/message#get-channel-messages
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import discord

from bot.client import PERMISSIONS
from tests.loopback import payloads
from tests.loopback.interactions import EPHEMERAL
from tests.loopback.payloads import Json


class History:
    """Attributes:
    said: messages of people, by id; the bot's own are the REST's.
    permissions: what everybody may do in the server, the bot among them.
    content: whether the bot has the Message Content intent.
    """

    def __init__(self, own: Mapping[str, Json], threads: dict[str, Json]) -> None:
        self._own = own
        self._threads = threads
        self.said: dict[str, Json] = {}
        self.permissions: discord.Permissions = PERMISSIONS
        self.content = False

    def say(self, author: int, text: str, channel_id: str, *, to: Json | None = None, ago: float = 0.0) -> Json:
        """A person writes, ``ago`` seconds before now, perhaps in reply. A thread that was archived is opened by it."""
        more: Json = {"id": payloads.snowflake(ago)}
        if to is not None:
            more["message_reference"] = {"message_id": to["id"], "channel_id": channel_id, "guild_id": str(payloads.GUILD)}
            more |= {"type": 19, "referenced_message": to, "mentions": [to["author"]]}
        message = payloads.message(author, text, channel_id, **more)
        if channel_id == str(payloads.DM):
            message = {key: value for key, value in message.items() if key not in ("guild_id", "member")}
        if channel_id in self._threads:
            thread = self._threads[channel_id]
            self._threads[channel_id] = {**thread, "thread_metadata": {**thread["thread_metadata"], "archived": False}}
        self.said[message["id"]] = message
        return self.shown(message)

    def shown(self, message: Json) -> Json:
        """Without the intent, words that are not for the bot are left out."""
        mentioned = any(user["id"] == str(payloads.BOT) for user in message["mentions"])
        if self.content or mentioned or "guild_id" not in message or message["author"]["id"] == str(payloads.BOT):
            return message
        return {**message, "content": ""}

    def page(self, channel_id: str, query: Mapping[str, str]) -> list[Json]:
        """Newest first, whichever way is asked; with ``after`` those that come next after it."""
        limit = int(query.get("limit", "50"))
        every = self._in(channel_id)
        if "after" in query:
            found = [m for m in every if int(m["id"]) > int(query["after"])][:limit]
        elif "around" in query:
            middle = int(query["around"])
            found = sorted(every, key=lambda m: abs(int(m["id"]) - middle))[:limit]
        else:
            found = [m for m in every if int(m["id"]) < int(query.get("before", 1 << 63))][-limit:]
        return [self.shown(message) for message in sorted(found, key=_id, reverse=True)]

    def guild(self) -> Json:
        """GUILD_CREATE: the channel and the open threads say which message is their newest."""
        guild = payloads.guild()
        guild["roles"][0]["permissions"] = str(self.permissions.value)
        opened = (thread for thread in self._threads.values() if not thread["thread_metadata"]["archived"])
        channels = [self._newest(channel) for channel in guild["channels"]]
        return {**guild, "channels": channels, "threads": [self._newest(thread) for thread in opened]}

    def _newest(self, channel: Json) -> Json:
        every = self._in(channel["id"])
        return {**channel, "last_message_id": every[-1]["id"] if every else None}

    def _in(self, channel_id: str) -> list[Json]:
        every: Iterable[Json] = (*self.said.values(), *self._own.values())
        return sorted((m for m in every if m["channel_id"] == channel_id and not m["flags"] & EPHEMERAL), key=_id)


def _id(message: Mapping[str, Any]) -> int:
    return int(message["id"])
