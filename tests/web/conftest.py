"""The app over a database: one that all tests ask, and one of a test's own."""

from collections.abc import AsyncIterator

import pytest

from specchem.db.database import Database
from tests.conftest import Cluster
from tests.web.served import Served, serving


@pytest.fixture(scope="session")
async def served(cluster: Cluster) -> AsyncIterator[Served]:
    """For what is refused or only read."""
    async with serving(await cluster.copy(), cluster.world) as running:
        yield running


@pytest.fixture
async def own(cluster: Cluster, fresh: Database) -> AsyncIterator[Served]:
    """For what is done."""
    async with serving(fresh, cluster.world) as running:
        yield running
