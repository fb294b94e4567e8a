from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest

from specchem.db.session import Db, Pool, acting_as
from specchem.enrollments import operations
from specchem.enrollments.schemas import CreateEnrollment, UpdateEnrollment
from specchem.errors import BadInput, Conflict, Forbidden, NotFound, SpecChemError
from specchem.events import operations as events
from specchem.events.schemas import CreateActivityEvent, CreateQuestionEvent
from specchem.people.operations import update_profile
from specchem.people.schemas import UpdateProfile
from specchem.progress.operations import get_user_progress, mark_progress
from specchem.progress.schemas import MarkProgress
from specchem.vocabulary import Page
from tests.conftest import Cluster
from tests.unchanged import refused
from tests.world import World, right


def enroll(world: World, person: str, course: str, plant: str | None = None) -> CreateEnrollment:
    return CreateEnrollment(
        user_id=world.person[person],
        course_id=world.course[course],
        plant_id=world.plant[plant] if plant else None,
    )


async def enrollment_of(world: World, person: str, course: str) -> UUID:
    found = await world.owner(
        "select id from enrollments where user_id = $1 and course_id = $2",
        world.person[person],
        world.course[course],
    )
    assert isinstance(found, UUID)
    return found


# guide-measured: createEnrollment
@pytest.mark.parametrize(
    ("who", "whom", "plant"),
    [
        ("hana", "cal", None),
        ("hana", "bo", "Phoenix, AZ"),
        ("max", "cal", "Columbus, OH"),
        ("hugo", "cal", None),
        ("mia", "bo", None),
        ("hana", "hana", None),
    ],
)
async def test_enrolling_opens_progress(people: World, who: str, whom: str, plant: str | None) -> None:
    async with people.acting(who) as db:
        made = await operations.create_enrollment(db, enroll(people, whom, "outside", plant))
    assert (made.status, made.completed_at) == ("enrolled", None)
    async with people.acting(whom) as db:
        progress = await get_user_progress(db, people.person[whom], people.course["outside"])
    assert (progress.progress_percent, progress.plant_id) == (0, made.plant_id)


@pytest.mark.parametrize(
    ("who", "whom", "course", "plant", "kind", "sentence"),
    [
        ("hana", "ana", "hazmat", None, Conflict, "Already enrolled in this course."),
        ("hana", "cal", "hazmat", "Phoenix, AZ", Conflict, "Plant ID mismatch"),
        ("hana", "cal", "draft", None, Conflict, "not published"),
        ("hana", "sue", "outside", None, Conflict, "Only active people"),
        ("hana", "ina", "outside", None, Conflict, "Only active people of an open plant"),
        ("hana", "nora", "outside", None, NotFound, "no such person"),
        ("max", "bo", "outside", None, NotFound, "no such person"),
        ("max", "cal", "draft", None, NotFound, "no such course"),
        ("ana", "bo", "outside", None, NotFound, "no such person"),
        ("cal", "cal", "outside", None, Forbidden, ""),
        ("dev", "dev", "outside", None, Forbidden, ""),
        ("sam", "cal", "outside", None, NotFound, ""),
        ("ina", "ina", "outside", None, NotFound, ""),
    ],
)
async def test_an_enrollment_that_is_refused(
    people: World,
    who: str,
    whom: str,
    course: str,
    plant: str | None,
    kind: type[SpecChemError],
    sentence: str,
) -> None:
    async with refused(people, kind, sentence), people.acting(who) as db:
        await operations.create_enrollment(db, enroll(people, whom, course, plant))


async def test_an_enrollment_in_a_course_that_is_not_there(people: World) -> None:
    async with refused(people, NotFound, "no such course"), people.acting("hana") as db:
        await operations.create_enrollment(
            db, CreateEnrollment(user_id=people.person["cal"], course_id=uuid4())
        )


# guide-measured: createEnrollment (not atomic)
async def test_no_enrollment_without_progress(people: World) -> None:
    await people.owner(
        f"alter table progress add constraint none_for_now check (user_id <> '{people.person['cal']}')"
    )
    async with refused(people, BadInput), people.acting("hana") as db:
        await operations.create_enrollment(db, enroll(people, "cal", "hazmat"))
    await people.owner("alter table progress drop constraint none_for_now")
    async with people.acting("hana") as db:
        await operations.create_enrollment(db, enroll(people, "cal", "hazmat"))


