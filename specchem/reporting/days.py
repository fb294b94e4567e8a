"""How much happens, day by day over all plants, and how the server fares: for who looks after it."""

from datetime import date, datetime
from typing import Literal

import msgspec

from specchem.db.session import Db, Pool

WEEKS = 8  # back from today


class Day(msgspec.Struct, frozen=True):
    """What was recorded on a day, by the clock of the time zone asked for."""

    on_day: date
    answers: int
    views: int
    enrolled: int
    completed: int


class Health(msgspec.Struct, frozen=True):
    """The database as the server sees it; ``size`` in bytes, ``pool`` in connections: in use, open, at most."""

    version: str
    size: int
    revision: str
    rules: str
    pool: tuple[int, int, int]


class Found(msgspec.Struct, frozen=True):
    """What doctor said of one line of its list, in English."""

    line: str
    state: Literal["ok", "wrong", "cannot tell"]
    found: str
    todo: str


class Examination(msgspec.Struct, frozen=True):
    """What `specchem doctor --keep` found, and as which release."""

    examined_at: datetime
    release: str
    findings: list[Found]

    @property
    def in_order(self) -> list[Found]:
        """What is as it should be."""
        return [one for one in self.findings if one.state == "ok"]

    @property
    def wrong(self) -> list[Found]:
        """What is not."""
        return [one for one in self.findings if one.state == "wrong"]

    @property
    def unclear(self) -> list[Found]:
        """What doctor could not see."""
        return [one for one in self.findings if one.state == "cannot tell"]


async def get_volume_by_day(db: Db, weeks: int, zone: str) -> list[Day]:
    """The latest day first, and today's is not over; for HR and dev admins. Raises Forbidden."""
    return await db.all(Day, "select * from app.volume_by_day($1, $2)", weeks, zone)


async def may_mend(db: Db) -> bool:
    """Is what doctor found for the caller?"""
    return bool(await db.value("select app.is_dev()"))


async def get_examination(db: Db) -> Examination | None:
    """The latest that was kept; for dev admins. Raises Forbidden."""
    return await db.maybe(Examination, "select * from app.examination()")


async def get_health(pool: Pool) -> Health:
    """Asked as the server's own login, which sees no person's rows."""
    async with pool.acquire(timeout=5) as connection:
        row = await connection.fetchrow(
            """
            select current_setting('server_version') as version, pg_database_size(current_database()) as size,
                r.revision, r.rules
            from app.release() r""",
            timeout=5,
        )
    size, idle = pool.get_size(), pool.get_idle_size()
    return msgspec.convert({**dict(row or {}), "pool": (size - idle, size, pool.get_max_size())}, Health)
