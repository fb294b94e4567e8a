"""Indexes are built, and built anew, while everybody works; whatever a broken-off build leaves behind is repaired."""

import asyncio
from typing import Any

import asyncpg
import pytest

from specchem.db import indexes, upgrade
from specchem.db.database import Database
from specchem.errors import Stopped, Unavailable
from tests.conftest import Cluster
from tests.db.test_upgrade import connected, dump, forget, run

INVALID = "update pg_index set indisvalid = false where indexrelid = 'enrollments_status_idx'::regclass"
IDENTITY = "select relfilenode from pg_class where relname = 'enrollments_status_idx'"


async def value(url: str, sql: str) -> Any:
    async with connected(url) as connection:
        return await connection.fetchval(sql)


async def test_an_invalid_index_is_built_anew_when_nothing_else_is_pending(
    cluster: Cluster, fresh: Database
) -> None:
    before = await dump(cluster, fresh), await value(fresh.owner, IDENTITY)
    await run(fresh.platform, INVALID)
    said: list[str] = []
    assert await upgrade.upgrade(fresh.owner, said.append) is True
    assert said == [
        "Index enrollments_status_idx is invalid; building it anew while everybody goes on working."
    ]
    assert await dump(cluster, fresh) == before[0]
    assert await value(fresh.owner, IDENTITY) != before[1]
    assert await upgrade.upgrade(fresh.owner, said.append) is False
    assert len(said) == 1


async def test_a_missing_index_is_built(cluster: Cluster, fresh: Database) -> None:
    before = await dump(cluster, fresh)
    await run(fresh.owner, "drop index profiles_active_plant_idx")
    said: list[str] = []
    assert await upgrade.upgrade(fresh.owner, said.append) is True
    assert said == ["Building index profiles_active_plant_idx; everybody goes on working."]
    assert await dump(cluster, fresh) == before


async def test_every_statement_of_the_page_is_understood() -> None:
    page = indexes.PAGE.read_text()
    assert len(indexes.STATEMENT.findall(page)) == page.count("create ") == page.count(";\n")


async def test_two_rows_alike_keep_a_unique_index_from_being_built(fresh: Database) -> None:
    """A unique index that cannot be built is left invalid by PostgreSQL, and says so until the rows differ."""
    async with connected(fresh.owner) as owner:
        await owner.execute(
            "create table public.twins (id integer, name text); insert into twins values (1), (1)"
        )
        with pytest.raises(asyncpg.UniqueViolationError):
            await owner.execute("create unique index concurrently twins_id on public.twins (id)")
        with pytest.raises(
            Stopped, match=r"Index twins_id cannot be built: twins holds two rows that are alike"
        ):
            await upgrade.upgrade(fresh.owner)
        assert [row["name"] for row in await owner.fetch(indexes.INVALID)] == ["twins_id"]
        await owner.execute("update twins set id = 2 where ctid = (select min(ctid) from twins)")
        assert await upgrade.upgrade(fresh.owner) is True
        assert await owner.fetch(indexes.INVALID) == []
        with pytest.raises(asyncpg.UniqueViolationError):
            await owner.execute("insert into twins values (2)")


async def waits(connection: Any, sql: str) -> None:
    """Until some backend of this database does that."""
    while not await connection.fetchval(  # noqa: ASYNC110
        "select count(*) from pg_stat_activity where datname = current_database()"
        f" and pid <> pg_backend_pid() and {sql}"
    ):
        await asyncio.sleep(0.01)


async def test_writers_go_on_while_an_index_is_built(fresh: Database) -> None:
    """The build waits for a transaction that has written, and all the while others write."""
    await run(fresh.owner, "drop index profiles_active_plant_idx")
    name = "update profiles set job_title = 'Chemist' where id = (select {}(id::text)::uuid from profiles)"
    async with connected(fresh.owner) as slow, connected(fresh.owner) as quick:
        open_ = slow.transaction()
        await open_.start()
        await slow.execute(name.format("min"))
        building = asyncio.create_task(upgrade.upgrade(fresh.owner))
        await waits(quick, "query like 'create index concurrently%' and wait_event_type = 'Lock'")
        await quick.execute("set lock_timeout = '1s'")
        await quick.execute(name.format("max"))
        assert not building.done()
        await open_.commit()
        assert await building is True
        assert await quick.fetchval(
            "select indisvalid from pg_index where indexrelid = $1::regclass", "profiles_active_plant_idx"
        )


@pytest.mark.parametrize(
    "breaks", ["drop index profiles_active_plant_idx", INVALID], ids=["missing", "invalid"]
)
async def test_a_build_that_is_broken_off_is_gone_on_with(
    cluster: Cluster, fresh: Database, breaks: str
) -> None:
    before = await dump(cluster, fresh)
    await run(fresh.platform, breaks)
    async with connected(fresh.platform) as other, connected(fresh.owner) as slow:
        open_ = slow.transaction()
        await open_.start()
        await slow.execute(
            "update profiles set job_title = 'Chemist'; update enrollments set status = status"
        )
        doomed = asyncio.create_task(upgrade.upgrade(fresh.owner))
        await waits(
            other, "query ~ '^(create index|reindex index) concurrently' and wait_event_type = 'Lock'"
        )
        await other.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
            " and query ~ '^(create index|reindex index) concurrently' and pid <> pg_backend_pid()"
        )
        with pytest.raises(Unavailable, match="an index is still to be built"):
            await doomed
        await open_.rollback()
        assert await other.fetch(indexes.INVALID) != []
    said: list[str] = []
    assert await upgrade.upgrade(fresh.owner, said.append) is True
    assert len(said) == (1 if breaks != INVALID else 2)
    assert (breaks == INVALID) == ("Removing enrollments_status_idx_ccnew" in said[0])
    assert await dump(cluster, fresh) == before
    assert await upgrade.upgrade(fresh.owner) is False


async def test_of_several_repairs_at_once_one_does_the_work(cluster: Cluster, fresh: Database) -> None:
    before = await dump(cluster, fresh)
    await run(fresh.platform, f"drop index profiles_active_plant_idx; {INVALID}")
    await forget(fresh)
    said: list[str] = []
    done = await asyncio.gather(*(upgrade.upgrade(fresh.owner, said.append) for _ in range(4)))
    assert True in done
    assert sorted(line.split()[0] for line in said) == ["Building", "Index", "Upgrading"]
    assert await dump(cluster, fresh) == before


async def test_nobody_waits_for_ever_for_another_builder(
    fresh: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run(fresh.owner, "drop index profiles_active_plant_idx")
    monkeypatch.setattr(indexes, "PATIENCE", 2)
    async with connected(fresh.owner) as other:
        await other.execute(f"select pg_advisory_lock({indexes.LOCK})")
        with pytest.raises(Unavailable, match="Somebody else is building"):
            await upgrade.upgrade(fresh.owner)
    assert await upgrade.upgrade(fresh.owner) is True


async def test_a_transaction_pooler_builds_no_index(fresh: Database) -> None:
    """Its connection changes servers, and the lock would stay with one of them."""
    async with connected(fresh.owner) as owner:
        assert await indexes.repair(owner, stays=False) is False
        await owner.execute("drop index profiles_active_plant_idx")
        with pytest.raises(Stopped, match="over the direct connection or the session pooler"):
            await indexes.repair(owner, stays=False)
