from uuid import uuid4

import msgspec
import pytest

from specchem.courses import operations
from specchem.errors import NotFound
from specchem.events.operations import record_question_event
from specchem.events.schemas import CreateQuestionEvent
from specchem.vocabulary import Page
from tests.unchanged import refused
from tests.world import SLUGS, World, right, wrong

HAZMAT = SLUGS["hazmat"]
QUESTION = ("marking", "marks-on-a-drum")


@pytest.mark.parametrize(
    ("who", "sees"),
    [
        ("ana", {"hazmat", "outside"}),
        ("max", {"hazmat", "outside"}),
        ("hana", {"hazmat", "outside", "draft"}),
        ("dev", {"hazmat", "outside", "draft"}),
        ("sue", set()),
        ("ina", set()),
        ("nora", set()),
    ],
)
async def test_who_sees_which_courses(people: World, who: str, sees: set[str]) -> None:
    async with people.acting(who) as db:
        rows = await operations.get_courses(db)
        pages = [row for n in range(4) for row in await operations.get_courses(db, Page(limit=1, offset=n))]
    assert {row.slug for row in rows} == {SLUGS[name] for name in sees}
    assert pages == rows == sorted(rows, key=lambda row: (row.title, row.id))


async def test_the_content_holds_every_question_and_no_answer(people: World) -> None:
    async with people.acting("ana") as db:
        course = await operations.get_course_content(db, HAZMAT)
    asked = [(section.key, question.key) for section in course.sections for question in section.questions]
    assert asked == list(people.answers)
    for section in course.sections:
        assert section.body
        for question in section.questions:
            correct = people.answers[section.key, question.key]
            assert question.multiple == (len(correct) > 1)
            assert set(correct) < {choice.key for choice in question.choices}
    explanations = await people.owner("select array_agg(explanation || citation) from answer_keys")
    sent = msgspec.json.encode(course).decode()
    assert '"correct"' not in sent
    assert not [text for text in explanations if text in sent]


async def test_an_outside_course_has_no_content_here(people: World) -> None:
    async with people.acting("ana") as db:
        assert (await operations.get_course_content(db, "outside")).sections == []


@pytest.mark.parametrize(
    ("who", "slug"), [("ana", "draft"), ("ana", "nothing"), ("max", "draft"), ("sue", HAZMAT)]
)
async def test_a_course_that_is_not_theirs_to_read(people: World, who: str, slug: str) -> None:
    async with refused(people, NotFound, "There is no such course."), people.acting(who) as db:
        await operations.get_course_content(db, slug)


async def test_an_explanation_is_for_those_who_answered(people: World) -> None:
    hazmat = people.course["hazmat"]
    async with people.acting("ana") as db:
        assert await operations.get_explanations(db, hazmat, QUESTION[0]) == {}
        answer = CreateQuestionEvent(**wrong(people, *QUESTION))
        await record_question_event(db, people.person["ana"], answer)
        told = await operations.get_explanations(db, hazmat, QUESTION[0])
    assert set(told) == {QUESTION[1]}
    assert told[QUESTION[1]].citation == "49 CFR 172.301(a)"
    for who in ("bo", "max", "hana"):
        async with people.acting(who) as db:
            assert await operations.get_explanations(db, hazmat, QUESTION[0]) == {}


async def test_a_section_is_done_when_each_question_was_right_once(people: World) -> None:
    hazmat, section = people.course["hazmat"], QUESTION[0]
    questions = [question for question in people.answers if question[0] == section]
    async with people.acting("ana") as db:
        for question in questions:
            assert not (await operations.get_my_sections(db, hazmat))[section]
            for choose in (right, wrong):  # a later mistake undoes nothing
                event = CreateQuestionEvent(**choose(people, *question))
                await record_question_event(db, people.person["ana"], event)
        assert (await operations.get_my_sections(db, hazmat))[section]
    async with people.acting("bo") as db:
        assert not any((await operations.get_my_sections(db, hazmat)).values())


async def test_a_course_that_is_not_there_has_no_sections(people: World) -> None:
    async with people.acting("ana") as db:
        assert await operations.get_my_sections(db, uuid4()) == {}
        assert await operations.get_explanations(db, uuid4(), "marking") == {}
