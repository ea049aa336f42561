"""The page of the local Discord: simcord's preview in our own look, with every room of the visitor's on one address.

simcord shows one channel and refuses what was meant for a page before the last one, as a test wants it. Here a page names its
room when it opens, what a visitor does is taken as the page stands now, and one thing waits for the other. All of this reaches
into simcord, which is therefore pinned to one version; the browser tests tell when another one fits no longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import secrets
from collections.abc import Mapping
from importlib import resources
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aiohttp import web
from simcord import ChannelHandle, Env, MemberActor, SetupError
from simcord.actors import _dispatch_actor_interaction, _resolve_visible_command
from simcord.backend import serializers
from simcord.enums import AppCommandType, InteractionType
from simcord.preview import Preview
from simcord.preview._server import PreviewServer

THREADS_LISTED = 8
_ROOM: contextvars.ContextVar[ChannelHandle | None] = contextvars.ContextVar("room of the served page", default=None)
_OURS = {"/local.css": "text/css", "/local.js": "application/javascript", "/local-rooms.js": "application/javascript"}
_OURS |= {"/local-menu.js": "application/javascript", "/local-icon.svg": "image/svg+xml"}


class LocalServer(PreviewServer):
    """simcord's server, whose one page says who we are and brings our style sheet and scripts along."""

    _STATIC_FILES: ClassVar[dict[str, str]] = {**PreviewServer._STATIC_FILES, **{path: path[1:] for path in _OURS}}
    # The thread beside the channel is the same page in a frame.
    _SECURITY_HEADERS: ClassVar[dict[str, str]] = {
        **PreviewServer._SECURITY_HEADERS,
        "X-Frame-Options": "SAMEORIGIN",
        "Content-Security-Policy": PreviewServer._SECURITY_HEADERS["Content-Security-Policy"].replace(
            "frame-ancestors 'none'", "frame-ancestors 'self'"
        ),
    }
    preview: LocalPage

    async def _index(self, request: web.Request) -> web.Response:
        reply: web.Response = await super()._index(request)
        reply.text = self._ours(reply.text or "")
        return reply

    def _ours(self, html: str) -> str:
        head = '<link rel="icon" href="/local-icon.svg">\n    <link rel="stylesheet" href="/local.css">\n'
        head += "".join(f'    <script src="{path}"></script>\n' for path in _OURS if path.endswith(".js"))
        for old, new in (
            ('<html lang="en">', f'<html lang="{self.preview.locale}">'),
            ("<title>SimCord Preview</title>", f"<title>{self.preview.title}</title>"),
            ("  </head>", f"    {head}  </head>"),
        ):
            if html.count(old) != 1:
                raise RuntimeError(f"simcord's page has no {old}")
            html = html.replace(old, new)
        return html

    async def _static(self, request: web.Request) -> web.Response:
        kind = _OURS.get(request.path)
        if kind is None:
            reply: web.Response = await super()._static(request)
            return reply
        if request.headers.get("Host", "") not in self._allowed_hosts():
            raise web.HTTPForbidden
        text = (resources.files("bot") / "data" / "local" / request.path[1:]).read_text(encoding="utf-8")
        return web.Response(text=text, content_type=kind, headers=self._SECURITY_HEADERS)

    async def _pages(self, request: web.Request) -> web.Response:
        if self._authorized(request):
            self.preview.enter(request.query.get("room"), request.query.get("timezone"))
        reply: web.Response = await super()._pages(request)
        return reply


