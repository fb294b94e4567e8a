"""acting_as: one transaction as one person, and nothing of it left behind."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import asyncpg
import pytest

from specchem.db import session
from specchem.db.database import Database
from specchem.db.session import Asker, Identity, Pool, acting_as, open_pool
from specchem.enrollments.operations import get_user_enrollments
from specchem.errors import BadInput, Conflict, Forbidden, NotFound, SpecChemError, Unavailable
from specchem.events.operations import record_question_event, record_question_events
from specchem.events.schemas import CreateQuestionEvent
from specchem.progress.operations import mark_progress
from specchem.progress.schemas import MarkProgress
from tests.conftest import Cluster
from tests.world import World, lent, right

WHO_AM_I = """select current_user::text, current_setting('request.jwt.claims', true),
    current_setting('statement_timeout'), current_setting('lock_timeout')"""
MARK = "update progress set current_section = 'here' where course_id = $1"


@pytest.fixture
def people(cluster: Cluster) -> World:
    return cluster.world


@pytest.fixture(scope="session")
async def standing(cluster: Cluster) -> Database:
    """One database for all tests that leave nothing behind."""
    return await cluster.copy()


@pytest.fixture
async def pool(standing: Database) -> AsyncIterator[Pool]:
    opened = await open_pool(standing.api, 2)
    yield opened
    await opened.close()


async def whole(pool: Pool) -> list[Any]:
    """What the pool's one connection is, between transactions."""
    async with pool.acquire() as connection:
        row = await connection.fetchrow(WHO_AM_I)
        return [value or "" for value in row or ()]


@pytest.fixture
async def narrow(fresh: Database) -> AsyncIterator[Pool]:
    """A pool of one on a database of its own, so that the next request gets the same connection."""
    pool = await open_pool(fresh.api, 1)
    yield pool
    await pool.close()


@pytest.mark.parametrize("end", ["commit", "error", "refusal", "broken statement"])
async def test_role_and_claims_end_with_the_transaction(narrow: Pool, people: World, end: str) -> None:
    before = await whole(narrow)
    assert before[:2] == ["specchem_api", ""]
    try:
        async with acting_as(narrow, people.identity("ana")) as db:
            row = await db.connection.fetchrow(WHO_AM_I)
            assert row is not None
            role, claims, statement, lock = row
            assert (role, statement, lock) == ("authenticated", "15s", "5s")
            assert str(people.person["ana"]) in claims
            if end == "error":
                raise KeyError
            if end == "refusal":
                await db.run("delete from profiles")
            if end == "broken statement":
                await db.run("selec")
    except (KeyError, Forbidden, asyncpg.PostgresSyntaxError):
        assert end != "commit"
    assert await whole(narrow) == before
    async with acting_as(narrow, people.identity("bo")) as db:
        assert await db.value("select array_agg(first_name) from profiles") == ["Bo"]


@pytest.mark.parametrize("error", [None, KeyError, Conflict, asyncio.CancelledError])
async def test_an_error_rolls_back(narrow: Pool, people: World, error: type[BaseException] | None) -> None:
    try:
        async with acting_as(narrow, people.identity("ana")) as db:
            assert await db.run(MARK, people.course["outside"]) == "UPDATE 1"
            if error:
                raise error("no")
    except (KeyError, Conflict, asyncio.CancelledError):
        assert error
    async with acting_as(narrow, people.identity("ana")) as db:
        found = await db.value("select count(*) from progress where current_section = 'here'")
    assert found == (0 if error else 1)


@pytest.mark.parametrize(
    "user_id",
    [
        "' or true --",
        '", "role": "postgres',
        "'); set role postgres; --",
        "x', true); drop table profiles; --",
        "",
        "\0",
    ],
)
async def test_claims_cannot_carry_sql(pool: Pool, people: World, user_id: Any) -> None:
    """An Identity is made of a UUID; whatever else were in it stays a value."""
    with pytest.raises((BadInput, Forbidden)):
        async with acting_as(pool, Identity(user_id)) as db:
            await db.run("select")
    if user_id:
        with pytest.raises(BadInput):
            async with acting_as(pool, replace(people.identity("ana"), session_id=user_id)) as db:
                await db.run("select")
    if user_id != "\0":
        async with acting_as(pool, replace(people.identity("ana"), aal=user_id)) as db:
            assert await db.value("select current_user::text") == "authenticated"
            assert await db.value("select array_agg(first_name) from profiles") == ["Ana"]


