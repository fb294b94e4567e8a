import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from specchem.errors import BadInput, Conflict, Forbidden, NotFound, SpecChemError
from specchem.events import operations
from specchem.events.schemas import CreateActivityEvent, CreateQuestionEvent, QuestionEvent
from specchem.progress.operations import get_user_progress, mark_progress
from specchem.progress.schemas import MarkProgress
from specchem.vocabulary import EventType, Page
from tests.unchanged import refused
from tests.world import World, right, wrong

MARKS = ("marking", "marks-on-a-drum")  # takes two answers
LETTERS = ("marking", "reportable-quantity-mark")  # takes one


def answer(fields: dict[str, Any], **more: Any) -> CreateQuestionEvent:
    return CreateQuestionEvent(**{**fields, **more})


def outside(world: World, question: str = "q1", **more: Any) -> CreateQuestionEvent:
    """An answer in the course that an outside player shows."""
    fields = {
        "course_id": world.course["outside"],
        "section_key": "s1",
        "question_key": question,
        "is_correct": True,
    }
    return CreateQuestionEvent(**{**fields, **more})


async def stored(world: World) -> int:
    count = await world.owner("select count(*) from question_events")
    assert isinstance(count, int)
    return count


# guide-measured: recordQuestionEvent
async def test_the_server_grades_counts_and_explains(people: World) -> None:
    ana = people.person["ana"]
    async with people.acting("ana") as db:
        missed = await operations.record_question_event(
            db, ana, answer(wrong(people, *MARKS), is_correct=True)
        )
        hit = await operations.record_question_event(db, ana, answer(right(people, *MARKS), is_correct=False))
        other = await operations.record_question_event(db, ana, answer(right(people, *LETTERS)))
    assert [(e.is_correct, e.attempt_index, e.evidence) for e in (missed, hit, other)] == [
        (False, 1, "server_graded"), (True, 2, "server_graded"), (True, 1, "server_graded"),
    ]  # fmt: skip
    assert hit.citation == "49 CFR 172.301(a)"
    assert hit.explanation
    assert hit.plant_id == people.plant["Columbus, OH"]


async def test_the_order_of_choices_does_not_matter(people: World) -> None:
    fields = right(people, *MARKS)
    turned = {"choices": list(reversed(fields["response_meta"]["choices"]))}
    async with people.acting("ana") as db:
        assert (
            await operations.record_question_event(
                db, people.person["ana"], answer(fields, response_meta=turned)
            )
        ).is_correct


async def test_elsewhere_the_clients_word_is_kept_as_its_word(people: World) -> None:
    async with people.acting("ana") as db:
        event = await operations.record_question_event(
            db, people.person["ana"], outside(people, is_correct=False)
        )
    assert (event.is_correct, event.evidence, event.explanation) == (False, "client_asserted", None)


async def test_attempts_are_counted(people: World) -> None:
    async with people.acting("ana") as db:
        events = [
            await operations.record_question_event(db, people.person["ana"], outside(people))
            for _ in range(3)
        ]
        batch = await operations.record_question_events(db, people.person["ana"], [outside(people)] * 3)
    assert [event.attempt_index for event in events + batch] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("who", "whom", "course", "kind"),
    [
        ("cal", "cal", "outside", Conflict),  # not enrolled
        ("bo", "bo", "outside", Conflict),
        ("ana", "ana", "draft", NotFound),
        ("sue", "sue", "outside", Forbidden),
        ("nora", "nora", "outside", Forbidden),
        ("ina", "ina", "outside", Forbidden),
        ("bo", "ana", "outside", Forbidden),
        ("max", "ana", "outside", Forbidden),
        ("hana", "ana", "outside", Forbidden),
    ],
)
async def test_who_records_nothing(
    people: World, who: str, whom: str, course: str, kind: type[SpecChemError]
) -> None:
    event = outside(people, course_id=people.course[course])
    viewed = CreateActivityEvent(course_id=people.course[course], event_type="view_section")
    async with refused(people, kind), people.acting(who) as db:
        await operations.record_question_event(db, people.person[whom], event)
    async with refused(people, kind), people.acting(who) as db:
        await operations.record_activity_event(db, people.person[whom], viewed)


