"""``make bench``: the product against what the database itself can do, in one run (see README.md)."""

import argparse
import asyncio
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import psutil

from benchmarks import captured, limit, peers, world
from benchmarks.results import Row, write
from benchmarks.served import Asked, Found, Served, serving
from benchmarks.world import World, person, plant
from specchem.auth.service.passwords import PASSWORDS
from specchem.courses import pages as course_pages
from specchem.db import database, embedded
from specchem.db.database import Database
from specchem.db.session import Asker, Connection, Identity, connected
from specchem.events import api as events_api
from specchem.events.operations import get_question_difficulty
from specchem.reporting import api as reporting_api
from specchem.vocabulary import FIRST_PAGE

CLIENTS = 16
PASSWORD = "correct horse battery staple"
SLUG = "function-specific-hazmat"
# The guide's getQuestionDifficulty, which reads the answers themselves.
GUIDE = """
select question_key, section_key, count(*) as total_attempts,
    sum(case when is_correct then 1 else 0 end) as correct_attempts,
    sum(case when is_correct then 0 else 1 end) as incorrect_attempts,
    round(sum(case when is_correct then 1 else 0 end)::decimal / count(*) * 100, 2) as success_rate
from question_events where plant_id = $1 and course_id = $2
group by question_key, section_key order by success_rate"""
FILTERED = """
select e.*, g.progress_percent, g.current_section from enrollments e
left join progress g on g.user_id = e.user_id and g.course_id = e.course_id where e.user_id = $1"""


@dataclass
class Bench:
    """One run: the world, the server, and what was found so far."""

    server: embedded.Server
    where: Database
    small: Database
    world: World
    small_world: World
    folder: Path
    scratch: Path
    rounds: int
    seconds: float
    rows: dict[str, Row] = field(default_factory=dict)
    questions: list[tuple[str, str, str]] = field(default_factory=list)

    def note(self, name: str, ratio: float, **facts: float) -> None:
        """One round's finding."""
        self.rows.setdefault(name, Row(name)).add(ratio, **facts)
        told = "  ".join(f"{key} {value:,.1f}" for key, value in facts.items())
        print(f"  {name:18} {ratio:8.3f}  {told}", flush=True)

    def pgbench(self, where: Database, name: str, sql: str, clients: int = CLIENTS) -> float:
        """Transactions per second of the limit."""
        script = self.scratch / f"{name}.sql"
        script.write_text(sql)
        return limit.run(self.server, where.api, script, clients, self.seconds)


def operations(bench: Bench) -> list[tuple[Asked, str]]:
    """The hot operations, each with the statement that it is."""
    here, plain = bench.world, bench.world.plain
    marked = (
        """string.format('{"progress_percent":%d,"current_section":"part-%d"}',"""
        " math.random(40, 60), math.random(9))"
    )
    return [
        (
            Asked("http_read", "GET", "/api/v1/me/enrollments"),
            limit.alone(here, "public.get_user_enrollments({me}, 100, 0)"),
        ),
        (
            Asked("http_mark", "PUT", f"/api/v1/courses/{plain}/progress", marked),
            "\\set percent random(40, 60)\n\\set part random(1, 9)\n"
            + limit.alone(here, f"public.mark_progress('{plain}', :percent, 'part-' || :part, {{me}})"),
        ),
        (
            Asked("http_event", "POST", "/api/v1/question-events", "answer()"),
            limit.alone(here, limit.events(here, bench.questions, 1)),
        ),
        *(
            (
                Asked(f"http_batch_{size}", "POST", "/api/v1/question-events/batch", f"batch({size})"),
                limit.alone(here, limit.events(here, bench.questions, size)),
            )
            for size in (20, 100)
        ),
    ]


