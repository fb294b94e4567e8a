"""Keeps what an examination found, for the page System."""

import asyncpg
import msgspec

from specchem import __version__
from specchem.db.database import Database
from specchem.db.refusals import FAULTS
from specchem.db.session import LOCK_MS, connected
from specchem.doctor.findings import Finding
from specchem.errors import Stopped

KEPT = 30


async def keep(where: Database, findings: list[Finding]) -> None:
    """Put an examination beside the latest ones; older ones go. Raises Stopped where the database does not take it."""
    try:
        async with connected(where.owner) as connection, connection.transaction():
            await connection.execute(f"set local lock_timeout = {LOCK_MS}")
            await connection.execute(
                "insert into specchem.examinations (release, findings) values ($1, $2)",
                __version__, msgspec.to_builtins(findings),
            )  # fmt: skip
            await connection.execute(
                "delete from specchem.examinations where examined_at not in"
                " (select examined_at from specchem.examinations order by examined_at desc limit $1)",
                KEPT,
            )
    except FAULTS as error:
        raise Stopped(f"The result is not kept for the page System: {_why(error)}.") from error


def _why(error: BaseException) -> str:
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return "the database takes no changes (a standby, or set to read only)"
    if isinstance(error, (asyncpg.UndefinedTableError, asyncpg.InvalidAuthorizationSpecificationError)):
        return "this release's schema is not there; run `specchem db upgrade`"
    return f"the database refused ({type(error).__name__})"