async def test_a_withdrawn_course_takes_no_answers(people: World) -> None:
    await people.owner("update courses set is_published = false where slug = 'outside'")
    async with refused(people, NotFound), people.acting("ana") as db:
        await operations.record_question_event(db, people.person["ana"], outside(people))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"question_key": "made-up"}, 'no question "made-up"'),
        ({"section_key": "made-up"}, "no question"),
        ({"response_meta": None}, "a list of the chosen keys"),
        ({"response_meta": {"choices": "a"}}, "a list of the chosen keys"),
        ({"response_meta": {"choices": []}}, "at least one"),
        ({"response_meta": {"choices": ["z"]}}, "no such choice"),
        ({"response_meta": {"choices": [None]}}, "no such choice"),
        ({"response_meta": {"choices": [["a"]]}}, "no such choice"),
        ({"response_meta": {"choices": ["a", "a"]}}, "at most once"),
        ({"question_key": LETTERS[1], "response_meta": {"choices": ["a", "b"]}}, "one answer"),
        ({"answered_at": datetime.now(UTC) - timedelta(days=31)}, "30 days back"),
        ({"answered_at": datetime.now(UTC) + timedelta(hours=3)}, "5 minutes ahead"),
        ({"answered_at": datetime.min.replace(tzinfo=UTC)}, "30 days back"),
    ],
)
async def test_an_answer_that_cannot_be(people: World, fields: dict[str, Any], sentence: str) -> None:
    event = answer(right(people, *MARKS), **fields)
    async with refused(people, BadInput, sentence), people.acting("ana") as db:
        await operations.record_question_event(db, people.person["ana"], event)


async def test_an_answer_elsewhere_must_say_whether_it_is_right(people: World) -> None:
    async with refused(people, BadInput, "is_correct"), people.acting("ana") as db:
        await operations.record_question_event(db, people.person["ana"], outside(people, is_correct=None))


async def test_an_offline_clients_time_is_kept(people: World) -> None:
    when = datetime.now(UTC) - timedelta(days=29)
    async with people.acting("ana") as db:
        event = await operations.record_question_event(
            db, people.person["ana"], outside(people, answered_at=when)
        )
    assert event.answered_at == when
    assert event.created_at - when > timedelta(days=28)


# guide-measured: recordQuestionEvent (a retry duplicates)
async def test_a_retry_is_harmless(people: World) -> None:
    ana, event = people.person["ana"], answer(right(people, *MARKS), id=uuid4())
    async with people.acting("ana") as db:
        first = await operations.record_question_event(db, ana, event)
        assert await operations.record_question_event(db, ana, event) == first
        assert await operations.record_question_events(db, ana, [event, event]) == [first, first]
    assert await stored(people) == 1


async def test_a_batch_replayed_a_thousand_times_is_stored_once(people: World) -> None:
    ana = people.person["ana"]
    batch = [answer(right(people, *question), id=uuid4()) for question in list(people.answers)[:2]]
    async with people.acting("ana") as db:
        first = await operations.record_question_events(db, ana, batch)
        for _ in range(1000):
            again = await operations.record_question_events(db, ana, batch)
    assert again == first
    assert [event.id for event in first] == [event.id for event in batch]
    assert await stored(people) == len(batch)
    assert await people.owner("select count(*) from app.counter_differences") == 0


@pytest.mark.parametrize(
    "change",
    [
        {"question_key": "q2"},
        {"section_key": "s2"},
        {"is_correct": False},
        {"response_meta": {"choices": ["b"]}},
        {"response_meta": None},
    ],
    ids=repr,
)
async def test_a_retry_with_another_content_is_a_conflict(people: World, change: dict[str, Any]) -> None:
    first = outside(people, id=uuid4(), response_meta={"choices": ["a"]})
    async with people.acting("ana") as db:
        await operations.record_question_event(db, people.person["ana"], first)
    changed = first.model_copy(update=change)
    for batch in ([changed], [first, changed], [outside(people, "q9"), changed]):
        async with refused(people, Conflict, "another event"), people.acting("ana") as db:
            await operations.record_question_events(db, people.person["ana"], batch)


async def test_a_retry_counts_what_the_server_graded(people: World) -> None:
    event = answer(wrong(people, *MARKS), id=uuid4(), is_correct=True)
    async with people.acting("ana") as db:
        first = await operations.record_question_event(db, people.person["ana"], event)
        assert await operations.record_question_event(db, people.person["ana"], event) == first


