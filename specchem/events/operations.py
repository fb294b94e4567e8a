"""Verbs over events (guide: operations/events.ts); the database grades, counts and dates them."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from specchem.db.session import Db
from specchem.errors import Conflict
from specchem.events.schemas import (
    ActivityEvent,
    CreateActivityEvent,
    CreateQuestionEvent,
    GradedAnswer,
    LatestAnswer,
    QuestionDifficulty,
    QuestionEvent,
)
from specchem.vocabulary import FIRST_PAGE, Page

TAKEN = "This id belongs to another event; send a new one."


async def record_question_event(db: Db, learner: UUID, event: CreateQuestionEvent) -> GradedAnswer:
    """Record an answer; sending it again returns what is recorded.

    Raises NotFound for a course that is not there, Conflict where not enrolled, BadInput for a choice that the
    question does not have.
    """
    return (await record_question_events(db, learner, [event]))[0]


async def record_question_events(
    db: Db, learner: UUID, events: Sequence[CreateQuestionEvent]
) -> list[GradedAnswer]:
    """Record answers, all or none; one comes back for each, in the order sent. Raises as record_question_event."""
    rows = [{**event.model_dump(exclude_none=True), "id": event.id or uuid4()} for event in events]
    sent: dict[UUID, dict[str, Any]] = {}
    for row in rows:
        # A retry inside one batch is as harmless as one after it.
        if sent.setdefault(row["id"], row) != row:
            raise Conflict(TAKEN)
    stored = await db.all(
        GradedAnswer,
        """
        with stored as (
            insert into question_events
                (id, user_id, course_id, section_key, question_key, is_correct, response_meta, answered_at)
            select s.id, $1, s.course_id, s.section_key, s.question_key, s.is_correct, s.response_meta,
                coalesce(s.answered_at, now())
            from rows from (jsonb_to_recordset($2) as (
                id uuid, course_id uuid, section_key text, question_key text, is_correct boolean,
                response_meta jsonb, answered_at timestamptz)) with ordinality as s
            order by s.course_id, s.ordinality
            on conflict (id) do nothing
            returning *)
        select stored.*, x.explanation, x.citation from stored
        left join app.explain(stored.course_id, stored.section_key, stored.question_key) as x on true""",
        learner, list(sent.values()),
    )  # fmt: skip
    found = {answer.id: answer for answer in stored}
    if len(found) < len(sent):
        found |= {answer.id: answer for answer in await _recorded(db, learner, sent.keys() - found.keys())}
    for key, row in sent.items():
        if key not in found or not _same(row, found[key]):
            raise Conflict(TAKEN)
    return [found[row["id"]] for row in rows]


async def _recorded(db: Db, learner: UUID, ids: set[UUID]) -> list[GradedAnswer]:
    return await db.all(
        GradedAnswer,
        """
        select e.*, x.explanation, x.citation from question_events e
        left join app.explain(e.course_id, e.section_key, e.question_key) as x on true
        where e.user_id = $1 and e.id = any($2)""",
        learner, list(ids),
    )  # fmt: skip


def _same(row: dict[str, Any], recorded: QuestionEvent) -> bool:
    """Is what was sent what is recorded? Where the server graded, what the client said of it does not count."""
    right = recorded.is_correct if recorded.evidence == "server_graded" else row.get("is_correct")
    return (row["course_id"], row["section_key"], row["question_key"], right) == (
        recorded.course_id, recorded.section_key, recorded.question_key, recorded.is_correct,
    ) and _same_meta(row.get("response_meta"), recorded.response_meta)  # fmt: skip


def _same_meta(sent: dict[str, Any] | None, recorded: dict[str, Any] | None) -> bool:
    # jsonb writes 1e17 as 100000000000000000, so numbers are compared as floats.
    one, other = (json.loads(json.dumps(meta), parse_int=float) for meta in (sent, recorded))
    return bool(one == other)


async def record_activity_event(db: Db, learner: UUID, event: CreateActivityEvent) -> ActivityEvent:
    """Record what a learner did; one that the record holds is returned, one it contradicts is a Conflict."""
    key = event.id or uuid4()
    stored = await db.maybe(
        ActivityEvent,
        """
        insert into activity_events (id, user_id, course_id, event_type, meta, occurred_at)
        values ($1, $2, $3, $4, $5, coalesce($6, now())) on conflict do nothing returning *""",
        key, learner, event.course_id, event.event_type, event.meta, event.occurred_at,
    )  # fmt: skip
    stored = stored or await db.maybe(
        ActivityEvent,
        """
        select * from activity_events
        where user_id = $2 and course_id = $3 and event_type = $4
            and (id = $1 or event_type <> 'view_section')""",
        key, learner, event.course_id, event.event_type,
    )  # fmt: skip
    if stored is None or (stored.event_type == "view_section" and not _same_meta(event.meta, stored.meta)):
        raise Conflict(TAKEN)
    return stored


async def get_user_question_events(
    db: Db, person: UUID, course: UUID | None = None, page: Page = FIRST_PAGE
) -> list[QuestionEvent]:
    """A person's answers, latest first. Raises NotFound."""
    return await db.all(
        QuestionEvent,
        """
        select * from question_events e
        where app.visible_person($1) = $1 and app.known_course($2) is not distinct from $2
            and e.user_id = $1 and ($2 is null or e.course_id = $2)
        order by e.answered_at desc, e.created_at desc, e.attempt_index desc, e.id limit $3 offset $4""",
        person, course, page.limit, page.offset,
    )  # fmt: skip


async def get_latest_answers(db: Db, learner: UUID, course: UUID, section: str) -> dict[str, LatestAnswer]:
    """Where a learner stands with each question of a section that they have answered, by question."""
    rows = await db.all(
        LatestAnswer,
        """
        select distinct on (question_key) question_key, is_correct, attempt_index, response_meta
        from question_events where user_id = $1 and course_id = $2 and section_key = $3
        order by question_key, is_correct desc, attempt_index desc""",
        learner, course, section,
    )  # fmt: skip
    return {row.question_key: row for row in rows}


async def get_user_activity_timeline(
    db: Db, person: UUID, course: UUID | None = None, page: Page = FIRST_PAGE
) -> list[ActivityEvent]:
    """What a person did, latest first. Raises NotFound."""
    return await db.all(
        ActivityEvent,
        """
        select * from activity_events e
        where app.visible_person($1) = $1 and app.known_course($2) is not distinct from $2
            and e.user_id = $1 and ($2 is null or e.course_id = $2)
        order by e.occurred_at desc, e.created_at desc, e.id limit $3 offset $4""",
        person, course, page.limit, page.offset,
    )  # fmt: skip


async def get_question_difficulty(
    db: Db, plant: UUID, course: UUID, page: Page = FIRST_PAGE
) -> list[QuestionDifficulty]:
    """How a plant fares with each question that was answered, hardest first. Raises NotFound, Forbidden."""
    return await db.all(
        QuestionDifficulty,
        """
        select * from app.question_difficulty q
        where app.report_plant($1) = $1 and app.known_course($2) = $2 and q.plant_id = $1 and q.course_id = $2
        order by q.success_rate, q.total_attempts desc, q.section_key, q.question_key limit $3 offset $4""",
        plant, course, page.limit, page.offset,
    )  # fmt: skip
