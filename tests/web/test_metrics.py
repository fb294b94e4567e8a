"""Who may look at /metrics, and what stands there."""

import asyncio
from typing import Any, cast

import asyncpg
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from specchem.db.database import Database
from specchem.db.session import open_pool
from specchem.settings import Settings
from specchem.web.app import create_app
from specchem.web.metrics import waiting_for
from tests.conftest import Cluster
from tests.web.second import alive
from tests.web.served import RING, Served, serving

NOWHERE = Database(*4 * ("postgresql://nobody@127.0.0.1:1/nothing",))
TOKEN = "a-token-of-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def look(settings: dict[str, Any], client: str, headers: dict[str, str]) -> httpx.Response:
    app = create_app(Settings(**settings), NOWHERE, RING)
    transport = httpx.ASGITransport(cast(Any, app), client=(client, 1))
    async with alive(app), httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as asking:
        return await asking.get("/metrics", headers=headers)


@pytest.mark.parametrize(
    ("settings", "client", "headers", "status"),
    [
        # Without a token: this machine's own programs, where nobody else is served.
        ({}, "127.0.0.1", {}, 200),
        ({}, "::1", {"Host": "[::1]:8000"}, 200),
        ({}, "127.0.0.1", {"Host": "localhost:8000"}, 200),
        ({}, "10.1.2.3", {}, 404),
        ({"host": "0.0.0.0"}, "127.0.0.1", {}, 404),
        # A proxy on this machine comes from here, too: it says so, or the settings do.
        ({}, "127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, 404),
        ({}, "127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 404),
        ({}, "127.0.0.1", {"X-Forwarded-For": ""}, 404),
        ({}, "127.0.0.1", {"Forwarded": "for=203.0.113.9"}, 404),
        ({}, "127.0.0.1", {"X-Real-IP": "203.0.113.9"}, 404),
        ({}, "127.0.0.1", {"Via": "1.1 proxy"}, 404),
        ({"public_url": "https://training.example.com"}, "127.0.0.1", {}, 404),
        # A page whose name was made to lead to this machine asks under that name.
        ({}, "127.0.0.1", {"Host": "evil.example.com"}, 404),
        # With one: whoever has it, from anywhere, and nobody else.
        ({"metrics_token": TOKEN}, "127.0.0.1", {}, 401),
        ({"metrics_token": TOKEN}, "127.0.0.1", {"Authorization": "Bearer another"}, 401),
        ({"metrics_token": TOKEN}, "127.0.0.1", {"Authorization": f"Basic {TOKEN}"}, 401),
        ({"metrics_token": TOKEN}, "127.0.0.1", {"Authorization": "Bearer \xe4"}, 401),
        ({"metrics_token": TOKEN, "host": "0.0.0.0"}, "10.1.2.3", BEARER, 200),
        (
            {"metrics_token": TOKEN, "public_url": "https://training.example.com"},
            "127.0.0.1",
            BEARER | {"X-Forwarded-For": "203.0.113.9"},
            200,
        ),
    ],
)
async def test_who_may_look(
    settings: dict[str, Any], client: str, headers: dict[str, str], status: int
) -> None:
    answer = await look(
        settings, client, cast(Any, {key: value.encode("latin-1") for key, value in headers.items()})
    )
    assert answer.status_code == status, answer.text
    assert ("specchem_" in answer.text) == (status == 200)
    assert "location" not in answer.headers  # a program is no visitor
    assert "set-cookie" not in answer.headers


async def test_without_a_database_the_rest_is_told() -> None:
    found = parsed((await look({}, "127.0.0.1", {})).text)
    assert found["specchem_database_up", ()] == 0
    assert found["specchem_database_connections_max", (("pool", "requests"),)] == 10
    assert not any(name.startswith("specchem_question") for name, _ in found)


def parsed(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def volume(served: Served) -> dict[str, float]:
    transport = httpx.ASGITransport(cast(Any, served.app), client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as asking:
        found = parsed((await asking.get("/metrics")).text)
    assert found["specchem_database_up", ()] == 1
    return {
        "/".join([name.removeprefix("specchem_"), *(value for _, value in labels)]): value
        for (name, labels), value in found.items()
    }


async def test_what_there_is_comes_from_the_database(cluster: Cluster, fresh: Database) -> None:
    """Whoever wrote it; and an answer that the counters lack shows."""
    async with serving(fresh, cluster.world) as served:
        before = await volume(served)
        assert before["counters_lag"] == 0
        (section, question), choices = next(iter(cluster.world.answers.items()))
        answer = {
            "course_id": str(cluster.world.course["hazmat"]), "section_key": section, "question_key": question,
            "response_meta": {"choices": choices},
        }  # fmt: skip
        assert (await served.post("ana", "/api/v1/question-events", answer)).status_code == 201
        enrolling = {"user_id": str(cluster.world.person["cal"]), "course_id": answer["course_id"]}
        assert (await served.post("hana", "/api/v1/enrollments", enrolling)).status_code == 201
        after = await volume(served)
        assert after["question_events_total"] == before["question_events_total"] + 1
        assert after["enrollments/enrolled"] + after["enrollments/in_progress"] == (
            before["enrollments/enrolled"] + before["enrollments/in_progress"] + 1
        )
        assert after["counters_lag"] == 0
        assert after["newest_answer_timestamp_seconds"] == await served.owner(
            "select extract(epoch from max(answered_at))::float from question_events"
        )
        assert after["database_round_trips_total/requests"] > before["database_round_trips_total/requests"]
        await served.owner("alter table question_events disable trigger counts")
        assert (await served.post("ana", "/api/v1/question-events", answer)).status_code == 201
        assert (await volume(served))["counters_lag"] == 1


async def test_tries_to_sign_in_that_fail_are_counted(cluster: Cluster, fresh: Database) -> None:
    async with serving(fresh, cluster.world) as served:
        assert (await volume(served))["auth_failures_total/sign_in"] == 0
        for _ in range(12):
            await served.sign_in("ana", "not the password")
        found = await volume(served)
        assert found["auth_failures_total/sign_in"] == 10
        assert found["auth_failures_total/too_many_tries"] == 2


async def test_a_pool_counts_its_round_trips_and_who_waits(fresh: Database) -> None:
    sent: list[None] = []
    pool = await open_pool(fresh.api, 1, lambda: sent.append(None))
    try:
        async with pool.acquire() as connection:
            await connection.execute("select 1")
            await connection.fetch("select $1::int", 1)
            await connection.fetchrow("select 1")
            await connection.fetchval("select 1")
            assert len(sent) == 4
            assert waiting_for(pool) == 0
            waiting = [asyncio.create_task(pool.fetchval("select 1")) for _ in range(3)]
            for _ in range(10):
                await asyncio.sleep(0)
            assert waiting_for(pool) == 3
        assert await asyncio.gather(*waiting) == [1, 1, 1]
        assert waiting_for(pool) == 0
    finally:
        await pool.close()


async def test_the_login_of_the_requests_reads_no_more_than_the_sums(fresh: Database) -> None:
    connection = await asyncpg.connect(fresh.api)
    try:
        row = await connection.fetchrow("select * from app.volume()")
        assert row is not None
        assert set(row.keys()) == {
            "question_events", "enrolled", "in_progress", "completed", "newest_answer", "lag"
        }  # fmt: skip
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("select from public.question_counters")
    finally:
        await connection.close()