async def test_another_persons_id_is_a_conflict_that_tells_nothing(people: World) -> None:
    event = answer(right(people, *MARKS), id=uuid4())
    viewed = CreateActivityEvent(
        id=uuid4(),
        course_id=people.course["hazmat"],
        event_type="view_section",
        meta={"section_key": "welcome"},
    )
    async with people.acting("bo") as db:
        await operations.record_question_event(db, people.person["bo"], event)
        await operations.record_activity_event(db, people.person["bo"], viewed)
    async with refused(people, Conflict, operations.TAKEN), people.acting("ana") as db:
        await operations.record_question_event(db, people.person["ana"], event)
    async with refused(people, Conflict, operations.TAKEN), people.acting("ana") as db:
        await operations.record_activity_event(db, people.person["ana"], viewed)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(meta=st.dictionaries(st.text(max_size=10), JSON, max_size=4))
async def test_whatever_is_taken_in_is_kept_as_it_was(people: World, meta: dict[str, Any]) -> None:
    try:
        event = outside(people, id=uuid4(), response_meta=meta)
    except ValidationError:
        return
    async with people.acting("ana") as db:
        first = await operations.record_question_event(db, people.person["ana"], event)
        assert await operations.record_question_event(db, people.person["ana"], event) == first
    # jsonb writes 1e17 as 100000000000000000
    assert json.loads(json.dumps(first.response_meta), parse_int=float) == json.loads(
        json.dumps(meta), parse_int=float
    )


async def test_a_batch_is_all_or_none(people: World) -> None:
    good, bad = answer(right(people, *MARKS)), answer(right(people, *LETTERS), question_key="made-up")
    unknown = outside(people, course_id=people.course["draft"])
    for batch, kind in [([bad, good], BadInput), ([good, bad], BadInput), ([good, unknown], NotFound)]:
        async with refused(people, kind), people.acting("ana") as db:
            await operations.record_question_events(db, people.person["ana"], batch)


async def test_a_batch_comes_back_and_counts_in_the_order_sent(people: World) -> None:
    ana = people.person["ana"]
    batch = [
        outside(people, "q1", id=uuid4()),
        answer(wrong(people, *MARKS), id=uuid4()),
        outside(people, "q1", id=uuid4(), is_correct=False),
        answer(right(people, *MARKS), id=uuid4()),
        outside(people, "q2", id=uuid4()),
    ]
    async with people.acting("ana") as db:
        events = await operations.record_question_events(db, ana, batch)
        progress = await get_user_progress(db, ana, people.course["outside"])
    assert [event.id for event in events] == [event.id for event in batch]
    assert [event.attempt_index for event in events] == [1, 1, 2, 2, 1]
    assert [event.is_correct for event in events] == [True, False, False, True, True]
    assert progress.current_section == "s1"


@pytest.mark.parametrize("sections", [["s1", "s2", "s3", "s4"], ["s4", "s3", "s2", "s1"]])
async def test_of_answers_at_one_moment_the_last_that_was_sent_says_where_one_is(
    people: World, sections: list[str]
) -> None:
    ana, course = people.person["ana"], people.course["outside"]
    batch = [
        CreateQuestionEvent(course_id=course, section_key=section, question_key="q", is_correct=True)
        for section in sections
    ]
    async with people.acting("ana") as db:
        await operations.record_question_events(db, ana, batch)
        assert (await get_user_progress(db, ana, course)).current_section == sections[-1]


async def test_500_answers_at_once(people: World) -> None:
    async with people.acting("ana") as db:
        events = await operations.record_question_events(db, people.person["ana"], [outside(people)] * 500)
    assert [event.attempt_index for event in events] == list(range(1, 501))


async def test_an_empty_batch_is_nothing(people: World) -> None:
    async with people.acting("ana") as db:
        assert await operations.record_question_events(db, people.person["ana"], []) == []


# guide-measured: recordActivityEvent
async def view(people: World, section: str | None, **more: Any) -> Any:
    meta = {"section_key": section} if section else None
    event = CreateActivityEvent(
        course_id=people.course["hazmat"], event_type="view_section", meta=meta, **more
    )
    async with people.acting("ana") as db:
        return await operations.record_activity_event(db, people.person["ana"], event)


