"""A client goes away in the middle of its request: what it asked for is done whole or not at all."""

import asyncio
import json
from random import Random
from typing import Any
from uuid import UUID

from tests.bad_days.load import Company, at_once, held, waiting_for_it


async def begin(served: Company, who: str, path: str, body: dict[str, Any], cut: int | None = None) -> Any:
    """A request on a connection of its own, or its first bytes; the connection."""
    host, port = served.program.address.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {served.tokens[who]}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    writer.write((head.encode() + content)[:cut])
    await writer.drain()
    return writer


async def is_clean(served: Company) -> None:
    """No transaction is left open, and everybody is who they are on every connection."""
    at_work = (
        "select count(*) from pg_stat_activity where usename = 'specchem_api' and state <> 'idle'"
        " and datname = current_database()"
    )
    while True:
        if not await served.owner(at_work):
            break
        await asyncio.sleep(0.02)

    async def look(number: int) -> None:
        who = number % len(served.learners)
        async with served.client(f"l{who + 1}") as client:
            answer = await client.get("/api/v1/me")
            assert answer.json()["profile"]["id"] == str(served.learners[who])

    await at_once(look, 32)


async def test_clients_that_go_away_at_any_moment(served: Company) -> None:
    dice = Random(7)
    batches = [served.answers() for _ in range(160)]

    async def worker(number: int) -> None:
        who = f"l{number % len(served.learners) + 1}"
        cut = dice.choice([None, None, None, 60, 900, -1])
        writer = await begin(served, who, "/api/v1/question-events/batch", batches[number], cut)
        await asyncio.sleep(dice.choice([0, 0.002, 0.01, 0.03]))
        writer.transport.abort()

    for first in range(0, len(batches), 16):
        await at_once(lambda n, first=first: worker(first + n), 16)  # type: ignore[misc]
    await is_clean(served)
    kept = await served.recorded()
    whole = [len({UUID(one["id"]) for one in batch["events"]} & kept) for batch in batches]
    assert set(whole) == {0, 5}


async def test_a_client_that_goes_away_while_the_database_works(served: Company) -> None:
    await served.remember("hana")
    bodies = [await served.newcomer() for _ in range(4)]
    async with held(served.database, "enrollments"):
        for body in bodies:
            writer = await begin(served, "hana", "/api/v1/enrollments", body)
            writer.transport.abort() if body is bodies[0] else writer.close()
        await waiting_for_it(served)
    await is_clean(served)
    for body in bodies:
        done = await served.enrolled(body)
        progress = await served.owner(
            "select count(*) from progress where user_id = $1", UUID(body["user_id"])
        )
        assert done == progress
