"""How far a learner is: what the answers support, never less than before, completed once."""

from typing import Any

import asyncpg
import pytest

from specchem.db.database import Database
from specchem.db.session import Db, Pool, acting_as
from specchem.errors import BadInput, Conflict, NotFound
from tests.conftest import Cluster
from tests.db.refused import acting, refused, state
from tests.world import World, right, wrong

MARK = "update progress set progress_percent = $1 where course_id = $2 and user_id = $3"
ANSWER = """insert into question_events (user_id, course_id, section_key, question_key, response_meta)
    values ($1, $2, $3, $4, $5)"""
VIEW = """insert into activity_events (user_id, course_id, event_type, meta)
    values ($1, $2, 'view_section', jsonb_build_object('section_key', $3::text))"""
RECORD = """select e.status::text, p.progress_percent, e.completed_at is not null
    from enrollments e join progress p using (user_id, course_id) where e.user_id = $1 and e.course_id = $2"""


async def mark(people: World, percent: int, course: str = "outside", who: str = "ana") -> None:
    async with acting(people, who) as db:
        await db.run(MARK, percent, people.course[course], people.person["ana"])


async def record(people: World, course: str = "outside", who: str = "ana") -> Any:
    async with people.role("postgres") as db:
        row = await db.connection.fetchrow(RECORD, people.person[who], people.course[course])
    assert row is not None
    return tuple(row)


async def complete(people: World, db: Db, who: str) -> None:
    """Do everything there is to do, as a client would."""
    learner, course = people.person[who], people.course["hazmat"]
    for section in people.plain_sections:
        await db.run(VIEW, learner, course, section)
    for key in people.answers:
        await db.run(ANSWER, learner, *right(people, *key).values())


async def kinds(people: World, course: str) -> list[str]:
    found: list[str] = await people.owner(
        "select array_agg(event_type::text order by event_type) from activity_events"
        " where event_type <> 'view_section' and course_id = $1",
        people.course[course],
    )
    return found


@pytest.mark.parametrize("who", ["ana", "service_role", "postgres"])
@pytest.mark.parametrize(
    ("marks", "then"),
    [
        ([0], ("in_progress", 0, False)),
        ([1], ("in_progress", 1, False)),
        ([80, 30], ("in_progress", 80, False)),
        ([99, -5, 0], ("in_progress", 99, False)),
        ([100], ("completed", 100, True)),
        ([100, 50], ("completed", 100, True)),
        ([100, 0, 100], ("completed", 100, True)),
    ],
)
async def test_progress_never_falls_and_the_status_follows(
    people: World, who: str, marks: list[int], then: tuple[str, int, bool]
) -> None:
    for percent in marks:
        await mark(people, percent, who=who)
    assert await record(people) == then
    assert await kinds(people, "outside") == ["start_course", "complete_course"][: 1 + then[2]]


async def test_progress_of_null_changes_nothing(people: World) -> None:
    await mark(people, 40)
    async with people.acting("ana") as db:
        await db.run(
            "update progress set progress_percent = null where course_id = $1", people.course["outside"]
        )
    assert await record(people) == ("in_progress", 40, False)


async def test_the_first_completion_stands(cluster: Cluster, fresh: Database, pool: Pool) -> None:
    # guide-measured: completeEnrollment, markProgress; in transactions of their own, so that now() moves
    people, dates = cluster.world, []
    for percent in (100, 0, 100):
        async with acting_as(pool, people.identity("ana")) as db:
            await db.run(MARK, percent, people.course["outside"], people.person["ana"])
            dates.append(
                await db.value(
                    "select completed_at from enrollments where course_id = $1", people.course["outside"]
                )
            )
    assert len(set(dates)) == 1
    assert dates[0] is not None


async def test_a_completion_is_never_before_its_enrollment(fresh: Database, cluster: Cluster) -> None:
    """now() is when a transaction began; the enrollment may have been made since."""
    people = cluster.world
    early, other = await asyncpg.connect(fresh.owner), await asyncpg.connect(fresh.owner)
    try:
        async with early.transaction():
            await early.execute("select")
            await other.execute(
                "insert into enrollments (user_id, course_id) values ($1, $2)",
                people.person["cal"], people.course["outside"],
            )  # fmt: skip
            await early.execute(MARK, 100, people.course["outside"], people.person["cal"])
        row = await other.fetchrow(RECORD, people.person["cal"], people.course["outside"])
        assert row is not None
        assert tuple(row) == ("completed", 100, True)
    finally:
        await early.close()
        await other.close()


@pytest.mark.parametrize("who", ["ana", "service_role", "postgres"])
@pytest.mark.parametrize("percent", [1, 50, 100])
async def test_progress_beyond_the_answers_is_refused_with_the_open_section(
    people: World, who: str, percent: int
) -> None:
    title = await people.owner(
        "select title from sections where course_id = $1 order by position limit 1", people.course["hazmat"]
    )
    async with refused(people, who, Conflict, f'support 0 %, not {percent} %: section "{title}"') as db:
        await db.run(MARK, percent, people.course["hazmat"], people.person["ana"])


