"""The gateway's side of the websocket: HELLO, sessions, heartbeats, resuming, and every way to break off. Knows no REST.

https://docs.discord.com/developers/events/gateway
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import WSCloseCode, WSMsgType, web

from tests.loopback import payloads
from tests.loopback.payloads import Json

DISPATCH, HEARTBEAT, IDENTIFY, PRESENCE, RESUME, RECONNECT, INVALID_SESSION, HELLO, ACK = 0, 1, 2, 3, 6, 7, 9, 10, 11


@dataclass
class Session:
    """What a client is owed: the events since its IDENTIFY, so that a RESUME can bring those that it missed."""

    id: str
    shard: list[int]
    events: list[Json] = field(default_factory=list)


class Connection:
    """One websocket. Compresses as the client asked: one zlib stream for the whole connection, a flush after each payload."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.socket = socket
        self._transport = request.transport
        self._zlib = zlib.compressobj() if request.query.get("compress") == "zlib-stream" else None
        self.session: Session | None = None
        self.received: list[Json] = []
        self.heartbeats: list[float] = []
        self.close_code: int | None = None
        """With which code the client closed; None while it is open or when it was cut."""

    async def send(self, payload: Json) -> None:
        if self.socket.closed:
            return
        text = json.dumps(payload)
        with contextlib.suppress(ConnectionError):  # the client is away: a RESUME brings it
            if self._zlib is None:
                await self.socket.send_str(text)
            else:
                await self.socket.send_bytes(self._zlib.compress(text.encode()) + self._zlib.flush(zlib.Z_SYNC_FLUSH))

    def cut(self) -> None:
        """As when a cable is pulled: no close frame."""
        if self._transport is not None:
            self._transport.abort()


class Gateway:
    """All connections and sessions.

    Attributes:
        heartbeat_seconds: the interval that HELLO asks for.
        refuse_with: close code in answer to an IDENTIFY; None lets the client in.
        upgrade: what meets the request for a websocket: the status of a refusal, or a cut; None lets it through.
        guild: the server as GUILD_CREATE tells it.
        withheld: whether no GUILD_CREATE follows a READY; a test dispatches it later.
        replayed_again: how many events that the client has seen already come once more with its RESUME.
    """

    def __init__(self) -> None:
        self.url = ""
        self.heartbeat_seconds = 30.0
        self.refuse_with: int | None = None
        self.upgrade: int | Literal["cut"] | None = None
        self.refused_upgrades = 0
        self.guild: Callable[[], Json] = payloads.guild
        self.withheld = False
        self.replayed_again = 0
        self.connections: list[Connection] = []
        self.sessions: dict[str, Session] = {}
        self.ready = asyncio.Event()
        self.resumed = 0

    @property
    def current(self) -> Connection:
        return self.connections[-1]

    def received(self, op: int) -> list[Json]:
        """The data of all payloads with this opcode, over all connections."""
        return [payload["d"] for connection in self.connections for payload in connection.received if payload["op"] == op]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.upgrade is not None:
            return self._refused(request, self.upgrade)
        socket = web.WebSocketResponse(autoping=True, compress=False)
        await socket.prepare(request)
        connection = Connection(socket, request)
        self.connections.append(connection)
        await connection.send({"op": HELLO, "d": {"heartbeat_interval": int(self.heartbeat_seconds * 1000)}})
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._take(connection, json.loads(message.data))
        connection.close_code = socket.close_code
        return socket

    def _refused(self, request: web.Request, how: int | Literal["cut"]) -> web.Response:
        self.refused_upgrades += 1
        if how == "cut" and request.transport is not None:
            request.transport.abort()
        return web.Response(status=503 if how == "cut" else how)

    async def dispatch(self, event: str, data: Json) -> None:
        """Send an event to every session; one whose client is away gets it with its RESUME."""
        for session in self.sessions.values():
            payload = self._enter(session, event, data)
            for connection in self.connections:
                if connection.session is session:
                    await connection.send(payload)

    async def reconnect(self) -> None:
        await self.current.send({"op": RECONNECT, "d": None})

    async def invalidate(self, *, resumable: bool) -> None:
        if not resumable and self.current.session:
            del self.sessions[self.current.session.id]
        self.ready.clear()
        await self.current.send({"op": INVALID_SESSION, "d": resumable})

    def expire(self) -> None:
        """Discord forgets all sessions: what is dispatched from now on is in none of them, and a RESUME is refused."""
        self.sessions.clear()
        self.ready.clear()

    async def close(self) -> None:
        for connection in self.connections:
            await connection.socket.close(code=WSCloseCode.GOING_AWAY)

    async def _take(self, connection: Connection, payload: Json) -> None:
        connection.received.append(payload)
        match payload["op"]:
            case 1:
                connection.heartbeats.append(time.monotonic())
                await connection.send({"op": ACK, "d": None})
            case 2:
                await self._identify(connection, payload["d"])
            case 6:
                await self._resume(connection, payload["d"])

    async def _identify(self, connection: Connection, data: Json) -> None:
        if self.refuse_with is not None:
            await connection.socket.close(code=self.refuse_with)
            return
        connection.session = session = Session(f"session-{len(self.connections)}", data["shard"])
        self.sessions[session.id] = session
        ready = {
            "v": 10,
            "user": payloads.user(payloads.BOT),
            "guilds": [{"id": str(payloads.GUILD), "unavailable": True}],
            "session_id": session.id,
            "resume_gateway_url": self.url,
            "shard": session.shard,
            "application": {"id": str(payloads.BOT), "flags": 0},
        }
        await connection.send(self._enter(session, "READY", ready))
        if not self.withheld:
            await connection.send(self._enter(session, "GUILD_CREATE", self.guild()))
        self.ready.set()

    async def _resume(self, connection: Connection, data: Json) -> None:
        session = self.sessions.get(data["session_id"])
        if session is None:
            await connection.send({"op": INVALID_SESSION, "d": False})
            return
        connection.session = session
        for payload in session.events[max(data["seq"] - self.replayed_again, 0) :]:
            await connection.send(payload)
        self.resumed += 1
        await connection.send(self._enter(session, "RESUMED", {}))

    def _enter(self, session: Session, event: str, data: Any) -> Json:
        payload = {"op": DISPATCH, "t": event, "s": len(session.events) + 1, "d": data}
        session.events.append(payload)
        return payload
