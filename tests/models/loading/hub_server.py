"""A stand-in of the Hugging Face hub on 127.0.0.1: one model, its list of files, and files that can be asked for in parts."""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ID = "somebody/tiny"


@dataclass
class Hub:
    """What it serves, how it misbehaves, and what it was asked for."""

    files: dict[str, bytes]
    address: str = ""
    cut_after: int | None = None
    """Bytes of a file after which the connection breaks, always."""
    ranges: bool = True
    gated: str | None = None
    """The token that opens it."""
    failing: int = 0
    """Requests for files that are answered with 503 first."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Sizes that the list tells in place of the true ones."""
    sent: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """For each file the first byte and the number of bytes of each answer."""

    def about(self, name: str) -> dict[str, Any]:
        data = self.files[name]
        size = self.sizes.get(name, len(data))
        blob = hashlib.sha1(b"blob %d\x00" % len(data) + data, usedforsecurity=False).hexdigest()
        found: dict[str, Any] = {"rfilename": name, "path": name, "type": "file", "size": size, "blobId": blob, "oid": blob}
        if name.endswith((".safetensors", ".bin")):
            sha = hashlib.sha256(data).hexdigest()
            found["lfs"] = {"size": size, "sha256": sha, "oid": sha, "pointerSize": 130}
        return found

    def etag(self, name: str) -> str:
        found = self.about(name)
        return str(found["lfs"]["sha256"] if "lfs" in found else found["blobId"])


def _error(status: int, code: str) -> web.Response:
    return web.json_response({"error": code}, status=status, headers={"X-Error-Code": code, "X-Error-Message": code})


def app(hub: Hub) -> web.Application:
    async def model(request: web.Request) -> web.Response:
        if request.match_info["id"] != ID:
            return _error(404, "RepoNotFound")
        if request.match_info.get("revision", "main") not in {"main", COMMIT}:
            return _error(404, "RevisionNotFound")
        siblings = [hub.about(name) for name in hub.files]
        return web.json_response({"id": ID, "modelId": ID, "sha": COMMIT, "siblings": siblings, "tags": [], "private": False})

    async def tree(_request: web.Request) -> web.Response:
        return web.json_response([hub.about(name) for name in hub.files])

    async def resolve(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in hub.files:
            return _error(404, "EntryNotFound")
        if hub.gated and request.headers.get("Authorization") != f"Bearer {hub.gated}":
            return _error(403, "GatedRepo")
        headers = {"ETag": f'"{hub.etag(name)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if request.method == "HEAD":
            return web.Response(headers=headers | {"Content-Length": str(len(hub.files[name]))})
        if hub.failing:
            hub.failing -= 1
            return _error(503, "Unavailable")
        return await part(request, name, headers)

    async def part(request: web.Request, name: str, headers: dict[str, str]) -> web.StreamResponse:
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", "")) if hub.ranges else None
        first = int(asked[1]) if asked else 0
        data = hub.files[name][first:]
        out = web.StreamResponse(status=206 if asked else 200, headers=headers)
        out.content_length = len(data)
        kept = data if hub.cut_after is None else data[: hub.cut_after]
        hub.sent.setdefault(name, []).append((first, len(kept)))
        await out.prepare(request)
        await out.write(kept)
        if len(kept) < len(data):
            assert request.transport is not None
            await asyncio.sleep(0.05)
            request.transport.close()
        return out

    made = web.Application()
    made.router.add_get("/api/models/{id:[^/]+/[^/]+}", model)
    made.router.add_get("/api/models/{id:[^/]+/[^/]+}/revision/{revision}", model)
    made.router.add_get("/api/models/{id:[^/]+/[^/]+}/tree/{revision}", tree)
    made.router.add_route("*", "/{id:[^/]+/[^/]+}/resolve/{revision}/{name:.+}", resolve)
    return made


@contextmanager
def serving(folder: Path) -> Iterator[Hub]:
    """The files of a folder as a model of the hub."""
    hub = Hub({str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()})
    loop, ready = asyncio.new_event_loop(), threading.Event()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(app(hub))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        hub.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    def work() -> None:
        runner = loop.run_until_complete(start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait(20)
    try:
        yield hub
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
