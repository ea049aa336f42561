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
from tests.loopback.limits import Limits
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
        self.limits: Limits | None = None
        self.origin = ""
        self.busy = 0
        """Requests that have no answer yet."""
        self.away = False
        """Whether the network is: nothing comes through."""
        self.runner: web.AppRunner | None = None
        self._deeds: set[asyncio.Task[Any]] = set()

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

    async def slash(self, name: str, author: int = payloads.ALICE, **options: Any) -> Json:
        """A slash command."""
        return await self.interact(payloads.slash(name, author, **options))

    async def press(self, message: Json, custom_id: str, *values: str, author: int = payloads.ALICE) -> Json:
        """A button under a message, or a choice from its select."""
        return await self.interact(payloads.press(message, custom_id, author, *values))

    async def menu(self, name: str, message: Json, author: int = payloads.ALICE) -> Json:
        """An entry of a message's own menu."""
        return await self.interact(payloads.menu(name, message, author))

    async def interact(self, interaction: Json) -> Json:
        self.rest.interactions.issue(interaction)
        await self.gateway.dispatch("INTERACTION_CREATE", interaction)
        return interaction

    async def until(self, true: Callable[[], Any], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while not true():  # noqa: ASYNC110  requests set no event
                await asyncio.sleep(0.01)

    def leave(self) -> None:
        """The network goes: every connection is cut, and none comes through until it is back."""
        self.away, self.gateway.upgrade = True, "cut"
        assert self.runner is not None
        assert self.runner.server is not None
        for connection in list(self.runner.server.connections):
            if connection.transport is not None:
                connection.transport.abort()

    def come_back(self) -> None:
        """The network is there again."""
        self.away, self.gateway.upgrade = False, None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any request to the REST."""
        self.busy += 1
        try:
            return await self._handle(request)
        finally:
            self.busy -= 1

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        call = await _call(request)
        self.rest.calls.append(call)
        too_many, limit = self.limits.check(call) if self.limits else (None, {})
        fault = too_many or self.faults.next(call.method, call.path)
        await asyncio.sleep(fault.delay)
        if fault.drop == "before" and fault.late is None:
            return _cut(request)
        try:
            status, body = await self._answer(call, fault)
        except asyncio.CancelledError:  # the client gave up
            call.given_up = True
            raise
        if fault.drop is not None:
            return _cut(request)
        call.status = status
        headers = fault.headers | limit
        if self.limits:
            self.limits.answered(status)
        if body is None:
            return web.Response(status=status, headers=headers)
        if isinstance(body, str):
            return web.Response(status=status, text=body, headers=headers)
        # discord.py wants the bare type, without a charset.
        return web.Response(status=status, body=json.dumps(body).encode(), content_type="application/json", headers=headers)

    async def _answer(self, call: Call, fault: Fault) -> tuple[int, Any]:
        said = (fault.status or 0, fault.body)
        if fault.late is not None:
            deed = asyncio.create_task(self._later(call, fault.late), name=f"late {call.line}")
            self._deeds.add(deed)
            deed.add_done_callback(self._deeds.discard)
            return said if fault.status or fault.drop else await asyncio.shield(deed)
        if fault.status is not None:
            if fault.done:
                await self._serve(call)
            return said
        return await self._serve(call)

    async def _later(self, call: Call, seconds: float) -> tuple[int, Any]:
        await asyncio.sleep(seconds)
        return await self._serve(call)

    async def _serve(self, call: Call) -> tuple[int, Any]:
        if call.path == "/gateway/bot":
            limit = {"total": 1000, "remaining": 999, "reset_after": 0, "max_concurrency": 1}
            return 200, {"url": self.gateway.url, "shards": 1, "session_start_limit": limit}
        return await self.rest.serve(call)

    async def settled(self) -> None:
        """All late deeds are done."""
        while self._deeds:
            await asyncio.gather(*self._deeds)

    def abandon(self) -> None:
        """Late deeds that nobody waits for."""
        for deed in self._deeds:
            deed.cancel()


@asynccontextmanager
async def serving(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """A running server that discord.py takes for Discord."""
    server = Server()

    @web.middleware
    async def network(request: web.Request, handler: Any) -> web.StreamResponse:
        cut = server.away and not request.path.startswith("/gateway")  # which counts those that it refuses
        return _cut(request) if cut else await handler(request)

    app = web.Application(client_max_size=32 * 1024 * 1024, middlewares=[network])
    app.router.add_get("/gateway/", server.gateway.handle)
    app.router.add_route("*", API + "/{path:.*}", server.handle)
    app.on_response_prepare.append(_dated)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
    server.runner = runner
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    server.origin, server.gateway.url = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/gateway/"
    point_at(monkeypatch, server.origin, server.gateway.url)
    try:
        yield server
    finally:
        server.abandon()
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
