"""A PostgreSQL of the tests' own that can be stopped, killed and frozen, and the real program in front of it."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.bad_days.load import Company, company
from tests.bad_days.postgres import Postgres
from tests.bad_days.proxy import Proxy
from tests.conftest import Cluster, make_cluster
from tests.program import data_folder


@pytest.fixture(scope="session")
async def postgres() -> AsyncIterator[Postgres]:
    """One for all bad days: whatever a test did to it, the next finds it well."""
    with tempfile.TemporaryDirectory(prefix="specchem-test-", ignore_cleanup_errors=True) as place:
        Path(place).chmod(0o711)
        server = Postgres(Path(place) / "data")
        try:
            await server.start()
            yield server
        finally:
            await server.stop()


@pytest.fixture(scope="session")
async def outside(postgres: Postgres) -> Cluster:
    """Its template database."""
    return await make_cluster(postgres.server)


@pytest.fixture(scope="module")
async def proxy(postgres: Postgres) -> AsyncIterator[Proxy]:
    """A network that can break."""
    made = Proxy(postgres.port)
    await made.open()
    yield made
    await made.close()


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Where the program keeps its keys."""
    with data_folder() as made:
        yield made


@pytest.fixture(scope="session")
async def served(outside: Cluster, folder: Path) -> AsyncIterator[Company]:
    """The program, with learners who are signed in: one for all bad days, for it heals without a restart."""
    async with company(outside, folder, learners=8) as running:
        yield running
        assert running.program.process.poll() is None, running.program.lines
