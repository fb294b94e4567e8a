"""The connection breaks: before a statement, in the middle of it, after it was done and before we are told."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from specchem.db.refusals import BUSY, UNCERTAIN
from tests.bad_days.load import Company, at_once, company, held, load, waiting_for_it
from tests.bad_days.proxy import Proxy
from tests.conftest import Cluster
from tests.web.served import is_problem, serving

MINE = "/api/v1/me/enrollments"
BATCH = "/api/v1/question-events/batch"


@pytest.fixture(scope="module")
async def far(outside: Cluster, folder: Path, proxy: Proxy) -> AsyncIterator[Company]:
    """Requests reach the database through the proxy; sign-in directly."""
    api = f"postgresql://specchem_api@127.0.0.1:{proxy.port}/{{name}}"
    async with company(outside, folder, learners=4, api_database_url=api) as running:
        await running.remember("hana")
        yield running


async def test_connections_that_died_unnoticed_are_replaced(far: Company, proxy: Proxy) -> None:
    """Nothing was sent on them but what changes nothing, or may be repeated: nobody is told."""
    async with far.client("l1") as client:
        for path in (MINE, "/api/v1/me"):  # one statement alone, and a transaction
            await at_once(lambda _, path=path: client.get(path), 40)  # type: ignore[misc]
            assert proxy.die() > 0
            found = await at_once(lambda _, path=path: client.get(path), 40)  # type: ignore[misc]
            assert {answer.status_code for answer in found} == {200}
        # Signing in counts tries through the same pool.
        assert proxy.die() > 0
        assert (await far.sign_in("l2")).status_code == 200
        assert proxy.die() > 0
        assert (await client.get("/healthz")).status_code == 200
        assert proxy.die() > 0
        batch = far.answers()
        assert (await client.post(BATCH, json=batch)).status_code == 201
        assert await far.recorded() == {UUID(one["id"]) for one in batch["events"]}


async def test_an_answer_that_is_lost_after_it_was_stored(far: Company, proxy: Proxy) -> None:
    """One statement alone is sent again, and stored once; so it is for whoever gave their answers no names."""
    lost = proxy.lost
    async with far.client("l1") as client:
        await client.get(MINE)
        for named in (True, False):
            before = await far.recorded()
            batch = far.answers()
            if not named:
                for one in batch["events"]:
                    del one["id"]
            proxy.lose_the_answer_to(b"section_key")
            answer = await client.post(BATCH, json=batch)
            assert answer.status_code == 201, answer.text
            assert await far.recorded() - before == {UUID(one["id"]) for one in answer.json()}
        assert proxy.lost == lost + 2


async def test_a_commit_whose_answer_is_lost_is_told_as_uncertain(far: Company, proxy: Proxy) -> None:
    """A transaction is not sent again: it may have been done. Whoever looks finds it, and again is a conflict."""
    async with far.client("hana") as client:
        body = await far.newcomer()
        assert (await client.get("/api/v1/me")).status_code == 200
        lost = proxy.lost
        proxy.lose_the_answer_to(b"commit; ")
        answer = await client.post("/api/v1/enrollments", json=body)
        assert is_problem(answer, 503)
        assert answer.json()["detail"] == UNCERTAIN
        assert proxy.lost == lost + 1
        assert (await client.post("/api/v1/enrollments", json=body)).status_code == 409
        assert await far.enrolled(body) == 1


async def test_a_sign_in_whose_answer_is_lost_is_told_as_uncertain(outside: Cluster, proxy: Proxy) -> None:
    database = await outside.copy()
    name = urlsplit(database.api).path[1:]
    far_away = replace(database, auth=f"postgresql://supabase_auth_admin@127.0.0.1:{proxy.port}/{name}")
    async with serving(far_away, outside.world) as served:
        assert (await served.sign_in("ana")).status_code == 200
        proxy.lose_the_answer_to(b"COMMIT")
        answer = await served.sign_in("ana")
        assert is_problem(answer, 503)
        assert answer.json()["detail"] == UNCERTAIN
        proxy.die()
        assert (await served.sign_in("ana")).status_code == 200
    await outside.drop(database)


@pytest.mark.parametrize("how", ["reset", "terminate", "kill"])
async def test_a_connection_that_breaks_in_the_middle_of_a_statement(
    far: Company, proxy: Proxy, how: str
) -> None:
    """Before the commit nothing is done, and that is what is told. After a SIGKILL PostgreSQL starts anew."""
    async with far.client("hana") as client:
        body = await far.newcomer()
        assert (await client.get("/api/v1/me")).status_code == 200
        async with held(far.database, "enrollments"):
            asked = asyncio.create_task(client.post("/api/v1/enrollments", json=body))
            (waiting,) = await waiting_for_it(far)
            if how == "reset":
                proxy.reset()
            elif how == "terminate":
                await far.owner("select pg_terminate_backend($1)", waiting)
            else:
                os.kill(waiting, signal.SIGKILL)
            answer = await asked
        assert is_problem(answer, 503)
        assert answer.json()["detail"] == BUSY
        await far.well()
        assert await far.enrolled(body) == 0
        again = await client.post("/api/v1/enrollments", json=body)
        assert again.status_code == 201, again.text


async def test_a_failover_while_everybody_writes(far: Company, proxy: Proxy) -> None:
    async with load(far) as people:
        for _ in range(3):
            proxy.reset()
            await people.more(50)
            await far.owner(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'specchem_api'"
            )
            await people.more(50)
