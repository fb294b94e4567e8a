"""Bring a backup back: what stood there goes, the file comes, and its rows are counted, in one transaction.

pg_restore writes the file out as SQL and psql runs it, between what we say before and after. So a restore that fails at
any point, the last included, leaves the database as it was.
"""

import asyncio
import re
import subprocess
import tempfile
from asyncio.subprocess import Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from specchem.backup import clients
from specchem.backup import file as files
from specchem.backup.file import Manifest
from specchem.backup.making import IN_PUBLIC, IS_OURS, MANY, OURS, refuse_pooler, table_in
from specchem.db import database, upgrade
from specchem.db.database import API, AUTH, Database
from specchem.db.refusals import BUSY
from specchem.db.session import Connection, connected
from specchem.errors import Stopped, Unavailable
from specchem.isolation.rights import FUNCTIONS
from specchem.isolation.rights import TABLES as RIGHTS

PIECE = 1 << 16  # bytes handed on at a time

BEFORE = """\
begin;
set local statement_timeout = 0;
set local lock_timeout = '10s';
set local client_min_messages = warning;
select pg_catalog.pg_advisory_xact_lock({lock});
set local role {owner};
{logins}
reset role;
"""

DROP = """\
drop schema if exists app cascade;
drop schema if exists specchem cascade;
do $$
declare
    old record;
begin
    -- What an extension brought stays.
    for old in
        select c.oid::regclass::text as name, case c.relkind when 'v' then 'view' when 'm' then 'materialized view'
            when 'f' then 'foreign table' when 'S' then 'sequence' else 'table' end as kind
        from pg_catalog.pg_class as c
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
        and not exists (select from pg_catalog.pg_depend as d
            where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('e', 'a', 'i'))
    loop
        execute format('drop %s if exists %s cascade', old.kind, old.name);
    end loop;
    for old in
        select p.oid::regprocedure::text as name from pg_catalog.pg_proc as p
        where p.pronamespace = 'public'::regnamespace
        and not exists (select from pg_catalog.pg_depend as d
            where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
    loop
        execute format('drop routine if exists %s cascade', old.name);
    end loop;
    for old in
        select t.oid::regtype::text as name from pg_catalog.pg_type as t
        where t.typnamespace = 'public'::regnamespace and t.typtype in ('c', 'd', 'e', 'r')
        and not exists (select from pg_catalog.pg_depend as d
            where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype in ('e', 'i'))
    loop
        execute format('drop type if exists %s cascade', old.name);
    end loop;
end $$;
"""

ACCOUNTS = """\
drop schema auth cascade;
-- Else a table that comes would be open to clients: pg_restore gives rights, and takes none away. The file's defaults
-- come at its end.
alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
alter default privileges in schema public revoke all on sequences from anon, authenticated, service_role;
alter default privileges in schema public revoke all on functions from anon, authenticated, service_role;
"""

AFTER = """
reset all;
set local client_min_messages = warning;
select pg_catalog.set_config('specchem.rows', '{rows}', true);
do $$
declare
    wanted record;
    found bigint;
begin
    for wanted in select key as name, value::bigint as count
        from json_each_text(pg_catalog.current_setting('specchem.rows')::json)
    loop
        execute format('select count(*) from %s', wanted.name::regclass) into found;
        if found <> wanted.count then
            raise exception '% has % rows, and % were backed up', wanted.name, found, wanted.count
                using errcode = 'RB001';
        end if;
    end loop;
end $$;
"""

IN_USE = """
select count(*) from pg_catalog.pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and usename = any($1::text[])"""
UNVALIDATED = """
select conname::text from pg_catalog.pg_constraint
where connamespace::regnamespace::text = any($1::text[]) and not convalidated order by 1"""


