"""Through PgBouncer: everything that works directly works there, and nobody ever sees another's rows."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from specchem.db.session import Asker, Identity, acting_as, open_pool
from specchem.doctor.examination import opened
from specchem.doctor.server import connection
from specchem.settings import Settings
from tests.bad_days.bouncer import Bouncer, bouncer, missing_pgbouncer, version
from tests.bad_days.load import Company, at_once, company, load
from tests.bad_days.postgres import Postgres
from tests.conftest import Cluster
from tests.program import said_why, specchem
from tests.web.served import PASSWORD, serving

pytestmark = pytest.mark.skipif(missing_pgbouncer() is not None, reason=str(missing_pgbouncer()))

LENIENT = {"ignore_startup_parameters": "statement_timeout,lock_timeout,extra_float_digits"}
KINDS = {"strict": {}, "lenient": LENIENT}
if missing_pgbouncer() is None and version() >= (1, 21):
    KINDS |= {
        "prepares": {"max_prepared_statements": "100"},
        "does not prepare": {"max_prepared_statements": "0"},
    }


@pytest.fixture(scope="module", params=[kind for kind in KINDS if kind != "lenient"])
async def pooled(
    request: pytest.FixtureRequest, outside: Cluster, postgres: Postgres, folder: Path
) -> AsyncIterator[tuple[Company, Bouncer]]:
    """The program, its owner and sign-in behind a session pooler, its requests behind a transaction pooler.

    With many people and few server connections.
    """
    kind = KINDS[request.param]
    async with bouncer(postgres, "session", **kind) as owners, bouncer(postgres, **kind) as between:
        owner, api = owners.address("postgres"), between.address("specchem_api")
        async with company(
            outside, folder, learners=40, pool_size="20", database_url=owner, api_database_url=api
        ) as running:
            yield running, between


async def test_many_people_on_few_connections_see_their_own(pooled: tuple[Company, Bouncer]) -> None:
    served, between = pooled
    names = [f"l{number + 1}" for number in range(40)]

    async def worker(number: int) -> None:
        me = str(served.learners[number])
        async with served.client(names[number]) as client:
            for turn in range(4):
                batch = served.answers(2)
                sent = await client.post("/api/v1/question-events/batch", json=batch)
                assert sent.status_code == 201, sent.text
                assert {one["user_id"] for one in sent.json()} == {me}
                whole = (await client.get("/api/v1/me")).json()
                assert whole["profile"]["id"] == me
                mine = (await client.get("/api/v1/me/enrollments")).json()
                assert len(mine) == 1
                history = (await client.get(f"/api/v1/users/{me}/question-events?limit=500")).json()
                assert {one["user_id"] for one in history} == {me}
                assert len(history) == 2 * (turn + 1)
                other = served.learners[(number + 1) % 40]
                assert (await client.get(f"/api/v1/users/{other}/question-events")).status_code == 404
                assert (await client.get("/healthz")).status_code == 200

    await at_once(worker, 40)
    used = await served.owner(
        "select count(*) from pg_stat_activity where usename = 'specchem_api' and datname = current_database()"
    )
    assert 1 < used <= between.servers


async def test_sign_in_and_pages(pooled: tuple[Company, Bouncer]) -> None:
    served, _ = pooled

    async def visit(number: int) -> None:
        who = f"l{number + 1}"
        async with served.client() as browser:
            await browser.get("/login")
            token = {"_csrf_token": browser.cookies["specchem-csrf"]}
            sent = token | {"email": f"{who}@example.com", "password": PASSWORD}
            assert (await browser.post("/login", data=sent)).status_code == 303
            page = await browser.get("/", follow_redirects=True)
            assert page.status_code == 200
            assert "HazMat" in page.text
            assert (await browser.post("/logout", data=token)).status_code == 303

    await at_once(visit, 20)


async def test_signing_in_through_the_transaction_pooler(outside: Cluster, postgres: Postgres) -> None:
    """Where the owner's address is its own, as in a process that serves alone."""
    database = await outside.copy()
    name = urlsplit(database.api).path[1:]
    async with bouncer(postgres) as between:
        api, auth = (
            between.address(role).format(name=name) for role in ("specchem_api", "supabase_auth_admin")
        )
        async with serving(replace(database, api=api, auth=auth), outside.world) as served:

            async def visit(number: int) -> None:
                who = ("ana", "bo", "cal", "max", "hana", "mia")[number % 6]
                session = (await served.sign_in(who)).raise_for_status().json()
                again = await served.auth.post(
                    "/auth/v1/token?grant_type=refresh_token",
                    json={"refresh_token": session["refresh_token"]},
                )
                assert again.status_code == 200, again.text
                headers = {"Authorization": f"Bearer {again.json()['access_token']}"}
                me = (await served.client.get("/api/v1/me", headers=headers)).json()
                assert me["profile"]["id"] == str(outside.world.person[who])
                user = (await served.auth.get("/auth/v1/user", headers=headers)).json()
                assert user["email"] == f"{who}@example.com"

            await at_once(visit, 30)
    await outside.drop(database)


