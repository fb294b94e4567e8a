"""A real PostgreSQL, upgraded by the real upgrade, with people in it; each test rolls back or has a copy."""

import atexit
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from specchem.db import database, embedded, upgrade
from specchem.db.database import Database
from specchem.db.session import Pool, open_pool, prepare
from specchem.seed import seed
from tests import logs
from tests.world import World, populate

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
MEMORY = Path("/dev/shm")


logs.begin()


def pytest_configure() -> None:
    """Work in memory where there is room: a slow disk's syncs are nobody's business here, and a kill keeps memory."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 * 2**30:
        place = Path(tempfile.mkdtemp(prefix="specchem-tests-", dir=MEMORY))
        place.chmod(0o711)  # PostgreSQL's own user passes through
        os.environ["TMPDIR"] = tempfile.tempdir = str(place)
        atexit.register(shutil.rmtree, place, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def no_secret_in_any_log() -> Iterator[None]:
    """Asked of all that this process's tests made anybody log: it is set up first, so it is torn down last."""
    yield
    assert sorted(set(logs.leaks())) == []


@contextmanager
def temporary_server(bin_dir: Path | None = None) -> Iterator[embedded.Server]:
    """A server of its own in a folder that an unprivileged user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="specchem-test-"))
    folder.chmod(0o711)
    try:
        with embedded.start(folder / "data", bin_dir=bin_dir, say=lambda _: None) as running:
            logs.folders.add(folder / "data" / "log")
            try:
                yield running.server
            finally:
                logs.keep_folder(folder / "data" / "log")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Cluster:
    """A server with a template database in it: upgraded, seeded, populated."""

    server: embedded.Server
    world: World

    async def copy(self) -> Database:
        """A new database like the template."""
        return await self._create("template template_world owner postgres")

    async def empty(self) -> Database:
        """A new database with nothing of ours in it."""
        return await self._create("")

    async def drop(self, copy: Database) -> None:
        """Throw a database away before the disk has written it; nobody is asked whether they still use it."""
        await self._run(f"drop database {urlsplit(copy.owner).path[1:]} with (force)")

    async def _create(self, options: str) -> Database:
        name = f"t_{uuid4().hex}"
        await self._run(f"create database {name} {options}")
        return database.of_server(self.server, name)

    async def _run(self, sql: str) -> None:
        connection = await asyncpg.connect(self.server.dsn("supabase_admin"))
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    async def seeded(self) -> Database:
        """A new database with plants and courses, and nobody in it."""
        database_ = await self.empty()
        await upgrade.supply_platform(database_.platform)
        await upgrade.upgrade(database_.owner)
        await seed(database_.owner)
        return database_


async def make_cluster(server: embedded.Server) -> Cluster:
    connection = await asyncpg.connect(server.dsn("supabase_admin"))
    try:
        await connection.execute("create database template_world")
    finally:
        await connection.close()
    template = database.of_server(server, "template_world")
    await upgrade.supply_platform(template.platform)
    await upgrade.upgrade(template.owner)
    await seed(template.owner)
    return Cluster(server, await populate(template))


@pytest.fixture(scope="session")
async def clusters() -> AsyncIterator[Callable[[Path | None], Awaitable[Cluster]]]:
    """One of each version, kept to the end: a test on the one after a test on the other makes nothing anew."""
    made: dict[Path | None, Cluster] = {}
    with ExitStack() as stack:

        async def of_version(bin_dir: Path | None) -> Cluster:
            if bin_dir not in made:
                server = stack.enter_context(temporary_server(bin_dir))
                # Hundreds of databases are made and thrown away; none has to outlive a power cut.
                connection = await asyncpg.connect(server.dsn("supabase_admin"))
                await connection.execute("alter system set fsync = off")
                await connection.execute("select pg_reload_conf()")
                await connection.close()
                made[bin_dir] = await make_cluster(server)
            return made[bin_dir]

        yield of_version


@pytest.fixture(scope="session")
async def cluster(
    request: pytest.FixtureRequest, clusters: Callable[[Path | None], Awaitable[Cluster]]
) -> Cluster:
    """The embedded PostgreSQL 18; tests/db/conftest.py asks for PostgreSQL 15 as well."""
    return await clusters(getattr(request, "param", None))


@pytest.fixture(scope="session")
async def shared(cluster: Cluster) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """The connection whose transactions are rolled back: a superuser's, so that it can become anyone."""
    copy = await cluster.copy()
    connection = await asyncpg.connect(copy.platform)
    await prepare(connection)
    yield connection
    await connection.close()


@pytest.fixture
async def people(cluster: Cluster, shared: "asyncpg.Connection[asyncpg.Record]") -> AsyncIterator[World]:
    """The world, in a transaction that is rolled back: `async with people.acting("ana") as db`."""
    transaction = shared.transaction()
    await transaction.start()
    try:
        yield cluster.world.at(shared)
    finally:
        await transaction.rollback()


@pytest.fixture
async def fresh(cluster: Cluster) -> AsyncIterator[Database]:
    """A populated database of this test's own, for what must commit."""
    copy = await cluster.copy()
    yield copy
    await cluster.drop(copy)


@pytest.fixture
async def pool(fresh: Database) -> AsyncIterator[Pool]:
    """The requests' pool on `fresh`, logged in as specchem_api."""
    opened = await open_pool(fresh.api, 16)
    yield opened
    await opened.close()


def missing_postgres_15() -> str | None:
    """Why PostgreSQL 15 is not tested against, or None."""
    if DEBIAN_15.is_dir():
        return None
    if os.environ.get("CI") == "true":
        raise RuntimeError("PostgreSQL 15 is missing; in CI that is a failure.")
    return "there is no PostgreSQL 15 on this machine"
