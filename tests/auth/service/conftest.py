"""A server of the test's own, with sign-up on and one address of another site that links may lead to."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from specchem.db.database import Database
from tests.auth.service.site import Site, site_of
from tests.conftest import Cluster
from tests.web.conftest import own, served

__all__ = ["own", "served"]


@pytest.fixture
async def site(cluster: Cluster, fresh: Database, tmp_path: Path) -> AsyncIterator[Site]:
    settings = {"sign_up": True, "redirect_urls": ("https://app.example/training",)}
    async with site_of(fresh, cluster.world, tmp_path / "data", **settings) as running:
        yield running
