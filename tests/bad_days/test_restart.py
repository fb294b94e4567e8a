"""The database restarts or crashes while 64 people write: only 201 and 503, nothing lost, and it goes on by itself."""

import signal

import pytest

from tests.bad_days.load import Company, at_once, load
from tests.bad_days.postgres import Postgres


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
async def test_64_people_and_a_restart_in_the_middle(
    served: Company, postgres: Postgres, how: signal.Signals
) -> None:
    async with load(served) as people:
        await postgres.stop(how)
        await people.until(lambda: people.statuses[503] > 100)
        await postgres.start()
    await served.well()


async def test_a_restart_between_two_requests_is_not_noticed(served: Company, postgres: Postgres) -> None:
    async with served.client("l1") as client:
        for _ in range(3):
            found = await at_once(lambda _: client.get("/api/v1/me/enrollments"), 10)
            assert {answer.status_code for answer in found} == {200}
            await postgres.restart()
