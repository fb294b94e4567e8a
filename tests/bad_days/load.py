"""People who use the program while the bad day happens, and keep what they were told."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import httpx

from specchem.db import embedded, upgrade
from specchem.db.database import Database, of_server
from specchem.seed import seed
from tests.conftest import Cluster
from tests.program import Program
from tests.web.served import PASSWORD, VERIFIER, is_problem
from tests.world import World, populate

COURSE = "function-specific-hazmat"


@dataclass
class Company:
    """A running program, its database, and learners with a token each."""

    program: Program
    database: Database
    world: World
    learners: list[UUID]
    tokens: dict[str, str] = field(default_factory=dict)

    def client(self, who: str = "", **more: Any) -> httpx.AsyncClient:
        """Somebody's, on connections of their own."""
        headers = {"Authorization": f"Bearer {self.tokens[who]}"} if who else {}
        # Nothing is encrypted here, so no certificates are read: with 64 clients that takes longer than the test.
        return httpx.AsyncClient(
            base_url=self.program.address, timeout=120, headers=headers, verify=False, **more
        )

    async def sign_in(self, who: str) -> httpx.Response:
        async with self.client() as client:
            sent = {"email": f"{who}@example.com", "password": PASSWORD}
            return await client.post("/auth/v1/token?grant_type=password", json=sent)

    async def remember(self, *people: str) -> None:
        """Sign in, and keep the token."""
        for who in people:
            answer = await self.sign_in(who)
            assert answer.status_code == 200, answer.text
            self.tokens[who] = answer.json()["access_token"]

    async def owner(self, sql: str, *values: object) -> Any:
        """One statement as the superuser; its first value."""
        connection = await asyncpg.connect(self.database.platform)
        try:
            return await connection.fetchval(sql, *values)
        finally:
            await connection.close()

    async def recorded(self) -> set[UUID]:
        """Every answer that is stored."""
        found = await self.owner("select array_agg(id) from question_events")
        return set(found or ())

    def answers(self, many: int = 5) -> dict[str, Any]:
        """A batch of answers with names of their own."""
        (section, question), choices = next(iter(self.world.answers.items()))
        course = str(self.world.course["hazmat"])
        return {
            "events": [
                {
                    "id": str(uuid4()), "course_id": course, "section_key": section, "question_key": question,
                    "response_meta": {"choices": choices},
                }
                for _ in range(many)
            ]
        }  # fmt: skip

    async def newcomer(self) -> dict[str, str]:
        """Somebody whom HR may enroll: the body of that request."""
        person = uuid4()
        await self.owner(
            "insert into auth.users (id, aud, role, email, email_confirmed_at)"
            " values ($1, 'authenticated', 'authenticated', $2, now())",
            person, f"{person}@example.com",
        )  # fmt: skip
        return {"user_id": str(person), "course_id": str(self.world.course["hazmat"])}

    async def enrolled(self, body: dict[str, str]) -> int:
        """How often they are."""
        found = "select count(*) from enrollments where user_id = $1 and course_id = $2"
        return int(await self.owner(found, UUID(body["user_id"]), UUID(body["course_id"])))

    async def well(self) -> None:
        """Wait until the program says that it is."""
        async with self.client() as client:
            while (answer := await client.get("/healthz")).status_code != 200:
                assert is_problem(answer, 503)
                assert self.program.process.poll() is None
                await asyncio.sleep(0.05)


@asynccontextmanager
async def company(
    cluster: Cluster, folder: Path, learners: int = 0, database: Database | None = None, **settings: str
) -> AsyncIterator[Company]:
    """The program on a copy of the cluster's template; settings may lead it there by another way."""
    database = database or await cluster.copy()
    connection = await asyncpg.connect(database.platform)
    ids = [UUID(int=(0xB0 << 120) | number) for number in range(learners)]
    try:
        await connection.execute(
            "insert into auth.users (id, aud, role, email, email_confirmed_at)"
            " select id, 'authenticated', 'authenticated', 'l' || number || '@example.com', now()"
            " from unnest($1::uuid[]) with ordinality as a (id, number)",
            ids,
        )
        await connection.execute(
            "insert into enrollments (user_id, course_id) select id, $2 from unnest($1::uuid[]) as id",
            ids, cluster.world.course["hazmat"],
        )  # fmt: skip
        await connection.execute(
            "update auth.users set encrypted_password = $1 where email is not null", VERIFIER
        )
    finally:
        await connection.close()
    settings = {"database_url": database.owner} | {
        name: value.format(name=urlsplit(database.owner).path[1:]) for name, value in settings.items()
    }
    program = Program(folder, **settings)
    await asyncio.to_thread(program.wait_until_ready)
    running = Company(program, database, cluster.world, ids)
    await running.remember(*(f"l{number + 1}" for number in range(learners)))
    try:
        yield running
    finally:
        if program.process.poll() is None:
            status = await asyncio.to_thread(program.end)
            assert status == 0, program.lines
        if any("Traceback" in line for line in program.lines):
            raise AssertionError("\n".join(program.lines))


