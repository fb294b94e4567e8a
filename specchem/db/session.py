"""One transaction as one person: the only way a request reaches the database."""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar
from uuid import UUID
from zlib import crc32

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

from specchem.db.refusals import FAULTS, translate
from specchem.errors import NotFound

if TYPE_CHECKING:
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:  # asyncpg's classes take no parameters at run time, where Litestar reads our handlers' types
    Pool, Connection = asyncpg.Pool, asyncpg.Connection
T = TypeVar("T")

STATEMENT_MS = 15_000
LOCK_MS = 5_000
ACQUIRE_SECONDS = 10  # for a free connection; then the caller is told to try again
# With the end of a transaction: what a statement that was smuggled in would leave to the next person on the connection.
CLEAN = (
    "reset role; reset all; close all; unlisten *; discard temp; select pg_catalog.pg_advisory_unlock_all()"
)


@dataclass(frozen=True)
class Identity:
    """Who a verified token says is asking; what they may do is asked of the tables."""

    user_id: UUID
    session_id: UUID | None = None
    aal: str = "aal1"

    @cached_property
    def claims(self) -> str:
        """The claims as PostgREST would set them, JSON."""
        return json.dumps(
            {
                "sub": str(self.user_id),
                "role": "authenticated",
                "aal": self.aal,
                **({"session_id": str(self.session_id)} if self.session_id else {}),
            }
        )

    def enters(self) -> str:
        """The statements that begin a transaction as this person.

        Text, and not a prepared statement: one of that name may have been put into its place. Names of ours come
        before whatever somebody put into pg_temp.
        """
        claims = self.claims.replace("'", "''")
        return (
            "begin; select pg_catalog.set_config('search_path', 'public, pg_temp', true),"
            f" app.enter('{claims}', {STATEMENT_MS}, {LOCK_MS})"
        )


class Calls(Protocol):
    """Where a function of the database can be called: in a transaction (Db), or by itself (Asker)."""

    async def call(self, shape: type[T], function: str, *values: object) -> T:
        """What a function of schema ``public`` that returns json says, read as ``shape``."""
        ...


class Db:
    """A transaction of one person. Rows come back as the shape that is asked for."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def all(self, shape: type[T], sql: str, *values: object) -> list[T]:
        """Every row."""
        rows = await self.connection.fetch(sql, *values)
        return [msgspec.convert(dict(row), shape) for row in rows]

    async def maybe(self, shape: type[T], sql: str, *values: object) -> T | None:
        """The first row, or None."""
        row = await self.connection.fetchrow(sql, *values)
        return None if row is None else msgspec.convert(dict(row), shape)

    async def one(
        self, shape: type[T], sql: str, *values: object, missing: str = "There is no such record."
    ) -> T:
        """The first row. Raises NotFound with the sentence ``missing`` where there is none."""
        row = await self.maybe(shape, sql, *values)
        if row is None:
            raise NotFound(missing)
        return row

    async def value(self, sql: str, *values: object) -> Any:
        """The first column of the first row, or None."""
        return await self.connection.fetchval(sql, *values)

    async def batches(
        self, sql: str, *values: object, size: int = 1000
    ) -> AsyncIterator[list[asyncpg.Record]]:
        """Every row, ``size`` at a time: no more of them is in memory, here or on the way."""
        # The driver's own cursor asks for a transaction that it began itself.
        # And it keeps a statement by its text: a fetch of other columns needs another name.
        name = f"batches_{crc32(sql.encode()):08x}"
        await self.connection.execute(f"declare {name} no scroll cursor for {sql}", *values)
        while rows := await self.connection.fetch(f"fetch {size} from {name}"):
            yield rows
        await self.connection.execute(f"close {name}")

    async def call(self, shape: type[T], function: str, *values: object) -> T:
        """What a function of schema ``public`` that returns json says, read as ``shape``."""
        said = await self.value(f"select {_called(function, len(values))}", *values)
        return msgspec.json.decode(said, type=shape)

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[None]:
        """What may be refused without losing the rest: a savepoint. Raises SpecChemError as acting_as does."""
        await self.connection.execute("savepoint attempt")
        try:
            yield
        except BaseException as error:
            await self.connection.execute("rollback to attempt")
            if isinstance(error, asyncpg.PostgresError):
                raise translate(error) from error
            raise
        await self.connection.execute("release attempt")

    async def run(self, sql: str, *values: object) -> str:
        """Nothing but the command's tag."""
        return await self.connection.execute(sql, *values)


