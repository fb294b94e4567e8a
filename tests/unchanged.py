"""Everything that is on record, to say that nothing of it changed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from specchem.db.session import Connection
from specchem.errors import SpecChemError
from tests.world import World


async def all_rows(connection: Connection) -> dict[str, list[str]]:
    """Each of our tables' rows as text, sorted."""
    tables = await connection.fetch(
        "select tablename from pg_tables where schemaname = 'public' order by tablename"
    )
    return {
        table: [row[0] for row in await connection.fetch(f"select t::text from public.{table} t order by 1")]
        for (table,) in tables
    }


@asynccontextmanager
async def refused(people: World, kind: type[SpecChemError], sentence: str = "") -> AsyncIterator[None]:
    """What is done inside is refused with this error and sentence (a part of it), and nothing has changed."""
    assert people.connection is not None
    before = await all_rows(people.connection)
    with pytest.raises(kind) as caught:
        yield
    assert type(caught.value) is kind
    assert sentence in str(caught.value)
    assert await all_rows(people.connection) == before
