"""What learners did: graded, counted and dated by the server, and never touched again."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from specchem.db.session import Db
from specchem.errors import BadInput, Conflict, Forbidden, NotFound, SpecChemError
from tests.db.refused import acting, refused, state
from tests.world import World, right, wrong

NOW = datetime.now(UTC)


async def insert(db: Db, table: str, **fields: Any) -> Any:
    """Insert as a client would, and give back the row."""
    columns = ", ".join(fields)
    places = ", ".join(f"${n}" for n in range(1, len(fields) + 1))
    row = await db.connection.fetchrow(
        f"insert into {table} ({columns}) values ({places}) returning *", *fields.values()
    )
    assert row is not None
    return row


def outside(people: World, who: str = "ana", **fields: Any) -> dict[str, Any]:
    """An answer in the course without content."""
    return {
        "user_id": people.person[who], "course_id": people.course["outside"],
        "section_key": "s", "question_key": "q", "is_correct": True, **fields,
    }  # fmt: skip


def activity(people: World, kind: str, course: str = "hazmat", **fields: Any) -> dict[str, Any]:
    return {"user_id": people.person["ana"], "course_id": people.course[course], "event_type": kind, **fields}


def first(people: World) -> tuple[str, str]:
    return next(iter(people.answers))


def single(people: World) -> tuple[str, str]:
    return next(key for key, choices in people.answers.items() if len(choices) == 1)


async def counters_agree(people: World) -> bool:
    assert people.connection is not None
    both = ("app.counter_differences", "app.completion_differences")
    return [await people.connection.fetch(f"select * from {one}") for one in both] == [[], []]


# ---------------------------------------------------------------- append-only
@pytest.fixture
async def recorded(people: World) -> World:
    async with people.acting("ana") as db:
        await insert(db, "question_events", **outside(people))
        await insert(db, "activity_events", **activity(people, "view_section", "outside"))
    return people


@pytest.mark.parametrize("who", ["ana", "max", "hana", "dev", "service_role", "postgres", "supabase_admin"])
@pytest.mark.parametrize("table", ["question_events", "activity_events"])
@pytest.mark.parametrize(
    "sql", ["update {} set created_at = now()", "delete from {}", "truncate {}", "truncate {} cascade",
            "delete from {} where false"],
)  # fmt: skip
async def test_events_are_append_only_for_everybody(recorded: World, who: str, table: str, sql: str) -> None:
    # guide-measured: append-only events, events UPDATE/DELETE
    async with refused(recorded, who, Forbidden) as db:
        await db.run(sql.format(table))


@pytest.mark.parametrize("table", ["profiles", "courses", "plants", "auth.users"])
@pytest.mark.parametrize("who", ["postgres", "supabase_admin"])
async def test_events_survive_a_truncate_from_afar(recorded: World, who: str, table: str) -> None:
    async with refused(recorded, who, Forbidden) as db:
        await db.run(f"truncate {table} cascade")


# ---------------------------------------------------------------- what the server says
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("plant_id", UUID(int=1)),
        ("attempt_index", -7),
        ("attempt_index", 2**31 - 1),
        ("created_at", NOW - timedelta(days=9000)),
        ("evidence", "server_graded"),
    ],
)
async def test_a_client_does_not_say_what_the_server_decides(people: World, column: str, value: Any) -> None:
    # guide-measured: question_events INSERT own
    async with refused(people, "ana", Forbidden) as db:
        await insert(db, "question_events", **outside(people, **{column: value}))


async def test_whoever_may_say_it_is_corrected(people: World) -> None:
    async with people.role("service_role") as db:
        row = await insert(
            db, "question_events",
            **outside(
                people, plant_id=people.plant["Denver, CO"], attempt_index=99, created_at=NOW - timedelta(days=900),
                evidence="server_graded"),
        )  # fmt: skip
        assert row["created_at"] == await db.value("select now()")
    assert (row["plant_id"], row["attempt_index"], row["evidence"]) == (
        people.plant["Columbus, OH"], 1, "client_asserted",
    )  # fmt: skip


@pytest.mark.parametrize("who", ["ana", "max", "hana", "dev"])
@pytest.mark.parametrize("table", ["question_events", "activity_events"])
async def test_nobody_records_for_another(people: World, who: str, table: str) -> None:
    fields = outside(people, "bo") if table == "question_events" else (
        activity(people, "view_section", "outside") | {"user_id": people.person["bo"]})  # fmt: skip
    async with refused(people, who, Forbidden) as db:
        await insert(db, table, **fields)


@pytest.mark.parametrize(
    ("away", "fine"),
    [
        (timedelta(0), True),
        (timedelta(days=-29, hours=-23), True),
        (timedelta(minutes=4), True),
        (timedelta(days=-31), False),
        (timedelta(minutes=6), False),
        (timedelta(days=-9000), False),
        (timedelta(days=9000), False),
    ],
)
@pytest.mark.parametrize("table", ["question_events", "activity_events"])
async def test_an_offline_client_may_be_a_month_late(
    people: World, table: str, away: timedelta, fine: bool
) -> None:
    # guide-measured: question_events INSERT own (1999 date)
    then = datetime.now(UTC) + away
    fields = (
        outside(people, answered_at=then)
        if table == "question_events"
        else activity(people, "view_section", "outside", occurred_at=then)
    )
    if fine:
        async with people.acting("ana") as db:
            row = await insert(db, table, **fields)
            assert then in row.values()
            assert row["created_at"] == await db.value("select now()")
    else:
        async with refused(people, "ana", BadInput, "30 days back") as db:
            await insert(db, table, **fields)


@pytest.mark.parametrize("when", ["infinity", "-infinity"])
async def test_an_event_has_a_finite_time(people: World, when: str) -> None:
    async with refused(people, "ana", BadInput) as db:
        await db.run(
            """insert into question_events (user_id, course_id, section_key, question_key, is_correct, answered_at)
            values ($1, $2, 's', 'q', true, $3::text::timestamptz)""",
            people.person["ana"], people.course["outside"], when,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("who", "course", "kind"),
    [
        ("cal", "outside", Conflict),  # not enrolled
        ("ana", "draft", NotFound),
        ("sue", "hazmat", Forbidden),
        ("ina", "outside", Forbidden),
        ("service_role", "draft", Conflict),
    ],
)
async def test_only_active_learners_who_are_enrolled_record(
    people: World, who: str, course: str, kind: type[SpecChemError]
) -> None:
    person = "ana" if who == "service_role" else who
    async with refused(people, who, kind) as db:
        await insert(db, "question_events", **outside(people, person, course_id=people.course[course]))


async def test_a_withdrawn_course_takes_no_more_events(people: World) -> None:
    await people.owner("update courses set is_published = false where slug = 'outside'")
    async with refused(people, "ana", NotFound) as db:
        await insert(db, "question_events", **outside(people))


@pytest.mark.parametrize("key", ["", " ", "a" * 201, "tab\t", " padded"])
@pytest.mark.parametrize("column", ["section_key", "question_key"])
async def test_keys_are_tidy(people: World, column: str, key: str) -> None:
    # guide-measured: btree on free text
    async with refused(people, "ana", BadInput) as db:
        await insert(db, "question_events", **outside(people, **{column: key}))


async def test_insert_returning_shows_the_learner_their_row(people: World) -> None:
    # guide-measured: INSERT ... RETURNING
    async with people.acting("ana") as db:
        row = await insert(db, "question_events", **outside(people))
        assert await db.value("select count(*) from question_events where id = $1", row["id"]) == 1


async def test_an_id_makes_a_retry_harmless(people: World) -> None:
    fields = outside(people, id=uuid4())
    columns, values = ", ".join(fields), list(fields.values())
    sql = (
        f"insert into question_events ({columns}) values ($1, $2, $3, $4, $5, $6) on conflict (id) do nothing"
    )
    async with people.acting("ana") as db:
        assert [await db.run(sql, *values) for _ in range(3)] == ["INSERT 0 1", "INSERT 0 0", "INSERT 0 0"]
        assert await db.value("select array_agg(attempt_index) from question_events") == [1]
    async with refused(people, "ana", Conflict, "recorded already") as db:
        await insert(db, "question_events", **fields)
    assert await counters_agree(people)


# ---------------------------------------------------------------- grading
@pytest.mark.parametrize("claimed", [True, False, None])
async def test_the_server_grades_what_it_knows(people: World, claimed: bool | None) -> None:
    for fields, correct in ((right(people, *first(people)), True), (wrong(people, *first(people)), False)):
        async with people.acting("ana") as db:
            row = await insert(
                db, "question_events", user_id=people.person["ana"], is_correct=claimed, **fields
            )
        assert (row["is_correct"], row["evidence"]) == (correct, "server_graded")


async def test_every_question_is_graded_right_and_wrong(people: World) -> None:
    async with people.acting("ana") as db:
        for key in people.answers:
            for fields, correct in ((wrong(people, *key), False), (right(people, *key), True)):
                row = await insert(db, "question_events", user_id=people.person["ana"], **fields)
                assert row["is_correct"] is correct, key
    assert await counters_agree(people)


async def test_the_order_of_choices_does_not_matter(people: World) -> None:
    """Neither the client's nor the answer key's."""
    key, choices = next((k, c) for k, c in people.answers.items() if len(c) > 1)
    await people.owner(
        "update answer_keys set correct = $3 where section_key = $1 and question_key = $2",
        *key, choices[::-1],
    )  # fmt: skip
    fields = right(people, *key)
    for order in (choices, choices[::-1]):
        async with people.acting("ana") as db:
            fields["response_meta"] = {"choices": order}
            row = await insert(db, "question_events", user_id=people.person["ana"], **fields)
        assert row["is_correct"] is True
    async with people.acting("ana") as db:
        fields["response_meta"] = {"choices": choices[:1]}
        row = await insert(db, "question_events", user_id=people.person["ana"], **fields)
    assert row["is_correct"] is False


@pytest.mark.parametrize(
    "meta",
    [None, {}, {"choices": None}, {"choices": "a"}, {"choices": []}, {"choices": ["zzz"]}, {"choices": ["a", "a"]},
     {"choices": ["a", "b"]}, {"choices": [None]}, {"choices": [["a"]]}, {"choices": {"a": 1}}, {"choices": [1]},
     {"choices": ["a"] * 1000}],
)  # fmt: skip
async def test_an_answer_that_is_none_is_refused(people: World, meta: Any) -> None:
    fields = right(people, *single(people)) | {"response_meta": meta}
    async with refused(people, "ana", BadInput, "choices") as db:
        await insert(db, "question_events", user_id=people.person["ana"], **fields)


@pytest.mark.parametrize(("section", "question"), [("nowhere", "q"), ("classification", "nothing")])
async def test_a_question_that_is_not_there_is_refused(people: World, section: str, question: str) -> None:
    fields = right(people, *first(people)) | {"section_key": section, "question_key": question}
    async with refused(people, "ana", BadInput, "has no question") as db:
        await insert(db, "question_events", user_id=people.person["ana"], **fields)


async def test_a_question_without_answer_key_is_refused_in_words(people: World) -> None:
    await people.owner("delete from answer_keys")
    async with refused(people, "ana", Conflict, "no answer key yet") as db:
        await insert(db, "question_events", user_id=people.person["ana"], **right(people, *first(people)))


async def test_an_unknown_course_needs_the_clients_word(people: World) -> None:
    async with refused(people, "ana", BadInput, "is_correct") as db:
        await insert(db, "question_events", **outside(people, is_correct=None))


async def test_a_refused_answer_does_not_tell_its_grade(people: World) -> None:
    """A row that fails a check would be shown, graded, in the error's detail, were it not for row security."""
    fields = right(people, *first(people))
    fields["response_meta"]["more"] = "a" * 9000
    with pytest.raises(BadInput, match="8 KB") as refusal:
        async with people.acting("ana") as db:
            await insert(db, "question_events", user_id=people.person["ana"], **fields)
    assert isinstance(refusal.value.__cause__, asyncpg.CheckViolationError)
    assert refusal.value.__cause__.detail is None


