"""``make bench``: our operations against pgbench running the same SQL (see README.md)."""

import asyncio
import json
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from uuid import UUID

import asyncpg

from specchem.db import database, embedded, upgrade
from specchem.db.database import Database
from specchem.db.session import Db, Identity, Pool, acting_as, open_pool, prepare
from specchem.enrollments.operations import get_user_enrollments
from specchem.events.operations import record_question_event
from specchem.events.schemas import CreateQuestionEvent
from specchem.progress.operations import mark_progress
from specchem.progress.schemas import MarkProgress
from specchem.seed import seed

PEOPLE, CLIENTS, ROUNDS, SECONDS = 400, 16, 5, 3
RESULTS = Path(__file__).parent / "results" / "latest.json"

ENTER = """\\set n random(1, {people})
begin;
select app.enter(format('{{"sub": "b0000000-0000-4000-8000-%s", "role": "authenticated"}}',
    lpad(:n::text, 12, '0')), 15000, 5000);
"""
READ = """
select e.*, c.slug, c.title, g.progress_percent, g.current_section, g.last_active_at
from enrollments e left join courses c on c.id = e.course_id
left join progress g on g.user_id = e.user_id and g.course_id = e.course_id
where e.user_id = app.me() order by e.enrolled_at desc, e.id limit 100;
commit;
"""
MARK = """
update progress set progress_percent = 50, current_section = 'one'
where user_id = app.me() and course_id = '{outside}' returning *;
commit;
"""
EVENT = """
with stored as (
    insert into question_events (id, user_id, course_id, section_key, question_key, response_meta)
    values (gen_random_uuid(), app.me(), '{hazmat}', '{section}', '{question}', '{{"choices": ["a"]}}') returning *)
select stored.*, x.explanation from stored
left join app.explain(stored.course_id, stored.section_key, stored.question_key) as x on true;
commit;
"""


def person(number: int) -> UUID:
    return UUID(f"b0000000-0000-4000-8000-{number:012d}")


async def build(where: Database) -> dict[str, str]:
    """A world to measure in; the names that the scripts need."""
    await upgrade.supply_platform(where.platform)
    await upgrade.upgrade(where.owner)
    await seed(where.owner)
    owner = await asyncpg.connect(where.owner)
    await prepare(owner)
    outside = await owner.fetchval(
        "insert into courses (slug, title, is_published) values ('outside', 'Outside', true) returning id"
    )
    hazmat = await owner.fetchval("select id from courses where slug = 'function-specific-hazmat'")
    question = await owner.fetchrow(
        "select section_key, key from questions where not multiple order by section_key, key limit 1"
    )
    assert question is not None
    for number in range(1, PEOPLE + 1):
        await owner.execute(
            "insert into auth.users (id, email, email_confirmed_at) values ($1, $2, now())",
            person(number), f"person{number}@example.com",
        )  # fmt: skip
    await owner.execute(
        "insert into enrollments (user_id, course_id) select p.id, c from profiles p, unnest($1::uuid[]) c",
        [outside, hazmat],
    )
    await owner.execute("analyze")
    await owner.close()
    return {"outside": str(outside), "hazmat": str(hazmat), "section": question[0], "question": question[1]}


def limit(server: embedded.Server, where: Database, script: Path) -> float:
    """Transactions per second of pgbench."""
    told = subprocess.run(
        [server.bin_dir / "pgbench", "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(SECONDS),
         "-f", script, where.api],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found = re.search(r"tps = ([\d.]+)", told)
    assert found is not None, told
    return float(found[1])


async def ours(pool: Pool, work: Callable[[Db, UUID], Awaitable[object]]) -> float:
    """Operations per second through the pool."""
    end = time.perf_counter() + SECONDS
    done = count()

    async def client(start: int) -> None:
        number = start
        while time.perf_counter() < end:
            me = person(number % PEOPLE + 1)
            async with acting_as(pool, Identity(me)) as db:
                await work(db, me)
            number += CLIENTS
            next(done)

    await asyncio.gather(*(client(start) for start in range(CLIENTS)))
    return next(done) / SECONDS


async def measure(server: embedded.Server, scripts: Path) -> list[dict[str, object]]:
    where = database.of_server(server)
    names = await build(where)
    pool = await open_pool(where.api, CLIENTS)
    answer = CreateQuestionEvent(
        course_id=UUID(names["hazmat"]), section_key=names["section"], question_key=names["question"],
        response_meta={"choices": ["a"]},
    )  # fmt: skip
    mark = MarkProgress(progress_percent=50, current_section="one")
    rows: dict[str, tuple[str, Callable[[Db, UUID], Awaitable[object]]]] = {
        "op_read": (READ, get_user_enrollments),
        "op_mark": (MARK, lambda db, me: mark_progress(db, me, UUID(names["outside"]), mark)),
        "op_event": (EVENT, lambda db, me: record_question_event(db, me, answer)),
    }
    ratios: dict[str, list[float]] = {name: [] for name in rows}
    for turn in range(ROUNDS):
        for name, (sql, work) in rows.items():
            script = scripts / f"{name}.sql"
            script.write_text(ENTER.format(people=PEOPLE) + sql.format(**names))
            most = await asyncio.to_thread(limit, server, where, script)
            reached = await ours(pool, work)
            ratios[name].append(reached / most)
            print(f"round {turn + 1}  {name:9}  {reached:8.0f}/s of {most:8.0f}/s", flush=True)
    await pool.close()
    return [
        {"name": name, "ratio": round(statistics.median(found), 3), "low": round(min(found), 3),
         "high": round(max(found), 3)}
        for name, found in ratios.items()
    ]  # fmt: skip


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="specchem-bench-"))
    folder.chmod(0o711)
    try:
        with embedded.start(folder / "data", say=print) as running:
            rows = asyncio.run(measure(running.server, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"rows": rows}, indent=2) + "\n")
    print("\nshare of the limit (median, lowest, highest)")
    for row in rows:
        print(f"{row['name']:10} {row['ratio']:>6}  {row['low']:>6}  {row['high']:>6}")


main()
