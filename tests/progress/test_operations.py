import pytest

from specchem.enrollments.operations import get_user_enrollments
from specchem.errors import BadInput, Conflict, Forbidden, NotFound, SpecChemError
from specchem.progress import operations
from specchem.progress.schemas import MarkProgress, UpdateProgress
from specchem.vocabulary import Page
from tests.unchanged import refused
from tests.world import World


async def status_of(people: World, person: str, course: str) -> tuple[str, object]:
    async with people.acting(person) as db:
        rows = await get_user_enrollments(db, people.person[person])
    (row,) = [row for row in rows if row.course_id == people.course[course]]
    return row.status, row.completed_at


# guide-measured: updateProgress / markProgress
@pytest.mark.parametrize(
    ("marks", "percent", "status"),
    [
        ([80, 30], 80, "in_progress"),
        ([100, 50], 100, "completed"),
        ([100, 0], 100, "completed"),
        ([0], 0, "in_progress"),
        ([60, 60], 60, "in_progress"),
        ([99, 100, 100], 100, "completed"),
    ],
)
@pytest.mark.parametrize("operation", ["update", "mark"])
async def test_progress_never_falls(
    people: World, marks: list[int], percent: int, status: str, operation: str
) -> None:
    ana, outside = people.person["ana"], people.course["outside"]
    async with people.acting("ana") as db:
        for number in marks:
            if operation == "update":
                await operations.update_progress(db, ana, outside, UpdateProgress(progress_percent=number))
            else:
                await operations.mark_progress(db, ana, outside, MarkProgress(progress_percent=number))
        found = await operations.get_user_progress(db, ana, outside)
    assert found.progress_percent == percent
    assert (await status_of(people, "ana", "outside"))[0] == status


# guide-measured: markProgress (a revisit after completion)
async def test_a_revisit_moves_the_section_and_keeps_the_completion(people: World) -> None:
    ana, outside = people.person["ana"], people.course["outside"]
    async with people.acting("ana") as db:
        await operations.mark_progress(
            db, ana, outside, MarkProgress(progress_percent=100, current_section="s6")
        )
    first = await status_of(people, "ana", "outside")
    async with people.acting("ana") as db:
        again = await operations.mark_progress(db, ana, outside, MarkProgress(current_section="s4"))
    assert (again.progress_percent, again.current_section) == (100, "s4")
    assert await status_of(people, "ana", "outside") == first
    assert first[1] is not None


# guide-measured: markProgress (section 'intro' at 0 % left the status 'enrolled')
async def test_looking_at_the_first_section_is_a_start(people: World) -> None:
    async with people.acting("ana") as db:
        await operations.mark_progress(
            db, people.person["ana"], people.course["outside"], MarkProgress(current_section="intro")
        )
    assert await status_of(people, "ana", "outside") == ("in_progress", None)


@pytest.mark.parametrize(
    ("who", "whom", "course", "kind"),
    [
        ("cal", "cal", "outside", NotFound),
        ("ana", "ana", "draft", NotFound),
        ("ana", "bo", "hazmat", NotFound),
        ("max", "ana", "outside", Forbidden),
        ("hana", "ana", "outside", Forbidden),
        ("sue", "sue", "hazmat", NotFound),
        ("nora", "nora", "hazmat", NotFound),
    ],
)
async def test_who_marks_nothing(
    people: World, who: str, whom: str, course: str, kind: type[SpecChemError]
) -> None:
    for number in (0, 50):
        async with refused(people, kind), people.acting(who) as db:
            await operations.update_progress(
                db, people.person[whom], people.course[course], UpdateProgress(progress_percent=number)
            )


@pytest.mark.parametrize(
    ("mark", "kind", "sentence"),
    [
        (MarkProgress(progress_percent=100), Conflict, 'section "Welcome'),
        (MarkProgress(progress_percent=1), Conflict, "Your answers support 0 %, not 1 %"),
        (MarkProgress(current_section="nowhere"), BadInput, 'no section "nowhere"'),
    ],
)
async def test_claims_that_the_answers_do_not_support(
    people: World, mark: MarkProgress, kind: type[SpecChemError], sentence: str
) -> None:
    async with refused(people, kind, sentence), people.acting("ana") as db:
        await operations.mark_progress(db, people.person["ana"], people.course["hazmat"], mark)


# guide-measured: getUserProgress / getPlantProgress
@pytest.mark.parametrize("who", ["ana", "max", "hugo", "hana"])
async def test_who_sees_how_far_ana_is(people: World, who: str) -> None:
    ana = people.person["ana"]
    async with people.acting(who) as db:
        found = await operations.get_user_progress(db, ana, people.course["outside"])
        listed = await operations.list_user_progress(db, ana)
    assert found in listed
    assert len(listed) == 2


@pytest.mark.parametrize("who", ["bo", "mia", "dev", "cal", "sue", "sam", "nora"])
async def test_who_does_not(people: World, who: str) -> None:
    async with refused(people, NotFound), people.acting(who) as db:
        await operations.get_user_progress(db, people.person["ana"], people.course["outside"])
    async with refused(people, NotFound), people.acting(who) as db:
        await operations.list_user_progress(db, people.person["ana"])


async def test_a_plants_progress_comes_in_pages(people: World) -> None:
    columbus = people.plant["Columbus, OH"]
    async with people.acting("max") as db:
        everyone = await operations.get_plant_progress(db, columbus)
        pages = [
            row
            for offset in range(4)
            for row in await operations.get_plant_progress(db, columbus, page=Page(limit=1, offset=offset))
        ]
        hazmat = await operations.get_plant_progress(db, columbus, people.course["hazmat"])
    assert pages == everyone == sorted(everyone, key=lambda row: (-row.last_active_at.timestamp(), row.id))
    assert {row.user_id for row in hazmat} == {people.person["ana"], people.person["sue"]}
