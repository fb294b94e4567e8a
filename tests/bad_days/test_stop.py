"""SIGTERM while people work: who was let in is served, who comes later finds nobody, and nothing is left behind."""

import asyncio
import signal
from pathlib import Path

import httpx

from specchem.db import embedded
from specchem.serve import STOPPING
from tests.bad_days.load import Company, Load, alone, company, held, waiting_for_it
from tests.bad_days.postgres import Postgres
from tests.conftest import Cluster
from tests.program import data_folder, processes_in
from tests.web.served import is_problem


async def test_sigterm_while_64_people_write() -> None:
    with data_folder() as folder:
        async with alone(folder, learners=8) as served:
            people = Load(served)
            people.begin(64)
            await people.more(500)
            status = await asyncio.to_thread(served.program.end)
            assert status == 0, served.program.lines
            assert not processes_in(folder.parent)
            people._enough.set()
            await asyncio.gather(*people._tasks)
            assert set(people.statuses) == {201}, people.statuses
            assert people.gone > 0
            with embedded.start(folder, say=lambda _: None):
                await people.nothing_is_lost()


async def lets_in(served: Company) -> bool:
    try:
        async with served.client() as late:
            await late.get("/healthz")
    except httpx.ConnectError:
        return False
    return True


async def test_a_request_under_way_is_finished_and_no_other_let_in(outside: Cluster, folder: Path) -> None:
    async with company(outside, folder) as served:
        await served.remember("hana")
        body = await served.newcomer()
        async with served.client("hana") as client:
            async with held(served.database, "enrollments"):
                asked = asyncio.create_task(client.post("/api/v1/enrollments", json=body))
                await waiting_for_it(served)
                served.program.process.send_signal(signal.SIGTERM)
                while True:
                    if not await lets_in(served):
                        break
                    await asyncio.sleep(0.02)
            answer = await asked
            assert answer.status_code == 201, answer.text
        assert await asyncio.to_thread(served.program.wait) == 0
        assert await served.enrolled(body) == 1


async def test_a_database_that_hangs_does_not_hold_the_stop_up(
    outside: Cluster, postgres: Postgres, folder: Path
) -> None:
    async with company(outside, folder, learners=1) as served, served.client("l1") as client:
        assert (await client.get("/api/v1/me")).status_code == 200
        postgres.freeze()
        try:
            asked = [asyncio.create_task(client.get("/api/v1/me")) for _ in range(3)]
            await asyncio.sleep(0.2)
            assert await asyncio.to_thread(served.program.end) == 0, served.program.lines
            for answer in await asyncio.gather(*asked):
                assert is_problem(answer, 503)
                assert answer.json()["detail"] == STOPPING
        finally:
            postgres.thaw()
