"""What the running server tells whoever watches it: a line for each request, /metrics, slow statements, volumes."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from specchem.auth.cookies import SessionCookies, cookie_name
from specchem.auth.sessions import Session
from specchem.db import embedded
from specchem.db.database import Database, of_server
from specchem.db.session import acting_as, connected, open_pool
from specchem.db.slow import in_short
from specchem.reporting.volume import get_volume
from specchem.settings import Settings
from tests import logs
from tests.conftest import Cluster
from tests.program import Program, data_folder, environment, meanwhile, said_why
from tests.web.served import PASSWORD, VERIFIER
from tests.world import World

FIELDS = {
    "event",
    "level",
    "logger",
    "time",
    "request_id",
    "person",
    "plant",
    "route",
    "method",
    "status",
    "ms",
}


@dataclass
class Watched:
    """A running server whose log is JSON, and its people."""

    program: Program
    database: Database
    world: World

    def ask(self, path: str, who: str | None = None, **headers: str) -> httpx.Response:
        if who is not None:
            headers["Authorization"] = f"Bearer {self.session(who).access_token}"
        return httpx.get(f"{self.program.address}{path}", headers=headers, timeout=60)

    def session(self, who: str) -> Session:
        body = {"email": f"{who}@example.com", "password": PASSWORD}
        answer = httpx.post(
            f"{self.program.address}/auth/v1/token?grant_type=password", json=body, timeout=60
        )
        assert answer.status_code == 200, answer.text
        return Session(answer.json()["access_token"], "none", int(time.time()) + 3000)

    def line(self, answer: httpx.Response) -> dict[str, Any]:
        """The log's line of a request; it is written when the answer is out."""
        asked = answer.headers["x-request-id"]
        return self.event("request", request_id=asked)

    def event(self, start: str, **fields: str) -> dict[str, Any]:
        while True:
            for one in list(self.program.events):
                if one["event"].startswith(start) and fields.items() <= one.items():
                    return one
            assert self.program.process.poll() is None
            time.sleep(0.02)

    def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        answer = self.ask("/metrics")
        assert answer.status_code == 200
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    async def owner(self, sql: str) -> None:
        connection = await asyncpg.connect(self.database.platform)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


@pytest.fixture(scope="module")
async def watched(cluster: Cluster) -> AsyncIterator[Watched]:
    database = await cluster.copy()
    with data_folder() as folder:
        found = Watched(
            Program(folder, database_url=database.owner, log_format="auto", log_level="debug"),
            database,
            cluster.world,
        )
        await found.owner(f"update auth.users set encrypted_password = '{VERIFIER}' where email is not null")
        found.program.wait_until_ready()
        yield found
        assert found.program.end() == 0, found.program.lines


def test_each_request_is_a_line(watched: Watched) -> None:
    answer = watched.ask("/api/v1/me?email=ana@example.com", "ana")
    line = watched.line(answer)
    assert line.keys() == FIELDS
    assert line["person"] == str(watched.world.person["ana"])
    assert line["plant"] == str(watched.world.plant["Columbus, OH"])
    assert (line["route"], line["method"], line["status"], line["level"]) == (
        "/api/v1/me",
        "GET",
        200,
        "info",
    )
    assert line["ms"] > 0


def test_a_plant_that_nothing_told_is_not_guessed(watched: Watched) -> None:
    line = watched.line(watched.ask("/api/v1/me/enrollments", "ana"))
    assert (line["person"], line["plant"]) == (str(watched.world.person["ana"]), None)


def test_a_page_knows_its_visitor(watched: Watched) -> None:
    cookies = SessionCookies(cookie_name(f"{watched.program.address}/auth/v1"), secure=False)
    shown = {one.key: one.value or "" for one in cookies.write(watched.session("bo"), {})}
    answer = httpx.get(watched.program.address, cookies=shown, timeout=60)
    assert answer.status_code == 200
    line = watched.line(answer)
    assert line["person"] == str(watched.world.person["bo"])
    assert line["plant"] == str(watched.world.plant["Phoenix, AZ"])
    assert line["route"] == "/"


def test_a_person_in_the_address_is_not_in_the_line(watched: Watched) -> None:
    answer = watched.ask(f"/api/v1/users/{watched.world.person['ana']}/activity", "bo")
    line = watched.line(answer)
    assert answer.status_code == 404
    assert line["route"] == "/api/v1/users/{person}/activity"
    assert str(watched.world.person["ana"]) not in json.dumps(line)


def test_who_has_not_signed_in_is_nobody(watched: Watched) -> None:
    line = watched.line(watched.ask("/api/v1/me"))
    assert (line["person"], line["plant"], line["status"]) == (None, None, 401)


