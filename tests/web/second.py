"""The local auth service in a process of its own, standing where Supabase stands; one for all databases of a run.

Run as a program, it serves the real app for each database that it is told of, below a path of its own.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import uvicorn
from litestar import Litestar

from specchem.auth.service.keys import KeyRing
from specchem.db.database import Database
from specchem.settings import PREFIX, Settings
from specchem.web.app import create_app
from tests import logs


@dataclass(frozen=True)
class Second:
    """That process, seen from the tests."""

    address: str
    seen_at: str | None = None  # what it takes its own address to be, if that is another

    @asynccontextmanager
    async def serving(self, database: Database, **settings: Any) -> AsyncIterator[str]:
        """Where Supabase would be for this database, while it is needed."""
        name = uuid4().hex
        seen_at = f"{self.seen_at or self.address}/{name}"
        told = {"database": asdict(database), "settings": {"pool_size": 2, "public_url": seen_at, **settings}}
        async with httpx.AsyncClient(base_url=self.address, timeout=60) as client:
            (await client.put(f"/{name}", json=told)).raise_for_status()
            try:
                yield seen_at if self.seen_at and "127.0.0.1" in self.seen_at else f"{self.address}/{name}"
            finally:
                (await client.delete(f"/{name}")).raise_for_status()


@contextmanager
def started(keys: Path) -> Iterator[Second]:
    """Start it, with the keys of a folder; it ends with its standard input."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "SUPABASE_"))}
    logs.folders.add(keys)
    with (
        (keys / "second.log").open("w") as complaints,
        subprocess.Popen(
            [sys.executable, "-m", "tests.web.second", str(keys)], env=mine, cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True,
        ) as process,
    ):  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Second(process.stdout.readline().strip())
        finally:
            process.stdin.close()
            assert process.wait(60) == 0


class Many:
    """Apps by the first part of the path: PUT makes one, DELETE ends it, and it gets whatever else is asked."""

    def __init__(self, keys: Path) -> None:
        self.keys = keys
        self.running: dict[str, tuple[Litestar, asyncio.Event, asyncio.Task[None]]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        _, name, *rest = scope["path"].split("/", 2)
        if scope["method"] == "PUT" and not rest:
            await self.start(name, json.loads(await _body(receive)))
        elif scope["method"] == "DELETE" and not rest:
            await self.stop(name)
        else:
            path = f"/{rest[0] if rest else ''}"
            app: Any = self.running[name][0]
            await app({**scope, "path": path, "raw_path": path.encode()}, receive, send)
            return
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def start(self, name: str, told: dict[str, Any]) -> None:
        app = create_app(Settings(**told["settings"]), Database(**told["database"]), KeyRing(self.keys))
        up, down = asyncio.Event(), asyncio.Event()

        async def live() -> None:
            async with app.lifespan():
                up.set()
                await down.wait()

        life = asyncio.create_task(live())
        await asyncio.wait({life, asyncio.create_task(up.wait())}, return_when=asyncio.FIRST_COMPLETED)
        self.running[name] = app, down, life

    async def stop(self, name: str) -> None:
        _, down, life = self.running.pop(name)
        down.set()
        await life


async def _body(receive: Any) -> bytes:
    whole: bytes = b""
    while True:
        part = await receive()
        whole += bytes(part.get("body", b""))
        if not part.get("more_body"):
            return whole


async def _serve(keys: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = f"http://127.0.0.1:{door.getsockname()[1]}"
        many = Many(keys)
        server = uvicorn.Server(
            uvicorn.Config(many, log_config=None, access_log=False, ws="none", lifespan="off")
        )
        life = asyncio.create_task(server.serve(sockets=[door]))
        print(address, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for name in list(many.running):
            await many.stop(name)
        server.should_exit = True
        await life


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