def _called(function: str, values: int, before: int = 0) -> str:
    return f"public.{function}({', '.join(f'${before + number + 1}' for number in range(values))})"


@cache
def _entering(function: str, values: int) -> str:
    entered = f"app.enter($1, {STATEMENT_MS}, {LOCK_MS})"
    return f"select case when {entered} then {_called(function, values, before=1)} end"


@dataclass(frozen=True, slots=True)
class Asker:
    """Whoever a request is from, and their way to the database."""

    pool: Pool
    identity: Identity

    @property
    def user_id(self) -> UUID:
        """The account's."""
        return self.identity.user_id

    def acting(self) -> AbstractAsyncContextManager[Db]:
        """One transaction as this person: see acting_as."""
        return acting_as(self.pool, self.identity)

    async def call(self, shape: type[T], function: str, *values: object) -> T:
        """What a function of schema ``public`` that returns json says, read as ``shape``; alone, in one round trip.

        Entering, the call and the commit are one statement. ``case`` comes to the function after the role was taken,
        and the function is ours: nothing is left behind on the connection. Raises as acting_as does.
        """
        try:
            async with self.pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                if not getattr(connection, "stays", True):
                    async with _transaction(connection, self.identity) as db:
                        return await db.call(shape, function, *values)
                said = await connection.fetchval(
                    _entering(function, len(values)), self.identity.claims, *values
                )
        except FAULTS as error:
            raise translate(error) from error
        return msgspec.json.decode(said, type=shape)


class Pooler(asyncpg.Connection):
    """A connection through a transaction pooler: each transaction may get another server."""

    stays = False


async def open_pool(url: str, size: int) -> Pool:
    """A pool of connections as the requests' login role; opens none before the first is wanted."""
    pooler = ":6543" in url
    # For the statement that enters as well: app.enter's own limits begin with the next.
    limits = {"statement_timeout": str(STATEMENT_MS), "lock_timeout": str(LOCK_MS)}
    return await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size,
        init=prepare,
        reset=_is_clean,
        connection_class=Pooler if pooler else asyncpg.Connection,
        # No prepared statement waits on the pooler's next server.
        statement_cache_size=0 if pooler else 200,
        server_settings={"application_name": "specchem", **({} if pooler else limits)},
        command_timeout=60,
    )


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """One connection of its own, for what is done as the owner."""
    connection = await asyncpg.connect(url)
    try:
        await prepare(connection)
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def looking(url: str) -> AsyncIterator[Connection]:
    """One connection in a transaction that is rolled back: what is tried on it leaves nothing."""
    async with connected(url) as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            yield connection
        finally:
            await transaction.rollback()


async def prepare(connection: Connection) -> None:
    """Teach a connection to read and write jsonb as Python values."""
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: msgspec.json.encode(value).decode(),
        decoder=msgspec.json.decode,
    )


async def _is_clean(_: Connection) -> None:
    """Every transaction cleans up behind itself (CLEAN), so there is nothing to reset."""


@asynccontextmanager
async def acting_as(pool: Pool, identity: Identity) -> AsyncIterator[Db]:
    """One transaction as one person: commits at the end, rolls back on any error.

    Raises Forbidden for an account that is suspended, closed or without a profile, and SpecChemError for what the
    database refuses (see specchem.db.refusals).
    """
    try:
        async with (
            pool.acquire(timeout=ACQUIRE_SECONDS) as connection,
            _transaction(connection, identity) as db,
        ):
            yield db
    except FAULTS as error:
        raise translate(error) from error


@asynccontextmanager
async def _transaction(connection: Connection, identity: Identity) -> AsyncIterator[Db]:
    try:
        await connection.execute(identity.enters())
        yield Db(connection)
        await connection.execute(f"commit; {CLEAN}")
    except BaseException:
        await _roll_back(connection)
        raise


async def _roll_back(connection: Connection) -> None:
    try:
        await connection.execute(f"rollback; {CLEAN}")
    except Exception:  # whatever it is, what went wrong before it is told, and the connection thrown away
        connection.terminate()
