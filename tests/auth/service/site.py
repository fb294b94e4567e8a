"""The real server behind a real port, and what it mailed."""

import asyncio
import email.policy
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import uvicorn
from litestar import Litestar

from specchem.auth.service.keys import KeyRing
from specchem.auth.service.service import Service
from specchem.db.database import Database
from specchem.serve import Server
from specchem.settings import Settings
from specchem.web.app import create_app
from tests.web.served import PASSWORD, VERIFIER, is_problem
from tests.world import World

ANA, NOBODY, NEW = "ana@example.com", "never-was@example.com", "new@example.com"
OTHER = "another good one"
CLIENTS = Path(__file__).parents[2] / "clients"
ROOT = CLIENTS.parents[1]


@dataclass(frozen=True)
class Mail:
    """One mail as its reader has it."""

    message: EmailMessage
    text: str

    @property
    def link(self) -> str:
        found = re.search(r"^http\S+$", self.text, re.M)
        assert found, self.text
        return found[0]

    @property
    def token(self) -> str:
        """The link's, which the page behind it sends to /verify."""
        return parse_qs(urlsplit(self.link).query)["token_hash"][0]

    @property
    def digits(self) -> str:
        found = re.search(r"^Your code: (\d{6})$", self.text, re.M)
        assert found, self.text
        return found[1]


@dataclass(frozen=True)
class Site:
    """A server with its address, keys and outbox."""

    app: Litestar
    url: str
    ring: KeyRing
    world: World
    database: Database
    http: httpx.AsyncClient

    @property
    def service(self) -> Service:
        return cast(Service, self.app.state.auth)

    @property
    def outbox(self) -> Path:
        return self.ring.folder / "outbox"

    async def mails(self, to: str) -> list[Mail]:
        """What an address got, when all that was begun is done."""
        await self.service.later.drain()
        found = []
        for file in sorted(self.outbox.glob("*.eml")):
            message = message_from_bytes(file.read_bytes(), policy=email.policy.default)
            if message["To"] == to:
                part = message.get_body(("plain",))
                assert part is not None
                found.append(Mail(message, part.get_content().replace("\r\n", "\n")))
        return found

    async def mail(self, to: str) -> Mail:
        """The last one."""
        return (await self.mails(to))[-1]

    async def ask(
        self, method: str, path: str, *, token: str | None = None, admin: bool = False, **more: Any
    ) -> httpx.Response:
        """A request as a client's; ``token``: somebody's, ``admin``: with the secret key."""
        bearer = token or (self.ring.secret_key if admin else None)
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        return await self.http.request(method, path, headers={**headers, **more.pop("headers", {})}, **more)

    async def post(self, path: str, json: object, **more: Any) -> httpx.Response:
        return await self.ask("POST", path, json=json, **more)

    async def sign_in(self, email: str, password: str) -> httpx.Response:
        return await self.post("token?grant_type=password", {"email": email, "password": password})

    @asynccontextmanager
    async def at(self, address: str) -> AsyncIterator[httpx.AsyncClient]:
        """A client at another address."""
        transport = httpx.ASGITransport(cast(Any, self.app), client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url=f"{self.url}/auth/v1") as elsewhere:
            yield elsewhere

    async def owner(self, sql: str, *values: object) -> Any:
        """One statement as the superuser; its first value."""
        connection = await asyncpg.connect(self.database.platform)
        try:
            return await connection.fetchval(sql, *values)
        finally:
            await connection.close()

    async def javascript(self, line: str) -> None:
        """A line of tests/clients/lines.mjs, run to its end. Raises with what it complained of."""
        node = shutil.which("node", path=f"{ROOT}/.venv/bin") or shutil.which("node")
        assert node is not None, "there is no node; run make"
        told = [self.url, self.ring.publishable_key, self.ring.secret_key, str(self.outbox)]
        run = partial(subprocess.run, capture_output=True, text=True, timeout=120)
        done = await asyncio.to_thread(run, [node, CLIENTS / "lines.mjs", line, *told])
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout == "OK\n", done.stdout


async def session_of(site: Site, email: str = ANA, password: str = PASSWORD) -> dict[str, Any]:
    answer = await site.sign_in(email, password)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def refresh(site: Site, token: str) -> tuple[int, dict[str, Any]]:
    answer = await site.post("token?grant_type=refresh_token", {"refresh_token": token})
    return answer.status_code, answer.json()


def refused(answer: httpx.Response, status: int, code: str) -> bool:
    assert is_problem(answer, status)
    assert answer.json()["error_code"] == code, answer.text
    assert answer.headers["x-sb-error-code"] == code
    return True


@asynccontextmanager
async def site_of(database: Database, world: World, folder: Path, **settings: Any) -> AsyncIterator[Site]:
    """A server over a database, with keys and outbox in a folder; everybody has the password of the tests."""
    listening = socket.create_server(("127.0.0.1", 0))
    known = Settings(port=listening.getsockname()[1], pool_size=8, **settings)
    ring, up = KeyRing(folder), asyncio.Event()
    app = create_app(known, database, ring)
    server = Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"), up.set)
    life = asyncio.create_task(server.serve(sockets=[listening]))
    await asyncio.wait({life, asyncio.create_task(up.wait())}, return_when=asyncio.FIRST_COMPLETED)
    try:
        async with httpx.AsyncClient(base_url=f"{known.base_url}/auth/v1", timeout=60) as http:
            site = Site(app, known.base_url, ring, world, database, http)
            await site.owner(
                "update auth.users set encrypted_password = $1 where email is not null", VERIFIER
            )
            yield site
    finally:
        server.should_exit = True
        await life
