"""`specchem doctor --keep`: what was found is there for the page System, and nothing else is changed."""

import json
from urllib.parse import urlsplit

import asyncpg
import pytest

from specchem import __version__
from specchem.db import upgrade
from specchem.db.database import Database
from specchem.doctor.findings import Finding
from specchem.doctor.keeping import KEPT, keep
from specchem.errors import Stopped
from tests.conftest import Cluster
from tests.db.test_upgrade import run
from tests.program import meanwhile, said_why

FOUND = [Finding("Besides", "The server itself", "wrong", "a fault", "Mend it.")]


async def kept(where: Database) -> list[tuple[str, list[dict[str, str]]]]:
    """The newest first."""
    connection = await asyncpg.connect(where.platform)
    rows = await connection.fetch("select * from specchem.examinations order by examined_at desc")
    await connection.close()
    return [(row["release"], json.loads(row["findings"])) for row in rows]


async def test_the_latest_examinations_are_kept(fresh: Database) -> None:
    for number in range(KEPT + 3):
        await keep(fresh, [Finding("s", "l", "ok", f"look {number}", "")])
    found = await kept(fresh)
    assert [findings[0]["found"] for _, findings in found] == [
        f"look {KEPT + 2 - number}" for number in range(KEPT)
    ]


async def test_a_database_that_takes_nothing_says_why(cluster: Cluster) -> None:
    where = await cluster.copy()
    name = urlsplit(where.owner).path[1:]
    await run(where.platform, f"alter database {name} set default_transaction_read_only = on")
    with pytest.raises(
        Stopped, match=r"is not kept for the page System: the database takes no changes \(a standby"
    ):
        await keep(where, FOUND)
    assert await kept(where) == []
    await cluster.drop(where)
    bare = await cluster.empty()
    with pytest.raises(Stopped, match=r"is not kept for the page System: .* run `specchem db upgrade`"):
        await keep(bare, FOUND)
    await upgrade.supply_platform(bare.platform)
    with pytest.raises(Stopped, match=r"is not kept for the page System: .* run `specchem db upgrade`"):
        await keep(bare, FOUND)
    await cluster.drop(bare)


async def test_it_is_kept_when_asked_for_and_when_something_is_wrong(fresh: Database) -> None:
    there = ("--database-url", fresh.owner)
    await run(fresh.platform, "grant delete on public.plants to anon")
    ill = await meanwhile("doctor", "--json", *there)
    assert ill.returncode == 1
    assert await kept(fresh) == []
    ill = await meanwhile("doctor", "--json", "--keep", *there)
    assert ill.returncode == 1
    assert await kept(fresh) == [(__version__, json.loads(ill.stdout)["findings"])]
    assert said_why(await meanwhile("doctor", "--isolation", "--keep", *there), "--keep")
    # What was found is told also where it cannot be kept.
    await run(fresh.platform, "drop table specchem.examinations")
    ill = await meanwhile("doctor", "--keep", *there)
    assert ill.returncode == 1
    assert "table specchem.examinations is missing" in ill.stdout
    assert "The result is not kept for the page System" in ill.stderr