async def test_the_owners_work_is_refused_there_in_words(outside: Cluster, postgres: Postgres) -> None:
    """A statement that another command prepared waits on the server."""
    database = await outside.copy()
    name = urlsplit(database.api).path[1:]
    async with bouncer(postgres) as between:
        address = between.address("postgres").format(name=name)
        for _ in range(2):
            done = await asyncio.to_thread(specchem, None, "db", "status", "--database-url", address)
        assert said_why(done, "transaction pooler", "SPECCHEM_API_DATABASE_URL")
    await outside.drop(database)


@pytest.mark.parametrize("mode", ["transaction", "session"])
async def test_doctor_finds_nothing_wrong_with_it(outside: Cluster, postgres: Postgres, mode: str) -> None:
    database = await outside.copy()
    async with bouncer(postgres, mode) as between:
        api = between.address("specchem_api").format(name=urlsplit(database.api).path[1:])
        async with opened(replace(database, api=api), Settings(), lambda _: None) as seen:
            (said,) = await connection(seen)
    assert (said.state, "through a pooler" in said.found) == ("ok", True), said
    async with opened(database, Settings(), lambda _: None) as seen:
        (said,) = await connection(seen)
    assert (said.state, "for a session" in said.found) == ("ok", True), said
    await outside.drop(database)


async def test_everybody_writes_and_the_database_restarts(
    pooled: tuple[Company, Bouncer], postgres: Postgres
) -> None:
    served, _ = pooled
    async with load(served, 40) as people:
        await postgres.stop()
        await people.until(lambda: people.statuses[503] > 40)
        await postgres.start()
    await served.well()


@pytest.mark.parametrize("settings", list(KINDS.values()), ids=list(KINDS))
async def test_a_pooler_is_known_by_its_answer(
    outside: Cluster, postgres: Postgres, settings: dict[str, str]
) -> None:
    """No port and no setting tells: whose process answers does. Nothing of a request stays for the next one."""
    database = await outside.copy()
    name = urlsplit(database.api).path[1:]
    direct = await open_pool(database.api, 2)
    async with direct.acquire() as connection:
        assert getattr(connection, "stays", True)
    await direct.close()
    for mode in ("transaction", "session"):
        async with bouncer(postgres, mode, default_pool_size="1", **settings) as between:
            pool = await open_pool(between.address("specchem_api").format(name=name), 4)
            async with pool.acquire() as connection:
                assert not getattr(connection, "stays", True)
            for who in ("ana", "bo", "ana"):
                identity = Identity(outside.world.person[who])
                async with acting_as(pool, identity) as db:
                    seen = await db.value("select array_agg(first_name) from profiles")
                    assert seen == [who.capitalize()]
                mine = await Asker(pool, identity).call(list, "get_user_enrollments", identity.user_id, 10, 0)
                assert len(mine) == (2 if who == "ana" else 1)
            await pool.close()
            # As somebody else on the same server connection.
            other = await asyncpg.connect(
                between.address("specchem_api").format(name=name), statement_cache_size=0
            )
            async with other.transaction():
                left = await other.fetchrow(
                    "select current_user::text, current_setting('request.jwt.claims', true),"
                    " (select count(*) from pg_prepared_statements)"
                )
            await other.close()
            assert left is not None
            assert [left[0], left[1] or "", left[2]] == ["specchem_api", "", 0]
    await outside.drop(database)
