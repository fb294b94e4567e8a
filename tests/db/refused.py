"""To be refused: by the right kind of error, and with nothing changed."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from specchem.db.session import Db
from specchem.errors import Forbidden, SpecChemError
from tests.world import World


def acting(people: World, who: str) -> AbstractAsyncContextManager[Db]:
    """As a person, or as a database role of that name."""
    return people.acting(who) if who in people.person else people.role(who)


async def state(people: World) -> dict[str, str]:
    """A fingerprint of every table, as the superuser sees it."""
    assert people.connection is not None
    tables = await people.connection.fetch(
        "select schemaname, tablename from pg_tables where schemaname in ('public', 'specchem')"
        " union all values ('auth', 'users')"
    )
    fingerprints = " union all ".join(
        f"select '{schema}.{table}', md5(string_agg(t::text, '|' order by t::text)) from {schema}.{table} as t"
        for schema, table in tables
    )
    return {row[0]: row[1] for row in await people.connection.fetch(fingerprints)}


@asynccontextmanager
async def refused(
    people: World, who: str, kind: type[SpecChemError] = Forbidden, match: str | None = None
) -> AsyncIterator[Db]:
    """Act as somebody, expecting a refusal."""
    before = await state(people)
    with pytest.raises(kind, match=match):
        async with acting(people, who) as db:
            yield db
    assert await state(people) == before