async def test_an_explanation_is_told_to_those_who_have_answered(people: World) -> None:
    section, question = first(people)
    sql = "select explanation from app.explain($1, $2, $3)"
    values = people.course["hazmat"], section, question
    for who in ("ana", "bo", "cal", "max", "hana", "sue"):
        async with people.acting(who) as db:
            assert await db.value(sql, *values) is None
    async with people.acting("ana") as db:
        await insert(db, "question_events", user_id=people.person["ana"], **wrong(people, section, question))
        assert await db.value(sql, *values)
        others = await db.value(
            """select count(*) from questions q cross join app.explain(q.course_id, q.section_key, q.key)
            where (q.section_key, q.key) <> ($1, $2)""",
            section, question,
        )  # fmt: skip
    assert others == 0
    async with people.acting("bo") as db:
        assert await db.value(sql, *values) is None


@pytest.mark.parametrize("who", ["ana", "max", "hana", "anon", "specchem_api"])
@pytest.mark.parametrize(
    "call",
    [
        "app.chosen(null)", "app.admit(null, null, null, null)", "app.steps(null, null)",
        "app.supported_percent(null, null)",
        "app.open_section(null, null)", "app.accept_invitation(null, null)", "app.close('public.answer_keys')",
        "app.tidy('')", "app.handle_new_user()",
    ],
)  # fmt: skip
async def test_what_works_behind_the_rules_cannot_be_called(people: World, who: str, call: str) -> None:
    with pytest.raises(SpecChemError) as refusal:
        async with acting(people, who) as db:
            await db.run(f"select {call}")
    assert isinstance(refusal.value, Forbidden)