@pytest.mark.parametrize("path", ["/static/none.css", "/healthz", "/metrics"])
def test_what_machines_ask_all_day_is_a_closer_word(watched: Watched, path: str) -> None:
    assert watched.line(watched.ask(path))["level"] == "debug"


@pytest.mark.parametrize("sent", ["a", "0f-9A", "x" * 64])
def test_an_id_that_came_with_the_request_stays(watched: Watched, sent: str) -> None:
    answer = watched.ask("/healthz", **{"X-Request-ID": sent})
    assert answer.headers["x-request-id"] == sent


@pytest.mark.parametrize(
    "sent", ["", "x" * 65, "a b", 'x"}', "../x", "x\tx", "<b>", "ana@example.com", "a\xe4", "a_b"]
)
def test_an_id_that_is_none_is_not_taken(watched: Watched, sent: str) -> None:
    answer = httpx.get(
        f"{watched.program.address}/healthz", headers={b"X-Request-ID": sent.encode("latin-1")}, timeout=60
    )
    (given,) = answer.headers.get_list("x-request-id")
    assert given != sent
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]+", given)


def test_two_requests_have_two_ids(watched: Watched) -> None:
    assert len({watched.ask("/healthz").headers["x-request-id"] for _ in range(20)}) == 20


async def test_what_is_unexpected_has_an_id_to_quote(watched: Watched) -> None:
    """In the problem, on the page, and in the log."""

    def ask() -> list[httpx.Response]:
        cookies = SessionCookies(cookie_name(f"{watched.program.address}/auth/v1"), secure=False)
        shown = {one.key: one.value or "" for one in cookies.write(watched.session("ana"), {})}
        with httpx.Client(base_url=watched.program.address, cookies=shown, timeout=60) as browser:
            return [
                watched.ask(f"/api/v1/users/{watched.world.person['ana']}/enrollments", "ana"),
                browser.get("/"),
                browser.get("/", headers={"HX-Request": "true"}),
            ]

    await watched.owner("alter function app.visible_person(uuid) rename to hidden")
    await watched.owner(
        "create function app.visible_person(uuid) returns uuid language plpgsql"
        " as $$ begin raise exception 'nobody expects this'; end $$"
    )
    try:
        answers = await asyncio.to_thread(ask)
    finally:
        await watched.owner("drop function app.visible_person(uuid)")
        await watched.owner("alter function app.hidden(uuid) rename to visible_person")
    assert answers[0].json()["request_id"] == answers[0].headers["x-request-id"]
    for one in answers:
        assert one.status_code == 500
        asked = one.headers["x-request-id"]
        assert asked in one.text
        assert watched.event("unexpected RaiseError", request_id=asked)["level"] == "error"
        assert watched.line(one)["status"] == 500


def test_a_refusal_that_explains_itself_needs_no_number(watched: Watched) -> None:
    assert "request_id" not in watched.ask("/api/v1/nothing", "ana").json()


def test_a_mail_nobody_sends_is_in_no_log(watched: Watched) -> None:
    """Neither its link, which signs in, nor whom it is to."""
    asked = {"email": "ana@example.com"}
    assert httpx.post(f"{watched.program.address}/auth/v1/recover", json=asked, timeout=60).status_code == 200
    watched.event("A mail was put into the outbox")
    assert len(list((watched.program.folder / "outbox").iterdir())) == 1
    assert not any("token_hash" in line for line in watched.program.lines)