async def restore(
    where: Database, file: Path, *, replace: bool = False, supabase: bool = False, say: Callable[[str], None]
) -> tuple[Manifest, list[str]]:
    """Bring a backup into an empty database, or with ``replace`` into one of ours, which goes first.

    All or nothing. Afterwards the database is this release's. What the file says of itself, and what is wrong with
    what came (a counter, a constraint). Raises Stopped, and Unavailable when the database is in use.
    """
    say(f"Checking {file} …")
    manifest = files.read(file)
    if manifest.revision not in upgrade.known_revisions():
        raise Stopped(
            f"{file} was made by release {manifest.release} (revision {manifest.revision}), which this release does"
            " not know: restore it with that one."
        )
    await asyncio.to_thread(files.check, file, manifest)
    refuse_pooler(where.platform)
    await database.ensure_ready(where)
    async with connected(where.platform) as connection:
        whole = await _takes_accounts(connection, manifest, file, supabase=supabase, say=say)
        await _refuse_what_is_there(connection, manifest, replace=replace, whole=whole)
        if manifest.accounts and not whole:
            rows = {name: count for name, count in manifest.rows.items() if not name.startswith("auth.")}
            manifest = msgspec.structs.replace(manifest, accounts=False, rows=rows)
        major = connection.get_server_version().major
    programs = clients.find(max(major, manifest.pg_dump), f"Restoring {file}")
    say(f"Restoring {manifest.sentence()}, made {manifest.made_at:%Y-%m-%d %H:%M} UTC …")
    is_older = (manifest.revision, manifest.rules) != (upgrade.head(), upgrade.rules_hash())
    if is_older:
        say(f"It was made by another release ({manifest.release}), and is brought to this one.")
    before = BEFORE.format(lock=upgrade.LOCK, owner=_quoted(manifest.owner), logins=upgrade.logins())
    before += (DROP if replace else "") + (ACCOUNTS if whole else "")
    with tempfile.NamedTemporaryFile("w", prefix="specchem-", suffix=".list", encoding="utf-8") as listed:
        listed.write("\n".join(await asyncio.to_thread(_contents, programs, file, whole=whole)))
        listed.flush()
        await _run(
            programs, where.platform, ["--use-list", listed.name, str(file)],
            before, _after(manifest, restate=is_older or not whole), _progress(manifest, say), old_server=major < 17,
        )  # fmt: skip
    await database.ensure_logins(where)
    async with connected(where.platform) as connection:
        say("Verifying counters and constraints, and gathering statistics …")
        return manifest, await _verify(connection, manifest)


async def _takes_accounts(
    connection: Connection, manifest: Manifest, file: Path, *, supabase: bool, say: Callable[[str], None]
) -> bool:
    """Whether the accounts come from the file, and whether we may bring back what is in it. Raises Stopped."""
    whole = manifest.accounts and not supabase and bool(await connection.fetchval(IS_OURS))
    if not whole:
        say(
            "The accounts are Supabase's and stay as they are: each person in the backup needs theirs there."
            if manifest.accounts
            else "This backup holds no accounts: each person in it needs theirs in this database already."
        )
    me, is_superuser = await connection.fetchrow(  # type: ignore[misc]
        "select current_user::text, rolsuper from pg_roles where rolname = current_user"
    )
    if whole and not is_superuser:
        raise Stopped("Bringing accounts back takes a superuser: restore with a superuser's connection.")
    if not is_superuser and me != manifest.owner:
        raise Stopped(
            f"The tables in {file} belong to role {manifest.owner}: connect as that role, not as {me}."
        )
    if await connection.fetchval("select to_regrole(quote_ident($1)) is null", manifest.owner):
        raise Stopped(
            f"The tables in {file} belong to role {manifest.owner}, which this server does not have:"
            f" make it first (create role {_quoted(manifest.owner)} login bypassrls)."
        )
    return whole


async def _refuse_what_is_there(
    connection: Connection, manifest: Manifest, *, replace: bool, whole: bool
) -> None:
    """Raise Stopped where something would be lost that nobody spoke of, Unavailable where people are at work."""
    there = {row[0] for row in await connection.fetch(IN_PUBLIC)}
    strangers = sorted(there - set(manifest.public) - RIGHTS.keys() - FUNCTIONS.keys())
    if strangers and replace:
        raise Stopped(
            f"Schema public holds what is not SpecChem's ({', '.join(strangers[:5])}):"
            " move it to another schema, or restore into a new database."
        )
    schemas = await connection.fetchval(
        "select to_regnamespace('app') is not null or to_regnamespace('specchem') is not null"
    )
    people = whole and await connection.fetchval("select exists (select from auth.users)")
    if (there or schemas or people) and not replace:
        raise Stopped(
            "This database is not empty: restore into a new one, or let the backup take the place of all that"
            " SpecChem keeps here with --replace."
        )
    logins = [API, AUTH] if whole else [API]
    if used := await connection.fetchval(IN_USE, logins):
        raise Unavailable(
            f"SpecChem is at work in this database ({used} connections): stop its server first. Nothing was done."
        )


def _contents(programs: clients.Clients, file: Path, *, whole: bool) -> list[str]:
    """Which entries of the file are wanted, as pg_restore lists them."""
    listing: list[str | Path] = [programs.bin_dir / "pg_restore", "--list", file]
    done = subprocess.run(listing, capture_output=True, text=True)
    if done.returncode:
        raise Stopped(f"{file} cannot be read by pg_restore {programs.major}: take another one.")
    # The schema stands, with the platform's rights on it; accounts that are Supabase's stay Supabase's.
    left = [r"SCHEMA - public "]
    if not whole:
        left += [
            r"(ACL|COMMENT) - SCHEMA public ",
            r"DEFAULT ACL ",
            r"[A-Z ]+ auth ",
            r"[A-Z]+ - (SCHEMA )?auth ",
        ]
    unwanted = re.compile(rf"\d+; \d+ \d+ ({'|'.join(left)})")
    return [line for line in done.stdout.splitlines() if not unwanted.match(line)]