# ---------------------------------------------------------------- attempts and counters
async def test_attempts_are_counted_one_by_one_and_in_batches(people: World) -> None:
    sql = """insert into question_events (user_id, course_id, section_key, question_key, is_correct)
        select $1, $2, 's', q, n % 2 = 0 from unnest(array['p', 'q']) as q, generate_series(1, 5) as n"""
    for who in ["ana"] * 2:
        async with people.acting(who) as db:
            await db.run(sql, people.person[who], people.course["outside"])
            await insert(db, "question_events", **outside(people, who))
    found = await people.owner("select array_agg(attempt_index order by attempt_index) from question_events"
                               " where question_key = 'q'")  # fmt: skip
    assert found == list(range(1, 13))
    assert await counters_agree(people)


async def test_counters_agree_after_everything_that_can_happen(people: World) -> None:
    async def some(who: str) -> None:
        async with people.acting(who) as db:
            for key in list(people.answers)[:3]:
                same = {"id": uuid4(), "user_id": people.person[who]}
                await insert(db, "question_events", **same, **wrong(people, *key))
                await insert(db, "question_events", user_id=people.person[who], **right(people, *key))
                await db.run(
                    """insert into question_events (id, user_id, course_id, section_key, question_key, response_meta)
                    select coalesce(case when n = 1 then $1::uuid end, gen_random_uuid()), user_id, course_id,
                        section_key, question_key, response_meta
                    from question_events, generate_series(1, 3) as n where id = $1 on conflict (id) do nothing""",
                    same["id"],
                )

    await some("ana")
    await some("bo")
    for plant in ("Denver, CO", "Columbus, OH", "Phoenix, AZ"):
        async with people.acting("hana") as db:
            await db.run(
                "update profiles set plant_id = $1 where id = $2", people.plant[plant], people.person["ana"]
            )
        await some("ana")
    assert await counters_agree(people)
    assert await people.owner("select sum(attempts) from question_counters") == await people.owner(
        "select count(*) from question_events"
    )


