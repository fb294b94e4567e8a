"""What PostgreSQL spends its time on: the statements of ours that took the most, from pg_stat_statements."""

import re
from dataclasses import dataclass

import asyncpg

from specchem.db.database import Database
from specchem.db.session import Connection, looking
from specchem.errors import Stopped

# PostgreSQL replaces what stood in a statement by $1, $2, … where nothing changes between its reading and its end. A
# statement that enters changes the role, so that it is kept as it was sent, with the claims of whoever came first.
LITERAL = re.compile(r"'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$", re.DOTALL)
COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
OURS = re.compile(r"\s*(select|insert|update|delete|merge|with)\b", re.IGNORECASE)
MISSING = (
    "This PostgreSQL does not count statements. Put pg_stat_statements into its shared_preload_libraries,"
    " start it anew, and run `create extension pg_stat_statements` as a superuser."
)
HIDDEN = (
    "Some logins' statements are hidden from this one: run `grant pg_read_all_stats to …` as a superuser,"
    " for the role in SPECCHEM_DATABASE_URL."
)


@dataclass(frozen=True)
class Statement:
    """One statement, all its runs together; times in milliseconds."""

    text: str
    calls: int
    total: float
    mean: float
    rows: int


async def slowest(where: Database, limit: int) -> tuple[list[Statement], bool]:
    """Those that took the most time in this database since it began to count, and whether some are hidden.

    Raises Stopped where nothing counts.
    """
    async with looking(where.platform) as connection:
        try:
            schema = await _schema(connection)
            rows = await connection.fetch(
                f"""
                select s.query, s.calls, s.total_exec_time, s.rows
                from {schema}.pg_stat_statements(true) as s
                where s.dbid = (select d.oid from pg_catalog.pg_database as d
                    where d.datname = pg_catalog.current_database())
                order by s.total_exec_time desc
                """  # noqa: S608  a quoted name from the catalog
            )
        except (asyncpg.ObjectNotInPrerequisiteStateError, asyncpg.FeatureNotSupportedError,
                asyncpg.UndefinedFileError, asyncpg.InsufficientPrivilegeError):  # fmt: skip
            raise Stopped(MISSING) from None
    found: dict[str, Statement] = {}
    for row in rows:
        if OURS.match(text := in_short(row["query"])):
            before = found.get(text, Statement(text, 0, 0, 0, 0))
            calls, total = before.calls + row["calls"], before.total + row["total_exec_time"]
            found[text] = Statement(text, calls, total, total / calls, before.rows + row["rows"])
    hidden = any(row["query"] == "<insufficient privilege>" for row in rows)
    return sorted(found.values(), key=lambda one: -one.total)[:limit], hidden


def in_short(query: str) -> str:
    """A statement on one line, without anything that was a value or a remark."""
    return " ".join(COMMENT.sub(" ", LITERAL.sub("'…'", query)).split())


async def _schema(connection: Connection) -> str:
    """Where the extension is. The counting needs none; to look at it, one is made that goes with this transaction."""
    find = (
        "select pg_catalog.quote_ident(n.nspname) from pg_catalog.pg_extension as e"
        " join pg_catalog.pg_namespace as n on n.oid = e.extnamespace where e.extname = 'pg_stat_statements'"
    )
    found = await connection.fetchval(find)
    if found is None:
        await connection.execute("create schema specchem_looking")
        await connection.execute("create extension pg_stat_statements schema specchem_looking")
        found = await connection.fetchval(find)
    return str(found)
