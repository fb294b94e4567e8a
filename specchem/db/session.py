"""One transaction as one person: the only way a request reaches the database."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property, wraps
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, cast
from urllib.parse import parse_qs, urlsplit
from uuid import UUID
from zlib import crc32

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

from specchem.db.refusals import CROWDED, FAULTS, UNCERTAIN, is_gone, translate
from specchem.errors import NotFound, Unavailable

if TYPE_CHECKING:
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:  # asyncpg's classes take no parameters at run time, where Litestar reads our handlers' types
    Pool, Connection = asyncpg.Pool, asyncpg.Connection
T = TypeVar("T")

STATEMENT_MS = 15_000
LOCK_MS = 5_000
ACQUIRE_SECONDS = 10  # for a free connection; then the caller is told to try again
ANSWER_SECONDS = STATEMENT_MS / 1000 + 2  # for any answer: PostgreSQL gives up before, unless it hangs
ROLL_BACK_SECONDS = 1  # and to close the pool; what takes longer is cut
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
        and the function is ours: nothing is left behind on the connection. It must be harmless to repeat: where the
        connection breaks it is called once more, on a new one. Raises as acting_as does.
        """
        lost = False
        try:
            for last in (False, True):
                async with _acquired(self.pool) as connection:
                    if not getattr(connection, "stays", True):
                        break
                    try:
                        said = await connection.fetchval(
                            _entering(function, len(values)), self.identity.claims, *values
                        )
                        return msgspec.json.decode(said, type=shape)
                    except FAULTS as error:
                        lost = lost or is_gone(error) or isinstance(error, TimeoutError)
                        if lost:
                            _cut(connection)
                        if last or not is_gone(error):
                            raise
                await self.pool.expire_connections()
        except FAULTS as error:
            known = translate(error)
            if lost and isinstance(known, Unavailable):
                known = Unavailable(UNCERTAIN)
            raise known from error
        async with self.acting() as db:
            return await db.call(shape, function, *values)


def _counted(method: Callable[..., Any]) -> Any:
    @wraps(method)
    def sending(self: Any, *given: Any, **named: Any) -> Any:
        self.sent()
        return method(self, *given, **named)

    return sending


class Direct(asyncpg.Connection):
    """A connection of a pool. ``sent`` hears of each round trip; asyncpg's loggers of queries cost ten times that."""

    stays = True
    sent: Callable[[], None] = staticmethod(lambda: None)

    execute = _counted(asyncpg.Connection.execute)
    fetch = _counted(asyncpg.Connection.fetch)
    fetchrow = _counted(asyncpg.Connection.fetchrow)
    fetchval = _counted(asyncpg.Connection.fetchval)


class Pooler(Direct):
    """A connection through a pooler: each transaction may get another server."""

    stays = False


async def open_pool(url: str, size: int, sent: Callable[[], None] = lambda: None) -> Pool:
    """A pool of connections as the requests' login role; opens none before the first is wanted.

    ``sent`` is called for each round trip.
    """

    async def opened(connection: Connection) -> None:
        await prepare(connection)
        cast(Direct, connection).sent = sent

    # For the statement that enters as well: app.enter's own limits begin with the next.
    limits = {"statement_timeout": str(STATEMENT_MS), "lock_timeout": str(LOCK_MS)}
    pooled = is_transaction_pooler(url)

    async def connect(*place: Any, **given: Any) -> Any:
        nonlocal pooled
        if not pooled:
            try:
                connection = await asyncpg.connect(
                    *place, **given, server_settings={"application_name": "specchem", **limits}
                )
                if await _is_direct(connection):
                    return connection
                await connection.close()
            except asyncpg.ProtocolViolationError:  # PgBouncer takes no limits from its clients …
                pass
        # … and no statement that was prepared on one server waits on the next.
        connection = await asyncpg.connect(
            *place,
            **{**given, "connection_class": Pooler, "statement_cache_size": 0},
            server_settings={"application_name": "specchem"},
        )
        pooled = pooled or not await _is_direct(connection)
        return connection

    return await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size,
        connect=connect,
        init=opened,
        connection_class=Direct,
        reset=_is_clean,
        statement_cache_size=200,
        command_timeout=ANSWER_SECONDS,
    )