async def test_viewing_a_section_moves_the_learner_there(people: World) -> None:
    await view(people, people.plain_sections[0])
    async with people.acting("ana") as db:
        progress = await get_user_progress(db, people.person["ana"], people.course["hazmat"])
    assert progress.current_section == people.plain_sections[0]
    assert progress.progress_percent > 0


@pytest.mark.parametrize("section", [None, "made-up"])
async def test_viewing_a_section_that_is_not_there(people: World, section: str | None) -> None:
    async with refused(people, BadInput, "section_key"):
        await view(people, section)


async def test_viewing_again_with_the_same_id_is_one_view(people: World) -> None:
    key = uuid4()
    first = await view(people, "welcome", id=key)
    assert await view(people, "welcome", id=key) == first
    async with refused(people, Conflict, operations.TAKEN):
        await view(people, "marking", id=key)


async def test_a_course_starts_once(people: World) -> None:
    start = CreateActivityEvent(course_id=people.course["outside"], event_type="start_course")
    async with people.acting("ana") as db:
        first = await operations.record_activity_event(db, people.person["ana"], start)
        assert await operations.record_activity_event(db, people.person["ana"], start) == first
        assert await operations.record_activity_event(
            db, people.person["ana"], start.model_copy(update={"id": uuid4()})
        ) == first  # fmt: skip


@pytest.mark.parametrize(
    ("course", "sentence"), [("hazmat", "is still open"), ("outside", "progress is below 100 %")]
)
async def test_a_completion_that_the_record_contradicts(people: World, course: str, sentence: str) -> None:
    done = CreateActivityEvent(course_id=people.course[course], event_type="complete_course")
    async with refused(people, Conflict, sentence), people.acting("ana") as db:
        await operations.record_activity_event(db, people.person["ana"], done)


async def test_a_completion_that_the_record_holds_is_returned(people: World) -> None:
    ana, course = people.person["ana"], people.course["outside"]
    done = CreateActivityEvent(course_id=course, event_type="complete_course")
    async with people.acting("ana") as db:
        await mark_progress(db, ana, course, MarkProgress(progress_percent=100))
        event = await operations.record_activity_event(db, ana, done)
        log = await operations.get_user_activity_timeline(db, ana, course)
    assert event in log
    assert len(log) == 2


@pytest.mark.parametrize("kind", ["view_section", "start_course", "complete_course"])
@pytest.mark.parametrize("away", [timedelta(days=-31), timedelta(minutes=6)])
async def test_an_activity_out_of_time(people: World, kind: EventType, away: timedelta) -> None:
    event = CreateActivityEvent(
        course_id=people.course["outside"], event_type=kind, occurred_at=datetime.now(UTC) + away
    )
    async with refused(people, BadInput, "30 days back"), people.acting("ana") as db:
        await operations.record_activity_event(db, people.person["ana"], event)


# guide-measured: getUserQuestionEvents / getUserActivityTimeline
async def test_histories_come_latest_first_in_pages_with_ties(people: World) -> None:
    ana = people.person["ana"]
    same_moment = datetime.now(UTC) - timedelta(hours=1)
    async with people.acting("ana") as db:
        await operations.record_question_events(
            db, ana, [outside(people, f"q{n % 3}", answered_at=same_moment) for n in range(9)]
        )
        for _ in range(5):
            await operations.record_activity_event(
                db, ana,
                CreateActivityEvent(
                    course_id=people.course["outside"], event_type="view_section", occurred_at=same_moment
                ),
            )  # fmt: skip
    for who in ("ana", "max", "hugo", "hana"):
        for read, total in (
            (operations.get_user_question_events, 9),
            (operations.get_user_activity_timeline, 6),
        ):
            async with people.acting(who) as db:
                everything: list[Any] = list(await read(db, ana))
                pages = [
                    e for at in range(0, 10, 2) for e in await read(db, ana, None, Page(limit=2, offset=at))
                ]
                assert await read(db, ana, people.course["hazmat"]) == []
            assert pages == everything
            assert len({e.id for e in everything}) == total
            times = [getattr(e, "answered_at", None) or e.occurred_at for e in everything]
            assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("read", [operations.get_user_question_events, operations.get_user_activity_timeline])
