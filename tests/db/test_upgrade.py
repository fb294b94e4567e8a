"""The upgrade: all or nothing, once, and the same whichever way it is applied."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from specchem.db import upgrade
from specchem.db.database import Database
from specchem.errors import Stopped, Unavailable
from specchem.seed import seed
from tests.conftest import Cluster


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def run(url: str, sql: str) -> None:
    async with connected(url) as connection:
        await connection.execute(sql)


async def dump(cluster: Cluster, database: Database) -> list[str]:
    """The whole schema as pg_dump writes it, without what it makes up anew each time."""
    process = await asyncio.create_subprocess_exec(
        cluster.server.bin_dir / "pg_dump", "--schema-only", database.platform,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    text, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    return [line for line in text.decode().splitlines() if "restrict " not in line]


async def psql(
    cluster: Cluster, url: str, sql: str, *options: str, program: Path | None = None
) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        program or cluster.server.bin_dir / "psql", "-XqAt", *options, "-v", "ON_ERROR_STOP=1", url,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate(sql.encode())
    return process.returncode, said.decode()


async def forget(database: Database) -> None:
    """As after a release that changed the rules."""
    await run(database.owner, "update specchem.rules set hash = 'of an older release'")


@pytest.fixture
async def bare(cluster: Cluster) -> Database:
    """A plain PostgreSQL with Supabase's platform and nothing of ours."""
    database = await cluster.empty()
    await upgrade.supply_platform(database.platform)
    return database


async def restated_at(database: Database) -> object:
    async with connected(database.owner) as connection:
        return await connection.fetchrow("select hash, restated_at, xmin from specchem.rules")


async def test_a_second_upgrade_touches_nothing(cluster: Cluster, fresh: Database) -> None:
    # guide-measured: push again after RLS SQL, RLS / trigger SQL re-run
    before = await dump(cluster, fresh), await restated_at(fresh)
    assert await upgrade.upgrade(fresh.owner) is False
    assert (await dump(cluster, fresh), await restated_at(fresh)) == before


async def test_restating_the_rules_changes_nothing(cluster: Cluster, fresh: Database) -> None:
    before = await dump(cluster, fresh)
    await forget(fresh)
    assert await upgrade.upgrade(fresh.owner) is True
    assert await dump(cluster, fresh) == before


async def test_the_seed_runs_as_often_as_you_like(cluster: Cluster, fresh: Database) -> None:
    # guide-measured: seed.sql
    count = "select (select count(*) from plants), (select count(*) from courses), (select count(*) from questions)"
    async with connected(fresh.owner) as owner:
        before = await owner.fetchrow(count)
        await seed(fresh.owner)
        assert await owner.fetchrow(count) == before


async def test_the_platform_is_supplied_once(fresh: Database) -> None:
    assert await upgrade.supply_platform(fresh.platform) is False


async def test_the_platform_takes_a_superuser(cluster: Cluster) -> None:
    database = await cluster.empty()
    with pytest.raises(Stopped, match="takes a superuser"):
        await upgrade.supply_platform(database.owner)


async def test_an_upgrade_without_the_platform_says_what_to_do(cluster: Cluster) -> None:
    database = await cluster.empty()
    with pytest.raises(Stopped, match="Schema auth is missing"):
        await upgrade.upgrade(database.owner)


async def test_the_file_for_supabase_gives_the_same_schema(cluster: Cluster, bare: Database) -> None:
    # guide-measured: generate / push / migrate, 0001_initial_schema.sql
    code, said = await psql(cluster, bare.owner, upgrade.script(None), "-1")
    assert code == 0, said
    by_file = await dump(cluster, bare)
    assert await upgrade.upgrade(bare.owner) is False
    other = await cluster.empty()
    await upgrade.supply_platform(other.platform)
    assert await upgrade.upgrade(other.owner) is True
    assert await dump(cluster, other) == by_file


async def test_the_file_for_supabase_runs_on_what_stands(cluster: Cluster, fresh: Database) -> None:
    before = await dump(cluster, fresh)
    code, said = await psql(cluster, fresh.owner, upgrade.script(upgrade.head()), "-1")
    assert code == 0, said
    assert await dump(cluster, fresh) == before


