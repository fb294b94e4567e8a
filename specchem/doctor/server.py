"""The way to the server, and how it does."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import asyncpg

from specchem.auth.client import client_of_supabase
from specchem.auth.errors import AuthError
from specchem.db.database import API, AUTH
from specchem.db.refusals import FAULTS
from specchem.db.session import LOCK_MS, STATEMENT_MS, Connection, close_pool, open_pool, transaction
from specchem.doctor.findings import Line, Said, cannot_tell, ok, wrong
from specchem.doctor.seen import Seen
from specchem.errors import SpecChemError
from specchem.settings import Settings, is_loopback

LATE = timedelta(
    seconds=5
)  # a token's leeway is 30 s, of which the auth service's own clock may take the most
OLD = timedelta(hours=1)  # what such a transaction keeps from being tidied up
ROOM = 2**30  # bytes on the disk; PostgreSQL stops at none, and a file of its log takes 16 MiB
XIDS = 1_500_000_000  # of 2^31, where PostgreSQL stops to write
UNUSED = 8 * 2**20  # bytes of an index that are worth a word
PLAIN = {"disable", "allow", "prefer"}


# ---------------------------------------------------------------- settings and the way there


async def environment(seen: Seen) -> list[Said]:
    """The settings are understood, and no address sends secrets in the clear."""
    named = {"SPECCHEM_DATABASE_URL": seen.where.owner, "SPECCHEM_API_DATABASE_URL": seen.where.api}
    found = [said for name, url in named.items() if (said := in_the_clear(name, url))]
    found += public_address(seen.settings)
    where = "the embedded PostgreSQL" if seen.where.is_embedded else "the database of SPECCHEM_DATABASE_URL"
    return found or [
        ok(f"every variable is understood; {where} is used, and no address is without TLS off this machine")
    ]


def in_the_clear(name: str, url: str) -> Said | None:
    """Does this address leave the machine without TLS?"""
    parts = urlsplit(url)
    told = dict(parse_qsl(parts.query))
    host = told.get("host") or parts.hostname or ""
    if not host or host.startswith("/") or is_loopback(host) or told.get("sslmode", "require") not in PLAIN:
        return None
    return wrong(
        f"the connection to {host} is not sure to be encrypted (sslmode={told['sslmode']})",
        f"Put sslmode=verify-full, or at least require, into {name}.",
    )


def public_address(settings: Settings) -> list[Said]:
    """Do people's cookies and passwords leave the machine without TLS?"""
    parts = urlsplit(settings.base_url)
    if parts.scheme == "https" or is_loopback(parts.hostname or ""):
        return []
    return [
        wrong(
            f"people reach the server at {settings.base_url}, without TLS",
            "Put a proxy with TLS in front, and its https address into SPECCHEM_PUBLIC_URL.",
        )
    ]


async def connection(seen: Seen) -> list[Said]:
    """Connect as the requests do, enter, and see that the limits on time are there."""
    if not seen.status.current:
        return seen.unknown()
    try:
        pool = await open_pool(seen.where.api, 1)
        try:
            async with transaction(pool) as one:
                stays: bool = getattr(one, "stays", True)
                found = await _as_requests_do(seen, one, stays)
        finally:
            await close_pool(pool)
    except (SpecChemError, *FAULTS) as error:
        # A sentence without the address, which may hold a password.
        said = f"{API} cannot log in and enter ({type(error).__name__})"
        return [
            seen.failed(
                said, "Check SPECCHEM_API_DATABASE_URL; `specchem db upgrade` sets the login's password."
            )
        ]
    how = "for a session" if stays else "through a pooler"
    limits = f"a statement takes at most {STATEMENT_MS // 1000} s and waits {LOCK_MS // 1000} s for a lock"
    return found or [ok(f"{API} logs in {how}, and enters; {limits}")]


async def _as_requests_do(seen: Seen, one: Connection, stays: bool) -> list[Said]:
    found = []
    who = await one.fetchval("select session_user")
    if who != API:
        found.append(
            wrong(f"requests log in as {who} instead of {API}", "Correct SPECCHEM_API_DATABASE_URL.")
        )
    release = await one.fetchrow("select revision, rules from app.release()")
    if release is None or release["revision"] != seen.status.revision:
        found.append(
            wrong("requests reach another database than the owner", "Correct SPECCHEM_API_DATABASE_URL.")
        )
    # Behind a pooler they come with each transaction (app.enter).
    if stays and "0" in (
        await one.fetchval("select current_setting('statement_timeout')"),
        await one.fetchval("select current_setting('lock_timeout')"),
    ):
        found.append(
            wrong(
                "the limits on time that requests ask for are not taken",
                "Let what stands between pass statement_timeout and lock_timeout on.",
            )
        )
    kept = await seen.connection.fetch(
        "select unnest(s.setconfig) as setting from pg_db_role_setting s join pg_roles r on r.oid = s.setrole"
        " where r.rolname = $1",
        API,
    )
    found += [
        wrong(f"role {API} has a setting of its own: {row['setting']}", f"`alter role {API} reset all`.")
        for row in kept
    ]
    return found


