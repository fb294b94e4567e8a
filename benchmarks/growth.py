"""``make bench-growth``: what more answers cost, up to 20 million, and whether month partitions would pay."""

import argparse
import asyncio
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import limit, world
from benchmarks.captured import statements
from benchmarks.results import RESULTS
from benchmarks.world import World, plant
from specchem.db import database, embedded
from specchem.db.database import Database
from specchem.db.session import Connection, connected
from specchem.events import api as events_api
from specchem.reporting import api as reporting_api
from specchem.vocabulary import FIRST_PAGE

LOOKUP = """
select max(attempt_index) from {table}
where user_id = $1 and course_id = $2 and section_key = $3 and question_key = $4"""
# As the table itself, by month of the answer. Neither promise of uniqueness can be kept by it: an id and an attempt
# would be unique within a month only.
PARTITIONED = """
create table by_month (like question_events) partition by range (answered_at);
do $$
declare
    month date := date_trunc('month', (select min(answered_at) from question_events));
begin
    while month <= (select max(answered_at) from question_events) loop
        execute format('create table by_month_%s partition of by_month for values from (%L) to (%L)',
            to_char(month, 'YYYY_MM'), month, month + interval '1 month');
        month := month + interval '1 month';
    end loop;
end $$;
insert into by_month select * from question_events;
create index on by_month (course_id, user_id, section_key, question_key, attempt_index);
create index on by_month (plant_id, course_id, question_key);
create index on by_month (answered_at);
create index on by_month (user_id, question_key);
create index on by_month (plant_id, question_key, answered_at desc);
create index on by_month (id);
analyze by_month;
"""


async def sizes(connection: Connection) -> dict[str, float]:
    """Table, indexes and counters (MB)."""
    row = await connection.fetchrow(
        """
        select pg_table_size('question_events') / 2^20 as table_mb,
            pg_indexes_size('question_events') / 2^20 as indexes_mb,
            pg_total_relation_size('question_counters') / 2^20 as counters_mb"""
    )
    return dict(row or {})


async def took(connection: Connection, sql: str, *values: object, times: int = 200) -> float:
    """A statement's time (ms), the median of many."""
    statement = await connection.prepare(sql)
    found = []
    for _ in range(times):
        start = time.perf_counter()
        await statement.fetch(*values)
        found.append((time.perf_counter() - start) * 1000)
    return statistics.median(found)


async def look(
    server: embedded.Server, where: Database, here: World, scratch: Path, seconds: float
) -> dict[str, float]:
    """What one size costs."""
    found: dict[str, float] = {}
    async with connected(where.platform) as connection:
        questions = [
            (row[0], row[1], row[2])
            for row in await connection.fetch(
                "select section_key, question_key, min(key) from question_choices where course_id = $1"
                " group by 1, 2 order by 1, 2",
                here.hazmat,
            )
        ]
        script = scratch / "growth.sql"
        for name, number, handler in (
            ("difficulty_ms", 1, lambda me: events_api.difficulty.fn(me, plant(1), here.hazmat, FIRST_PAGE)),
            ("company_ms", 2, lambda me: reporting_api.org_completion.fn(me)),
            ("learners_ms", 1, lambda me: reporting_api.learners.fn(me, plant(1), here.hazmat, FIRST_PAGE)),
        ):
            script.write_text(limit.together(number, await statements(where, number, handler)))
            found[name] = 1000 / limit.run(server, where.api, script, 1, seconds)
        for name, size, clients in (("one_ms", 1, 1), ("batch_20_ms", 20, 1), ("one_a_second", 1, 16)):
            script.write_text(
                limit.alone(here, limit.events(here, questions[:1] * size if size == 1 else questions, size))
            )
            before = await connection.fetchval("select pg_current_wal_lsn()")
            rate = limit.run(server, where.api, script, clients, seconds)
            written = await connection.fetchval("select pg_wal_lsn_diff(pg_current_wal_lsn(), $1)", before)
            found[name] = rate if clients > 1 else 1000 / rate
            if name == "batch_20_ms":
                found["wal_kb_an_answer"] = float(written) / 1024 / (rate * seconds * 20)
        start = time.perf_counter()
        await connection.execute("vacuum (analyze) question_events", timeout=1800)
        found["vacuum_s"] = time.perf_counter() - start
        found |= await sizes(connection)
    return found


async def partitions(where: Database, here: World) -> dict[str, float]:
    """The same answers by month: making room, and what each answer's look-up costs."""
    found: dict[str, float] = {}
    async with connected(where.platform) as connection:
        await connection.execute(PARTITIONED, timeout=3600)
        values = (world.person(here.asking[5]), here.hazmat)
        row = await connection.fetchrow(
            "select section_key, key from questions where course_id = $1 limit 1", here.hazmat
        )
        assert row is not None
        found["months"] = await connection.fetchval(
            "select count(*) from pg_inherits where inhparent = 'by_month'::regclass"
        )
        for name, table in (("one_table", "question_events"), ("by_month", "by_month")):
            found[f"lookup_{name}_ms"] = await took(connection, LOOKUP.format(table=table), *values, *row)
        start = time.perf_counter()
        await connection.execute(
            "create temporary table old as select id from question_events order by answered_at limit 100000;"
            "alter table question_events disable trigger refuses_change;"
            "delete from question_events e using old where e.id = old.id;"
            "alter table question_events enable trigger refuses_change", timeout=3600)  # fmt: skip
        await connection.execute("vacuum question_events", timeout=3600)
        found["delete_100k_s"] = time.perf_counter() - start
        await connection.execute("drop table by_month")
    return found


async def measure(
    server: embedded.Server, scratch: Path, told: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Size after size."""
    where = database.of_server(server)
    steps = [int(float(step) * 1e6) for step in told.steps.split(",")]
    print(f"Loading {told.plants} plants of {told.people} people …", flush=True)
    start = time.perf_counter()
    here = await world.make(where, told.plants, told.people, steps[0], print)
    found: dict[str, dict[str, float]] = {}
    for place, step in enumerate(steps):
        if place:
            start = time.perf_counter()
            await world.grow(where, here, steps[place - 1], step, print)
        loaded = time.perf_counter() - start
        found[f"{step / 1e6:g}M"] = {
            "loaded_s": loaded,
            **await look(server, where, here, scratch, told.seconds),
        }
        print(found[f"{step / 1e6:g}M"], flush=True)
        if step == int(float(told.partitions) * 1e6):
            found["partitions"] = await partitions(where, here)
            print(found["partitions"], flush=True)
    return found


def main() -> None:
    """Load, measure, write down."""
    parser = argparse.ArgumentParser(prog="make bench-growth", description=__doc__)
    parser.add_argument("--plants", type=int, default=200)
    parser.add_argument("--people", type=int, default=500, help="in each plant")
    parser.add_argument("--steps", default="1,5,10,20", help="million answers")
    parser.add_argument("--partitions", default="5", help="the step at which months are tried")
    parser.add_argument("--seconds", type=float, default=5)
    told = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="specchem-growth-"))
    scratch.chmod(0o711)
    try:
        with embedded.start(scratch / "data", say=print) as running:
            found = asyncio.run(measure(running.server, scratch, told))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "growth.json").write_text(json.dumps(found, indent=1) + "\n")
    table = Table("", *found)
    for name in next(iter(found.values())):
        table.add_row(name, *(f"{column[name]:,.2f}" if name in column else "" for column in found.values()))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