async def test_the_open_section_is_the_first_that_is_open(people: World) -> None:
    async with people.acting("ana") as db:
        for section in people.plain_sections:
            await db.run(VIEW, people.person["ana"], people.course["hazmat"], section)
    (section, question), *_ = people.answers
    title = await people.owner(
        "select title from sections where course_id = $1 and key = $2", people.course["hazmat"], section
    )
    async with people.acting("ana") as db:
        await db.run(ANSWER, people.person["ana"], *wrong(people, section, question).values())
    async with refused(people, "ana", Conflict, f'section "{title}" is still open') as db:
        await db.run(MARK, 100, people.course["hazmat"], people.person["ana"])


@pytest.mark.parametrize("section", ["nowhere", "", None, "Welcome"])
async def test_a_learner_stands_only_in_sections_that_exist(people: World, section: str | None) -> None:
    await people.owner("update progress set current_section = 'marking' where user_id = $1 and course_id = $2",
                       people.person["ana"], people.course["hazmat"])  # fmt: skip
    async with refused(people, "ana", BadInput, "no section") as db:
        await db.run(
            "update progress set current_section = $1 where course_id = $2", section, people.course["hazmat"]
        )


async def test_the_whole_course_is_completed_by_right_answers(people: World) -> None:
    before = await state(people)
    async with people.acting("ana") as db:
        seen = []
        for section in people.plain_sections:
            await db.run(VIEW, people.person["ana"], people.course["hazmat"], section)
        for key in people.answers:
            assert await db.value("select bool_and(completed_at is null) from enrollments")
            for answer in (wrong, right):
                await db.run(ANSWER, people.person["ana"], *answer(people, *key).values())
            seen.append(
                await db.value(
                    "select progress_percent from progress where course_id = $1", people.course["hazmat"]
                )
            )
        done = await db.value("select bool_and(done) from app.my_sections($1)", people.course["hazmat"])
    assert done
    assert seen == sorted(seen)
    assert seen.index(100) == len(people.answers) - 1
    assert await record(people, "hazmat") == ("completed", 100, True)
    assert await kinds(people, "hazmat") == ["start_course", "complete_course"]
    after = await state(people)
    assert {table for table in before if before[table] != after[table]} == {
        "public.enrollments", "public.progress", "public.question_events", "public.activity_events",
        "public.question_counters", "public.completion_counters",
    }  # fmt: skip


async def test_one_statement_of_right_answers_completes_the_course_too(people: World) -> None:
    async with people.acting("ana") as db:
        await db.run(
            """insert into activity_events (user_id, course_id, event_type, meta)
            select $1, $2, 'view_section', jsonb_build_object('section_key', key) from unnest($3::text[]) as key""",
            people.person["ana"], people.course["hazmat"], people.plain_sections,
        )  # fmt: skip
        await db.run(
            """insert into question_events (user_id, course_id, section_key, question_key, response_meta)
            select $1, $2, * from unnest($3::text[], $4::text[], $5::jsonb[])""",
            people.person["ana"], people.course["hazmat"], [s for s, _ in people.answers],
            [q for _, q in people.answers], [{"choices": choices} for choices in people.answers.values()],
        )  # fmt: skip
    assert await record(people, "hazmat") == ("completed", 100, True)
    assert await kinds(people, "hazmat") == ["start_course", "complete_course"]


async def test_nobody_elses_answers_count(people: World) -> None:
    async with people.acting("bo") as db:
        await complete(people, db, "bo")
    assert await record(people, "hazmat", "bo") == ("completed", 100, True)
    assert await record(people, "hazmat", "ana") == ("enrolled", 0, False)


async def test_answers_that_the_client_graded_do_not_count(people: World) -> None:
    """Content that comes later is not done by what was claimed before it came."""
    async with people.acting("ana") as db:
        await db.run(
            """insert into question_events (user_id, course_id, section_key, question_key, is_correct)
            values ($1, $2, 's', 'q', true)""",
            people.person["ana"], people.course["outside"],
        )  # fmt: skip
    await people.owner("insert into sections values ($1, 's', 1, 'S', 'Body')", people.course["outside"])
    await people.owner("insert into questions values ($1, 's', 'q', 1, 'Why?')", people.course["outside"])
    async with refused(people, "ana", Conflict, 'section "S" is still open') as db:
        await db.run(MARK, 100, people.course["outside"], people.person["ana"])


async def test_a_completed_course_stays_completed_when_its_content_grows(people: World) -> None:
    async with people.acting("ana") as db:
        await complete(people, db, "ana")
    await people.owner("insert into sections values ($1, 'new', 99, 'New', 'Body')", people.course["hazmat"])
    async with people.acting("ana") as db:
        await db.run(VIEW, people.person["ana"], people.course["hazmat"], "marking")
        await db.run(MARK, 10, people.course["hazmat"], people.person["ana"])
    assert await record(people, "hazmat") == ("completed", 100, True)


@pytest.mark.parametrize("percent", [0, 60, 100])
@pytest.mark.parametrize("course", ["hazmat", "outside"])
async def test_a_withdrawn_course_takes_no_mark(people: World, course: str, percent: int) -> None:
    await people.owner("update courses set is_published = false")
    async with refused(people, "ana", NotFound, "no such course") as db:
        await db.run(MARK, percent, people.course[course], people.person["ana"])
