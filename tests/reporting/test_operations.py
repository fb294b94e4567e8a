from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from specchem.db.session import Db
from specchem.enrollments.operations import get_enrollment_stats, get_plant_enrollments
from specchem.errors import Forbidden, NotFound, SpecChemError
from specchem.events.operations import get_question_difficulty, record_question_event, record_question_events
from specchem.events.schemas import CreateQuestionEvent
from specchem.progress.operations import get_plant_progress, mark_progress
from specchem.progress.schemas import MarkProgress
from specchem.reporting import operations
from specchem.reporting.schemas import MostMissed
from specchem.vocabulary import Page
from tests.unchanged import refused
from tests.world import World, right, wrong

COLUMBUS, ATLANTA = "Columbus, OH", "Atlanta, GA"

Report = Callable[[Db, UUID, UUID], Awaitable[Any]]
REPORTS: dict[str, Report] = {
    "get_plant_completion_rate": operations.get_plant_completion_rate,
    "get_plant_progress_summary": lambda db, plant, _: operations.get_plant_progress_summary(db, plant),
    "get_most_missed_questions": operations.get_most_missed_questions,
    "get_plant_learners": operations.get_plant_learners,
    "get_plant_enrollments": lambda db, plant, _: get_plant_enrollments(db, plant),
    "get_enrollment_stats": get_enrollment_stats,
    "get_plant_progress": get_plant_progress,
    "get_question_difficulty": get_question_difficulty,
}
OF_A_COURSE = [
    name for name in REPORTS if name not in {"get_plant_progress_summary", "get_plant_enrollments"}
]


@pytest.fixture(params=["", "enable_nestloop", "enable_hashjoin", "enable_mergejoin"])
async def planner(people: World, request: pytest.FixtureRequest) -> None:
    """However PostgreSQL goes about it: which join it takes depends on how much there is."""
    assert people.connection is not None
    if request.param:
        await people.connection.execute(f"set local {request.param} = off")


# guide-measured: every report of a plant
@pytest.mark.usefixtures("planner")
@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize(
    ("who", "plant", "kind"),
    [
        ("ana", COLUMBUS, Forbidden),
        ("ana", ATLANTA, Forbidden),  # nobody is enrolled there, which is no answer either
        ("max", "Phoenix, AZ", Forbidden),
        ("mia", COLUMBUS, Forbidden),
        ("dev", COLUMBUS, Forbidden),
        ("max", "Closed, NV", NotFound),
        ("sam", COLUMBUS, NotFound),
        ("nora", COLUMBUS, NotFound),
        ("hana", None, NotFound),
        ("max", None, NotFound),
    ],
)
async def test_who_is_shown_nothing(
    people: World, report: str, who: str, plant: str | None, kind: type[SpecChemError]
) -> None:
    async with refused(people, kind), people.acting(who) as db:
        await REPORTS[report](db, people.plant[plant] if plant else uuid4(), people.course["hazmat"])


@pytest.mark.usefixtures("planner")
@pytest.mark.parametrize("report", OF_A_COURSE)
@pytest.mark.parametrize("plant", [COLUMBUS, ATLANTA])
async def test_a_course_that_is_not_there(people: World, report: str, plant: str) -> None:
    async with refused(people, NotFound, "no such course"), people.acting("hana") as db:
        await REPORTS[report](db, people.plant[plant], uuid4())


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize(
    ("who", "plant"), [("max", COLUMBUS), ("hugo", COLUMBUS), ("hana", COLUMBUS), ("mia", "Dallas, TX")]
)
async def test_who_is_shown_the_report(people: World, report: str, who: str, plant: str) -> None:
    async with people.acting(who) as db:
        await REPORTS[report](db, people.plant[plant], people.course["hazmat"])


async def enrolled(people: World, course: str, percent: dict[str, int]) -> None:
    """Enroll people of Columbus and let them come that far in a course without content."""
    for name, reached in percent.items():
        await people.owner(
            "insert into enrollments (user_id, course_id) values ($1, $2) on conflict do nothing",
            people.person[name], people.course[course],
        )  # fmt: skip
        if reached:
            async with people.acting(name) as db:
                mark = MarkProgress(progress_percent=reached)
                await mark_progress(db, people.person[name], people.course[course], mark)


def numbers(report: object, *fields: str) -> tuple[object, ...]:
    values = tuple(getattr(report, field) for field in fields)
    assert {type(value) for value in values} <= {int, float}
    return values


COUNTS = ("total_enrolled", "completed", "in_progress", "not_started", "completion_rate")


