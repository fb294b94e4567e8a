"""What Supabase's clients may do directly: as documented, and as PostgREST would ask for them."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from specchem.db.session import prepare
from specchem.isolation.rights import FUNCTIONS, TABLES, Reach, Rights
from tests.conftest import Cluster
from tests.db.test_schema import rows
from tests.world import World, right

PAGE = Path(__file__).parents[2] / "docs" / "direct-clients.md"
WHO = {"associate": "associates", "manager": "managers", "hr": "HR", "dev": "dev admins"}


def reach(reach: Reach) -> str:
    """Who, and which rows."""
    if len(set(reach.values())) == 1 and len(reach) == len(WHO):
        return f"everybody: {reach['associate']}"
    return "; ".join(f"{WHO[role]}: {words.replace(' ', ', ')}" for role, words in reach.items()) or "—"


def columns(named: str) -> str:
    return {"": "", "*": " (all columns)"}.get(named, f" ({', '.join(named.split())})")


def row(table: str, rights: Rights) -> str:
    return (
        f"| `{table.removeprefix('public.')}` | {reach(rights.reads)}"
        f" | {reach(rights.creates)}{columns(rights.created)}"
        f" | {reach(rights.changes)}{columns(rights.changed)} | {reach(rights.deletes)} |"
    )


def test_the_page_says_of_every_table_what_is_proved() -> None:
    """Whoever changes `rights` puts these lines into the page."""
    wanted = [row(table, rights) for table, rights in TABLES.items() if table.startswith("public.")]
    found = [
        line for line in PAGE.read_text().splitlines() if line.startswith("| `") and line.count(" | ") == 4
    ]
    assert found == wanted, "\n".join(wanted)


async def test_the_page_names_every_function_with_its_parameters(people: World) -> None:
    found = await rows(
        people,
        """select format('| `rpc("%s")` | `%s` | `%s`, %s |', proname, pg_get_function_arguments(oid),
            pg_get_function_result(oid), case provolatile when 'v' then 'POST' else 'GET or POST' end)
        from pg_proc where pronamespace = 'public'::regnamespace order by proname""",
    )
    assert len(found) == len([name for name in FUNCTIONS if name.startswith("public.")])
    assert [line for line in PAGE.read_text().splitlines() if line.startswith('| `rpc("')] == found


@pytest.fixture(scope="module")
async def authenticator(cluster: Cluster) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """PostgREST's own login on a database of this module's own."""
    copy = await cluster.copy()
    async with connection(copy.platform) as opened:
        await opened.execute(
            """do $$ begin
            if to_regrole('authenticator') is null then
                create role authenticator login noinherit;
                grant anon, authenticated, service_role to authenticator;
            end if;
            end $$;
            set session authorization authenticator"""
        )
        yield opened
    await cluster.drop(copy)


@asynccontextmanager
async def connection(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    opened = await asyncpg.connect(url)
    await prepare(opened)
    try:
        yield opened
    finally:
        await opened.close()


class Rest:
    """Requests of one person with the publishable key, as PostgREST turns them into SQL; undone one by one."""

    def __init__(self, opened: "asyncpg.Connection[asyncpg.Record]", claims: dict[str, Any] | None) -> None:
        self.connection, self.claims = opened, claims

    async def _ask(self, method: str, path: str, sql: str, *values: object) -> Any:
        role = self.claims["role"] if self.claims else "anon"
        transaction = self.connection.transaction(readonly=method in ("GET", "HEAD"))
        await transaction.start()
        try:
            # What PostgREST sets for every request, Supabase's limits on time with it.
            await self.connection.execute(
                """select set_config('search_path', 'public, extensions', true), set_config('role', $1, true),
                set_config('request.jwt.claims', $2, true), set_config('request.method', $3, true),
                set_config('request.path', $4, true), set_config('request.headers', '{}', true),
                set_config('request.cookies', '{}', true), set_config('statement_timeout', '8s', true),
                set_config('lock_timeout', '8s', true)""",
                role, json.dumps(self.claims or {"role": "anon"}), method, path,
            )  # fmt: skip
            return await self.connection.fetchval(sql, *values)
        finally:
            await transaction.rollback()

    async def get(self, table: str, condition: str = "true", *values: object) -> Any:
        """The rows, as a list."""
        return await self._ask(
            "GET", f"/{table}",
            f"with pgrst_source as (select public.{table}.* from public.{table} where {condition})"
            " select coalesce(jsonb_agg(s), '[]') from pgrst_source as s",
            *values,
        )  # fmt: skip

    async def post(self, table: str, body: dict[str, Any]) -> Any:
        """The row that was made: Prefer: return=representation."""
        names = ", ".join(f'"{name}"' for name in body)
        return await self._ask(
            "POST", f"/{table}",
            f"with pgrst_source as (insert into public.{table} ({names}) select {names}"
            f" from jsonb_populate_record(null::public.{table}, $1) returning public.{table}.*)"
            " select to_jsonb(s) from pgrst_source as s",
            body,
        )  # fmt: skip

    async def patch(self, table: str, body: dict[str, Any], condition: str, *values: object) -> Any:
        """The rows that were changed."""
        sets = ", ".join(f'"{name}" = b."{name}"' for name in body)
        return await self._ask(
            "PATCH", f"/{table}",
            f"with pgrst_source as (update public.{table} set {sets} from jsonb_populate_record("
            f"null::public.{table}, $1) as b where {condition} returning public.{table}.*)"
            " select coalesce(jsonb_agg(s), '[]') from pgrst_source as s",
            body, *values,
        )  # fmt: skip

    async def rpc(self, function: str, method: str = "POST", **arguments: tuple[str, Any]) -> Any:
        """What a function answers; each argument with its type."""
        passed = ", ".join(
            f'"{name}" := ${n}::{kind}' for n, (name, (kind, _)) in enumerate(arguments.items(), 1)
        )
        return await self._ask(
            method, f"/rpc/{function}",
            f"with pgrst_source as (select public.{function}({passed}) as answer)"
            " select answer::jsonb from pgrst_source",
            *(value for _, value in arguments.values()),
        )  # fmt: skip


@pytest.fixture
def world(cluster: Cluster) -> World:
    return cluster.world


def rest(opened: "asyncpg.Connection[asyncpg.Record]", world: World, name: str | None) -> Rest:
    if name is None:
        return Rest(opened, None)
    person = str(world.person[name])
    return Rest(opened, {"sub": person, "role": "authenticated", "aud": "authenticated", "aal": "aal1"})


Opened = Any


async def test_everybody_reads_what_is_theirs(authenticator: Opened, world: World) -> None:
    seen = {
        name: {one["user_id"] for one in await rest(authenticator, world, name).get("enrollments")}
        for name in ("ana", "max", "mia", "dev")
    }
    ana, bo, sue = (str(world.person[name]) for name in ("ana", "bo", "sue"))
    assert seen == {"ana": {ana}, "max": {ana, sue}, "mia": {bo}, "dev": set()}
    assert len(await rest(authenticator, world, "ana").get("questions")) == 67
    assert await rest(authenticator, world, "ana").get("answer_keys") == []
    assert await rest(authenticator, world, "sue").get("enrollments") == []


@pytest.mark.parametrize(
    "table", [name.removeprefix("public.") for name in TABLES if name.startswith("public.")]
)
async def test_the_publishable_key_alone_opens_nothing(
    authenticator: Opened, world: World, table: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await rest(authenticator, world, None).get(table)


async def test_an_answer_by_table_is_graded_by_the_database(authenticator: Opened, world: World) -> None:
    section, question = next(iter(world.answers))
    answer = {
        **right(world, section, question),
        "user_id": world.person["ana"],
        "id": str(uuid4()),
        "is_correct": False,
    }
    body = {name: str(value) if name.endswith("_id") else value for name, value in answer.items()}
    ana = rest(authenticator, world, "ana")
    made = await ana.post("question_events", body)
    assert (made["is_correct"], made["evidence"], made["id"]) == (True, "server_graded", body["id"])
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ana.post("question_events", {**body, "plant_id": str(world.plant["Denver, CO"])})
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ana.post("question_events", {**body, "user_id": str(world.person["bo"])})
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ana.patch("question_events", {"is_correct": True}, "public.question_events.id = $2", uuid4())


async def test_progress_is_marked_by_table_and_never_falls(authenticator: Opened, world: World) -> None:
    ana, mine = (
        rest(authenticator, world, "ana"),
        "public.progress.user_id = $2 and public.progress.course_id = $3",
    )
    key = (world.person["ana"], world.course["outside"])
    (marked,) = await ana.patch("progress", {"progress_percent": 40, "current_section": "two"}, mine, *key)
    assert (marked["progress_percent"], marked["current_section"]) == (40, "two")
    with pytest.raises(asyncpg.CheckViolationError):
        await ana.patch("progress", {"progress_percent": 101}, mine, *key)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ana.patch("progress", {"plant_id": str(world.plant["Denver, CO"])}, mine, *key)
    assert (
        await rest(authenticator, world, "bo").patch("progress", {"progress_percent": 40}, mine, *key) == []
    )


async def test_a_manager_enrolls_by_table_the_plants_people_only(authenticator: Opened, world: World) -> None:
    cal, bo, outside = world.person["cal"], world.person["bo"], str(world.course["outside"])
    max_ = rest(authenticator, world, "max")
    made = await max_.post("enrollments", {"user_id": str(cal), "course_id": outside})
    assert (made["status"], made["plant_id"]) == ("enrolled", str(world.plant["Columbus, OH"]))
    with pytest.raises(asyncpg.PostgresError) as refused:
        await max_.post("enrollments", {"user_id": str(bo), "course_id": outside})
    assert refused.value.sqlstate == "PT404"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await rest(authenticator, world, "cal").post(
            "enrollments", {"user_id": str(cal), "course_id": outside}
        )


async def test_my_courses_by_rpc(authenticator: Opened, world: World) -> None:
    ana = rest(authenticator, world, "ana")
    for method in ("GET", "POST"):
        found = await ana.rpc("get_user_enrollments", method)
        assert {one["slug"] for one in found} == {"function-specific-hazmat", "outside"}
    assert len(await ana.rpc("get_user_enrollments", page_limit=("integer", 1))) == 1
    theirs = await rest(authenticator, world, "max").rpc(
        "get_user_enrollments", person=("uuid", world.person["ana"])
    )
    assert theirs == found
    with pytest.raises(asyncpg.PostgresError) as refused:
        await rest(authenticator, world, "mia").rpc(
            "get_user_enrollments", person=("uuid", world.person["ana"])
        )
    assert refused.value.sqlstate == "PT404"


async def test_a_mark_by_rpc(authenticator: Opened, world: World) -> None:
    ana, outside = rest(authenticator, world, "ana"), ("uuid", world.course["outside"])
    marked = await ana.rpc("mark_progress", course=outside, percent=("integer", 30), section=("text", "one"))
    assert (marked["progress_percent"], marked["current_section"]) == (30, "one")
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):  # PostgREST answers 405
        await ana.rpc("mark_progress", "GET", course=outside, percent=("integer", 30))
    with pytest.raises(asyncpg.PostgresError) as refused:
        await rest(authenticator, world, "max").rpc(
            "mark_progress", course=outside, percent=("integer", 30), learner=("uuid", world.person["ana"])
        )
    assert refused.value.sqlstate == "PT403"


async def test_answers_by_rpc(authenticator: Opened, world: World) -> None:
    section, question = next(iter(world.answers))
    answer = {**right(world, section, question), "course_id": str(world.course["hazmat"])}
    ana = rest(authenticator, world, "ana")
    (graded,) = await ana.rpc("record_question_events", events=("jsonb", [answer]))
    assert graded["is_correct"] is True
    with pytest.raises(asyncpg.PostgresError) as refused:
        await ana.rpc("record_question_events", events=("jsonb", [answer] * 501))
    assert refused.value.sqlstate == "PT400"


@pytest.mark.parametrize(
    "function",
    [name.partition("(")[0].removeprefix("public.") for name in FUNCTIONS if name.startswith("public.")],
)
async def test_the_publishable_key_alone_calls_nothing(
    authenticator: Opened, world: World, function: str
) -> None:
    needed: dict[str, dict[str, tuple[str, Any]]] = {
        "mark_progress": {"course": ("uuid", uuid4())},
        "record_question_events": {"events": ("jsonb", [])},
    }
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await rest(authenticator, world, None).rpc(function, "POST", **needed.get(function, {}))


def test_the_pages_example_names_what_there_is() -> None:
    """Every table and function in the example is in the lists above it."""
    text = PAGE.read_text()
    named = set(re.findall(r'\.(?:from|rpc)\("(\w+)"', text))
    known = {name.partition(".")[2].partition("(")[0] for name in [*TABLES, *FUNCTIONS]}
    assert named
    assert named <= known
