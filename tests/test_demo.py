"""The demo: a company that one can look at, the same every time, and never among real people."""

from collections.abc import Callable
from typing import Any, cast

import asyncpg
import httpx
import pytest

from specchem import demo
from specchem.db.database import Database
from specchem.demo import ACCOUNTS, PASSWORD, accounts_in_words, make_demo
from specchem.errors import Stopped
from specchem.seed import PLANTS
from specchem.settings import Settings
from specchem.web.app import create_app
from tests.conftest import Cluster
from tests.web.second import alive
from tests.web.served import RING

# Everything that is the same in two databases: no ids that a database chose, no times.
SAME = """
    select 'person', p.email, p.first_name, p.last_name, coalesce(p.job_title, ''), p.status::text, t.name, ''
    from profiles p join plants t on t.id = p.plant_id
    union all
    select 'enrolled', p.email, e.status::text, g.progress_percent::text, coalesce(g.current_section, ''), '', '', ''
    from enrollments e join profiles p on p.id = e.user_id
    join progress g on g.user_id = e.user_id and g.course_id = e.course_id
    union all
    select 'answered', p.email, q.id::text, q.section_key, q.question_key, q.is_correct::text,
        q.attempt_index::text, q.response_meta::text
    from question_events q join profiles p on p.id = q.user_id
    union all
    select 'viewed', p.email, coalesce(a.meta ->> 'section_key', ''), a.event_type::text, '', '', '', ''
    from activity_events a join profiles p on p.id = a.user_id
    union all
    select 'role', p.email, r.role::text, coalesce(t.name, ''), '', '', '', ''
    from admin_roles r join profiles p on p.id = r.user_id left join plants t on t.id = r.plant_id
    order by 1, 2, 3, 4, 5
"""


async def state(database: Database) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await rows(database, SAME)]


