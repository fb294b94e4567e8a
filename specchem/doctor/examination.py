"""The examination: the checks in the guide's order, each inside a transaction that is rolled back."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg

from specchem.db import upgrade
from specchem.db.cluster import Say
from specchem.db.database import Database
from specchem.db.session import LOCK_MS, connected, looking
from specchem.doctor import record, rights, schema, server
from specchem.doctor.findings import SECTION_OF, Finding, Line, Said
from specchem.doctor.seen import Seen
from specchem.isolation import matrix
from specchem.settings import Settings

CHECKS: dict[Line, Callable[[Seen], Awaitable[list[Said]]]] = {
    Line.MIGRATIONS_TRIED: schema.migrations_tried,
    Line.POLICIES_VALIDATED: rights.policies_validated,
    Line.SEED_PREPARED: schema.seed_prepared,
    Line.ENVIRONMENT: server.environment,
    Line.BACKUPS: server.backups,
    Line.MIGRATIONS: schema.migrations_run,
    Line.SEED: schema.seed_run,
    Line.POLICIES: rights.policies_enabled,
    Line.AUTH_TRIGGERS: schema.auth_triggers,
    Line.CONNECTION: server.connection,
    Line.SIGN_UP: record.sign_up,
    Line.PLANTS: rights.plant_scope,
    Line.QUERIES: server.queries,
    Line.LOGS: server.logs,
    Line.AUTH: server.auth,
    Line.ROLES: rights.all_roles,
    Line.REPORTS: record.reports,
    Line.STATEMENTS: server.statements,
    Line.EFFECTIVENESS: rights.effectiveness,
    Line.ENROLLMENTS: record.enrollments,
    Line.EVENTS: record.events,
    Line.SERVER: server.server,
}


async def examine(where: Database, settings: Settings, say: Say) -> AsyncIterator[Finding]:
    """Every line with what was found, as it is found. Nothing stays behind in the database."""
    async with opened(where, settings, say) as seen:
        say("Making this release's database beside, to compare …")
        await seen.compare()
        if seen.status.current:
            seen.roles = await rights.look_at_roles(seen)
        # An index more or less lets nobody see anything.
        seen.altered = bool(seen.roles) or any(line is not Line.QUERIES for line, _ in seen.drift)
        if seen.status.current and not seen.altered:
            say("Trying who may do what …")
            await _prove(seen)
        for line, check in CHECKS.items():
            for said in await _checked(seen, check):
                yield Finding(SECTION_OF[line], line, said.state, said.found, said.todo)


@asynccontextmanager
async def opened(where: Database, settings: Settings, say: Say) -> AsyncIterator[Seen]:
    """The connections of an examination. Not as the owner for the status: he is still to be made in a new server."""
    async with connected(where.platform) as platform:
        status = await upgrade.status(platform)
        async with looking(where.owner if status.revision else where.platform) as connection:
            # Nobody waits for an examination, and it for nobody.
            await connection.execute(f"set local lock_timeout = {LOCK_MS}")
            yield Seen(where, settings, connection, platform, say, status)


async def _checked(seen: Seen, check: Callable[[Seen], Awaitable[list[Said]]]) -> list[Said]:
    """One check, with all that it did undone; what stops it is a finding."""
    savepoint = seen.connection.transaction()
    await savepoint.start()
    try:
        return await check(seen)
    except asyncpg.PostgresError as error:
        return [
            seen.failed(f"the database refused the check ({type(error).__name__})", "See the server's log.")
        ]
    finally:
        if not seen.connection.is_closed():
            await savepoint.rollback()


async def _prove(seen: Seen) -> None:
    """Try every cell, and every report on the same people."""
    savepoint = seen.connection.transaction()
    await savepoint.start()
    try:
        stage = await matrix.set_stage(seen.connection)
        said = [*await stage.held(seen.connection), *[one async for one in stage.tried(seen.connection)]]
        seen.cells = [cell.after(code) for cell, code in said]
        seen.reports = await record.run_reports(seen.connection, stage.cast)
    except asyncpg.PostgresError as error:
        seen.not_tried = f"the proof's people and records cannot be made ({type(error).__name__})"
    finally:
        if not seen.connection.is_closed():
            await savepoint.rollback()