# guide-measured: getPlantCompletionRate
async def test_completion_of_a_plant(people: World) -> None:
    await enrolled(people, "outside", {"ana": 100, "cal": 50, "max": 0})
    async with people.acting("max") as db:
        columbus = people.plant[COLUMBUS]
        one = await operations.get_plant_completion_rate(db, columbus, people.course["outside"])
        every = await operations.get_plant_completion_rate(db, columbus)
    assert numbers(one, *COUNTS) == (3, 1, 1, 1, 33.33)
    assert numbers(every, *COUNTS) == (4, 1, 1, 2, 25.0)  # ana's hazmat; sue's not: she is suspended


async def test_an_empty_plant_is_zero(people: World) -> None:
    async with people.acting("hana") as db:
        rate = await operations.get_plant_completion_rate(db, people.plant[ATLANTA])
        assert await operations.get_plant_progress_summary(db, people.plant[ATLANTA]) == []
    assert numbers(rate, *COUNTS) == (0, 0, 0, 0, 0.0)


# guide-measured: getPlantProgressSummary
async def test_the_courses_of_a_plant(people: World) -> None:
    await enrolled(people, "outside", {"ana": 100, "cal": 50, "max": 0, "hugo": 40})
    await people.owner("delete from progress where user_id = $1", people.person["hugo"])
    async with people.acting("max") as db:
        rows = await operations.get_plant_progress_summary(db, people.plant[COLUMBUS])
    assert [row.course.title for row in rows] == ["Function-Specific HazMat Training", "Outside Player"]
    # hugo's missing row counts as 0: 150 of 400
    assert numbers(rows[1], *COUNTS, "average_progress") == (4, 1, 2, 1, 25.0, 37.5)
    assert numbers(rows[0], *COUNTS, "average_progress") == (1, 0, 0, 1, 0.0, 0.0)


# guide-measured: getOrgWideCompletionStats
async def test_people_are_counted_once_however_many_courses_they_have(people: World) -> None:
    await enrolled(people, "outside", {"ana": 100, "cal": 50})
    async with people.acting("hana") as db:
        stats = await operations.get_org_wide_completion_stats(db)
    by_name = {row.plant.name: row for row in stats}
    fields = (
        "total_users",
        "total_enrollments",
        "completed_enrollments",
        "completion_rate",
        "average_progress",
    )
    assert [row.plant.name for row in stats] == sorted(people.plant)  # the closed one too
    assert numbers(by_name[COLUMBUS], *fields) == (5, 3, 1, 33.33, 50.0)
    assert numbers(by_name["Phoenix, AZ"], *fields) == (2, 1, 0, 0.0, 0.0)
    assert numbers(by_name[ATLANTA], *fields) == (0, 0, 0, 0.0, 0.0)


async def test_all_reports_agree_after_a_transfer(people: World) -> None:
    await enrolled(people, "outside", {"ana": 100})
    await people.owner(
        "update profiles set plant_id = $1 where id = $2", people.plant["Phoenix, AZ"], people.person["ana"]
    )
    async with people.acting("hana") as db:
        org = {row.plant.name: row for row in await operations.get_org_wide_completion_stats(db)}
        for name, plant in people.plant.items():
            rate = await operations.get_plant_completion_rate(db, plant)
            summary = await operations.get_plant_progress_summary(db, plant)
            assert (
                rate.total_enrolled
                == org[name].total_enrollments
                == sum(row.total_enrolled for row in summary)
            )
            assert rate.completed == org[name].completed_enrollments == sum(row.completed for row in summary)
            for slug, course in people.course.items():
                stats = await get_enrollment_stats(db, plant, course)
                of_course = await operations.get_plant_completion_rate(db, plant, course)
                assert (stats.total, stats.completed, stats.completion_rate) == (
                    of_course.total_enrolled, of_course.completed, of_course.completion_rate,
                ), slug  # fmt: skip
    assert org["Phoenix, AZ"].completed_enrollments == 1


@pytest.mark.parametrize(
    ("who", "sees"), [("max", [COLUMBUS]), ("hugo", [COLUMBUS]), ("mia", ["Dallas, TX", "Phoenix, AZ"])]
)
async def test_who_compares_which_plants(people: World, who: str, sees: list[str]) -> None:
    async with people.acting(who) as db:
        assert [row.plant.name for row in await operations.get_org_wide_completion_stats(db)] == sees


@pytest.mark.parametrize("who", ["ana", "dev", "sam", "sue", "nora", "ina"])
async def test_who_compares_none(people: World, who: str) -> None:
    async with refused(people, Forbidden, "for managers and HR"), people.acting(who) as db:
        await operations.get_org_wide_completion_stats(db)


def outside(people: World, question: str, is_correct: bool) -> CreateQuestionEvent:
    return CreateQuestionEvent(
        course_id=people.course["outside"], section_key="s1", question_key=question, is_correct=is_correct
    )