@pytest.mark.parametrize("who", ["sue", "sam", "ina", "nora"])
async def test_who_is_not_active_does_not_come_in(pool: Pool, people: World, who: str) -> None:
    with pytest.raises(Forbidden, match="not active"):
        async with acting_as(pool, people.identity(who)):
            pytest.fail("came in")
    with pytest.raises(Forbidden):
        async with acting_as(pool, Identity(uuid4())):
            pytest.fail("came in")


async def test_a_person_suspended_meanwhile_is_out_at_the_next_request(narrow: Pool, people: World) -> None:
    async with acting_as(narrow, people.identity("hana")) as db:
        await db.run("update profiles set status = 'suspended' where id = $1", people.person["ana"])
    with pytest.raises(Forbidden):
        async with acting_as(narrow, people.identity("ana")):
            pytest.fail("came in")


async def test_a_server_that_says_goodbye_and_lingers_is_unavailable(
    cluster: Cluster, standing: Database, people: World
) -> None:
    """A killed server's last word reaches us before its socket closes; the connection is not used again."""
    theirs = f"{cluster.server.socket_dir}/.s.PGSQL.{cluster.server.port}"
    clients: list[asyncio.StreamWriter] = []
    relays: list[asyncio.Task[None]] = []

    async def relay(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
        target.close()

    async def accept(reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        there, server = await asyncio.open_unix_connection(theirs)
        clients.append(client)
        relays.extend([asyncio.create_task(relay(reader, server)), asyncio.create_task(relay(there, client))])

    async def say_goodbye() -> None:
        words = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to unexpected postmaster exit\0\0"
        clients[0].write(b"E" + (len(words) + 4).to_bytes(4) + words)
        await asyncio.sleep(0.1)

    with tempfile.TemporaryDirectory() as place:
        between = await asyncio.start_unix_server(accept, f"{place}/.s.PGSQL.{cluster.server.port}")
        pool = await open_pool(standing.api.replace(quote(str(cluster.server.socket_dir)), place), 1)
        with pytest.raises(Unavailable):
            async with acting_as(pool, people.identity("ana")):
                await say_goodbye()
        async with acting_as(pool, people.identity("ana")) as db:
            assert await db.value("select 1") == 1
        assert len(clients) == 2
        await pool.close()
        await asyncio.gather(*relays)
        between.close()


async def test_a_database_that_is_gone_is_unavailable(people: World, cluster: Cluster) -> None:
    pool = await open_pool(replace(cluster.server, port=1).dsn("specchem_api"), 1)
    with pytest.raises(Unavailable):
        async with acting_as(pool, people.identity("ana")):
            pytest.fail("came in")
    await pool.close()


async def test_a_closed_pool_is_unavailable(people: World, standing: Database) -> None:
    pool = await open_pool(standing.api, 1)
    await pool.close()
    with pytest.raises(Unavailable):
        async with acting_as(pool, people.identity("ana")):
            pytest.fail("came in")


async def test_a_connection_that_is_killed_is_unavailable_and_the_next_works(
    narrow: Pool, people: World, fresh: Database
) -> None:
    platform = await asyncpg.connect(fresh.platform)

    async def killed() -> None:
        async with acting_as(narrow, people.identity("ana")) as db:
            await db.run(MARK, people.course["outside"])
            pid = await db.value("select pg_backend_pid()")
            await platform.execute("select pg_terminate_backend($1)", pid)
            await db.run("select")

    with pytest.raises(Unavailable, match="nothing was done"):
        await killed()
    await platform.close()
    async with acting_as(narrow, people.identity("ana")) as db:
        assert await db.value("select count(*) from progress where current_section = 'here'") == 0


async def run_after(pool: Pool, people: World, setting: str, sql: str) -> None:
    async with acting_as(pool, people.identity("ana")) as db:
        await db.run(f"set local {setting}")
        await db.run(sql)


async def test_a_statement_does_not_run_for_ever(pool: Pool, people: World) -> None:
    with pytest.raises(Unavailable):
        await run_after(pool, people, "statement_timeout = '50ms'", "select pg_sleep(600)")


async def test_a_lock_is_not_waited_for_for_ever(pool: Pool, people: World, standing: Database) -> None:
    owner = await asyncpg.connect(standing.owner)
    async with owner.transaction():
        await owner.execute("lock table progress")
        with pytest.raises(Unavailable):
            await run_after(
                pool, people, "lock_timeout = '50ms'", "update progress set current_section = 'here'"
            )
    await owner.close()


# ---------------------------------------------------------------- the login role
@pytest.fixture
async def api(standing: Database) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(standing.api)
    yield connection
    await connection.close()


@pytest.mark.parametrize("role", ["postgres", "service_role", "supabase_admin", "supabase_auth_admin"])
async def test_the_login_role_becomes_nobody_but_a_client(api: Any, role: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await api.execute(f"set role {role}")
    for client in ("anon", "authenticated"):
        await api.execute(f"set role {client}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await api.execute(f"set role {role}")
        await api.execute("reset role")


@pytest.mark.parametrize(
    "sql",
    [
        "select from public.profiles", "select from public.plants", "select from auth.users", "table specchem.rules",
        "select app.is_hr()", "select app.visible_plants()", "create table public.mine (id int)",
        "create schema mine", "create role mine", "alter role specchem_api bypassrls",
        "create function public.mine() returns int language sql as 'select 1'",
        "grant service_role to specchem_api", "alter table public.profiles disable row level security",
        "set session_replication_role = replica", "copy public.plants to program 'id'",
        "set row_security = off; table plants",
    ],
)  # fmt: skip
@pytest.mark.parametrize("role", ["specchem_api", "anon", "authenticated"])
async def test_the_login_role_can_do_nothing_by_itself(api: Any, role: str, sql: str) -> None:
    readable = {"select from public.profiles", "select from public.plants", "select app.is_hr()",
                "select app.visible_plants()"}  # fmt: skip
    await api.execute(f"set role {role}")
    if role == "authenticated" and sql in readable:
        assert await api.fetchval(sql) in (None, False, [])
        return
    with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.UndefinedTableError)):
        await api.execute(sql)


async def test_the_login_role_owns_and_inherits_nothing(api: Any) -> None:
    row = await api.fetchrow(
        """select rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
            (select array_agg(distinct g.rolname::text order by g.rolname::text)
            from pg_auth_members m join pg_roles g on g.oid = m.roleid
            where m.member = r.oid), (select count(*) from pg_shdepend where refobjid = r.oid and deptype = 'o')
        from pg_roles r where rolname = current_user"""
    )
    assert tuple(row) == (False, False, False, False, False, False, ["anon", "authenticated"], 0)


# ---------------------------------------------------------------- refusals in words
@pytest.mark.parametrize(
    ("sql", "kind", "sentence"),
    [
        ("insert into question_events (user_id, course_id, section_key, question_key, is_correct) values"
         " (app.me(), gen_random_uuid(), 's', 'q', true)", NotFound, "no such course"),
        ("select 'x'::uuid", BadInput, "cannot be stored"),
        ("select 2147483647 + 1", BadInput, "out of range"),
        ("delete from profiles", Forbidden, "You may not do that"),
    ],
)  # fmt: skip
async def test_a_refusal_is_a_sentence_without_sql(
    pool: Pool, people: World, sql: str, kind: type[SpecChemError], sentence: str
) -> None:
    # guide-measured: getProfileById (raw 22P02 with SQL text)
    with pytest.raises(kind, match=sentence) as refusal:
        async with acting_as(pool, people.identity("ana")) as db:
            await db.run(sql)
    assert sql not in str(refusal.value)


# ------------------------------------------------------------------------------------------------ one statement alone


def hot(ana: Asker, people: World) -> dict[str, Callable[[], Awaitable[object]]]:
    answer = CreateQuestionEvent(**right(people, *next(iter(people.answers))))
    mark = MarkProgress(progress_percent=5)
    return {
        "read": lambda: get_user_enrollments(ana, ana.user_id),
        "mark": lambda: mark_progress(ana, ana.user_id, people.course["outside"], mark),
        "event": lambda: record_question_event(ana, ana.user_id, answer),
        "batch": lambda: record_question_events(ana, ana.user_id, [answer, answer]),
    }


@pytest.mark.parametrize("what", ["read", "mark", "event", "batch"])
async def test_a_hot_operation_is_one_statement(narrow: Pool, people: World, what: str) -> None:
    operation = hot(Asker(narrow, people.identity("ana")), people)[what]
    await operation()  # the first time the driver asks for types
    said: list[str] = []
    async with narrow.acquire() as connection:
        connection.add_query_logger(lambda query: said.append(query.query))
    await operation()
    await asyncio.sleep(0)  # the driver tells its logger a moment later
    assert len(said) == 1, said
    assert said[0].startswith("select case when app.enter(")


@pytest.mark.parametrize("what", ["read", "mark", "event", "batch"])
@pytest.mark.parametrize("who", ["sue", "sam", "ina", "nora"])
async def test_who_is_not_active_calls_nothing(pool: Pool, people: World, what: str, who: str) -> None:
    with pytest.raises(Forbidden, match="not active"):
        await hot(Asker(pool, people.identity(who)), people)[what]()


async def test_a_call_leaves_nothing_on_its_connection(narrow: Pool, people: World) -> None:
    before = await whole(narrow)
    ana, bo = (Asker(narrow, people.identity(name)) for name in ("ana", "bo"))
    assert await get_user_enrollments(ana, ana.user_id)
    assert await whole(narrow) == before
    with pytest.raises(NotFound):
        await get_user_enrollments(ana, bo.user_id)
    assert await whole(narrow) == before
    with pytest.raises(Conflict):
        await mark_progress(ana, ana.user_id, people.course["hazmat"], MarkProgress(progress_percent=99))
    assert await whole(narrow) == before
    assert {one.user_id for one in await get_user_enrollments(bo, bo.user_id)} == {bo.user_id}


async def test_a_batch_called_alone_is_all_or_none(narrow: Pool, people: World) -> None:
    """The call is its own transaction, so a refusal at its very end takes back what was written."""
    ana = Asker(narrow, people.identity("ana"))
    fields = right(people, *next(iter(people.answers)))
    mine, taken = uuid4(), uuid4()
    await record_question_event(ana, ana.user_id, CreateQuestionEvent(id=taken, **fields))
    other = fields | {"response_meta": fields["response_meta"] | {"note": "another"}}
    with pytest.raises(Conflict, match="belongs to another event"):
        await record_question_events(
            ana, ana.user_id,
            [CreateQuestionEvent(id=mine, **fields), CreateQuestionEvent(id=taken, **other)],
        )  # fmt: skip
    async with ana.acting() as db:
        assert await db.value("select array_agg(id) from question_events") == [taken]


async def test_a_call_is_limited_in_time(
    fresh: Database, people: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement that enters is under the limits too, which app.enter would set only for the next."""
    monkeypatch.setattr(session, "LOCK_MS", 300)
    pool = await open_pool(fresh.api, 2)
    ana = Asker(pool, people.identity("ana"))
    course = people.course["outside"]
    async with ana.acting() as db:
        await db.run("update progress set current_section = 'held' where course_id = $1", course)
        with pytest.raises(Unavailable):
            await mark_progress(ana, ana.user_id, course, MarkProgress(progress_percent=5))
        async with pool.acquire() as connection:
            assert await connection.fetchval("show statement_timeout") == "15s"
    await pool.close()


async def test_behind_a_transaction_pooler_a_call_is_a_transaction(fresh: Database, people: World) -> None:
    """No statement waits there from one transaction to the next, so nothing is prepared outside of one."""
    connection = await asyncpg.connect(fresh.api, connection_class=session.Pooler, statement_cache_size=0)
    await session.prepare(connection)
    said: list[str] = []
    connection.add_query_logger(lambda query: said.append(query.query))
    ana = Asker(lent(connection), people.identity("ana"))
    assert await get_user_enrollments(ana, ana.user_id)
    await asyncio.sleep(0)  # the driver tells its logger a moment later
    assert [one.split(";")[0].split(" ")[0] for one in said] == ["begin", "select", "commit"]
    await connection.close()


async def test_functions_are_called_as_postgrest_calls_them(narrow: Pool, people: World) -> None:
    """With named arguments, as the client's role, the caller being the default."""
    async with acting_as(narrow, people.identity("ana")) as db:
        rows = await db.value("select public.get_user_enrollments()")
        assert {row["user_id"] for row in json.loads(rows)} == {str(people.person["ana"])}
        event = right(people, *next(iter(people.answers)))
        answers = await db.value(
            "select public.record_question_events(events => $1)",
            [event | {"course_id": str(event["course_id"])}],
        )
        assert [(row["is_correct"], bool(row["id"])) for row in json.loads(answers)] == [(True, True)]
        marked = await db.value(
            "select public.mark_progress(course => $1, percent => 7)", people.course["outside"]
        )
        assert json.loads(marked)["progress_percent"] == 7
        with pytest.raises(BadInput, match="at most 500"):
            async with db.attempt():
                await db.value(
                    "select public.record_question_events($1)",
                    [event | {"course_id": str(event["course_id"])}] * 501,
                )
    with pytest.raises(Forbidden):
        async with acting_as(narrow, people.identity("max")) as db:
            await db.value(
                "select public.mark_progress($1, 7, null, $2)", people.course["outside"], people.person["ana"]
            )