async def reports(bench: Bench) -> list[tuple[Asked, str]]:
    """The reports and the page of a section, each with the statements that its handler sends."""
    here, one, course = bench.world, plant(1), bench.world.hazmat
    section = bench.questions[0][0]
    in_plant = f"/api/v1/plants/{one}"
    on_course = f"{in_plant}/courses/{course}"
    manager, hr, learner = 1, 2, here.asking[0]
    wanted: list[tuple[str, str, int, Callable[[Asker], Awaitable[object]]]] = [
        ("report_difficulty", f"{on_course}/question-difficulty", manager,
         lambda me: events_api.difficulty.fn(me, one, course, FIRST_PAGE)),
        ("report_missed", f"{on_course}/most-missed", manager,
         lambda me: reporting_api.most_missed.fn(me, one, course)),
        ("report_completion", f"{in_plant}/completion-rate", manager,
         lambda me: reporting_api.completion_rate.fn(me, one)),
        ("report_summary", f"{in_plant}/progress-summary", manager,
         lambda me: reporting_api.progress_summary.fn(me, one)),
        ("report_learners", f"{on_course}/learners", manager,
         lambda me: reporting_api.learners.fn(me, one, course, FIRST_PAGE)),
        ("report_person", f"/api/v1/users/{person(learner)}/activity-summary", learner,
         lambda me: reporting_api.activity_summary.fn(me, person(learner))),
        ("report_company", "/api/v1/reports/org-completion", hr, lambda me: reporting_api.org_completion.fn(me)),
        ("page_section", f"/courses/{SLUG}/{section}", learner,
         lambda me: course_pages.section.fn(me, SLUG, section)),
    ]  # fmt: skip
    return [
        (
            Asked(name, "GET", path, cookie=name.startswith("page"), people=(number,)),
            limit.together(number, await captured.statements(bench.where, number, handler)),
        )
        for name, path, number, handler in wanted
    ]


def served_rows(bench: Bench, served: Served, wanted: list[tuple[Asked, str]]) -> None:
    """Requests against the limit, in turn."""
    scripts = {asked.name: served.script(asked, bench.questions) for asked, _ in wanted}
    for script in scripts.values():
        served.ask(script, CLIENTS, 1)  # connections, prepared statements, signatures of tokens
    for turn in range(bench.rounds):
        print(f"round {turn + 1} of {bench.rounds}")
        for asked, sql in wanted:
            most = bench.pgbench(bench.where, asked.name, sql)
            found = served.ask(scripts[asked.name], CLIENTS, bench.seconds)
            bench.note(asked.name, found.rate / most, **_facts(found, most))


def _facts(found: Found, most: float) -> dict[str, float]:
    return {
        "per_second": found.rate, "limit_per_second": most, "p50_ms": found.p50, "p99_ms": found.p99,
        "cpu_us": found.cpu, "database_cpu_us": found.database_cpu,
    }  # fmt: skip


async def sign_in(bench: Bench, served: Served) -> None:
    """Signing in against hashing the password alone, on as many cores."""
    hashed = PASSWORDS.hash(PASSWORD)
    async with connected(bench.where.platform) as connection:
        await connection.execute(
            "update auth.users set encrypted_password = $1 where email like 'person1_@%'", hashed
        )
    asked = Asked(
        "sign_in", "POST", "/auth/v1/token?grant_type=password",
        f"""'{{"email":"person' .. math.random(10, 19) .. '@example.com","password":"{PASSWORD}"}}'""",
        trusted=True,
    )  # fmt: skip
    script = served.script(asked, bench.questions)
    for _ in range(bench.rounds):
        start = time.perf_counter()
        for _ in range(5):
            PASSWORDS.verify(hashed, PASSWORD)
        alone = (time.perf_counter() - start) / 5
        found = served.ask(script, 4, bench.seconds)
        most = (psutil.cpu_count() or 1) / alone
        bench.note("sign_in", found.rate / most, **_facts(found, most))


async def _median(connection: Connection, sql: str, *values: object, times: int) -> float:
    """A statement's time (µs), prepared, the median of many."""
    prepared = await connection.prepare(sql)
    for _ in range(6):  # PostgreSQL makes a general plan after five
        await prepared.fetch(*values)
    took = []
    for _ in range(times):
        start = time.perf_counter()
        await prepared.fetch(*values)
        took.append((time.perf_counter() - start) * 1e6)
    return statistics.median(took)


async def _enter(connection: Connection, number: int) -> None:
    await connection.execute(Identity(person(number)).enters())