async def auth(seen: Seen) -> list[Said]:
    """Whoever signs people in reaches what it needs."""
    url = seen.settings.supabase_url
    if url is not None:
        client = client_of_supabase(seen.settings)
        try:
            async with client.http:
                keys = await client.jwks()
        except (AuthError, SpecChemError) as error:
            return [wrong(f"the project's Auth does not answer: {error}", "Check SUPABASE_URL and its key.")]
        if keys or seen.settings.supabase_jwt_secret is not None:
            return [ok(f"the project's Auth answers, with {len(keys)} keys to check tokens by")]
        return [
            wrong(
                "the project's Auth signs with its legacy secret, which no token is believed by",
                "Move the project to signing keys, or set SUPABASE_JWT_SECRET.",
            )
        ]
    if not seen.status.current:
        return seen.unknown()
    try:
        login = await asyncpg.connect(seen.where.auth)
    except (OSError, asyncpg.PostgresError) as error:
        said = f"{AUTH} cannot log in ({type(error).__name__})"
        return [
            wrong(
                said,
                "`specchem db upgrade` sets its password; or set SUPABASE_URL, where Supabase signs people in.",
            )
        ]
    try:
        await login.fetchval("select count(*) from (select from auth.users limit 1) as one")
    except asyncpg.PostgresError as error:
        return [
            seen.failed(
                f"{AUTH} cannot read its accounts ({error.sqlstate})",
                f"`alter table auth.users owner to {AUTH}`.",
            )
        ]
    finally:
        await login.close()
    return [ok(f"the local auth service's login {AUTH} reaches its accounts")]


# ---------------------------------------------------------------- performance and logs


async def queries(seen: Seen) -> list[Said]:
    """Indexes are there, valid and of use."""
    if unknown := seen.unknown():
        return unknown
    found = seen.of(Line.QUERIES)
    rows = await seen.connection.fetch(
        "select s.indexrelid::regclass::text as name, pg_size_pretty(pg_relation_size(s.indexrelid)) as size"
        " from pg_stat_user_indexes s join pg_index i on i.indexrelid = s.indexrelid"
        " where s.schemaname = 'public' and s.idx_scan = 0 and not i.indisunique"
        " and pg_relation_size(s.indexrelid) > $1 order by pg_relation_size(s.indexrelid) desc",
        UNUSED,
    )
    since = await seen.connection.fetchval(
        "select stats_reset from pg_stat_database where datname = current_database()"
    )
    unused = ", ".join(f"{row['name']} ({row['size']})" for row in rows)
    counted = f"since {since:%Y-%m-%d}" if since else "since the server counts"
    said = f"each of more than {UNUSED // 2**20} MB was used {counted}"
    if unused:
        said = f"never used {counted}: {unused}; each has its reason, so let them be"
    return found or [ok(f"every index is there and valid; {said}")]


async def statements(seen: Seen) -> list[Said]:
    """pg_stat_statements, or how to get it."""
    schema = await seen.platform.fetchval(
        "select quote_ident(n.nspname) from pg_extension e join pg_namespace n on n.oid = e.extnamespace"
        " where e.extname = 'pg_stat_statements'"
    )
    if schema is None and await _is_loaded(seen):
        return [ok("pg_stat_statements counts; `specchem db slow` names the slowest statements")]
    if schema is None:
        how = (
            "`alter system set shared_preload_libraries = 'pg_stat_statements'`, restart the server, then"
            " `create schema monitoring; create extension pg_stat_statements schema monitoring`"
            " (on Supabase: Database, Extensions)."
        )
        return [
            cannot_tell("pg_stat_statements is not installed, so nobody counts what statements take", how)
        ]
    try:
        row = await seen.platform.fetchrow(
            "select count(*) as known, coalesce(max(mean_exec_time) filter (where calls > 9), 0) as slowest"  # noqa: S608
            f" from {schema}.pg_stat_statements as s join pg_database as d on d.oid = s.dbid"
            " where d.datname = current_database()"
        )
    except asyncpg.PostgresError:
        return [
            wrong(
                "pg_stat_statements is installed but not loaded",
                "`alter system set shared_preload_libraries = 'pg_stat_statements'`, and restart the server.",
            )
        ]
    assert row is not None  # noqa: S101  an aggregate
    return [
        ok(
            f"pg_stat_statements counts {row['known']} statements; the slowest takes {row['slowest']:.0f} ms on average"
        )
    ]


async def _is_loaded(seen: Seen) -> bool:
    """Whether statements are counted, with or without an extension to look at the counts; not everybody may see it."""
    loaded = await seen.platform.fetchval(
        "select setting from pg_settings where name = 'shared_preload_libraries'"
    )
    return "pg_stat_statements" in (loaded or "")


