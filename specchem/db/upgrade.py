"""Revisions and rules, in one transaction; the same text online and as a file for Supabase.

Tables change by revision (``migrations/``). Functions, triggers, policies and grants are restated from
``rules/`` whenever a page changed, so that the file is the truth. The text finds out itself which revisions are
missing, so that it may be run twice.
"""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from specchem.db import indexes
from specchem.db.refusals import BUSY
from specchem.db.session import Connection, is_transaction_pooler
from specchem.errors import Stopped, Unavailable

HERE = Path(__file__).parent
LOCK = 7207_2024  # any number, as long as every upgrade takes the same

# The server is restarting, somebody ended us, or a lock was not to be had in time.
GONE = (
    asyncpg.LockNotAvailableError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

BEFORE = """\
set local client_min_messages = warning;
set local lock_timeout = '10s';
set local statement_timeout = 0;
select pg_advisory_xact_lock({lock});

-- What the upgrade itself remembers.
create schema if not exists specchem;
revoke all on schema specchem from public;
create table if not exists specchem.rules (hash text not null, restated_at timestamptz not null default now());

-- Forget the rules: what they made lives in this schema or hangs on it. Tables in it are somebody else's.
do $$
begin
    if exists (
        select from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
        where n.nspname = 'app' and c.relkind in ('r', 'p', 'f', 'm')
    ) then
        raise exception 'Schema app holds tables, and SpecChem keeps none there: move them to another schema first.';
    end if;
end $$;
drop schema if exists app cascade;
create schema app;
revoke all on schema app from public;
"""

# In a string, so that what a revision changes is not looked up before it is known to be missing.
STEP = """\
do $specchem$ begin
if {missing} then execute $revision$
{text}$revision$;
end if;
end $specchem$;
"""

ARRIVED = """\
do $$
declare
    stands text := (select version_num from specchem.alembic_version);
begin
    if stands is distinct from '{head}' then
        raise exception 'The database is at revision %, from which this does not go on to {head}.', stands;
    end if;
end $$;
"""

AFTER = """\
delete from specchem.rules;
insert into specchem.rules (hash) values ('{hash}');
notify pgrst, 'reload schema';
"""


@dataclass(frozen=True)
class Status:
    """Where a database stands: its revision (None: empty) and whether its rules are this release's."""

    revision: str | None
    head: str
    rules_current: bool

    @property
    def current(self) -> bool:
        """Nothing is pending."""
        return self.revision == self.head and self.rules_current

    def sentence(self) -> str:
        """The status in words."""
        if self.current:
            return f"The database is up to date (revision {self.revision})."
        pending = [f"revision {self.revision or 'none'} → {self.head}"] if self.revision != self.head else []
        pending += [] if self.rules_current else ["rules to restate"]
        return f"Pending: {', '.join(pending)}."


async def status(connection: Connection) -> Status:
    """Where this database stands."""
    known = await connection.fetchval(
        "select to_regclass('specchem.rules') is not null and to_regclass('specchem.alembic_version') is not null"
    )
    if not known:
        return Status(None, head(), rules_current=False)
    return Status(
        await connection.fetchval("select version_num from specchem.alembic_version"),
        head(),
        await connection.fetchval("select hash from specchem.rules") == rules_hash(),
    )


async def upgrade(url: str, say: Callable[[str], None] = lambda _: None, *, restate: bool = False) -> bool:
    """Bring the database to this release; False when there was nothing to do.

    All or nothing, and then the indexes, each by itself and without keeping anybody from writing. ``restate``: put the
    rules back even where none is pending, because a hand changed what they made. Raises Stopped when the database
    cannot carry the product, Unavailable when it is busy.
    """
    connection = await asyncpg.connect(url)
    sentence = BUSY
    try:
        upgraded = await _upgrade(connection, say, restate=restate)
        sentence = (
            "The database is busy or restarting; an index is still to be built. Upgrade again in a moment."
        )
        return await indexes.repair(connection, say, stays=not is_transaction_pooler(url)) or upgraded
    except GONE as error:
        raise Unavailable(sentence) from error
    except asyncpg.RaiseError as error:
        raise Stopped(str(error)) from error
    finally:
        await connection.close()


async def _upgrade(connection: Connection, say: Callable[[str], None], *, restate: bool) -> bool:
    async with connection.transaction():
        # Taken before looking, so that of two upgrades the second finds the first one's work.
        await connection.execute(f"set local lock_timeout = '10s'; select pg_advisory_xact_lock({LOCK})")
        before = await status(connection)
        if before.current and not restate:
            return False
        await _check(connection, before)
        say("Restating the rules." if before.current else f"Upgrading the database: {before.sentence()}")
        await connection.execute(script(before.revision, with_indexes=before.revision is None))
        return True


async def _check(connection: Connection, found: Status) -> None:
    """Refuse early, in words, what would fail late in SQL."""
    version = connection.get_server_version()
    if version.major < 15:
        raise Stopped(f"PostgreSQL {version.major} is too old; SpecChem needs 15 or newer.")
    if found.revision is not None and found.revision not in known_revisions():
        raise Stopped(
            f"The database is at revision {found.revision}, which this release does not know."
            " It was upgraded by a newer release; run that one."
        )
    owner = await connection.fetchrow(
        "select rolname, rolsuper or rolbypassrls as bypasses from pg_roles where rolname = current_user"
    )
    assert owner is not None  # noqa: S101  the role we are
    if not owner["bypasses"]:
        raise Stopped(
            f"Role {owner['rolname']} needs BYPASSRLS to own the tables: row security is forced on them."
        )
    if await connection.fetchval("select to_regnamespace('auth') is null"):
        raise Stopped("Schema auth is missing: run `specchem db upgrade` once with a superuser's connection.")


def script(since: str | None, *, with_indexes: bool = True) -> str:
    """The upgrade from a revision (None: from anywhere) to this release, as SQL without transaction statements.

    With indexes: those of ``indexes.sql`` too, which keep writers waiting where a table already holds much.
    """
    pages = [f"-- {page.name}\n{page.read_text()}" for page in _pages("rules")]
    return "\n".join(
        [
            BEFORE.format(lock=LOCK),
            *_steps(since),
            ARRIVED.format(head=head()),
            f"-- indexes.sql\n{indexes.PAGE.read_text()}" if with_indexes else "",
            *pages,
            AFTER.format(hash=rules_hash()),
        ]
    )


def logins() -> str:
    """The page that makes the login roles which are ours, as SQL."""
    return (HERE / "rules" / "00_logins.sql").read_text()


async def supply_platform(url: str) -> bool:
    """Where schema auth is missing, make what Supabase would have: roles and schema auth. Needs a superuser."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(f"select pg_advisory_xact_lock({LOCK})")
            if await connection.fetchval("select to_regnamespace('auth') is not null"):
                return False
            if not await connection.fetchval("select rolsuper from pg_roles where rolname = current_user"):
                raise Stopped(
                    "This PostgreSQL has no schema auth (it is not Supabase), and making it takes a superuser:"
                    " run `specchem db upgrade` once with a superuser's connection."
                )
            await connection.execute("set local client_min_messages = warning")
            for page in _pages("local"):
                await connection.execute(page.read_text())
            return True
    finally:
        await connection.close()


def head() -> str:
    """This release's revision."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    assert newest is not None  # noqa: S101  there is at least the first
    return newest


def rules_hash() -> str:
    """A fingerprint of the rules' pages."""
    return hashlib.sha256(b"\0".join(page.read_bytes() for page in _pages("rules"))).hexdigest()


def _pages(folder: str) -> list[Path]:
    return sorted((HERE / folder).glob("*.sql"))


def known_revisions() -> list[str]:
    """Those that this release can upgrade from, from the first to its own."""
    return [one.revision for one in ScriptDirectory.from_config(_config()).walk_revisions()][::-1]


def _steps(since: str | None) -> list[str]:
    """Each revision after one, to be taken where it is missing."""
    known = known_revisions()
    if since is not None and since not in known:
        raise Stopped(f"There is no revision {since}.")
    steps = zip([None, *known], known, strict=False)
    return [
        STEP.format(
            missing="to_regclass('specchem.alembic_version') is null"
            if before is None
            else f"(select version_num from specchem.alembic_version) = '{before}'",  # noqa: S608  our own revisions
            text=_revisions(before, revision),
        )
        for before, revision in list(steps)[known.index(since) + 1 if since else 0 :]
    ]


def _revisions(since: str | None, until: str) -> str:
    """Alembic's own text for the revisions after one."""
    text = io.StringIO()
    config = _config()
    config.output_buffer = text
    command.upgrade(config, f"{since or 'base'}:{until}", sql=True)
    return text.getvalue()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
