"""`specchem doctor`: all is well with a database that is well, and each of many faults is named, and it alone."""

from collections.abc import AsyncIterator
from dataclasses import replace
from fnmatch import fnmatchcase

import asyncpg
import pytest

from specchem.db import upgrade
from specchem.db.database import Database
from specchem.doctor.examination import examine
from specchem.doctor.findings import SECTION_OF, SECTIONS, Finding, Line
from specchem.seed import seed
from specchem.settings import Settings
from tests.conftest import Cluster
from tests.db.test_upgrade import dump, run
from tests.doctor.faults import Fault

SEES_NOT = {
    Line.BACKUPS: "PostgreSQL archives nothing here, and copies that are taken otherwise do not show",
    Line.STATEMENTS: "pg_stat_statements is not installed, so nobody counts what statements take",
}


async def findings(database: Database, settings: Settings | None = None) -> list[Finding]:
    return [one async for one in examine(database, settings or Settings(), lambda _: None)]


def told(found: list[Finding], state: str) -> dict[str, str]:
    return {one.line: one.found for one in found if one.state == state}


@pytest.fixture(params=["everything", "little"])
async def new(cluster: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """Upgraded and seeded, under either of Supabase's default privileges."""
    database = await cluster.empty()
    await upgrade.supply_platform(database.platform)
    if request.param == "little":
        for what in ("tables", "sequences", "functions"):
            await run(
                database.owner,
                f"alter default privileges in schema public revoke all on {what}"
                " from anon, authenticated, service_role",
            )
    await upgrade.upgrade(database.owner)
    await seed(database.owner)
    yield database
    await cluster.drop(database)


@pytest.fixture
async def standing(cluster: Cluster) -> AsyncIterator[Database]:
    copy = await cluster.copy()
    yield copy
    await cluster.drop(copy)


async def test_a_new_database_is_well(new: Database) -> None:
    found = await findings(new)
    assert told(found, "wrong") == {}
    assert told(found, "cannot tell") == SEES_NOT


async def test_one_with_people_is_answered_line_by_line_and_stays_as_it_was(
    cluster: Cluster, standing: Database
) -> None:
    count = "select (select count(*) from auth.users), (select count(*) from plants),"
    count += " (select count(*) from invitations), (select count(*) from pg_auth_members)"
    connection = await asyncpg.connect(standing.platform)
    before = await dump(cluster, standing), await connection.fetchrow(count)
    found = await findings(standing)
    assert told(found, "wrong") == {}
    assert told(found, "cannot tell") == SEES_NOT
    lines = [line for lines in SECTIONS.values() for line in lines]
    assert list(dict.fromkeys(one.line for one in found)) == lines
    assert {one.line: one.section for one in found} == SECTION_OF
    assert (await dump(cluster, standing), await connection.fetchrow(count)) == before
    await connection.close()


async def test_what_an_owner_does_not_see_is_said_so(standing: Database) -> None:
    found = await findings(replace(standing, platform=standing.owner))
    assert told(found, "wrong") == {}
    unseen = {one.found for one in found if one.state == "cannot tell" and one.line == Line.SERVER}
    assert len(unseen) == 2
    assert any(one.startswith("the server's disk does not show from here") for one in unseen)
    assert any(one.startswith("the owner does not see how long") for one in unseen)


async def test_a_fault_is_named_and_it_alone(cluster: Cluster, fault: Fault) -> None:
    database = await (cluster.seeded() if fault.bare else cluster.copy())
    await commit(database, fault.sql)
    try:
        found = [one for one in await findings(database) if one.state == "wrong"]
    finally:
        if fault.undo:
            await commit(database, fault.undo)
    assert [one.line for one in found] == [fault.line], found
    assert fnmatchcase(found[0].found, fault.found), found
    assert found[0].todo
    await cluster.drop(database)


async def commit(database: Database, sql: str) -> None:
    """As a superuser."""
    connection = await asyncpg.connect(database.platform)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