class LocalPage(Preview):
    """What one visitor sees: the channel, the threads in it, and the private messages with the bot."""

    def __init__(self, env: Env, home: ChannelHandle, visitor: MemberActor, *, title: str, port: int, locale: str) -> None:
        self._home, self._visitor, self.title = home, visitor, title
        self._private = visitor.user.dm_channel
        self._turn = asyncio.Lock()
        fixed: dict[str, Any] = {"layout": "channel", "display": "responsive", "width": 960, "height": 720}
        super().__init__(
            env, home, (visitor,), **fixed, locale=locale, timezone="UTC", presentation_time=None, assets=None, port=port
        )
        self._server = LocalServer(self, port)

    @property
    def channel(self) -> ChannelHandle:
        """The room of the page that is being served."""
        return _ROOM.get() or self._home

    @channel.setter
    def channel(self, channel: ChannelHandle) -> None:
        """Not here: simcord sets the one channel that it knows."""

    @property
    def viewers(self) -> tuple[Any, ...]:
        """The visitor, as simcord wants somebody in a server or in private messages."""
        return (self._visitor.user if self.channel.guild is None else self._visitor,)

    @viewers.setter
    def viewers(self, viewers: tuple[Any, ...]) -> None:
        """Likewise."""

    def enter(self, room: str | None, timezone: str | None) -> None:
        """Serve that room in what follows of this request, with the clock of the visitor's browser."""
        _ROOM.set(self._room(int(room)) if room and room.isascii() and room.isdecimal() else self._home)
        with contextlib.suppress(ZoneInfoNotFoundError, ValueError):
            self.timezone = str(ZoneInfo(timezone or self.timezone))

    def _room(self, channel_id: int) -> ChannelHandle:
        rooms = (self._private, *self._home.threads)
        return next((room for room in rooms if room.id == channel_id), self._home)

    async def refresh(self) -> None:
        """Show every open page as things stand, once what the visitor does just now is done."""
        async with self._turn:
            await super().refresh()

    async def _action(self, context_id: str | None, body: Mapping[str, Any]) -> dict[str, Any]:
        async with self._turn:
            page = self._get_page(context_id)
            _ROOM.set(self._room(page.channel_id))
            if body.get("kind") == "message_menu":
                return await self._message_menu(page, body)
            # What it is aimed at is looked up now in any case: that the page has changed meanwhile is no reason to refuse it.
            now = {"published_revision": page.revision} if "published_revision" in body else {}
            return await super()._action(context_id, {**body, **now, **self._mentioned(body)})

    def _mentioned(self, body: Mapping[str, Any]) -> dict[str, str]:
        """The bot's name after an @ is a mention, which simcord's box for messages cannot write."""
        bot, content = self.env.backend.bot_user, body.get("content")
        return {"content": content.replace(f"@{bot.name}", f"<@{bot.id}>")} if isinstance(content, str) else {}

    async def _message_menu(self, page: Any, body: Mapping[str, Any]) -> dict[str, Any]:
        """Choose one of the bot's commands in the menu of a message."""
        self.env._begin_operation("message menu")
        try:
            message = self._target_message(page, int(body["target_id"]))
            command = _resolve_visible_command(page.viewer, page.channel_id, body["name"], AppCommandType.MESSAGE)
            shown = {str(message.id): dict(serializers.message_payload(self.env.backend, message))}
            data = {"id": command["id"], "name": command["name"], "type": AppCommandType.MESSAGE, "target_id": str(message.id)}
            result = await _dispatch_actor_interaction(
                page.viewer, InteractionType.APPLICATION_COMMAND, self.channel, {**data, "resolved": {"messages": shown}}
            )
            if result.modal is not None:
                page.modal, page.modal_handle = result, "m_" + secrets.token_urlsafe(12)
            self._publish_message_pages()
        except (KeyError, ValueError) as error:
            raise SetupError("no such message or command") from error
        finally:
            self.env._end_operation()
        return {"done": True}

    def _page_payload(self, page: Any) -> dict[str, Any]:
        payload: dict[str, Any] = super()._page_payload(page)
        return {**payload, "local": {"title": self.title, "rooms": self._rooms(), "menu": self._menu(page)}}

    def _rooms(self) -> list[dict[str, Any]]:
        threads = sorted(self._home.threads, key=lambda thread: thread.id)[-THREADS_LISTED:]
        kinds = [("channel", self._home), *(("thread", thread) for thread in threads), ("private", self._private)]
        return [
            {"id": str(room.id), "kind": kind, "name": room.name or self.title, "last": self._last(room)} for kind, room in kinds
        ]

    def _last(self, room: ChannelHandle) -> str:
        """The latest message there that the visitor did not write."""
        messages = self.env.backend.messages.get(room.id, {}).values()
        return str(max((message.id for message in messages if message.author_id != self._visitor.id), default=0))

    def _menu(self, page: Any) -> list[str]:
        kind = {"type": AppCommandType.MESSAGE}
        found = self.env.backend.visible_commands(user_id=page.viewer.id, channel_id=page.channel_id, **kind)
        return [command["name"] for command in found]
