"""More requests than connections, and those are held up: who waits too long is told so."""

import asyncio
from pathlib import Path

from specchem.db.refusals import BUSY, CROWDED
from tests.bad_days.load import at_once, company, held, waiting_for_it
from tests.conftest import Cluster
from tests.web.served import is_problem


async def test_every_connection_is_in_use(outside: Cluster, folder: Path) -> None:
    async with company(outside, folder, pool_size="2") as served:
        await served.remember("hana")
        bodies = [await served.newcomer() for _ in range(8)]
        async with served.client("hana") as client:
            async with held(served.database, "enrollments"):
                asked = asyncio.create_task(
                    at_once(lambda n: client.post("/api/v1/enrollments", json=bodies[n]), len(bodies))
                )
                await waiting_for_it(served, 2)
                health = await client.get("/healthz")
                answers = await asked
            assert is_problem(health, 503)
            assert health.json()["detail"] == CROWDED
            for answer in answers:
                assert is_problem(answer, 503)
                assert answer.headers["retry-after"]
            said = [answer.json()["detail"] for answer in answers]
            # Some came to the table and gave up there, the others never came so far.
            assert set(said) == {BUSY, CROWDED}
            assert said.count(BUSY) >= 2
            await served.well()
            assert sum([await served.enrolled(body) for body in bodies]) == 0
            again = await at_once(lambda n: client.post("/api/v1/enrollments", json=bodies[n]), len(bodies))
            assert {answer.status_code for answer in again} == {201}