def _after(manifest: Manifest, *, restate: bool) -> str:
    """What follows the file: the count, and this release's revisions and rules.

    ``restate`` them, too, where the platform is another: its defaults open a new table, and its accounts have no
    trigger of ours yet.
    """
    rows = msgspec.json.encode(manifest.rows).decode().replace("'", "''")
    rules = (
        f"set local role {_quoted(manifest.owner)};\n{upgrade.script(manifest.revision)}" if restate else ""
    )
    return f"{AFTER.format(rows=rows)}{rules}\ncommit;\n"


def _quoted(role: str) -> str:
    return '"' + role.replace('"', '""') + '"'


def _progress(manifest: Manifest, say: Callable[[str], None]) -> Callable[[str], None]:
    def told(line: str) -> None:
        table = table_in(line)
        if table and manifest.rows.get(table, 0) >= MANY:
            say(f"  {table}: {manifest.rows[table]:,} rows")

    return told


async def _run(
    programs: clients.Clients,
    address: str,
    words: list[str],
    before: str,
    after: str,
    progress: Callable[[str], None],
    *,
    old_server: bool,
) -> None:
    """psql runs what pg_restore writes, between two texts; without the second nothing is kept. Raises Stopped."""
    refused: list[tuple[str, str]] = []

    def told(line: str) -> None:
        if found := re.search(r"(?:ERROR|FATAL):  (\w{5}): (.*)", line):
            refused.append((found[1], found[2]))
        elif "psql: error: " in line:
            refused.append(("08000", line.partition("psql: error: ")[2]))

    quiet = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=verbose"]
    async with (
        programs.started(
            "psql", *quiet, server=address, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        ) as psql,
        programs.started(
            "pg_restore", "--verbose", "--file=-", *words, stdout=subprocess.PIPE, limit=1 << 20
        ) as source,
    ):
        reading = asyncio.gather(clients.said(psql, told), clients.said(source, progress))
        with suppress(BrokenPipeError, ConnectionResetError):  # psql has ended, and says why
            await _hand_over(source, psql, before, after, old_server=old_server)
        if psql.stdin is not None:
            psql.stdin.close()
        done = await psql.wait()
        if done:  # then nobody reads what pg_restore writes
            with suppress(ProcessLookupError):
                source.kill()
        await reading
        if await source.wait() or done:
            raise _sentence(*(refused or [("", "")])[0])


async def _hand_over(source: Process, psql: Process, before: str, after: str, *, old_server: bool) -> None:
    assert source.stdout is not None  # noqa: S101
    assert psql.stdin is not None  # noqa: S101
    psql.stdin.write(before.encode())
    while old_server and (line := await source.stdout.readline()):
        # A newer pg_restore sets what an older server does not know.
        if not line.startswith(b"SET transaction_timeout"):
            psql.stdin.write(line)
        if line.startswith(b"SET row_security"):
            break
    while piece := await source.stdout.read(PIECE):
        psql.stdin.write(piece)
        await psql.stdin.drain()
    if await source.wait() == 0:
        psql.stdin.write(after.encode())
        await psql.stdin.drain()


def _sentence(code: str, words: str) -> Exception:
    """What went wrong, for a person; a message that may quote somebody's data is left out."""
    kept = "the database is as it was"
    if code == "55P03":
        return Unavailable(BUSY)
    if code == "RB001":
        return Stopped(f"The restore was taken back, for {words}; {kept}.")
    if code == "23503" and "profiles_id_fkey" in words:
        return Stopped(
            f"People in the backup have no account in this database: restore accounts first; {kept}."
        )
    if code[:2] in {"22", "23"} or not code:
        return Stopped(f"The backup could not be read or stored ({code or 'pg_restore failed'}); {kept}.")
    return Stopped(f"The database refused the backup ({words.rstrip('.')}); {kept}.")


async def _verify(connection: Connection, manifest: Manifest) -> list[str]:
    """What is not as it should be."""
    schemas = [*OURS, *(["auth"] if manifest.accounts else [])]
    wrong = [
        f"Constraint {row[0]} has not been validated." for row in await connection.fetch(UNVALIDATED, schemas)
    ]
    if await connection.fetchval(
        "select exists (select from app.counter_differences) or exists (select from app.completion_differences)"
    ):
        wrong.append("The counters differ from the record, as they did before: see `specchem report verify`.")
    # Or the first questions are slow: plans are made from what the database knows of its tables.
    tables = await connection.fetch(
        "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = any($1::text[])",
        schemas,
    )
    await connection.execute(f"analyze {', '.join(row[0] for row in tables)}")
    return wrong