async def row_security(bench: Bench) -> None:
    """The same rows with row security, and without it but with the condition written out.

    On one connection, a superuser's that takes the client's role: which core a session sits on would count for more.
    """
    me = bench.world.asking[1]
    own = "select * from enrollments"
    connection = await asyncpg.connect(bench.where.platform)
    for _ in range(bench.rounds):
        async with connection.transaction():
            await connection.execute(
                "select set_config('request.jwt.claims', $1, true)", Identity(person(me)).claims
            )
            took = {}
            for role in ("authenticated", "none"):
                await connection.execute(f"set local role {role}")
                free = (own,) if role == "authenticated" else (f"{own} where user_id = $1", person(me))
                took[role] = (
                    await _median(connection, FILTERED, person(me), times=1000),
                    await _median(connection, *free, times=1000),
                )
        for name, under, past in zip(
            ("rls_filtered", "rls_own"), took["authenticated"], took["none"], strict=True
        ):
            bench.note(name, under / past, us=under, without_us=past)
    await connection.close()


async def _difficulty(bench: Bench) -> str:
    """The statement of the plant's question report."""
    one, course = plant(1), bench.world.hazmat
    async with asyncpg.create_pool(bench.where.api, min_size=1, max_size=1) as pool:
        said: list[str] = []
        async with Asker(pool, Identity(person(1))).acting() as db:
            assert db.connection is not None
            with db.connection.query_logger(lambda query: said.append(query.query)):
                await get_question_difficulty(db, one, course)
    return said[0]


async def report_against_guide(bench: Bench) -> None:
    """The plant's question report against the guide's query on its own index, without row security."""
    ours = await _difficulty(bench)
    guide, under = await asyncpg.connect(bench.where.platform), await asyncpg.connect(bench.where.api)
    one, course = plant(1), bench.world.hazmat
    for _ in range(bench.rounds):
        await _enter(under, 1)
        took = await _median(under, ours, one, course, 100, 0, times=100)
        await under.execute("rollback")
        theirs = await _median(guide, GUIDE, one, course, times=10)
        bench.note("report_vs_guide", theirs / took, us=took, guide_us=theirs)
    await guide.close()
    await under.close()


async def report_growth(bench: Bench) -> None:
    """The same report with many answers and with few."""
    sql = await _difficulty(bench)
    places = []
    for where, here in ((bench.where, bench.world), (bench.small, bench.small_world)):
        connection = await asyncpg.connect(where.api)
        places.append((connection, here.hazmat))
    for _ in range(bench.rounds):
        took = []
        for connection, course in places:
            await _enter(connection, 1)
            took.append(await _median(connection, sql, plant(1), course, 100, 0, times=200))
            await connection.execute("rollback")
        bench.note("report_growth", took[0] / took[1], us=took[0], few_us=took[1])
    for connection, _ in places:
        await connection.close()


async def counters(bench: Bench) -> None:
    """What counting costs: answers with the trigger that counts, and without it."""
    here, postmaster = (
        bench.small_world,
        psutil.Process(int((bench.server.data_dir / "postmaster.pid").read_text().split()[0])),
    )

    def cpu() -> float:
        time.sleep(0.5)  # until the postmaster has taken leave of them
        times = postmaster.cpu_times()  # of sessions that have ended
        return float(times.children_user + times.children_system)

    async with connected(bench.small.platform) as connection:
        for turn in range(bench.rounds):
            spent: dict[tuple[str, int], float] = {}
            reached: dict[str, float] = {}
            for how in ("disable", "enable") if turn % 2 else ("enable", "disable"):
                await connection.execute(f"alter table question_events {how} trigger counts")
                for size in (1, 20):
                    sql = limit.alone(here, limit.events(here, bench.questions, size), within=here.size)
                    before = cpu()
                    done = bench.pgbench(bench.small, "counters", sql, clients=1) * bench.seconds
                    spent[how, size] = (cpu() - before) / done * 1e6
                sql = limit.alone(here, limit.events(here, bench.questions, 100), within=here.size)
                reached[how] = bench.pgbench(bench.small, "counters", sql)
            for size in (1, 20):
                name = "counters_cpu" if size == 1 else f"counters_cpu_{size}"
                bench.note(name, spent["enable", size] / spent["disable", size],
                           cpu_us=spent["enable", size], without_us=spent["disable", size])  # fmt: skip
            bench.note("counters_16", reached["enable"] / reached["disable"],
                       per_second=reached["enable"], without_per_second=reached["disable"])  # fmt: skip
        await connection.execute("alter table question_events enable trigger counts")