def is_transaction_pooler(url: str) -> bool:
    """Supabase's, known by its port alone; whatever else stands between is known by its answer."""
    parts = urlsplit(url)
    told = parse_qs(parts.query).get("port", [""])[0]
    return (int(told) if told.isdigit() else parts.port) == 6543


async def _is_direct(connection: Connection) -> bool:
    """Whether the server that answers is the one that took our call. A pooler gives us a number of its own making.

    As text, because a statement may not be prepared here and run there; text has no answer but how many rows.
    """
    number = connection.get_server_pid()
    said = await connection.execute(
        f"select from pg_catalog.pg_backend_pid() as number where number = {number}"
    )
    return said == "SELECT 1"


async def close_pool(pool: Pool) -> None:
    """Close a pool, whether its server still answers or not."""
    try:
        await asyncio.wait_for(pool.close(), ROLL_BACK_SECONDS)
    except TimeoutError:
        pool.terminate()


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
        async with transaction(pool, identity.enters()) as connection:
            yield Db(connection)
    except FAULTS as error:
        raise translate(error) from error


@asynccontextmanager
async def transaction(
    pool: Pool, begin: str = "begin", seconds: float = ACQUIRE_SECONDS
) -> AsyncIterator[Connection]:
    """One transaction: commits at the end, rolls back on any error, and leaves nothing on the connection.

    Raises Unavailable where no connection gets free in so many seconds, or where it is not certain that it committed.
    """
    async with begun(pool, begin, seconds) as connection:
        try:
            yield connection
        except BaseException as error:
            await _roll_back(connection, error)
            raise
        try:
            await connection.execute(f"commit; {CLEAN}")
        except BaseException as error:
            await _roll_back(connection, error)
            raise _of_commit(error) from error


@asynccontextmanager
async def by_itself(pool: Pool) -> AsyncIterator[Connection]:
    """One transaction as the login role, within which ``connection.transaction()`` is a savepoint. As transaction."""
    async with begun(pool, "select") as connection:
        doing = connection.transaction()
        await doing.start()
        try:
            yield connection
        except BaseException as error:
            try:
                if isinstance(error, TimeoutError):  # it would not answer this either
                    _cut(connection)
                else:
                    await doing.rollback()
            except Exception:  # what went wrong before it is told
                _cut(connection)
            raise
        try:
            await doing.commit()
        except BaseException as error:
            _cut(connection)
            raise _of_commit(error) from error


def _of_commit(error: BaseException) -> BaseException:
    lost = is_gone(error) or isinstance(error, (TimeoutError, asyncpg.OperatorInterventionError))
    return Unavailable(UNCERTAIN) if lost else error


@asynccontextmanager
async def begun(pool: Pool, first: str, seconds: float = ACQUIRE_SECONDS) -> AsyncIterator[Connection]:
    """A connection that has answered a first statement, one that changes nothing.

    Where it turns out that the connection had died since it was last used, the others may have, too: all are
    renewed, and the statement is sent once more.
    """
    for last in (False, True):
        async with _acquired(pool, seconds) as connection:
            try:
                await connection.execute(first)
            except BaseException as error:
                await _roll_back(connection, error)
                if last or not is_gone(error):
                    raise
            else:
                yield connection
                return
        await pool.expire_connections()


@asynccontextmanager
async def _acquired(pool: Pool, seconds: float = ACQUIRE_SECONDS) -> AsyncIterator[Connection]:
    async with AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(pool.acquire(timeout=seconds))
        except TimeoutError:
            if pool.get_idle_size() == 0 and pool.get_size() == pool.get_max_size():
                raise Unavailable(CROWDED) from None
            raise
        yield connection


async def _roll_back(connection: Connection, why: BaseException) -> None:
    try:
        if isinstance(why, TimeoutError):  # it would not answer this either
            _cut(connection)
        else:
            await connection.execute(f"rollback; {CLEAN}", timeout=ROLL_BACK_SECONDS)
    except Exception:  # whatever it is, what went wrong before it is told, and the connection thrown away
        _cut(connection)


def _cut(connection: Connection) -> None:
    with suppress(asyncpg.InterfaceError):  # the pool has done so already
        connection.terminate()