async def test_a_wrong_counter_is_found(people: World) -> None:
    async with people.acting("ana") as db:
        await insert(db, "question_events", **outside(people))
    await people.owner("update question_counters set wrong = wrong + 1")
    assert not await counters_agree(people)


# ---------------------------------------------------------------- activity
async def test_start_is_written_once_by_the_transition(people: World) -> None:
    async with people.acting("ana") as db:
        await insert(db, "question_events", user_id=people.person["ana"], **wrong(people, *first(people)))
        await insert(db, "question_events", user_id=people.person["ana"], **wrong(people, *first(people)))
        found = await db.connection.fetch("select event_type::text, course_id from activity_events")
    assert [tuple(row) for row in found] == [("start_course", people.course["hazmat"])]


async def test_a_clients_start_starts_the_course_once(people: World) -> None:
    async with people.acting("ana") as db:
        await insert(db, "activity_events", **activity(people, "start_course"))
        status = await db.value(
            "select status::text from enrollments where course_id = $1", people.course["hazmat"]
        )
        assert status == "in_progress"
        assert await db.value("select count(*) from activity_events") == 1
    async with refused(people, "ana", Conflict, "recorded already") as db:
        await insert(db, "activity_events", **activity(people, "start_course"))


@pytest.mark.parametrize(
    ("course", "sentence"), [("hazmat", 'section "Welcome'), ("outside", "progress is below 100 %")]
)
async def test_a_completion_that_the_record_contradicts_is_refused(
    people: World, course: str, sentence: str
) -> None:
    # guide-measured: activity_events INSERT
    for who in ("ana", "service_role"):
        async with refused(people, who, Conflict, sentence) as db:
            await insert(db, "activity_events", **activity(people, "complete_course", course))