def start(bench: Bench) -> None:
    """Import, warm start, and memory, at rest and with 64 connections at work."""
    for _ in range(bench.rounds):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import specchem.serve"], check=True)
        imported = time.perf_counter() - begun
        begun = time.perf_counter()
        with serving(bench.folder, bench.scratch, bench.world, pool_size="64") as served:
            bench.note("start_import", imported, seconds=imported)
            bench.note("start_warm", time.perf_counter() - begun)
            bench.note("memory_rest", served.memory(), MB=served.memory())
            asked, _ = operations(bench)[2]
            found = served.ask(served.script(asked, bench.questions), 64, bench.seconds)
            bench.note("memory_64", served.memory(), MB=served.memory(), **_facts(found, 0))


async def recount(bench: Bench) -> None:
    """After everything that was asked at once: do the counters still say what the answers say?"""
    async with connected(bench.where.owner) as connection:
        answers = await connection.fetchval("select count(*) from question_events")
        differences = await connection.fetchval(
            "select (select count(*) from app.counter_differences) + (select count(*) from app.completion_differences)"
        )
    print(f"recounted {answers:,} answers: {differences} differences")
    bench.rows["recount"] = Row("recount")
    bench.rows["recount"].add(differences, answers=answers)


async def prepared(server: embedded.Server, folder: Path, scratch: Path, told: argparse.Namespace) -> Bench:
    """Both worlds, loaded."""
    where, small = database.of_server(server), database.of_server(server, "small")
    print(f"Loading {told.plants} plants of {told.people} people, {told.events:,} answers …", flush=True)
    here = await world.make(where, told.plants, told.people, told.events, print)
    async with connected(where.platform) as connection:
        await connection.execute("create database small owner postgres")
    few = await world.make(small, max(1, told.plants // 10), told.people, min(told.events, 10_000), print)
    bench = Bench(server, where, small, here, few, folder, scratch, told.rounds, told.seconds)
    async with connected(where.platform) as connection:
        bench.questions = [
            tuple(row)
            for row in await connection.fetch(
                """
                select q.section_key, q.key, min(k.key) from questions q
                join question_choices k on k.course_id = q.course_id and k.section_key = q.section_key
                    and k.question_key = q.key
                where q.course_id = $1 and not q.multiple group by 1, 2 order by 1, 2""",
                here.hazmat,
            )
        ]
    return bench


async def measure(bench: Bench, told: argparse.Namespace) -> None:
    with serving(bench.folder, bench.scratch, bench.world) as served:
        wanted = [*operations(bench), *await reports(bench)]
        await asyncio.to_thread(served_rows, bench, served, wanted)
        print("sign-in, row security, reports")
        await sign_in(bench, served)
    await recount(bench)
    await row_security(bench)
    await report_against_guide(bench)
    print("start and memory")
    await asyncio.to_thread(start, bench)
    print(f"Loading {told.events:,} answers more …", flush=True)
    await world.grow(bench.where, bench.world, told.events, 2 * told.events, print)
    await report_growth(bench)
    await counters(bench)
    if told.peers:
        print("PostGraphile on the same database")
        rows = await asyncio.to_thread(
            peers.against, bench.where, bench.folder, bench.scratch, bench.world, bench.rounds, bench.seconds
        )
        bench.rows |= {row.name: row for row in rows}


def main() -> None:
    """Load, measure, write down."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--plants", type=int, default=200)
    parser.add_argument("--people", type=int, default=500, help="in each plant")
    parser.add_argument("--events", type=int, default=5_000_000, help="answers, doubled for report_growth")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--peers", action="store_true", help="PostGraphile as well (from npm)")
    told = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("make bench asks the server with wrk: install it (Debian: apt-get install wrk).")
    scratch = Path(tempfile.mkdtemp(prefix="specchem-bench-"))
    scratch.chmod(0o711)
    folder = scratch / "data"
    try:
        with embedded.start(folder, say=print) as running:
            bench = asyncio.run(prepared(running.server, folder, scratch, told))
            asyncio.run(measure(bench, told))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    write(list(bench.rows.values()), vars(told))


main()