@pytest.mark.parametrize(("who", "whom"), [("bo", "ana"), ("mia", "ana"), ("dev", "ana"), ("sue", "sue")])
async def test_whose_history_nobody_sees(people: World, read: Any, who: str, whom: str) -> None:
    async with refused(people, NotFound, "no such person"), people.acting(who) as db:
        await read(db, people.person[whom])


@pytest.mark.parametrize("read", [operations.get_user_question_events, operations.get_user_activity_timeline])
async def test_a_history_of_a_course_that_is_not_there(people: World, read: Any) -> None:
    async with refused(people, NotFound, "no such course"), people.acting("ana") as db:
        await read(db, people.person["ana"], uuid4())


async def test_where_a_learner_stands_with_a_section(people: World) -> None:
    ana, hazmat = people.person["ana"], people.course["hazmat"]
    async with people.acting("ana") as db:
        for choose, question in [
            (wrong, MARKS),
            (right, MARKS),
            (wrong, MARKS),
            (wrong, LETTERS),
            (wrong, LETTERS),
        ]:
            await operations.record_question_event(db, ana, answer(choose(people, *question)))
        latest = await operations.get_latest_answers(db, ana, hazmat, MARKS[0])
    # the right answer once there is one, else the latest
    assert {key: (a.is_correct, a.attempt_index) for key, a in latest.items()} == {
        MARKS[1]: (True, 2), LETTERS[1]: (False, 2),
    }  # fmt: skip
    assert latest[MARKS[1]].choices == people.answers[MARKS]
    async with people.acting("bo") as db:
        assert await operations.get_latest_answers(db, ana, hazmat, MARKS[0]) == {}


# guide-measured: getQuestionDifficulty
async def test_the_hardest_question_comes_first(people: World) -> None:
    ana, course = people.person["ana"], people.course["outside"]
    tally = {"easy": [True] * 4, "hard": [False, False, True], "half": [True, False], "also": [True, False]}
    async with people.acting("ana") as db:
        for question, results in tally.items():
            for result in results:
                await operations.record_question_event(db, ana, outside(people, question, is_correct=result))
    async with people.acting("max") as db:
        rows = await operations.get_question_difficulty(db, people.plant["Columbus, OH"], course)
    assert [row.question_key for row in rows] == ["hard", "also", "half", "easy"]
    hard, also = rows[:2]
    assert (hard.total_attempts, hard.correct_attempts, hard.incorrect_attempts) == (3, 1, 2)
    assert (hard.first_attempts, hard.people, hard.success_rate, hard.miss_rate) == (1, 1, 33.33, 66.67)
    assert (also.success_rate, also.miss_rate) == (50.0, 50.0)
    assert 0 <= hard.miss_rate_low < hard.miss_rate < hard.miss_rate_high <= 100
    assert {type(hard.total_attempts), type(hard.success_rate)} == {int, float}


async def test_nothing_answered_is_an_empty_list(people: World) -> None:
    async with people.acting("max") as db:
        assert (
            await operations.get_question_difficulty(
                db, people.plant["Columbus, OH"], people.course["hazmat"]
            )
            == []
        )


async def test_an_event_read_back_is_the_one_recorded(people: World) -> None:
    ana: UUID = people.person["ana"]
    async with people.acting("ana") as db:
        recorded = await operations.record_question_event(db, ana, outside(people, response_meta={"n": 1}))
        (read,) = await operations.get_user_question_events(db, ana)
    assert read == QuestionEvent(
        **{name: getattr(recorded, name) for name in QuestionEvent.__struct_fields__}
    )


@pytest.mark.parametrize(
    "meta",
    [
        '{"choices": ["a"], "deep": ' + "[" * 40 + "]" * 40 + "}",
        '{"choices": ["a"], "large": ' + "9" * 5000 + "}",
        '{"choices": ["a"], "small": -1e400}',
    ],
    ids=["deep", "large", "small"],
)
async def test_nobody_stores_what_a_managers_page_cannot_read(people: World, meta: str) -> None:
    """By direct SQL, where no schema of ours stands in between."""
    sentence = "nested too deeply or holds a number too large"
    async with refused(people, BadInput, sentence), people.acting("ana") as db:
        await db.run(
            "insert into question_events (user_id, course_id, section_key, question_key, is_correct, response_meta)"
            " values ($1, $2, 's', 'q', true, $3::text::jsonb)",
            people.person["ana"], people.course["outside"], meta,
        )  # fmt: skip
