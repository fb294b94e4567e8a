"""Make a backup: rows counted and written in one moment of the database, while everybody goes on working."""

import asyncio
import os
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from specchem import __version__
from specchem.backup import clients
from specchem.backup import file as files
from specchem.backup.file import Manifest
from specchem.db import upgrade
from specchem.db.database import Database
from specchem.db.session import Connection, connected, is_transaction_pooler
from specchem.errors import Stopped

OURS = ("public", "app", "specchem")
MANY = 10_000  # rows from which on a table is worth a line
LOCK_WAIT = 60_000  # ms; an upgrade holds the tables for less

# What we supplied, Supabase did not: its schema auth is its own to keep.
IS_OURS = "select to_regnamespace('specchem_guard') is not null"
TABLES = """
select format('%I.%I', n.nspname, c.relname)
from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = any($1::text[]) and c.relkind = 'r' and not exists (
    select from pg_catalog.pg_depend as d
    where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by 1"""
# Relations and routines, each under the name that specchem.isolation.rights has for it.
IN_PUBLIC = """
select name from (
    select c.oid, 'pg_class'::regclass as class, 'public.' || c.relname as name from pg_catalog.pg_class as c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    union all
    select p.oid, 'pg_proc'::regclass, 'public.' || p.proname || '(' || array_to_string(array(
        select format_type(a.type, null) from unnest(p.proargtypes::oid[]) with ordinality as a (type, place)
        order by a.place), ',') || ')'
    from pg_catalog.pg_proc as p where p.pronamespace = 'public'::regnamespace) as named
where not exists (
    select from pg_catalog.pg_depend as d
    where d.classid = named.class and d.objid = named.oid and d.deptype in ('e', 'a', 'i'))
order by 1"""


async def back_up(
    where: Database,
    file: Path,
    *,
    force: bool = False,
    supabase: bool = False,
    nightly: bool = False,
    say: Callable[[str], None],
) -> Manifest:
    """Write the database into a file, whole or not at all; ``supabase``: sign-in is there, and accounts with it.

    ``nightly`` marks it as one that rotation may remove, and gives way to requests. Raises Stopped.
    """
    _place_for(file, force=force)
    refuse_pooler(where.platform)
    async with connected(where.platform) as connection:
        schemas = await _schemas(connection, supabase=supabase, say=say)
        tables = [row[0] for row in await connection.fetch(TABLES, list(schemas))]
        async with connection.transaction(isolation="repeatable_read"):
            await connection.execute(
                "set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0;"
                # Taken before the moment is fixed: no upgrade gets between it and pg_dump.
                f" set local lock_timeout = {LOCK_WAIT}; lock table {', '.join(tables)} in access share mode"
            )
            snapshot = await connection.fetchval("select pg_export_snapshot()")
            rows = await _count(connection, tables)
            known = {
                "release": __version__,
                "made_at": datetime.now(UTC),
                "server": connection.get_server_version().major,
                "revision": await connection.fetchval("select version_num from specchem.alembic_version"),
                "rules": await connection.fetchval("select hash from specchem.rules"),
                "owner": await connection.fetchval(
                    "select pg_get_userbyid(nspowner)::text from pg_namespace where nspname = 'specchem'"
                ),
                "accounts": "auth" in schemas,
                "nightly": nightly,
                "rows": rows,
                "public": [row[0] for row in await connection.fetch(IN_PUBLIC)],
            }
            say(f"Backing up {len(rows)} tables, {sum(rows.values()):,} rows …")
            programs = clients.find(connection.get_server_version().major, "A backup of this database")
            with files.half(file) as part:
                await _dump(
                    programs, where.platform, part, snapshot, schemas, _progress(rows, say), gently=nightly
                )
                manifest = await asyncio.to_thread(files.seal, part, **known, pg_dump=programs.major)
                _place_for(file, force=force)  # again: it took a while
                files.put(part, file)
    return manifest


def refuse_pooler(address: str) -> None:
    """Raises Stopped for a pooler that gives each transaction another connection."""
    if is_transaction_pooler(address):
        raise Stopped(
            "A pooler in transaction mode (port 6543) carries no backup:"
            " use the direct connection, or the pooler's session mode (port 5432)."
        )


def _place_for(file: Path, *, force: bool) -> None:
    if file.is_dir() or (file.exists() and not file.is_file()):
        raise Stopped(f"{file} is not a file: name one to write to.")
    if file.exists() and not force:
        raise Stopped(f"{file} is there already: choose another name, or replace it with --force.")
    if not file.parent.is_dir():
        raise Stopped(f"There is no folder {file.parent}: make it first.")


async def _schemas(connection: Connection, *, supabase: bool, say: Callable[[str], None]) -> tuple[str, ...]:
    """Which schemas go into the file."""
    if (await upgrade.status(connection)).revision is None:
        raise Stopped("There is nothing of SpecChem in this database: is the address right?")
    if supabase or not await connection.fetchval(IS_OURS):
        say("The accounts are Supabase's, which backs them up itself: they are not in this backup.")
        return OURS
    if not await connection.fetchval(
        "select bool_and(has_table_privilege(oid, 'select')) from pg_class"
        " where relnamespace = 'auth'::regnamespace and relkind in ('r', 'p')"
    ):
        say("This connection may not read the accounts (schema auth): they are not in this backup.")
        return OURS
    return (*OURS, "auth")


async def _count(connection: Connection, tables: list[str]) -> dict[str, int]:
    # Names that format('%I') quoted.
    counts = " union all ".join(f"select '{name}', count(*) from {name}" for name in tables)  # noqa: S608
    return {row[0]: row[1] for row in await connection.fetch(counts)}


def _progress(rows: dict[str, int], say: Callable[[str], None]) -> Callable[[str], None]:
    return lambda table: say(f"  {table}: {rows[table]:,} rows") if rows.get(table, 0) >= MANY else None


def table_in(line: str) -> str | None:
    """Which table's rows a program says it is at, or None."""
    found = re.search(r'(?:dumping contents of table|processing data for table) "([^"]+)"', line)
    return found[1] if found else None


async def _dump(
    programs: clients.Clients,
    address: str,
    part: Path,
    snapshot: str,
    schemas: tuple[str, ...],
    progress: Callable[[str], None],
    *,
    gently: bool,
) -> None:
    complaint = ""

    def told(line: str) -> None:
        nonlocal complaint
        if table := table_in(line):
            progress(table)
        elif "error: " in line and not complaint:
            complaint = line.partition("error: ")[2]

    words = ["--format=custom", "--verbose", f"--snapshot={snapshot}", f"--lock-wait-timeout={LOCK_WAIT}"]
    words += [f"--schema={schema}" for schema in schemas]
    async with programs.started("pg_dump", *words, f"--file={part}", server=address) as process:
        if gently:
            with suppress(OSError):  # it has ended, or this system has no such thing
                os.setpriority(os.PRIO_PROCESS, process.pid, 10)
        await clients.said(process, told)
        if await process.wait():
            raise Stopped(
                f"pg_dump could not finish ({complaint or 'it gave no reason'}); nothing was written."
            )
