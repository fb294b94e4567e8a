"""The real app over a real database, asked as the people of the world, who all have one password."""

import asyncio
import atexit
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import randrange
from typing import Any, cast
from uuid import uuid4

import asyncpg
import httpx
import jwt
import msgspec
import uvicorn
from argon2 import PasswordHasher
from litestar import Litestar

from specchem.auth.cookies import SessionCookies
from specchem.auth.service.keys import KeyRing
from specchem.auth.sessions import Session
from specchem.db.database import Database
from specchem.settings import Settings
from specchem.web.app import create_app
from tests.web.second import Second
from tests.world import PLANT_OF, World

PASSWORD = "correct horse battery"
# A verifier names its own cost: with a small one the same code signs in at once.
VERIFIER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
KEYS = Path(tempfile.mkdtemp(prefix="specchem-keys-"))  # for this process and the second one
RING = KeyRing(KEYS)
KEY = RING.current
atexit.register(shutil.rmtree, KEYS, ignore_errors=True)


@dataclass
class Served:
    """A running app: `await served.get("ana", "/api/v1/me")`; nobody's name asks without a token.

    ``auth`` is a client of whichever auth service the app's settings name.
    """

    app: Litestar
    client: httpx.AsyncClient
    auth: httpx.AsyncClient
    world: World
    database: Database
    _sessions: dict[str, Session] = field(default_factory=dict)

    @property
    def cookies(self) -> SessionCookies:
        found: SessionCookies = self.app.state.visits.cookies
        return found

    def transport(self) -> httpx.ASGITransport:
        """From an address of its own: tries are counted by address."""
        address = f"10.{randrange(256)}.{randrange(256)}.{randrange(256)}"
        return httpx.ASGITransport(cast(Any, self.app), client=(address, 1))

    async def sign_in(self, who: str, password: str = PASSWORD, **more: Any) -> httpx.Response:
        body = {"email": f"{who}@example.com", "password": password}
        return await self.auth.post("/auth/v1/token?grant_type=password", json=body, **more)

    async def session(self, who: str) -> Session:
        """A session as the door gives it; one per person is enough."""
        if who not in self._sessions:
            if PLANT_OF[who] is None or who in {"sue", "sam"}:
                return await self.forge(who)
            answer = await self.sign_in(who)
            assert answer.status_code == 200, answer.text
            self._sessions[who] = msgspec.json.decode(answer.content, type=Session)
        return self._sessions[who]

    async def forge(self, who: str, kid: str = KEY.key_id, **claims: Any) -> Session:
        """A session that stands, for whom the door gives none: an account without an address, or another claim."""
        now, session = int(time.time()), uuid4()
        whole = {
            "iss": self.app.state.tokens.issuer, "sub": str(self.world.person[who]), "aud": "authenticated",
            "role": "authenticated", "exp": now + 3600, "iat": now, "aal": "aal1", "session_id": str(session),
        } | claims  # fmt: skip
        await self.owner(
            "insert into auth.sessions (id, user_id, created_at, updated_at) values ($1, $2, now(), now())",
            session, self.world.person[who],
        )  # fmt: skip
        token = jwt.encode(whole, KEY.private, algorithm="ES256", headers={"kid": kid})
        return Session(token, "none", now + 3600, user={"id": str(self.world.person[who])})

    async def token(self, who: str) -> str:
        return (await self.session(who)).access_token

    async def ask(self, who: str | None, method: str, path: str, **more: Any) -> httpx.Response:
        headers = more.pop("headers", {})
        if who is not None:
            headers = {"Authorization": f"Bearer {await self.token(who)}", **headers}
        return await self.client.request(method, path, headers=headers, **more)

    async def get(self, who: str | None, path: str) -> httpx.Response:
        return await self.ask(who, "GET", path)

    async def post(self, who: str | None, path: str, json: object) -> httpx.Response:
        return await self.ask(who, "POST", path, json=json)

    async def owner(self, sql: str, *values: object) -> Any:
        """One statement as the database's superuser, for what no door does; its first value."""
        connection = await asyncpg.connect(self.database.platform)
        try:
            return await connection.fetchval(sql, *values)
        finally:
            await connection.close()

    def address(self, path: str) -> str:
        """A path with names in it: `/users/{ana}/roles`, `/plants/{Columbus}/courses/{hazmat}/learners`."""
        plants = {name.split(",")[0]: key for name, key in self.world.plant.items()}
        return "/api/v1" + path.format(**self.world.person, **plants, **self.world.course)


@asynccontextmanager
async def alive(app: Litestar) -> AsyncIterator[None]:
    """The app's lifespan in one task of its own: a fixture is set up in one task and torn down in another."""
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
async def serving(
    database: Database, world: World, second: Second | None = None, **settings: Any
) -> AsyncIterator[Served]:
    """The app, from start-up to its end; its auth service is our own, or stands in a second process."""
    async with AsyncExitStack() as stack:
        if second is not None:
            address = await stack.enter_async_context(second.serving(database, **settings))
            settings |= {
                "supabase_url": address,
                "supabase_publishable_key": RING.publishable_key,
                "supabase_secret_key": RING.secret_key,
            }
        app = create_app(Settings(pool_size=4, **settings), database, RING)
        transport = httpx.ASGITransport(cast(Any, app))
        await stack.enter_async_context(alive(app))
        client = await stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://test")
        )
        auth = client
        if second is not None:
            auth = httpx.AsyncClient(base_url=address, timeout=60)
            await stack.enter_async_context(auth)
        served = Served(app, client, auth, world, database)
        await served.owner(
            "with done as (update auth.users set encrypted_password = $1 where email is not null returning 1)"
            " select count(*) from done",
            VERIFIER,
        )
        yield served


@asynccontextmanager
async def listening(app: Litestar) -> AsyncIterator[str]:
    """An app that is alive already, behind a real port; its address."""
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, ws="none", lifespan="off")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as door:
        life = asyncio.create_task(server.serve(sockets=[door]))
        try:
            yield f"http://127.0.0.1:{door.getsockname()[1]}"
        finally:
            server.should_exit = True
            await life


def is_problem(answer: httpx.Response, status: int | None = None) -> bool:
    """Assert the one shape of every refusal, and that it tells nothing of the inside."""
    said = f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:600]}"
    assert answer.headers["content-type"].startswith("application/problem+json"), said
    body = answer.json()
    assert body.keys() >= {"type", "title", "status", "detail", "errors"}, said
    assert body["status"] == answer.status_code, said
    assert body["title"], said
    assert body["detail"], said
    assert all(one.keys() == {"field", "message"} for one in body["errors"]), said
    assert 400 <= answer.status_code < 600, said
    for word in (
        "Traceback",
        "asyncpg",
        "select ",
        "insert into",
        "SQLSTATE",
        'File "/',
        "litestar",
        "pydantic",
    ):
        assert word not in answer.text, said
    assert status is None or answer.status_code == status, said
    return True
