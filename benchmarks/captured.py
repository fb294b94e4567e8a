"""The statements that a handler of ours sends, as pgbench can send them: so the limit runs the same SQL."""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

import asyncpg

from benchmarks.world import person
from specchem.db.database import Database
from specchem.db.session import Asker, Identity, prepare


async def statements(
    where: Database, number: int, handler: Callable[[Asker], Awaitable[object]]
) -> list[str]:
    """What is sent within the transaction when person ``number`` asks, with the values in their places."""
    said: list[tuple[str, tuple[object, ...]]] = []

    async def listen(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        await prepare(connection)
        connection.add_query_logger(lambda query: said.append((query.query, tuple(query.args or ()))))

    async with asyncpg.create_pool(where.api, min_size=1, max_size=1, init=listen) as pool:
        for _ in range(2):  # the driver asks for types the first time
            said.clear()
            await handler(Asker(pool, Identity(person(number))))
    return [
        _filled(sql, values) for sql, values in said if not sql.startswith(("begin;", "commit;", "rollback;"))
    ]


def _filled(sql: str, values: tuple[object, ...]) -> str:
    return re.sub(r"\$(\d+)", lambda place: _literal(values[int(place[1]) - 1]), sql)


def _literal(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool() | int() | float():
            return str(value).lower()
        case UUID() | datetime():
            return f"'{value}'::{'uuid' if isinstance(value, UUID) else 'timestamptz'}"
        case str():
            return "'" + value.replace("'", "''") + "'"
    raise TypeError(f"no literal for {value!r}")
