"""Who is stuck, what happened in the last weeks and months, and what one person did."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from specchem.errors import Forbidden, NotFound
from specchem.events.operations import record_activity_event, record_question_event
from specchem.events.schemas import CreateActivityEvent, CreateQuestionEvent
from specchem.reporting import operations
from specchem.vocabulary import Page
from tests.unchanged import refused
from tests.world import World, right, wrong

COLUMBUS = "Columbus, OH"
MARKS = ("marking", "marks-on-a-drum")


async def past(people: World, sql: str, *values: object) -> None:
    """What the rules would not let happen now: a statement past the triggers."""
    assert people.connection is not None
    await people.connection.execute("set local session_replication_role = replica")
    await people.connection.execute(sql, *values)
    await people.connection.execute("set local session_replication_role = origin")


async def answer(people: World, who: str, question: tuple[str, str], *, correct: bool, **more: Any) -> None:
    fields = (right if correct else wrong)(people, *question) | more
    async with people.acting(who) as db:
        await record_question_event(db, people.person[who], CreateQuestionEvent(**fields))


async def quiet(people: World, who: str, days: float) -> None:
    await past(
        people, "update progress set last_active_at = now() - $3 * interval '1 day'"
        " where user_id = $1 and course_id = $2", people.person[who], people.course["hazmat"], days,
    )  # fmt: skip


async def stuck(people: World, who: str = "max") -> list[tuple[str, bool, list[str]]]:
    async with people.acting(who) as db:
        rows = await operations.get_stuck_learners(db, people.plant[COLUMBUS], people.course["hazmat"])
    return [(row.first_name, row.is_quiet, row.questions) for row in rows]


async def test_who_has_not_started_or_gets_on_is_not_stuck(people: World) -> None:
    await quiet(people, "ana", 30)
    assert await stuck(people) == []
    await answer(people, "ana", MARKS, correct=True)
    assert await stuck(people) == []
    await quiet(people, "ana", 13.9)
    assert await stuck(people) == []


async def test_fourteen_days_without_activity_are_stuck(people: World) -> None:
    await answer(people, "ana", MARKS, correct=True)
    await quiet(people, "ana", 14.1)
    assert await stuck(people) == [("Ana", True, [])]
    await past(people, "update profiles set status = 'suspended' where id = $1", people.person["ana"])
    assert await stuck(people) == []


async def test_a_question_three_times_wrong_is_stuck_until_it_is_right(people: World) -> None:
    for missed in (0, 1, 2):
        assert await stuck(people) == [], missed
        await answer(people, "ana", MARKS, correct=False)
    ((name, is_quiet, (question,)),) = await stuck(people)
    assert (name, is_quiet) == ("Ana", False)
    assert question.startswith("Which marks")
    await answer(people, "ana", MARKS, correct=True)
    assert await stuck(people) == []
    for _ in range(3):
        await answer(people, "ana", MARKS, correct=False)
    assert await stuck(people) == []  # right once is right


async def test_who_is_done_is_not_stuck(people: World) -> None:
    for _ in range(3):
        await answer(people, "ana", MARKS, correct=False)
    await past(people, "update enrollments set status = 'completed', completed_at = now()"
               " where user_id = $1 and course_id = $2", people.person["ana"], people.course["hazmat"])  # fmt: skip
    assert await stuck(people) == []


@pytest.mark.parametrize(("who", "kind"), [("ana", Forbidden), ("mia", Forbidden), ("dev", Forbidden)])
async def test_whom_it_is_not_told(people: World, who: str, kind: type[Forbidden]) -> None:
    columbus, course = people.plant[COLUMBUS], people.course["hazmat"]
    async with refused(people, kind), people.acting(who) as db:
        await operations.get_stuck_learners(db, columbus, course)
    async with refused(people, kind), people.acting(who) as db:
        await operations.get_plant_weeks(db, columbus, course)


@pytest.mark.parametrize(
    ("show", "names"),
    [("all", ["Max", "Cal", "Ana"]), ("not_done", ["Max", "Cal"]), ("in_progress", ["Cal"]), ("done", ["Ana"]),
     ("not_started", ["Max"])],
)  # fmt: skip
async def test_learners_are_shown_by_how_far_they_are(people: World, show: Any, names: list[str]) -> None:
    for name, percent in {"ana": 100, "cal": 50, "max": 0}.items():
        await people.owner(
            "insert into enrollments (user_id, course_id) values ($1, $2) on conflict do nothing",
            people.person[name], people.course["outside"],
        )  # fmt: skip
        if percent == 0:
            continue
        await people.owner(
            "update progress set progress_percent = $3 where user_id = $1 and course_id = $2",
            people.person[name], people.course["outside"], percent,
        )  # fmt: skip
    async with people.acting("max") as db:
        rows = await operations.get_plant_learners(
            db, people.plant[COLUMBUS], people.course["outside"], Page(), show
        )
    assert [row.first_name for row in rows] == names


async def test_a_week_begins_on_the_plants_monday(people: World) -> None:
    """Five minutes before Monday in Columbus is Monday elsewhere, and still last week."""
    zone = ZoneInfo("America/New_York")
    today = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    monday = today - timedelta(days=today.weekday())
    columbus, course = people.plant[COLUMBUS], people.course["hazmat"]
    for attempt, (moment, correct) in enumerate(
        [(monday - timedelta(minutes=5), False), (monday, True), (monday - timedelta(weeks=11), False),
         (monday - timedelta(weeks=11, minutes=5), False)], start=1,
    ):  # fmt: skip
        await past(
            people,
            "insert into question_events (user_id, course_id, plant_id, section_key, question_key, is_correct,"
            " attempt_index, evidence, answered_at) values ($1, $2, $3, $4, $5, $6, $7, 'server_graded', $8)",
            people.person["ana"], course, columbus, *MARKS, correct, attempt, moment,
        )  # fmt: skip
    # The counters say which questions a plant has answered.
    await answer(people, "ana", MARKS, correct=True)
    await past(
        people, "update enrollments set enrolled_at = $3, completed_at = $4, status = 'completed'"
        " where user_id = $1 and course_id = $2", people.person["ana"], course, monday - timedelta(weeks=3),
        monday - timedelta(minutes=5),
    )  # fmt: skip
    async with people.acting("max") as db:
        weeks = await operations.get_plant_weeks(db, columbus, course)
    assert [week.starts_at.astimezone(zone).replace(tzinfo=None) for week in weeks] == [
        monday.replace(tzinfo=None) - timedelta(weeks=n) for n in range(11, -1, -1)
    ]
    assert [week.answers for week in weeks] == [1, *[0] * 9, 1, 2]
    assert [week.people for week in weeks] == [1, *[0] * 9, 1, 1]
    assert [week.completed for week in weeks] == [*[0] * 10, 1, 0]
    # sue, who is suspended, was enrolled this week too
    assert [week.enrolled for week in weeks] == [*[0] * 8, 1, 0, 0, 1]


async def test_a_plant_without_anything_has_twelve_empty_weeks(people: World) -> None:
    async with people.acting("hana") as db:
        weeks = await operations.get_plant_weeks(db, people.plant["Closed, NV"], people.course["hazmat"])
    assert [(week.answers, week.people, week.enrolled, week.completed) for week in weeks] == [
        (0, 0, 0, 0)
    ] * 12


async def test_completions_by_month_of_the_plants_one_looks_after(people: World) -> None:
    now = datetime.now(UTC)
    for who, course, moment in (
        ("ana", "hazmat", now),
        ("ana", "outside", now - timedelta(days=800)),
        ("bo", "hazmat", now),
    ):
        await past(
            people, "update enrollments set enrolled_at = $3, completed_at = $3, status = 'completed'"
            " where user_id = $1 and course_id = $2", people.person[who], people.course[course], moment,
        )  # fmt: skip

    async def trend(who: str, course: str | None = None) -> list[int]:
        async with people.acting(who) as db:
            months = await operations.get_completion_trend(
                db, "UTC", people.course[course] if course else None
            )
        assert len({month.starts_at for month in months}) == 12
        assert {month.starts_at.day for month in months} == {1}
        return [month.completed for month in months]

    assert await trend("hana") == [*[0] * 11, 2]
    assert await trend("hana", "outside") == [0] * 12
    assert await trend("max", "hazmat") == [*[0] * 11, 1]
    assert await trend("mia") == [*[0] * 11, 1]
    assert await trend("ana") == [0] * 12  # her own is no report


async def test_plants_side_by_side_in_one_course(people: World) -> None:
    async with people.acting("hana") as db:
        rows = await operations.get_org_wide_completion_stats(db, people.course["outside"])
    assert {row.plant.name: row.total_enrollments for row in rows if row.total_enrollments} == {COLUMBUS: 1}
    assert len(rows) == len(people.plant)
    async with refused(people, NotFound, "no such course"), people.acting("hana") as db:
        await operations.get_org_wide_completion_stats(db, people.person["ana"])


async def test_what_a_person_missed_and_did(people: World) -> None:
    ana, course = people.person["ana"], people.course["hazmat"]
    other = next(one for one in people.answers if one != MARKS)
    await answer(people, "ana", other, correct=False)
    await answer(people, "ana", other, correct=False)
    await answer(people, "ana", other, correct=True)
    await answer(people, "ana", MARKS, correct=False)
    async with people.acting("ana") as db:
        await record_activity_event(
            db, ana, CreateActivityEvent(course_id=course, event_type="view_section", meta={"section_key": "marking"})
        )  # fmt: skip
    for who in ("ana", "max", "hana"):
        async with people.acting(who) as db:
            missed = await operations.get_missed_by_person(db, ana)
            line = await operations.get_person_timeline(db, ana)
            second = await operations.get_person_timeline(db, ana, Page(limit=1, offset=1))
        assert [(row.wrong, row.is_right) for row in missed] == [(1, False), (2, True)]
        assert missed[0].prompt.startswith("Which marks")
        kinds = [row.kind for row in line]
        assert (kinds.count("answer"), kinds.count("view_section"), kinds.count("enrolled")) == (4, 1, 2)
        assert [row.is_correct for row in line if row.kind == "answer"].count(True) == 1
        assert next(row.section for row in line if row.kind == "view_section").startswith("Marking")  # type: ignore[union-attr]
        assert second == line[1:2]
        assert sorted((row.happened_at for row in line), reverse=True) == [row.happened_at for row in line]


@pytest.mark.parametrize(("who", "whom"), [("bo", "ana"), ("mia", "ana"), ("dev", "ana"), ("max", "bo")])
async def test_whose_history_nobody_sees(people: World, who: str, whom: str) -> None:
    for ask in (operations.get_missed_by_person, operations.get_person_timeline):
        async with refused(people, NotFound, "no such person"), people.acting(who) as db:
            await ask(db, people.person[whom])


async def test_the_languages_somebody_answered_in(people: World) -> None:
    for language in ("es", "en", "es", "<script>", "x" * 300):
        meta = wrong(people, *MARKS)["response_meta"] | {"language": language}
        await answer(people, "ana", MARKS, correct=False, response_meta=meta)
    async with people.acting("max") as db:
        rows = await operations.get_user_activity_summary(db, people.person["ana"])
    assert sorted(row.activity.languages for row in rows) == [[], ["en", "es"]]