async def rows(database: Database, sql: str, *values: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(database.platform)
    try:
        return await connection.fetch(sql, *values)
    finally:
        await connection.close()


class Said(list[str]):
    """What was said, and to whom it is said."""

    def __call__(self, line: str) -> None:
        self.append(line)


@pytest.fixture(scope="module")
async def made(cluster: Cluster) -> Database:
    database = await cluster.seeded()
    await make_demo(database, Said())
    return database


async def test_six_plants_some_240_people_and_five_accounts(made: Database) -> None:
    per_plant = {row[0]: row[1] for row in await rows(
        made, "select t.name, count(*) from profiles p join plants t on t.id = p.plant_id group by 1"
    )}  # fmt: skip
    assert per_plant.keys() == PLANTS.keys()
    assert 230 <= sum(per_plant.values()) <= 250
    assert min(per_plant.values()) >= 30
    jobs = await rows(made, "select distinct job_title from profiles")
    assert len(jobs) >= 8
    assert None not in {row[0] for row in jobs}
    addresses = {
        row[0]
        for row in await rows(made, "select email from auth.users where encrypted_password is not null")
    }
    assert addresses == {f"{who}@example.com" for who in ("associate", "manager", "hr", "dev", "suspended")}
    assert all(
        row[0] for row in await rows(made, "select raw_app_meta_data -> 'demo' = 'true' from auth.users")
    )


async def test_history_is_varied(made: Database) -> None:
    statuses = {
        row[0]: row[1]
        for row in await rows(made, "select status::text, count(*) from enrollments group by 1")
    }
    assert statuses["completed"] > 60
    assert statuses["in_progress"] > 20
    assert statuses["enrolled"] > 5
    (someone,) = await rows(
        made,
        "select count(*) from profiles p where not exists (select from enrollments e where e.user_id = p.id)",
    )
    assert someone[0] > 3
    rates = await rows(
        made, "select t.name, avg((e.status = 'completed')::int) from enrollments e"
        " join plants t on t.id = e.plant_id group by 1",
    )  # fmt: skip
    assert len({row[1] for row in rates}) == len(PLANTS)  # plants differ
    (graded,) = await rows(
        made, "select count(*) filter (where is_correct), count(*) filter (where not is_correct),"
        " bool_and(evidence = 'server_graded') from question_events",
    )  # fmt: skip
    assert graded[0] > graded[1] > 500
    assert graded[2]


async def test_the_record_is_consistent(made: Database) -> None:
    assert await rows(made, "select * from app.counter_differences") == []
    assert await rows(
        made, "select * from enrollments e join progress g using (user_id, course_id)"
        " where (e.status = 'completed') <> (g.progress_percent = 100)"
        " or (e.status = 'completed') <> (e.completed_at is not null)",
    ) == []  # fmt: skip
    assert await rows(
        made, "select * from enrollments e join profiles p on p.id = e.user_id where e.plant_id <> p.plant_id"
    ) == []  # fmt: skip


async def test_the_associate_has_the_course_open_and_not_finished(made: Database) -> None:
    ((status, percent, plant),) = await rows(
        made, "select e.status::text, g.progress_percent, t.name"
        " from enrollments e join progress g using (user_id, course_id)"
        " join profiles p on p.id = e.user_id join plants t on t.id = p.plant_id"
        " where p.email = 'associate@example.com'",
    )  # fmt: skip
    assert (status, plant) == ("in_progress", "Columbus, OH")
    assert 10 < percent < 90


async def test_the_five_sign_in_and_are_who_they_say(made: Database) -> None:
    app = create_app(Settings(pool_size=2), made, RING)
    transport = httpx.ASGITransport(cast(Any, app))
    async with alive(app), httpx.AsyncClient(transport=transport, base_url="http://test/auth/v1") as client:
        for person in ACCOUNTS:
            sent = {"email": person.email, "password": PASSWORD}
            answer = (await client.post("token?grant_type=password", json=sent)).json()
            if person.email == "suspended@example.com":
                assert answer["error_code"] == "user_banned"
            else:
                assert answer["user"]["email"] == person.email
    roles = {(row[0], row[1]) for row in await rows(
        made, "select p.email, r.role::text from admin_roles r join profiles p on p.id = r.user_id"
    )}  # fmt: skip
    assert roles == {
        ("hr@example.com", "hr_admin"), ("manager@example.com", "plant_manager"), ("dev@example.com", "dev_admin")
    }  # fmt: skip
    suspended = await rows(made, "select email from profiles where status = 'suspended'")
    assert [row[0] for row in suspended] == ["suspended@example.com"]


def test_the_accounts_are_told() -> None:
    told = "\n".join(accounts_in_words())
    assert PASSWORD in told
    assert all(person.email in told for person in ACCOUNTS)


async def test_a_second_run_adds_nothing(made: Database) -> None:
    before, said = await state(made), Said()
    await make_demo(made, said)
    assert await state(made) == before
    assert said == []


class PowerCut(BaseException):
    """Not to be caught by anybody."""


async def test_interrupted_and_gone_on_with_it_is_the_same(
    cluster: Cluster, made: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two databases give the same people, answers and marks, also one whose demo was cut off three times."""
    database = await cluster.seeded()
    take: Callable[..., Any] = demo._take
    calls = 0

    async def cut(*things: Any) -> None:
        nonlocal calls
        calls += 1
        if calls in {3, 70, 150}:
            raise PowerCut
        await take(*things)

    monkeypatch.setattr(demo, "_take", cut)
    for _ in range(3):
        with pytest.raises(PowerCut):
            await make_demo(database, Said())
    await make_demo(database, Said())
    assert await state(database) == await state(made)
    assert await rows(database, "select * from app.counter_differences") == []


@pytest.mark.parametrize(
    "marks",
    ["null", "'{}'", "'{\"demo\": false}'", '\'{"demo": "true"}\'', "'[]'", '\'{"provider": "email"}\''],
)
async def test_it_never_mixes_with_real_people(cluster: Cluster, made: Database, marks: str) -> None:
    real = (
        "insert into auth.users (id, email, raw_app_meta_data)"
        f" values (gen_random_uuid(), 'real@company.example', {marks})"
    )
    for database in (await cluster.seeded(), made):
        await rows(database, real)
        before = await state(database)
        with pytest.raises(Stopped, match="real people"):
            await make_demo(database, Said())
        assert await state(database) == before
        await rows(database, "delete from profiles where email = 'real@company.example'")
        await rows(database, "delete from auth.users where email = 'real@company.example'")