@pytest.mark.parametrize("stands", [False, True], ids=["from nothing", "on what stands"])
@pytest.mark.parametrize("last", ["select 1 / 0;", "select pg_terminate_backend(pg_backend_pid());"])
async def test_an_interrupted_upgrade_leaves_the_old_state(
    cluster: Cluster,
    fresh: Database,
    bare: Database,
    monkeypatch: pytest.MonkeyPatch,
    stands: bool,
    last: str,
) -> None:
    database = fresh if stands else bare
    if stands:
        await forget(database)
    before = await dump(cluster, database)
    monkeypatch.setattr(upgrade, "AFTER", last)
    with pytest.raises(asyncpg.DivisionByZeroError if "/" in last else Unavailable):
        await upgrade.upgrade(database.owner)
    assert await dump(cluster, database) == before
    monkeypatch.undo()
    assert await upgrade.upgrade(database.owner) is True


async def test_an_upgrade_killed_from_outside_leaves_the_old_state(
    cluster: Cluster, fresh: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await forget(fresh)
    before = await dump(cluster, fresh)
    monkeypatch.setattr(upgrade, "AFTER", "select pg_sleep(600);")
    doomed = asyncio.create_task(upgrade.upgrade(fresh.owner))
    await run(
        fresh.platform,
        """do $$
        begin
            while (select count(pg_terminate_backend(pid)) from pg_stat_activity
                where datname = current_database() and wait_event = 'PgSleep' and pid <> pg_backend_pid()) = 0 loop
                perform pg_stat_clear_snapshot();
            end loop;
        end $$""",
    )
    with pytest.raises(Unavailable):
        await doomed
    assert await dump(cluster, fresh) == before


async def test_of_two_upgrades_at_once_one_does_the_work(bare: Database) -> None:
    done = await asyncio.gather(*(upgrade.upgrade(bare.owner) for _ in range(4)))
    assert sorted(done) == [False, False, False, True]


async def test_an_upgrade_does_not_wait_for_ever(fresh: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await forget(fresh)
    monkeypatch.setattr(upgrade, "BEFORE", upgrade.BEFORE.replace("'10s'", "'100ms'"))
    async with connected(fresh.owner) as busy, busy.transaction():
        await busy.execute("lock table progress")
        with pytest.raises(Unavailable, match="busy"):
            await upgrade.upgrade(fresh.owner)


DRIFT = {
    "policies": """
        create policy evil on public.profiles using (true);
        create policy evil on public.answer_keys to anon using (true);
        drop policy reads on public.courses""",
    "grants": """
        grant all on public.answer_keys to anon;
        grant all on public.progress to authenticated;
        grant update (plant_id, status) on public.enrollments to authenticated;
        grant select on public.question_events to public;
        grant delete on public.profiles to service_role;
        grant select on public.courses to specchem_api;
        grant execute on function app.chosen(public.question_events) to authenticated;
        grant execute on function app.handle_new_user() to anon;
        revoke usage on schema public from authenticated""",
    "switches": """
        alter table public.profiles disable row level security;
        alter table public.plants no force row level security;
        alter table public.question_events disable trigger refuses_change;
        alter function app.handle_new_user() reset all""",
    "functions": """
        create or replace function app.is_hr() returns boolean language sql as 'select true';
        create or replace function app.handle_new_user() returns trigger language plpgsql
        as 'begin return new; end';
        create view app.evil as select * from public.answer_keys;
        drop trigger keeps on public.progress;
        drop trigger on_auth_user_created on auth.users""",
    "everything": "drop schema app cascade",
}


@pytest.mark.parametrize("what", DRIFT)
async def test_what_a_hand_changed_is_gone_after_the_next_restate(
    cluster: Cluster, fresh: Database, what: str
) -> None:
    before = sorted(await dump(cluster, fresh))
    for change in DRIFT[what].split(";\n"):
        await run(fresh.platform, f"set role postgres; {change}" if "auth.users" not in change else change)
    assert sorted(await dump(cluster, fresh)) != before
    await forget(fresh)
    await upgrade.upgrade(fresh.owner)
    # In any order: grants stand in the order in which they were given.
    assert sorted(await dump(cluster, fresh)) == before


async def test_both_of_supabases_default_privileges_give_the_same_grants(
    cluster: Cluster, bare: Database
) -> None:
    # guide-measured: default grants
    other = await cluster.empty()
    await upgrade.supply_platform(other.platform)
    await run(
        other.owner,
        """alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
        alter default privileges in schema public revoke all on sequences from anon, authenticated, service_role;
        alter default privileges in schema public revoke all on functions from anon, authenticated, service_role""",
    )
    await upgrade.upgrade(bare.owner)
    await upgrade.upgrade(other.owner)
    ours, theirs = [
        [line for line in await dump(cluster, database) if line.startswith(("GRANT ", "REVOKE "))]
        for database in (bare, other)
    ]
    assert ours == theirs
    assert any("question_events" in line for line in ours)


async def test_a_newer_releases_database_is_refused_in_words(cluster: Cluster, fresh: Database) -> None:
    await run(fresh.owner, "update specchem.alembic_version set version_num = '9999'")
    before = await dump(cluster, fresh)
    with pytest.raises(Stopped, match="upgraded by a newer release"):
        await upgrade.upgrade(fresh.owner)
    assert await dump(cluster, fresh) == before


async def test_an_owner_without_bypassrls_is_refused_in_words(cluster: Cluster, bare: Database) -> None:
    await run(
        bare.platform,
        """do $$ begin if to_regrole('weak_owner') is null then create role weak_owner createrole; end if; end $$;
        grant all on schema public to weak_owner""",
    )
    before = await dump(cluster, bare)
    with pytest.raises(Stopped, match="weak_owner needs BYPASSRLS"):
        await upgrade.upgrade(bare.platform + "&role=weak_owner")
    assert await dump(cluster, bare) == before


async def test_another_products_schema_app_is_left_alone(cluster: Cluster, bare: Database) -> None:
    await run(bare.owner, "create schema app; create table app.precious as select 1 as one")
    before = await dump(cluster, bare)
    with pytest.raises(Stopped, match="Schema app holds tables"):
        await upgrade.upgrade(bare.owner)
    code, said = await psql(cluster, bare.owner, upgrade.script(None), "-1")
    assert code
    assert "Schema app holds tables" in said
    assert await dump(cluster, bare) == before


async def test_status_says_where_a_database_stands(bare: Database) -> None:
    async with connected(bare.owner) as owner:
        found = await upgrade.status(owner)
        assert (found.current, found.sentence()) == (
            False, f"Pending: revision none → {upgrade.head()}, rules to restate.",
        )  # fmt: skip
        await upgrade.upgrade(bare.owner)
        found = await upgrade.status(owner)
        assert (found.current, found.sentence()) == (
            True, f"The database is up to date (revision {upgrade.head()}).",
        )  # fmt: skip
        await forget(bare)
        assert (await upgrade.status(owner)).sentence() == "Pending: rules to restate."


async def test_rows_outlive_a_restate(fresh: Database) -> None:
    async with connected(fresh.platform) as platform:
        tables = [
            row[0]
            for row in await platform.fetch("select tablename from pg_tables where schemaname = 'public'")
        ]
        counts = "select " + ", ".join(f"(select count(*) from {table})" for table in tables)
        before = await platform.fetchrow(counts)
        await forget(fresh)
        await upgrade.upgrade(fresh.owner)
        assert await platform.fetchrow(counts) == before


async def test_a_database_that_is_not_there_is_an_error(fresh: Database) -> None:
    with pytest.raises((OSError, asyncpg.PostgresError)):
        await upgrade.upgrade(urlsplit(fresh.owner)._replace(path="/nowhere").geturl())


async def test_a_database_of_the_first_revision_is_brought_up(cluster: Cluster, fresh: Database) -> None:
    owner = await asyncpg.connect(fresh.owner)
    await owner.execute(
        """
        drop schema app cascade;
        drop table public.completion_counters, specchem.pruned_answers;
        drop table specchem.tries, specchem.settings, specchem.imports, specchem.examinations,
            public.audit_events;
        alter table public.courses drop column language, drop column superseded_at, drop column translations,
            drop constraint courses_slug_version_unique, add constraint courses_slug_unique unique (slug);
        alter table public.sections drop column translations;
        alter table public.questions drop column translations;
        alter table public.question_choices drop column translations;
        alter table public.answer_keys drop column translations;
        alter table public.invitations drop column revoked_at, drop column sent_at;
        create unique index invitations_open_email_unique on public.invitations (lower(email))
            where accepted_at is null;
        update auth.users set banned_until = null;
        drop index public.profiles_active_plant_idx;
        create index profiles_active_plant_idx on public.profiles (plant_id) where status = 'active';
        update specchem.alembic_version set version_num = '0001';
        delete from specchem.rules"""
    )
    assert await upgrade.upgrade(fresh.owner)
    assert await owner.fetchval("select sum(enrolled) from completion_counters") > 0
    assert await owner.fetch("select * from app.completion_differences") == []
    # Whoever was suspended before is kept from signing in from now on.
    banned = await owner.fetch("select id from auth.users where banned_until > now()")
    assert {row["id"] for row in banned} == {cluster.world.person[name] for name in ("sue", "sam")}
    await owner.close()
