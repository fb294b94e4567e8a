"""What managers and HR read: one meaning each."""

from typing import Any

import pytest

from specchem.errors import Forbidden, NotFound
from tests.db.refused import refused
from tests.world import World

BY_PLANT = """select plant_id, sum(total_enrolled)::int, sum(completed)::int from app.completion
    where course_id = $1 group by 1"""


async def completion(people: World, who: str, course: str = "outside") -> dict[str, tuple[int, int]]:
    names = {plant: name.split(",")[0] for name, plant in people.plant.items()}
    async with people.acting(who) as db:
        rows = await db.connection.fetch(BY_PLANT, people.course[course])
    return {names[plant]: (enrolled, completed) for plant, enrolled, completed in rows}


async def finish(people: World) -> None:
    await people.owner(
        "update progress set progress_percent = 100 where course_id = $1", people.course["outside"]
    )


async def move(people: World, who: str, plant: str) -> None:
    async with people.acting("hana") as db:
        await db.run(
            "update profiles set plant_id = $1 where id = $2", people.plant[plant], people.person[who]
        )


async def test_a_transfer_takes_the_courses_along_and_all_reports_agree(people: World) -> None:
    # guide-measured: plant_id on rows
    await finish(people)
    assert await completion(people, "hana") == await completion(people, "max") == {"Columbus": (1, 1)}
    await move(people, "ana", "Phoenix, AZ")
    plants = await people.owner(
        """select array_agg(distinct plant_id) from (
            select plant_id from profiles where id = $1 union all select plant_id from enrollments where user_id = $1
            union all select plant_id from progress where user_id = $1) as x""",
        people.person["ana"],
    )
    assert plants == [people.plant["Phoenix, AZ"]]
    assert await completion(people, "hana") == await completion(people, "mia") == {"Phoenix": (1, 1)}
    assert await completion(people, "max") == {}
    by_profile = await people.owner(
        """select array_agg(distinct p.plant_id) from enrollments e join profiles p on p.id = e.user_id
        where e.status = 'completed'"""
    )
    assert by_profile == [people.plant["Phoenix, AZ"]]


async def test_dates_and_status_give_the_same_rate(
    people: World,
) -> None:  # guide-measured: status/completed_at
    await finish(people)
    assert await people.owner(
        "select count(*) filter (where completed_at is not null) = count(*) filter (where status = 'completed')"
        " from enrollments"
    )


async def test_completion_is_of_active_people(people: World) -> None:
    assert await completion(people, "max", "hazmat") == {"Columbus": (1, 0)}  # ana, not sue
    async with people.acting("hana") as db:
        await db.run("update profiles set status = 'active' where id = $1", people.person["sue"])
    assert await completion(people, "max", "hazmat") == {"Columbus": (2, 0)}


async def test_completion_has_numbers(people: World) -> None:
    async with people.acting("hana") as db:
        row = await db.connection.fetchrow("select * from app.completion limit 1")
    assert row is not None
    assert {type(value) for key, value in row.items() if not key.endswith("_id")} == {int}


@pytest.mark.parametrize(
    ("who", "plant", "kind"),
    [
        ("max", "Columbus, OH", None),
        ("hugo", "Columbus, OH", None),
        ("mia", "Dallas, TX", None),
        ("hana", "Closed, NV", None),
        ("max", "Phoenix, AZ", Forbidden),
        ("ana", "Columbus, OH", Forbidden),
        ("dev", "Columbus, OH", Forbidden),
        ("ana", "Closed, NV", NotFound),
        ("sue", "Columbus, OH", NotFound),
        ("hana", None, NotFound),
    ],
)
async def test_who_may_ask_for_a_plants_report(people: World, who: str, plant: str | None, kind: Any) -> None:
    key = people.plant[plant] if plant else people.person["ana"]
    if kind is None:
        async with people.acting(who) as db:
            assert await db.value("select app.report_plant($1)", key) == key
    else:
        async with refused(people, who, kind) as db:
            await db.value("select app.report_plant($1)", key)


@pytest.mark.parametrize(
    ("who", "person", "fine"),
    [("ana", "ana", True), ("max", "ana", True), ("hana", "bo", True), ("ana", "bo", False), ("max", "bo", False),
     ("dev", "ana", False), ("hana", "nora", False)],
)  # fmt: skip
async def test_who_may_ask_for_a_person(people: World, who: str, person: str, fine: bool) -> None:
    sql, key = "select app.visible_person($1)", people.person[person]
    if fine:
        async with people.acting(who) as db:
            assert await db.value(sql, key) == key
    else:
        async with refused(people, who, NotFound) as db:
            await db.value(sql, key)


@pytest.mark.parametrize(
    ("part", "whole", "percent", "low", "high"),
    [
        (0, 10, 0.0, 0.0, 27.75),
        (10, 10, 100.0, 72.25, 100.0),
        (10, 20, 50.0, 29.93, 70.07),
        (1, 1, 100.0, 20.65, 100.0),
        (1, 3, 33.33, 6.15, 79.23),
        (0, 2, 0.0, 0.0, 65.76),
        (1, 8, 12.5, 2.24, 47.09),
        (123_456_789, 1_000_000_000, 12.35, 12.34, 12.35),
    ],
)
async def test_shares_and_wilsons_interval(
    people: World, part: int, whole: int, percent: float, low: float, high: float
) -> None:
    await people.owner(
        "insert into question_counters select $1, $2, 's', 'q', 0, $3, $4, 1, 1",
        people.plant["Denver, CO"], people.course["outside"], whole, part,
    )  # fmt: skip
    async with people.acting("hana") as db:
        row = await db.connection.fetchrow(
            "select miss_rate, miss_rate_low, miss_rate_high, success_rate from app.question_difficulty"
            " where plant_id = $1",
            people.plant["Denver, CO"],
        )
    assert row is not None
    assert tuple(row)[:3] == (percent, low, high)  # 65.76, and not 65.75999999999999
    assert row["success_rate"] == round(100 - percent, 2)


@pytest.mark.parametrize(
    ("part", "whole", "percent"), [(0, 0, 0.0), (1, 3, 33.33), (2, 3, 66.67), (3, 3, 100.0)]
)
async def test_nothing_of_nothing_is_none(people: World, part: int, whole: int, percent: float) -> None:
    async with people.acting("max") as db:
        assert await db.value("select app.percent($1, $2)", part, whole) == percent


async def test_difficulty_says_how_a_question_fares(people: World) -> None:
    # guide-measured: getQuestionDifficulty, getMostMissedQuestions
    async with people.acting("ana") as db:
        await db.run(
            """insert into question_events (user_id, course_id, section_key, question_key, is_correct)
            select $1, $2, 's', 'q', n > 3 from generate_series(1, 4) as n""",
            people.person["ana"], people.course["outside"],
        )  # fmt: skip
    async with people.acting("max") as db:
        row = await db.connection.fetchrow(
            "select * from app.question_difficulty where course_id = $1", people.course["outside"]
        )
    assert row is not None
    assert (row["total_attempts"], row["people"], row["first_attempts"]) == (4, 1, 1)
    assert (row["correct_attempts"], row["incorrect_attempts"]) == (1, 3)
    assert (row["success_rate"], row["miss_rate"]) == (25.0, 75.0)
