"""The app over a database: one that all tests ask, and one of a test's own.

Each is there twice: with the auth service of its own, and with one in a second process, where Supabase would stand.
"""

from collections.abc import AsyncIterator, Iterator

import pytest

from specchem.db.database import Database
from tests.conftest import Cluster
from tests.web.second import Second, started
from tests.web.served import KEYS, Served, serving

BOTH = ["local", "supabase"]


@pytest.fixture(scope="session")
def second() -> Iterator[Second]:
    """A second process with the local auth service for every database it is told of."""
    with started(KEYS) as running:
        yield running


@pytest.fixture(scope="session", params=BOTH)
async def served(request: pytest.FixtureRequest, cluster: Cluster) -> AsyncIterator[Served]:
    """For what is refused or only read."""
    there = request.getfixturevalue("second") if request.param == "supabase" else None
    async with serving(await cluster.copy(), cluster.world, there) as running:
        yield running


@pytest.fixture(params=BOTH)
async def own(request: pytest.FixtureRequest, cluster: Cluster, fresh: Database) -> AsyncIterator[Served]:
    """For what is done."""
    there = request.getfixturevalue("second") if request.param == "supabase" else None
    async with serving(fresh, cluster.world, there) as running:
        yield running
