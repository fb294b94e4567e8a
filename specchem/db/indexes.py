"""Indexes built while everybody works: what is missing, and what a broken-off build left invalid."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from specchem.db.session import Connection
from specchem.errors import Stopped, Unavailable

PAGE = Path(__file__).with_name("indexes.sql")
LOCK = 7207_2025  # any number but the upgrade's
PATIENCE = 6000  # tenths of a second
STATEMENT = re.compile(r"^(create (?:unique )?index) (if not exists (\w+)\b[^;]+);", re.MULTILINE)

# What somebody else is building just now is left to them.
INVALID = r"""
    select i.indexrelid::regclass::text as name, i.indrelid::regclass::text as "table",
        c.relname ~ '_cc(new|old)\d*$' as is_left_over
    from pg_catalog.pg_index as i
    join pg_catalog.pg_class as c on c.oid = i.indexrelid
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where n.nspname in ('public', 'app', 'specchem') and not i.indisvalid and c.relkind = 'i'
    and pg_has_role(c.relowner, 'usage')
    and i.indexrelid not in (select p.index_relid from pg_catalog.pg_stat_progress_create_index as p)
    order by is_left_over desc, name"""


async def repair(
    connection: Connection, say: Callable[[str], None] = lambda _: None, *, stays: bool = True
) -> bool:
    """Build the indexes that are missing and build invalid ones anew; False when there was nothing to do.

    No transaction may be open, and the connection stays with one server: a transaction pooler's does not. Nobody is
    kept from reading or writing meanwhile. Broken off anywhere, the next call goes on. Raises Stopped where two rows
    are alike that may not be, Unavailable while somebody else builds for long.
    """
    if not await _invalid(connection) and not await _missing(connection):
        return False
    if not stays:
        raise Stopped(
            "The schema is this release's, but indexes are to be built, and not through a transaction pooler:"
            " upgrade over the direct connection or the session pooler."
        )
    async with _alone(connection):
        # Looked up anew: whoever was before us has done it.
        invalid, missing = await _invalid(connection), await _missing(connection)
        for index in invalid:
            await _anew(connection, index, say)
        for name, statement in missing:
            say(f"Building index {name}; everybody goes on working.")
            await connection.execute(statement)
        return bool(invalid or missing)


async def _anew(connection: Connection, index: asyncpg.Record, say: Callable[[str], None]) -> None:
    if index["is_left_over"]:
        say(f"Removing {index['name']}, which a broken-off build left behind.")
        await connection.execute(f"drop index concurrently if exists {index['name']}")
        return
    say(f"Index {index['name']} is invalid; building it anew while everybody goes on working.")
    try:
        await connection.execute(f"reindex index concurrently {index['name']}")
    except asyncpg.UniqueViolationError as error:
        await connection.execute(f"drop index concurrently if exists {index['name']}_ccnew")
        raise Stopped(
            f"Index {index['name']} cannot be built: {index['table']} holds two rows that are alike."
            " Remove one of them and upgrade again."
        ) from error


async def _invalid(connection: Connection) -> list[asyncpg.Record]:
    return await connection.fetch(INVALID)


async def _missing(connection: Connection) -> list[tuple[str, str]]:
    """The name and the statement of each."""
    found = [
        (name, f"{create} concurrently {rest}") for create, rest, name in STATEMENT.findall(PAGE.read_text())
    ]
    return [
        (name, statement)
        for name, statement in found
        if await connection.fetchval("select to_regclass('public.' || $1::text) is null", name)
    ]


@asynccontextmanager
async def _alone(connection: Connection) -> AsyncIterator[None]:
    """One builder at a time."""
    # A build waits for every transaction that was there before it, but not for ever.
    await connection.execute("set lock_timeout = '5min'; set statement_timeout = 0")
    # Asked for again and again: to wait for it would be to hold a snapshot, and a builder waits for snapshots to go.
    for _ in range(PATIENCE):
        if await connection.fetchval("select pg_try_advisory_lock($1)", LOCK):
            break
        await asyncio.sleep(0.1)
    else:
        raise Unavailable("Somebody else is building indexes; upgrade again when that is done.")
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute(
                f"select pg_advisory_unlock({LOCK}); reset lock_timeout; reset statement_timeout"
            )