async def answered(people: World, who: str, tally: dict[str, tuple[int, int]]) -> None:
    """Each question so many times wrong, then so many times right."""
    async with people.acting(who) as db:
        for question, (misses, hits) in tally.items():
            events = [outside(people, question, n >= misses) for n in range(misses + hits)]
            await record_question_events(db, people.person[who], events)


# guide-measured: getMostMissedQuestions
async def test_the_most_missed_leave_out_what_was_hardly_tried(people: World) -> None:
    tally = {"a": (2, 3), "b": (4, 1), "c": (4, 0), "d": (8, 2), "e": (4, 1), "f": (0, 5)}
    await answered(people, "ana", tally)
    async with people.acting("max") as db:
        rows = await operations.get_most_missed_questions(
            db, people.plant[COLUMBUS], people.course["outside"]
        )
        two = await operations.get_most_missed_questions(
            db, people.plant[COLUMBUS], people.course["outside"], MostMissed(limit=2)
        )
    # c has 4 attempts; d, b and e are missed alike: more attempts first, then by key
    assert [row.question_key for row in rows] == ["d", "b", "e", "a", "f"]
    assert two == rows[:2]
    fields = (
        "total_attempts",
        "incorrect_attempts",
        "people",
        "miss_rate",
        "miss_rate_low",
        "miss_rate_high",
    )
    assert numbers(rows[0], *fields) == (10, 8, 1, 80.0, 49.02, 94.33)
    assert numbers(rows[4], *fields)[3:] == (0.0, 0.0, 43.45)
    assert rows[0].prompt is None


async def test_a_missed_question_of_ours_shows_its_prompt(people: World) -> None:
    question = ("marking", "marks-on-a-drum")
    async with people.acting("ana") as db:
        for n in range(5):
            fields = right(people, *question) if n == 4 else wrong(people, *question)
            await record_question_event(db, people.person["ana"], CreateQuestionEvent(**fields))
    async with people.acting("max") as db:
        (row,) = await operations.get_most_missed_questions(
            db, people.plant[COLUMBUS], people.course["hazmat"]
        )
    assert (row.miss_rate, row.people) == (80.0, 1)
    assert row.prompt is not None
    assert row.prompt.startswith("Which marks")


@pytest.mark.parametrize("limit", [0, -1, 101, 10**20, "many", 1.5])
def test_a_limit_that_is_none(limit: Any) -> None:
    with pytest.raises(ValidationError):
        MostMissed(limit=limit)


# guide-measured: getUserActivitySummary
async def test_what_a_person_did_in_each_course(people: World) -> None:
    ana = people.person["ana"]
    await answered(people, "ana", {"a": (2, 1)})
    await people.owner(
        "delete from progress where user_id = $1 and course_id = $2", ana, people.course["hazmat"]
    )
    for who in ("ana", "max", "hana"):
        async with people.acting(who) as db:
            rows = await operations.get_user_activity_summary(db, ana)
        by_slug = {row.course.slug: row for row in rows if row.course}
        outside, hazmat = by_slug["outside"], by_slug["function-specific-hazmat"]
        assert numbers(outside.activity, "answers", "right_answers", "sections_viewed") == (3, 1, 0)
        assert outside.progress is not None
        assert (outside.progress.current_section, outside.enrollment.status) == ("s1", "in_progress")
        assert (hazmat.progress, hazmat.enrollment.completed_at) == (None, None)


@pytest.mark.parametrize(("who", "whom"), [("bo", "ana"), ("mia", "ana"), ("dev", "ana"), ("sue", "sue")])
async def test_whose_summary_nobody_sees(people: World, who: str, whom: str) -> None:
    async with refused(people, NotFound), people.acting(who) as db:
        await operations.get_user_activity_summary(db, people.person[whom])


async def test_learners_of_a_plant_least_far_first_in_pages(people: World) -> None:
    await enrolled(people, "outside", {"ana": 100, "cal": 50, "max": 20, "hugo": 20, "dev": 30})
    await people.owner("delete from progress where user_id = $1", people.person["dev"])
    columbus, course = people.plant[COLUMBUS], people.course["outside"]
    async with people.acting("max") as db:
        rows = await operations.get_plant_learners(db, columbus, course)
        pages = [
            row
            for n in range(6)
            for row in await operations.get_plant_learners(db, columbus, course, Page(limit=1, offset=n))
        ]
    assert pages == rows
    assert [(row.first_name, row.progress_percent) for row in rows] == [
        ("Dev", 0), ("Hugo", 20), ("Max", 20), ("Cal", 50), ("Ana", 100),
    ]  # fmt: skip