async def logs(seen: Seen) -> list[Said]:
    """What PostgreSQL counts of its troubles."""
    row = await seen.connection.fetchrow(
        "select deadlocks, conflicts, coalesce(checksum_failures, 0) as checksums from pg_stat_database"
        " where datname = current_database()"
    )
    assert row is not None  # noqa: S101  the database we are in
    if row["checksums"]:
        return [
            wrong(
                f"{row['checksums']} pages of the disk were not what was written to them",
                "Replace the disk, and restore from a back-up.",
            )
        ]
    place = "the server's own log is the platform's to show"
    if seen.where.is_embedded:
        place = f"the server's own log is in {Path(await _data_directory(seen)).parent / 'log'}"
    return [ok(f"no page of the disk is damaged, {row['deadlocks']} deadlocks; {place}")]


async def backups(seen: Seen) -> list[Said]:
    """Is the server's log archived?"""
    row = await seen.platform.fetchrow(
        "select current_setting('archive_mode') as mode, last_archived_time as archived, last_failed_time as failed"
        " from pg_stat_archiver"
    )
    assert row is not None  # noqa: S101  always one
    return archiving(row["mode"], row["archived"], row["failed"])


def archiving(mode: str, archived: datetime | None, failed: datetime | None) -> list[Said]:
    """What PostgreSQL says of its archive."""
    if mode == "off":
        return [
            cannot_tell(
                "PostgreSQL archives nothing here, and copies that are taken otherwise do not show",
                "Take back-ups (docs/operating.md; on Supabase: Database, Backups), and try to restore one.",
            )
        ]
    if failed is not None and (archived is None or failed > archived):
        return [
            wrong(
                f"archiving fails since {failed:%Y-%m-%d %H:%M}", "See archive_command and the server's log."
            )
        ]
    when = f"{archived:%Y-%m-%d %H:%M}" if archived else "not yet"
    return [ok(f"the server's log is archived, last: {when}")]


# ---------------------------------------------------------------- the server itself


async def server(seen: Seen) -> list[Said]:
    """Version, clock, disk, transactions that stand open."""
    return [
        ok(f"PostgreSQL {seen.connection.get_server_version().major}"),
        await _clock(seen),
        await _disk(seen),
        await oldest(seen),
        await _numbers(seen),
    ]


async def _clock(seen: Seen) -> Said:
    before = datetime.now(UTC)
    theirs = await seen.connection.fetchval("select clock_timestamp()")
    return clock(before, theirs, datetime.now(UTC))


def clock(before: datetime, theirs: datetime, after: datetime) -> Said:
    """The server's clock against ours, asked between two looks at ours."""
    off = max(before - theirs, theirs - after, timedelta())
    if off > LATE:
        return wrong(
            f"the clocks of this machine and the server are {off.total_seconds():.0f} s apart",
            "Let both be set by NTP: sessions end, and answers are dated, by either.",
        )
    return ok("its clock and this machine's agree")


async def _data_directory(seen: Seen) -> str:
    place: str = await seen.platform.fetchval("select current_setting('data_directory')")
    return place


async def _disk(seen: Seen) -> Said:
    size = await seen.connection.fetchval("select pg_size_pretty(pg_database_size(current_database()))")
    if not seen.where.is_embedded:
        return cannot_tell(
            f"the server's disk does not show from here; the database takes {size}",
            "Watch the free space where the platform shows it.",
        )
    return disk(shutil.disk_usage(await _data_directory(seen)).free, size)


def disk(free: int, size: str) -> Said:
    """Is there room?"""
    if free < ROOM:
        return wrong(
            f"{free / 2**20:,.0f} MB are free on the database's disk",
            "Make room: without any, PostgreSQL stops.",
        )
    return ok(f"the database takes {size}, and {free / 2**30:,.0f} GB of its disk are free")


async def oldest(seen: Seen, old: timedelta = OLD) -> Said:
    """Transactions that stand open for long keep every table from being tidied up."""
    rows = await seen.platform.fetch(
        "select pid::text as who, clock_timestamp() - xact_start as age from pg_stat_activity"
        " where xact_start is not null and backend_type = 'client backend' and pid <> pg_backend_pid()"
        " and pid <> all($1) union all"
        " select gid, clock_timestamp() - prepared from pg_prepared_xacts order by age desc",
        [seen.connection.get_server_pid()],
    )
    if rows and rows[0]["age"] > old:
        who, minutes = rows[0]["who"], rows[0]["age"].total_seconds() / 60
        return wrong(
            f"transaction {who} stands open for {minutes:,.0f} minutes",
            f"Find out whose it is; `select pg_terminate_backend({who})` ends it (or `rollback prepared`).",
        )
    if not await seen.platform.fetchval("select pg_has_role(current_user, 'pg_read_all_stats', 'usage')"):
        return cannot_tell(
            "the owner does not see how long other roles' transactions stand open",
            "`grant pg_read_all_stats` to the owner, to be told.",
        )
    return ok("no transaction stands open for long")


async def _numbers(seen: Seen) -> Said:
    age = await seen.connection.fetchval(
        "select age(datfrozenxid) from pg_database where datname = current_database()"
    )
    return numbers(age)


def numbers(age: int) -> Said:
    """Transactions are numbered, and the numbers come round."""
    if age > XIDS:
        return wrong(f"{age:,} transactions since the tables were last frozen", "Run `vacuum freeze` now.")
    return ok(f"{age:,} transactions since the tables were last frozen, of 2,100,000,000")