def test_routes_are_templates_and_few(watched: Watched) -> None:
    before = watched.metrics()
    for _ in range(3):
        watched.ask(f"/nothing/{uuid4()}")
        watched.ask(f"/api/v1/users/{uuid4()}/activity", "ana")
    httpx.request("PURGE", f"{watched.program.address}/{uuid4()}", timeout=60)
    after = watched.metrics()

    def grew(name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return after.get(key, 0) - before.get(key, 0)

    count = "specchem_request_seconds_count"
    assert grew(count, route="unmatched", method="GET", status="4xx") == 3
    assert grew(count, route="unmatched", method="other", status="4xx") == 1
    assert grew(count, route="/api/v1/users/{person}/activity", method="GET", status="4xx") == 3
    assert grew("specchem_refusals_total", kind="not_found", status="404") >= 6
    assert after["specchem_counters_lag", frozenset()] == 0
    told = " ".join(value for _, labels in after for _, value in labels)
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", told)
    assert "@" not in told


def test_what_our_own_pages_ask_of_the_sign_in_service_is_no_request(watched: Watched) -> None:
    """A wrong password is one refusal, by the service's own word for it."""
    before = watched.metrics()
    with closing(httpx.Client(base_url=watched.program.address, timeout=60)) as client:
        token = re.search(r'name="_csrf_token" value="([^"]+)"', client.get("/login").text)
        assert token is not None
        sent = {"_csrf_token": token[1], "email": "cal@example.com", "password": "not this one"}
        assert client.post("/login", data=sent).status_code == 400
    after = watched.metrics()
    new = {key: value - before.get(key, 0) for key, value in after.items() if "refusals" in key[0]}
    assert {key[1]: value for key, value in new.items() if value} == {
        frozenset({("kind", "invalid_credentials"), ("status", "400")}): 1
    }
    asked = frozenset({("route", "/auth/v1/token"), ("method", "POST"), ("status", "4xx")})
    assert after.get(("specchem_request_seconds_count", asked), 0) == before.get(
        ("specchem_request_seconds_count", asked), 0
    )
    failed = ("specchem_auth_failures_total", frozenset({("kind", "sign_in")}))
    assert after[failed] == before[failed] + 1


def test_a_proxy_is_not_let_in(watched: Watched) -> None:
    for headers in ({"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}):
        assert watched.ask("/metrics", **headers).status_code == 404


def test_no_line_holds_a_name_or_an_address(watched: Watched) -> None:
    """Of all the requests above."""
    assert len(watched.program.events) > 50
    for event in watched.program.events:
        assert {"event", "level", "logger", "time"} <= event.keys()
        line = json.dumps(event)
        assert "@" not in line, line
        assert "Traceback" not in line, line
        assert not re.search(r"select |example\.com|\?", line), line


# ---------------------------------------------------------------- the logs of others
SCRIPT = """
import logging
from specchem import logs
from specchem.settings import load
voice = logs.set_up(load(), lambda line: print(line))
voice.say("a sentence")
voice.confide("a link")
try:
    raise ValueError("select secret from people")
except ValueError:
    logging.getLogger("uvicorn.error").exception("it broke")
logging.getLogger("httpcore").debug("authorization: abc")
logging.getLogger("litestar").warning("of the library")
logging.getLogger("specchem").debug("a closer word")
"""


def spoken(stderr: int | None = None, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment(None, **settings), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if stderr is None else stderr, text=True, timeout=600, check=True,
    )  # fmt: skip


def test_all_loggers_come_out_alike() -> None:
    done = spoken(log_level="debug")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(one["logger"], one["level"], one["event"]) for one in lines] == [
        ("specchem", "info", "a sentence"),
        ("specchem", "info", "A mail was put into the outbox, because SPECCHEM_SMTP_URL is not set."),
        ("uvicorn.error", "error", "it broke"),
        ("litestar", "warning", "of the library"),
        ("specchem", "debug", "a closer word"),
    ]
    # Of an exception, what it was: its words and its trace may hold anything.
    assert lines[2].keys() == {"event", "level", "logger", "time", "error", "place"}
    assert lines[2]["error"] == "ValueError"
    assert done.stdout == ""


def test_the_least_that_is_logged_can_be_set() -> None:
    assert [json.loads(line)["event"] for line in spoken(log_level="error").stderr.splitlines()] == [
        "it broke", "of the library"
    ]  # fmt: skip


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = os.openpty()
    yield ours, theirs
    os.close(ours)


def test_a_person_at_a_terminal_reads_sentences(terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    done = spoken(theirs)
    os.close(theirs)
    assert done.stdout.splitlines() == ["a sentence", "a link"]
    shown = os.read(ours, 65536).decode()
    assert "it broke" in shown
    assert "ValueError" in shown
    assert "secret" not in shown
    assert "{" not in shown


# ---------------------------------------------------------------- slow statements
async def test_statements_are_named_without_what_was_in_them(cluster: Cluster, fresh: Database) -> None:
    pool = await open_pool(fresh.api, 1)
    ana = cluster.world.identity("ana")
    for _ in range(3):
        async with acting_as(pool, ana) as db:
            await db.run("select id from profiles where email = 'ana@example.com'")
    await pool.close()
    # What is kept does hold it; what is shown does not.
    async with connected(fresh.platform) as connection, connection.transaction():
        await connection.execute("create extension pg_stat_statements")
        kept = await connection.fetchval("select string_agg(query, ' ') from pg_stat_statements")
        await connection.execute("drop extension pg_stat_statements")
    assert str(ana.user_id) in kept
    done = await meanwhile("db", "slow", "--limit", "100", "--database-url", fresh.platform)
    assert done.returncode == 0, done.stderr
    whole = "".join(done.stdout.split())
    assert "app.enter('…'" in whole
    assert "selectidfromprofileswhereemail=$1" in whole
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-|example\.com|begin;", done.stdout)
    # To look leaves nothing.
    async with connected(fresh.platform) as connection:
        assert (
            await connection.fetchval("select count(*) from pg_extension where extname like 'pg_stat%'") == 0
        )
        assert await connection.fetchval("select to_regnamespace('specchem_looking')") is None


async def test_who_may_not_look_is_told_how(fresh: Database) -> None:
    done = await meanwhile("db", "slow", "--database-url", fresh.owner)
    assert said_why(done, "create extension pg_stat_statements", "shared_preload_libraries")


async def test_statements_of_other_logins_are_named_as_hidden(cluster: Cluster, fresh: Database) -> None:
    async with connected(fresh.platform) as connection:
        await connection.execute(
            "create schema extensions; create extension pg_stat_statements schema extensions"
        )
        await connection.execute("grant usage on schema extensions to postgres")
    async with connected(fresh.api) as connection:
        await connection.execute("select app.release()")
    done = await meanwhile("db", "slow", "--database-url", fresh.owner)
    assert done.returncode == 0, done.stderr
    assert "pg_read_all_stats" in done.stderr
    assert "insufficient" not in done.stdout


async def test_a_server_that_counts_nothing_is_told_apart() -> None:
    with data_folder() as folder:
        with embedded.start(folder, say=logs.lines.append):
            pass
        with (folder / "pgdata" / "postgresql.auto.conf").open("a") as own:
            own.write("shared_preload_libraries = ''\n")
        with embedded.start(folder, say=logs.lines.append) as running:
            database = of_server(running.server)
            async with connected(database.platform) as connection:
                assert await connection.fetchval("show shared_preload_libraries") == ""
            done = await meanwhile("db", "upgrade", "--database-url", database.platform)
            assert done.returncode == 0, done.stderr
            done = await meanwhile("db", "slow", "--database-url", database.platform)
            assert said_why(done, "shared_preload_libraries")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("select 'it''s' , $1", "select '…' , $1"),
        ("select $a$x'y$a$, $1, $2", "select '…', $1, $2"),
        ("select 1 -- ana@example.com\nfrom x /* hush */", "select 1 from x"),
    ],
)
def test_a_statement_in_short(sent: str, shown: str) -> None:
    assert in_short(sent) == shown


# ---------------------------------------------------------------- volumes
async def test_the_volume_is_the_record(cluster: Cluster, fresh: Database) -> None:
    async with connected(fresh.platform) as connection:
        (section, question), choices = next(iter(cluster.world.answers.items()))
        pool = await open_pool(fresh.api, 1)
        for _ in range(3):
            async with acting_as(pool, cluster.world.identity("ana")) as db:
                await db.run(
                    "insert into question_events (user_id, course_id, section_key, question_key, response_meta)"
                    " values ($1, $2, $3, $4, $5)",
                    cluster.world.person["ana"], cluster.world.course["hazmat"], section, question,
                    {"choices": choices},
                )  # fmt: skip
        await pool.close()
        answers, enrolled = await connection.fetchrow(
            "select (select count(*) from question_events), (select count(*) from enrollments)"
        ) or (0, 0)
    done = await meanwhile("report", "volume", "--json", "--weeks", "2", "--database-url", fresh.owner)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert sum(row["answers"] for row in rows) == answers == 3
    assert sum(row["enrolled"] for row in rows) == enrolled
    assert {row["plant"] for row in rows if row["answers"]} == {"Columbus, OH"}
    assert len({row["began"] for row in rows}) == 2
    assert all(row["began"] >= rows[-1]["began"] for row in rows)
    table = await meanwhile("report", "volume", "--by", "day", "--weeks", "1", "--database-url", fresh.owner)
    assert table.returncode == 0, table.stderr
    assert len(re.findall("Columbus, OH", table.stdout)) == 7


async def test_weeks_begin_by_the_plants_clock(people: World) -> None:
    """An enrollment just before the plant's Monday, which in Greenwich is Monday already."""
    connection = people.connection
    assert connection is not None
    await people.owner("update plants set timezone = 'America/New_York' where name = 'Columbus, OH'")
    there = "at time zone 'America/New_York'"
    moment = f"date_trunc('week', now() {there}) {there} - interval '1 minute'"
    await connection.execute("reset role; set local session_replication_role = replica")
    await connection.execute(f"update enrollments set enrolled_at = {moment}")
    found = await get_volume(connection, "week", 2)
    columbus = [one.enrolled for one in found if one.plant == "Columbus, OH"]
    assert columbus[0] == 0
    assert columbus[1] == 3  # ana twice, and sue
    assert not any(one.plant == "Closed, NV" for one in found)


@pytest.mark.parametrize("token", ["short", ""])
def test_a_token_that_can_be_guessed_is_none(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECCHEM_METRICS_TOKEN", token)
    if token:
        with pytest.raises(ValueError, match="16"):
            Settings()
    else:
        assert Settings().metrics_token is None
