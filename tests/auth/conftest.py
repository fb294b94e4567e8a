"""The app, as the tests of the pages have it; what asks the auth service itself needs it once only."""

from collections.abc import AsyncIterator

import pytest

from specchem.db.database import Database
from tests.conftest import Cluster
from tests.web.conftest import second
from tests.web.served import Served, serving

__all__ = ["second"]


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
