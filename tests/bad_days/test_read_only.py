"""The database takes no changes: set so, or a standby that waits to be promoted. Who reads does not notice."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from specchem.auth.client import NO_ANSWER
from specchem.db.refusals import READ_ONLY
from tests.bad_days.load import Company
from tests.bad_days.postgres import Postgres
from tests.web.served import PASSWORD, is_problem

Step: TypeAlias = Callable[[Postgres], Awaitable[None]]


async def close_by_setting(postgres: Postgres) -> None:
    await postgres.run("alter system set default_transaction_read_only = on")
    await postgres.run("select pg_reload_conf()")


async def open_by_setting(postgres: Postgres) -> None:
    await postgres.run("alter system reset default_transaction_read_only")
    await postgres.run("select pg_reload_conf()")


async def become_standby(postgres: Postgres) -> None:
    await postgres.stop()
    standby = postgres.pgdata / "standby.signal"
    standby.touch()
    postgres.account.give(standby)
    await postgres.start()


async def be_promoted(postgres: Postgres) -> None:
    await postgres.run("select pg_promote()")


@pytest.mark.parametrize(
    ("close", "reopen"), [(close_by_setting, open_by_setting), (become_standby, be_promoted)]
)
async def test_a_database_that_takes_no_changes(
    served: Company, postgres: Postgres, close: Step, reopen: Step
) -> None:
    await close(postgres)
    try:
        await whoever_reads_does_not_notice(served)
    finally:
        await reopen(postgres)
    async with served.client("l1") as client:
        answer = await client.post("/api/v1/question-events/batch", json=served.answers())
        assert answer.status_code == 201, answer.text
    assert (await served.sign_in("l2")).status_code == 200


async def whoever_reads_does_not_notice(served: Company) -> None:
    async with served.client("l1") as client, served.client() as browser:
        for path in ("/api/v1/me/enrollments", "/api/v1/me", "/healthz"):
            assert (await client.get(path)).status_code == 200, path
        before = await served.recorded()
        course = served.world.course["hazmat"]
        for asked in (
            client.post("/api/v1/question-events/batch", json=served.answers()),
            client.put(f"/api/v1/courses/{course}/progress", json={"progress_percent": 1}),
            client.post(
                "/api/v1/activity-events", json={"course_id": str(course), "event_type": "start_course"}
            ),
            served.sign_in("l2"),
        ):
            answer = await asked
            assert is_problem(answer, 503)
            assert answer.json()["detail"] == READ_ONLY
            assert answer.headers["retry-after"]
        assert (await browser.get("/login")).status_code == 200
        sent = {
            "email": "l1@example.com",
            "password": PASSWORD,
            "_csrf_token": browser.cookies["specchem-csrf"],
        }
        page = await browser.post("/login", data=sent)
        assert page.status_code == 503
        assert READ_ONLY in page.text or NO_ANSWER in page.text
        assert await served.recorded() == before