@asynccontextmanager
async def alone(folder: Path, learners: int) -> AsyncIterator[Company]:
    """The program with an embedded PostgreSQL of its own in the folder."""
    async with AsyncExitStack() as stack:
        with embedded.start(folder, say=lambda _: None) as running:
            database = of_server(running.server)
            await upgrade.supply_platform(database.platform)
            await upgrade.upgrade(database.owner)
            await seed(database.owner)
            cluster = Cluster(running.server, await populate(database))
            served = await stack.enter_async_context(
                company(cluster, folder, learners, database, database_url="")
            )
        yield served


@dataclass
class Load:
    """Learners who answer one batch after the other; one that was not acknowledged is sent again as it is."""

    company: Company
    statuses: Counter[int] = field(default_factory=Counter)
    refusals: list[httpx.Response] = field(default_factory=list)
    acknowledged: set[UUID] = field(default_factory=set)
    sent: int = 0  # different batches, of five answers each
    gone: int = 0  # requests without an answer
    before: set[UUID] = field(default_factory=set)  # what was stored by others
    _enough: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    def begin(self, people: int) -> None:
        names = [name for name in self.company.tokens if name.startswith("l")]
        self._tasks = [asyncio.create_task(self._work(names[n % len(names)])) for n in range(people)]

    async def _work(self, who: str) -> None:
        async with self.company.client(who) as client:
            while not self._enough.is_set():
                batch = self.company.answers()
                self.sent += 1
                while not await self._send(client, batch):
                    if self._enough.is_set():
                        return
                    await asyncio.sleep(0.05)

    async def _send(self, client: httpx.AsyncClient, batch: dict[str, Any]) -> bool:
        try:
            answer = await client.post("/api/v1/question-events/batch", json=batch)
        except httpx.HTTPError:  # only a program that stops may do that
            self.gone += 1
            return False
        self.statuses[answer.status_code] += 1
        if answer.status_code != 201:
            self.refusals.append(answer)
            return False
        assert [one["id"] for one in answer.json()] == [one["id"] for one in batch["events"]]
        self.acknowledged |= {UUID(one["id"]) for one in answer.json()}
        return True

    async def until(self, so: Callable[[], bool]) -> None:
        while not so():
            assert self.company.program.process.poll() is None, self.company.program.lines
            for task in self._tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.02)

    async def more(self, answers: int = 500) -> None:
        """Wait until so many more were acknowledged."""
        before = len(self.acknowledged)
        await self.until(lambda: len(self.acknowledged) >= before + answers)

    async def end(self) -> None:
        """Let everybody finish, and look whether what they were told is true."""
        self._enough.set()
        await asyncio.gather(*self._tasks)
        assert set(self.statuses) <= {201, 503}, (self.statuses, self.company.program.lines)
        for answer in self.refusals:
            assert is_problem(answer, 503)
            assert answer.headers["retry-after"]
        await self.nothing_is_lost()

    async def nothing_is_lost(self) -> None:
        """What was acknowledged is stored, each once; what was not is stored whole or not at all."""
        kept = await self.company.recorded() - self.before
        assert self.acknowledged <= kept
        assert len(kept) % 5 == 0
        assert len(kept - self.acknowledged) <= 5 * (self.sent - len(self.acknowledged) // 5)
        owner = self.company.owner
        assert await owner("select count(*) from app.counter_differences") == 0
        assert await owner("select count(*) from app.completion_differences") == 0
        # Attempts are numbered without a gap, so none was counted twice.
        assert not await owner(
            "select count(*) from (select from question_events group by user_id, course_id, section_key,"
            " question_key having max(attempt_index) <> count(*)) as gaps"
        )


@asynccontextmanager
async def load(company: Company, people: int = 64) -> AsyncIterator[Load]:
    """So many at once; whatever happens within the block, what they were told must be true at its end."""
    working = Load(company, before=await company.recorded())
    working.begin(people)
    try:
        await working.more(300)
        yield working
        await working.more(500)
    except BaseException:
        for task in working._tasks:
            task.cancel()
        raise
    await working.end()


@asynccontextmanager
async def held(database: Database, table: str) -> AsyncIterator[None]:
    """Nobody writes into a table meanwhile: whoever wants to is in the middle of a statement."""
    connection = await asyncpg.connect(database.platform)
    try:
        await connection.execute(f"begin; lock table {table} in exclusive mode")
        yield
    finally:
        connection.terminate()


async def waiting_for_it(company: Company, many: int = 1) -> list[int]:
    """Wait until so many requests do; their processes."""
    while True:
        found: list[int] | None = await company.owner(
            "select array_agg(pid) from pg_stat_activity where usename = 'specchem_api'"
            " and wait_event_type = 'Lock' and datname = current_database()"
        )
        if found and len(found) >= many:
            return found
        await asyncio.sleep(0.02)


async def at_once(work: Callable[[int], Awaitable[Any]], many: int) -> list[Any]:
    return await asyncio.gather(*(work(number) for number in range(many)))
