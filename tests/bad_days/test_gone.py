"""The database is away, or there and dumb: everybody is told so, soon, and all is well when it is back."""

import httpx

from specchem.auth.client import NO_ANSWER
from specchem.db.refusals import BUSY, CROWDED, UNCERTAIN
from tests.bad_days.load import Company, at_once, load
from tests.bad_days.postgres import Postgres
from tests.web.served import PASSWORD, is_problem


async def test_a_database_that_is_away(served: Company, postgres: Postgres) -> None:
    async with served.client("l1") as client, served.client() as browser:
        form = await browser.get("/login")
        await postgres.stop()
        for _ in range(2):
            for asked in (
                client.get("/api/v1/me/enrollments"),
                client.get("/api/v1/me"),
                client.post("/api/v1/question-events/batch", json=served.answers()),
                served.sign_in("l2"),
            ):
                answer = await asked
                assert is_problem(answer, 503)
                assert answer.json()["detail"] == BUSY
                assert answer.headers["retry-after"]
            assert is_problem(await client.get("/healthz"), 503)
        # A person with a form in hand is told the same on a page.
        sent = {
            "email": "l1@example.com",
            "password": PASSWORD,
            "_csrf_token": browser.cookies["specchem-csrf"],
        }
        assert form.status_code == 200
        page = await browser.post("/login", data=sent)
        assert page.status_code == 503
        assert BUSY in page.text or NO_ANSWER in page.text
        await postgres.start()
        assert (await client.get("/api/v1/me/enrollments")).status_code == 200
        assert (await client.get("/healthz")).status_code == 200
        assert (await browser.post("/login", data=sent)).status_code == 303


async def test_a_database_that_is_there_and_does_not_answer(served: Company, postgres: Postgres) -> None:
    """Nobody waits for ever. It goes on where it stopped, and the pool with it."""
    async with load(served, 16) as people:
        postgres.freeze()
        try:
            async with served.client() as client:
                assert is_problem(await client.get("/healthz"), 503)
            await people.until(lambda: people.statuses[503] >= 16)
        finally:
            postgres.thaw()
    said = {answer.json()["detail"] for answer in people.refusals}
    assert said <= {BUSY, CROWDED, UNCERTAIN}
    assert UNCERTAIN in said
    await served.well()


async def test_everybody_at_the_same_time_after_an_outage(served: Company, postgres: Postgres) -> None:
    async with served.client("l1", limits=httpx.Limits(max_connections=64)) as client:
        await postgres.stop()
        refused = await at_once(lambda _: client.get("/api/v1/me/enrollments"), 64)
        assert {answer.status_code for answer in refused} == {503}
        await postgres.start()
        found = await at_once(lambda _: client.get("/api/v1/me/enrollments"), 64)
        assert {answer.status_code for answer in found} == {200}
