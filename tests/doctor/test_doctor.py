"""`specchem doctor`: all is well with a database that is well, and each of many faults is named, and it alone."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

import asyncpg
import pytest
from pydantic import HttpUrl, SecretStr

from specchem.db import embedded, upgrade
from specchem.db.database import Database, of_server
from specchem.doctor import record, schema, server
from specchem.doctor.examination import examine, opened
from specchem.doctor.findings import SECTION_OF, SECTIONS, Finding, Line
from specchem.seed import seed
from specchem.settings import Settings
from tests.conftest import Cluster
from tests.db.test_upgrade import dump, run
from tests.doctor.faults import Fault
from tests.program import data_folder

ROOT = Path(__file__).parents[2]
SEES_NOT = {
    Line.BACKUPS: "PostgreSQL archives nothing here, and copies that are taken otherwise do not show",
}


async def findings(database: Database, settings: Settings | None = None) -> list[Finding]:
    return [one async for one in examine(database, settings or Settings(), lambda _: None)]


def told(found: list[Finding], state: str) -> dict[str, str]:
    return {one.line: one.found for one in found if one.state == state}


@pytest.fixture(params=["everything", "little"])
async def new(cluster: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """Upgraded and seeded, under either of Supabase's default privileges, the later with its owner of schema public."""
    database = await cluster.empty()
    await upgrade.supply_platform(database.platform)
    if request.param == "little":
        await run(
            database.platform,
            "alter schema public owner to pg_database_owner; grant usage on schema public to postgres",
        )
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


async def test_versions_beside_the_release_s_are_no_fault(standing: Database) -> None:
    """Whichever row comes first: the release's is looked for."""
    others = (
        "insert into public.courses (slug, title, version) select slug, title, '{}' from public.courses"
        " where slug = 'function-specific-hazmat' limit 1"
    )
    await commit(standing, others.format("0.1"))
    # A row that was written again stands behind.
    await commit(standing, "update public.courses set updated_at = now() where version = '1.0'")
    await commit(standing, others.format("9.0"))
    async with opened(standing, Settings(), lambda _: None) as seen:
        (said,) = await schema.seed_run(seen)
    assert said.state == "ok", said


async def test_what_an_owner_does_not_see_is_said_so(standing: Database) -> None:
    async with opened(replace(standing, platform=standing.owner), Settings(), lambda _: None) as seen:
        said = await server.server(seen)
    unseen = [one.found for one in said if one.state != "ok"]
    assert len(unseen) == 2
    assert unseen[0].startswith("the server's disk does not show from here")
    assert unseen[1].startswith("the owner does not see how long")


async def test_statements_that_nobody_counts_are_told() -> None:
    with data_folder() as data:
        with embedded.start(data, say=lambda _: None) as running:
            await run(
                running.server.dsn("supabase_admin"), "alter system set shared_preload_libraries = 'plpgsql'"
            )
        with embedded.start(data, say=lambda _: None) as running:
            bare = of_server(running.server, "postgres")
            await upgrade.supply_platform(bare.platform)
            await upgrade.upgrade(bare.owner)
            async with opened(bare, Settings(), lambda _: None) as seen:
                [said] = await server.statements(seen)
                assert (said.state, said.found) == (
                    "cannot tell", "pg_stat_statements is not installed, so nobody counts what statements take",
                )  # fmt: skip
            await run(
                bare.platform,
                "create schema monitoring; create extension pg_stat_statements schema monitoring",
            )
            async with opened(bare, Settings(), lambda _: None) as seen:
                [said] = await server.statements(seen)
                assert (said.state, said.found) == ("wrong", "pg_stat_statements is installed but not loaded")


async def test_a_superuser_may_own_it(cluster: Cluster) -> None:
    """As whoever goes on with the connection that a plain PostgreSQL's first upgrade takes."""
    bare = await cluster.empty()
    await upgrade.supply_platform(bare.platform)
    await upgrade.upgrade(bare.platform)
    await seed(bare.platform)
    assert told(await findings(replace(bare, owner=bare.platform)), "wrong") == {}
    await cluster.drop(bare)


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


# ------------------------------------------------------------------------------------------------ single judgements


NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("theirs", "state"), [(0, "ok"), (4, "ok"), (-4, "ok"), (7, "wrong"), (-7, "wrong"), (3600, "wrong")]
)
def test_clocks_are_compared(theirs: int, state: str) -> None:
    said = server.clock(NOON, NOON + timedelta(seconds=theirs), NOON + timedelta(seconds=1))
    assert said.state == state


def test_a_slow_answer_is_no_wrong_clock() -> None:
    assert server.clock(NOON, NOON + timedelta(seconds=30), NOON + timedelta(seconds=60)).state == "ok"


def test_room_on_the_disk_and_numbers_left() -> None:
    assert server.disk(2**29, "1 GB").found == "512 MB are free on the database's disk"
    assert server.disk(2**40, "1 GB").state == "ok"
    assert server.numbers(2_000_000_000).state == "wrong"
    assert server.numbers(200_000_000).state == "ok"


def test_an_archive_that_fails_is_told() -> None:
    assert server.archiving("off", None, None)[0].state == "cannot tell"
    assert server.archiving("on", NOON, None)[0].state == "ok"
    assert server.archiving("on", NOON, NOON - timedelta(days=1))[0].state == "ok"
    assert "since 2026-06-01 12:00" in server.archiving("on", NOON - timedelta(days=1), NOON)[0].found
    assert server.archiving("on", None, NOON)[0].state == "wrong"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            "postgresql://me:secret@db.example.com/x?sslmode=prefer",
            "db.example.com is not sure to be encrypted",
        ),
        ("postgresql://me:secret@/x?host=db.example.com&sslmode=disable", "(sslmode=disable)"),
        ("postgresql://me:secret@db.example.com/x?sslmode=require", None),
        ("postgresql://me:secret@127.0.0.1/x?sslmode=disable", None),
        ("postgresql://me@/x?host=/run/postgresql", None),
    ],
)
def test_a_connection_in_the_clear_is_told_without_its_password(url: str, told: str | None) -> None:
    said = server.in_the_clear("SPECCHEM_DATABASE_URL", url)
    if told is None:
        assert said is None
    else:
        assert said is not None
        assert told in said.found
        assert "secret" not in said.found + said.todo


@pytest.mark.parametrize(
    ("public_url", "wrong"),
    [
        ("http://train.example.com", True),
        ("https://train.example.com", False),
        ("http://127.0.0.1:8000", False),
    ],
)
def test_an_address_of_ours_without_tls_is_told(public_url: str, wrong: bool) -> None:
    assert bool(server.public_address(Settings(public_url=HttpUrl(public_url)))) == wrong


async def test_a_transaction_that_stands_open_is_named(standing: Database) -> None:
    async with opened(standing, Settings(), lambda _: None) as seen:
        assert (await server.oldest(seen)).state == "ok"
        other = await asyncpg.connect(standing.owner)
        transaction = other.transaction()
        await transaction.start()
        await other.execute("select 1")
        said = await server.oldest(seen, old=timedelta())
        await transaction.rollback()
        await other.close()
        assert said.found.startswith(f"transaction {other_pid(said.todo)} stands open for")


def other_pid(todo: str) -> str:
    found = re.search(r"pg_terminate_backend\((\d+)\)", todo)
    assert found
    return found[1]


async def test_the_project_that_signs_people_in_is_asked(standing: Database) -> None:
    """Nothing answers there; and the platform's own login is not tried, which might lock us out."""
    settings = Settings(supabase_url=HttpUrl("http://127.0.0.1:1"), supabase_publishable_key=SecretStr("key"))
    async with opened(standing, settings, lambda _: None) as seen:
        (said,) = await server.auth(seen)
        assert said.state == "wrong"
        assert said.found.startswith("the project's Auth does not answer")
        (said,) = await record.sign_up(seen)
        assert "tried as the owner" in said.found


async def test_counters_are_counted_anew_as_the_document_says(standing: Database) -> None:
    connection = await asyncpg.connect(standing.platform)
    cleared = "update question_counters set attempts = 9; update completion_counters set enrolled = 9"
    await connection.execute(cleared)
    text = (ROOT / "docs" / "operating.md").read_text()
    (sql,) = re.findall(r"```sql\n(.*?question_counters.*?)```", text, re.S)
    await run(standing.owner, sql)
    for view in ("counter_differences", "completion_differences"):
        assert await connection.fetch(f"select * from app.{view}") == []
    await connection.close()