@pytest.mark.parametrize(
    "meta", [None, {}, {"section_key": "nowhere"}, {"section_key": None}, {"section_key": 1}]
)
async def test_a_section_that_is_not_there_cannot_be_viewed(people: World, meta: Any) -> None:
    async with refused(people, "ana", BadInput, "no section") as db:
        await insert(db, "activity_events", **activity(people, "view_section", meta=meta))


async def test_viewing_moves_the_learner(people: World) -> None:
    async with people.acting("ana") as db:
        await insert(
            db, "activity_events", **activity(people, "view_section", meta={"section_key": "marking"})
        )
        where = await db.value(
            "select current_section from progress where course_id = $1", people.course["hazmat"]
        )
    assert where == "marking"


async def test_events_stay_where_they_happened(recorded: World) -> None:  # guide-measured: plant_id on rows
    before = await state(recorded)
    async with recorded.acting("hana") as db:
        await db.run(
            "update profiles set plant_id = $1 where id = $2",
            recorded.plant["Denver, CO"], recorded.person["ana"],
        )  # fmt: skip
    after = await state(recorded)
    changed = {table for table in before if before[table] != after[table]}
    assert changed == {
        "public.profiles", "public.enrollments", "public.progress", "public.completion_counters",
    }  # fmt: skip
    async with recorded.acting("ana") as db:
        row = await insert(db, "question_events", **outside(recorded))
    assert (row["plant_id"], row["attempt_index"]) == (recorded.plant["Denver, CO"], 2)
    assert await counters_agree(recorded)


# ------------------------------------------------------------------------------------------------ retention


async def _aged(people: World, days: int) -> None:
    """As if all that was answered had been answered so long ago."""
    async with people.role("supabase_admin") as db:
        await db.run("set local session_replication_role = replica")
        await db.run(f"update question_events set answered_at = answered_at - interval '{days} days'")
        await db.run("set local session_replication_role = origin")


async def _standing(people: World) -> list[object]:
    """What rests on the answers."""
    async with people.role("postgres") as db:
        return [
            (await db.connection.fetch(f"select * from {what}"))
            for what in (
                "progress order by id",
                "enrollments order by id",
                "question_counters order by 1, 2, 3, 4, 5",
                "app.question_difficulty order by 1, 2, 3, 4",
                "(select distinct on (user_id, question_key) user_id, question_key, is_correct, attempt_index"
                " from question_events order by user_id, question_key, is_correct desc, attempt_index desc) as latest",
            )
        ]


async def test_answers_that_nothing_rests_on_can_be_pruned(people: World) -> None:
    ana, (section, question) = people.person["ana"], first(people)
    async with people.acting("ana") as db:
        for choose in (wrong, wrong, right, wrong, right, wrong):
            await insert(db, "question_events", user_id=ana, **choose(people, section, question))
    await _aged(people, 40)
    before = await _standing(people)
    assert await people.owner("select app.prune_answers(now() - interval '41 days', 100)") == 0
    assert await people.owner("select app.prune_answers(now() - interval '31 days', 3)") == 3
    assert await people.owner("select app.prune_answers(now() - interval '31 days', 100)") == 1
    assert await people.owner("select app.prune_answers(now() - interval '31 days', 100)") == 0
    assert await people.owner(
        "select array_agg(attempt_index order by attempt_index) from question_events"
    ) == [5, 6]
    assert await _standing(people) == before
    assert await counters_agree(people)
    async with people.acting("ana") as db:
        row = await insert(db, "question_events", user_id=ana, **right(people, section, question))
    assert row["attempt_index"] == 7
    assert await counters_agree(people)


async def test_pruning_is_the_owners_and_not_of_the_last_days(people: World) -> None:
    for who in ("anon", "authenticated", "service_role", "specchem_api"):
        async with refused(people, who) as db:
            await db.run("select app.prune_answers(now() - interval '1 year', 1)")
    with pytest.raises(BadInput, match="31 days stay"):
        await people.owner("select app.prune_answers(now() - interval '30 days', 1)")
    with pytest.raises(Forbidden, match="append-only"):
        await people.owner("delete from question_events")