# guide-measured: updateEnrollment
async def test_starting_moves_forward_only(people: World) -> None:
    enrollment = await enrollment_of(people, "ana", "outside")
    async with people.acting("ana") as db:
        for _ in range(2):
            started = await operations.update_enrollment(
                db, enrollment, UpdateEnrollment(status="in_progress")
            )
            assert (started.status, started.completed_at) == ("in_progress", None)
        done = await operations.update_enrollment(db, enrollment, UpdateEnrollment(status="completed"))
        assert done.completed_at is not None
    async with refused(people, Conflict, "stays completed"), people.acting("ana") as db:
        await operations.update_enrollment(db, enrollment, UpdateEnrollment(status="in_progress"))


@pytest.mark.parametrize(
    ("who", "kind"),
    [("max", Forbidden), ("hana", Forbidden), ("bo", NotFound), ("mia", NotFound), ("sue", NotFound)],
)
async def test_only_the_learner_takes_a_course_forward(
    people: World, who: str, kind: type[SpecChemError]
) -> None:
    enrollment = await enrollment_of(people, "ana", "outside")
    for step in (operations.complete_enrollment, operations.get_enrollment):
        if step is operations.get_enrollment and kind is Forbidden:
            continue
        async with refused(people, kind), people.acting(who) as db:
            await step(db, enrollment)


# guide-measured: completeEnrollment
async def test_completing_twice_keeps_the_first_date_and_writes_the_events(people: World) -> None:
    enrollment = await enrollment_of(people, "ana", "outside")
    async with people.acting("ana") as db:
        first = await operations.complete_enrollment(db, enrollment)
        second = await operations.complete_enrollment(db, enrollment)
        progress = await get_user_progress(db, first.user_id, first.course_id)
        log = await events.get_user_activity_timeline(db, first.user_id, first.course_id)
    assert first.status == second.status == "completed"
    assert first.completed_at == second.completed_at is not None
    assert progress.progress_percent == 100
    assert sorted(event.event_type for event in log) == ["complete_course", "start_course"]


async def test_the_first_completion_stands_in_every_later_transaction(pool: Pool, cluster: Cluster) -> None:
    ana, outside = cluster.world.identity("ana"), cluster.world.course["outside"]
    again: list[Callable[[Db, UUID], Awaitable[object]]] = [
        operations.complete_enrollment,
        operations.complete_enrollment,
        lambda db, _: mark_progress(db, ana.user_id, outside, MarkProgress(progress_percent=100)),
        lambda db, _: mark_progress(db, ana.user_id, outside, MarkProgress(progress_percent=50)),
        lambda db, _: mark_progress(db, ana.user_id, outside, MarkProgress(current_section="s1")),
    ]
    records = []
    for step in again:
        async with acting_as(pool, ana) as db:
            mine = await operations.get_user_enrollments(db, ana.user_id)
            (enrollment,) = [row.id for row in mine if row.course_id == outside]
            await step(db, enrollment)
        async with acting_as(pool, ana) as db:
            log = await events.get_user_activity_timeline(db, ana.user_id, outside)
            records.append((await operations.get_enrollment(db, enrollment), log))
    assert records == [records[0]] * len(again)
    assert records[0][0].completed_at is not None


async def test_an_enrollment_that_is_not_there_cannot_be_completed(people: World) -> None:
    async with refused(people, NotFound, "no such enrollment"), people.acting("ana") as db:
        await operations.complete_enrollment(db, uuid4())


async def test_completing_with_a_section_open_names_it(people: World) -> None:
    enrollment = await enrollment_of(people, "ana", "hazmat")
    async with refused(people, Conflict, "is still open"), people.acting("ana") as db:
        await operations.complete_enrollment(db, enrollment)


