"""A small Discord on 127.0.0.1, over real sockets: its REST, its gateway and its bad days. Knows no bot."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import format_datetime
from typing import Any

import discord
import pytest
import yarl
from aiohttp import BodyPartReader, web
from discord.gateway import DiscordWebSocket

from tests.loopback import payloads
from tests.loopback.faults import Fault, Faults
from tests.loopback.gateway import Gateway
from tests.loopback.payloads import Json
from tests.loopback.rest import Call, Rest

TOKEN = "loopback.token.of-no-worth"
API = "/api/v10"


class Server:
    """The two halves under one port."""

    def __init__(self) -> None:
        self.gateway = Gateway()
        self.rest = Rest(TOKEN, self.gateway.dispatch)
        self.gateway.guild = self.rest.history.guild
        self.faults = Faults()
        self.away = False
        self.origin = ""

    async def mention(self, text: str, author: int = payloads.ALICE) -> Json:
        """Somebody asks the bot in the channel."""
        return await self.say(f"{payloads.MENTION} {text}", author)

    async def say(
        self,
        text: str,
        author: int = payloads.ALICE,
        *,
        where: object = payloads.CHANNEL,
        to: Json | None = None,
        ago: float = 0.0,
    ) -> Json:
        """Somebody writes: in the channel, a thread or a DM, perhaps in reply to a message, perhaps some seconds ago."""
        message = self.rest.history.say(author, text, str(where), to=to, ago=ago)
        await self.gateway.dispatch("MESSAGE_CREATE", message)
        return message

    def leave(self) -> None:
        """The network is away: what is open is cut, what comes is cut; `come_back` ends it."""
        self.away, self.gateway.upgrade = True, "cut"
        for connection in self.gateway.connections:
            connection.cut()

    def come_back(self) -> None:
        self.away, self.gateway.upgrade = False, None

    async def slash(self, name: str, author: int = payloads.ALICE, **options: str) -> Json:
        interaction = payloads.slash(name, author, **options)
        await self.gateway.dispatch("INTERACTION_CREATE", interaction)
        return interaction

    async def until(self, true: Callable[[], Any], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while not true():  # noqa: ASYNC110  requests set no event
                await asyncio.sleep(0.01)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any request to the REST."""
        if self.away:
            return _cut(request)
        call = await _call(request)
        self.rest.calls.append(call)
        fault = self.faults.next(call.method, call.path)
        await asyncio.sleep(fault.delay)
        if fault.drop == "before":
            return _cut(request)
        status, body = await self._answer(call, fault)
        if fault.drop == "after":
            return _cut(request)
        call.status = status
        if body is None:
            return web.Response(status=status)
        if isinstance(body, str):
            return web.Response(status=status, text=body, headers=fault.headers)
        # discord.py wants the bare type, without a charset.
        return web.Response(status=status, body=json.dumps(body).encode(), content_type="application/json", headers=fault.headers)

    async def _answer(self, call: Call, fault: Fault) -> tuple[int, Any]:
        if fault.status is not None:
            return fault.status, fault.body
        if call.path == "/gateway/bot":
            limit = {"total": 1000, "remaining": 999, "reset_after": 0, "max_concurrency": 1}
            return 200, {"url": self.gateway.url, "shards": 1, "session_start_limit": limit}
        return await self.rest.serve(call)


@asynccontextmanager
async def serving(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """A running server that discord.py takes for Discord."""
    server = Server()
    app = web.Application(client_max_size=32 * 1024 * 1024)
    app.router.add_get("/gateway/", server.gateway.handle)
    app.router.add_route("*", API + "/{path:.*}", server.handle)
    app.on_response_prepare.append(_dated)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    server.origin, server.gateway.url = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/gateway/"
    point_at(monkeypatch, server.origin, server.gateway.url)
    try:
        yield server
    finally:
        await server.gateway.close()
        await runner.cleanup()


def point_at(monkeypatch: pytest.MonkeyPatch, origin: str, gateway: str) -> None:
    """Send discord.py there instead of to Discord. Webhooks and interactions take the same `Route`."""
    monkeypatch.setattr(discord.http.Route, "BASE", origin + API)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(gateway))


async def _dated(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Date"] = format_datetime(payloads.moment(), usegmt=True)


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _call(request: web.Request) -> Call:
    call = Call(request.method, request.path.removeprefix(API), {}, query=dict(request.query))
    call.authorization = request.headers.get("Authorization")
    if request.content_type == "multipart/form-data":
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            data = bytes(await part.read())
            if part.name == "payload_json":
                call.body = json.loads(data)
            else:
                call.files[part.filename or ""] = data
    elif request.can_read_body:
        call.body = await request.json()
    return call
