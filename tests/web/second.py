"""The local auth service in a process of its own, standing where Supabase stands; one for all databases of a run.

Run as a program, it serves the real app for each database that it is told of, at a port of its own.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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

    @asynccontextmanager
    async def serving(
        self, database: Database, *, seen_at: str | None = None, **settings: Any
    ) -> AsyncIterator[str]:
        """Where Supabase would be for this database, while it is needed; ``seen_at`` is where it believes to be."""
        told = {"database": asdict(database), "settings": {"pool_size": 2, **settings}}
        if seen_at is not None:
            told["settings"] |= {"public_url": seen_at}
        async with httpx.AsyncClient(base_url=self.address, timeout=60) as client:
            answer = (await client.put("/", json=told)).raise_for_status()
            port = int(answer.text)
            try:
                yield f"http://127.0.0.1:{port}"
            finally:
                (await client.delete(f"/{port}")).raise_for_status()


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
    """Apps at ports of their own: PUT starts one and tells its port, DELETE of a port ends it."""

    def __init__(self, keys: Path) -> None:
        self.keys = keys
        self.running: dict[int, AsyncExitStack] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        said = b""
        if scope["method"] == "PUT":
            said = str(await self.start(json.loads(await _body(receive)))).encode()
        else:
            await self.stop(int(scope["path"].removeprefix("/")))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": said})

    async def start(self, told: dict[str, Any]) -> int:
        stack = AsyncExitStack()
        door = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port: int = door.getsockname()[1]
        settings = Settings(port=port, **told["settings"])
        app = create_app(settings, Database(**told["database"]), KeyRing(self.keys))
        await stack.enter_async_context(alive(app))
        await stack.enter_async_context(listening(app, door))
        self.running[port] = stack
        return port

    async def stop(self, port: int) -> None:
        await self.running.pop(port).aclose()


@asynccontextmanager
async def alive(app: Litestar) -> AsyncIterator[None]:
    """The app's lifespan in one task of its own: it may be set up in one task and torn down in another."""
    up, down = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.lifespan():
            up.set()
            await down.wait()

    life = asyncio.create_task(live())
    await asyncio.wait({life, asyncio.create_task(up.wait())}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield
    finally:
        down.set()
        await life


@asynccontextmanager
async def listening(app: Any, door: socket.socket | None = None) -> AsyncIterator[str]:
    """An app that is alive already, behind a real port; its address."""
    door = door or socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, log_config=None, access_log=False, ws="none", lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    life = asyncio.create_task(server.serve(sockets=[door]))
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
    finally:
        server.should_exit = True
        await life
        door.close()


async def _body(receive: Any) -> bytes:
    whole: bytes = b""
    while True:
        part = await receive()
        whole += bytes(part.get("body", b""))
        if not part.get("more_body"):
            return whole


async def _serve(keys: Path) -> None:
    many = Many(keys)
    async with listening(many) as address:
        print(address, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for port in list(many.running):
            await many.stop(port)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