async def test_a_course_is_completed_by_its_answers(people: World) -> None:
    ana, hazmat = people.person["ana"], people.course["hazmat"]
    async with people.acting("ana") as db:
        for section in people.plain_sections:
            await events.record_activity_event(
                db,
                ana,
                CreateActivityEvent(
                    course_id=hazmat, event_type="view_section", meta={"section_key": section}
                ),
            )
        *most, last = [CreateQuestionEvent(**right(people, *question)) for question in people.answers]
        await events.record_question_events(db, ana, most)
        almost = await get_user_progress(db, ana, hazmat)
        assert almost.progress_percent < 100
        await events.record_question_event(db, ana, last)
        done = await operations.get_enrollment(db, await enrollment_of(people, "ana", "hazmat"))
    assert (done.status, done.completed_at is not None) == ("completed", True)


# guide-measured: getUserEnrollments / getPlantEnrollments
async def test_lists_come_in_pages_and_ties_in_a_stable_order(people: World) -> None:
    async with people.acting("hana") as db:
        for person in ("cal", "max", "hugo", "dev"):  # in one transaction: all at the same moment
            await operations.create_enrollment(db, enroll(people, person, "outside"))
        columbus = people.plant["Columbus, OH"]
        everyone = await operations.get_plant_enrollments(db, columbus)
        pages = [
            row
            for offset in range(0, 9, 2)
            for row in await operations.get_plant_enrollments(db, columbus, Page(limit=2, offset=offset))
        ]
        assert pages == everyone == sorted(everyone, key=lambda e: (-e.enrolled_at.timestamp(), e.id))
        assert len(everyone) == 7
        mine = await operations.get_user_enrollments(db, people.person["ana"])
        assert [
            row.slug for row in await operations.get_user_enrollments(db, people.person["ana"], Page(limit=1))
        ] == [mine[0].slug]
    assert {row.slug for row in mine} == {"function-specific-hazmat", "outside"}
    assert {row.progress_percent for row in mine} == {0}


async def test_missing_progress_is_zero_and_a_withdrawn_course_stays_in_the_list(people: World) -> None:
    await people.owner("delete from progress where user_id = $1", people.person["ana"])
    await people.owner("update courses set is_published = false where slug = 'outside'")
    async with people.acting("ana") as db:
        mine = await operations.get_user_enrollments(db, people.person["ana"])
    assert [row.progress_percent for row in mine] == [0, 0]
    assert {row.title for row in mine} == {"Function-Specific HazMat Training", None}


@pytest.mark.parametrize(("who", "whom"), [("ana", "bo"), ("max", "bo"), ("dev", "ana"), ("sue", "sue")])
async def test_whose_enrollments_nobody_sees(people: World, who: str, whom: str) -> None:
    async with refused(people, NotFound), people.acting(who) as db:
        await operations.get_user_enrollments(db, people.person[whom])


# guide-measured: getEnrollmentStats
async def test_stats_of_active_people_in_numbers(people: World) -> None:
    columbus, outside = people.plant["Columbus, OH"], people.course["outside"]
    async with people.acting("max") as db:
        for person in ("cal", "max"):
            await operations.create_enrollment(db, enroll(people, person, "outside"))
    async with people.acting("ana") as db:
        await mark_progress(db, people.person["ana"], outside, MarkProgress(progress_percent=100))
    async with people.acting("max") as db:
        stats = await operations.get_enrollment_stats(db, columbus, outside)
        assert (stats.total, stats.completed, stats.completion_rate) == (3, 1, 33.33)
        # sue is enrolled in hazmat, but suspended
        hazmat = await operations.get_enrollment_stats(db, columbus, people.course["hazmat"])
        assert (hazmat.total, hazmat.completed, hazmat.completion_rate) == (1, 0, 0.0)
        assert {type(stats.total), type(stats.completed), type(hazmat.completion_rate)} == {int, float}
    async with people.acting("hana") as db:
        nobody = await operations.get_enrollment_stats(db, people.plant["Atlanta, GA"], outside)
    assert (nobody.total, nobody.completed, nobody.completion_rate) == (0, 0, 0.0)


async def test_a_transfer_takes_the_enrollment_along(people: World) -> None:
    async with people.acting("hana") as db:
        await update_profile(db, people.person["ana"], UpdateProfile(plant_id=people.plant["Denver, CO"]))
        moved = await operations.get_plant_enrollments(db, people.plant["Denver, CO"])
        progress = await get_user_progress(db, people.person["ana"], people.course["outside"])
    assert {row.user_id for row in moved} == {people.person["ana"]}
    assert progress.plant_id == people.plant["Denver, CO"]
