"""Verbs over events (guide: operations/events.ts); the database grades, counts and dates them."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import msgspec
from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from specchem.db.session import Calls, Db
from specchem.errors import BadInput, Conflict
from specchem.events.schemas import (
    ActivityEvent,
    CreateActivityEvent,
    CreateQuestionEvent,
    GradedAnswer,
    LatestAnswer,
    Missed,
    QuestionDifficulty,
    QuestionEvent,
    Taken,
)
from specchem.vocabulary import FIRST_PAGE, Page

_EVENTS = TypeAdapter(list[CreateQuestionEvent])
TOO_DEEP = "The answer's extra data is nested too deeply."
TAKEN = "This id belongs to another event; send a new one."


async def record_question_event(db: Calls, learner: UUID, event: CreateQuestionEvent) -> GradedAnswer:
    """Record an answer; sending it again returns what is recorded.

    Raises NotFound for a course that is not there, Conflict where not enrolled, BadInput for a choice that the
    question does not have.
    """
    return (await record_question_events(db, learner, [event]))[0]


async def record_question_events(
    db: Calls, learner: UUID, events: Sequence[CreateQuestionEvent]
) -> list[GradedAnswer]:
    """Record answers, all or none; one comes back for each, in the order sent. Raises as record_question_event."""
    # Each has its name before it is sent: where the connection breaks, sending it again stores nothing twice.
    named = [event if event.id else event.model_copy(update={"id": uuid4()}) for event in events]
    try:
        sent = msgspec.Raw(_EVENTS.dump_json(named, exclude_none=True))
    except PydanticSerializationError:  # its writer goes less deep than its reader
        raise BadInput(TOO_DEEP) from None
    return await db.call(list[GradedAnswer], "record_question_events", sent, learner)


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


# In the two histories the offset keeps the person's own rows first: for a short page PostgreSQL would rather walk
# everybody's from the latest backwards.


async def get_user_question_events(
    db: Db, person: UUID, course: UUID | None = None, page: Page = FIRST_PAGE
) -> list[QuestionEvent]:
    """A person's answers, latest first. Raises NotFound."""
    return await db.all(
        QuestionEvent,
        """
        select * from (select * from question_events where user_id = $1 offset 0) as e
        where app.visible_person($1) = $1 and app.known_course($2) is not distinct from $2
            and ($2 is null or e.course_id = $2)
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


async def get_missed_questions(db: Db, learner: UUID, course: UUID) -> list[Missed]:
    """The questions of a course that a learner has answered, and never right; longest ago first."""
    return await db.all(
        Missed,
        """
        select section_key, question_key from question_events where user_id = $1 and course_id = $2
        group by section_key, question_key having not bool_or(is_correct)
        order by max(answered_at), section_key, question_key""",
        learner, course,
    )  # fmt: skip


async def get_taken(db: Db, learner: UUID) -> dict[UUID, Taken]:
    """How a learner took each of their courses, by course; without answers there is none.

    Attempts are counted by the last one's number, so that a pruned answer still counts.
    """
    rows = await db.all(
        Taken,
        """
        select q.course_id, sum(q.attempts)::integer as answers, count(*)::integer as questions,
            count(*) filter (where q.at_once)::integer as right_at_once,
            coalesce((
                select array_agg(l.language order by l.given desc, l.language) from (
                    select e.response_meta ->> 'language' as language, count(*) as given from question_events e
                    where e.user_id = $1 and e.course_id = q.course_id and e.response_meta ? 'language'
                    group by 1) as l), '{}') as languages
        from (
            select course_id, max(attempt_index) as attempts, bool_or(is_correct and attempt_index = 1) as at_once
            from question_events where user_id = $1 group by course_id, section_key, question_key) as q
        group by q.course_id""",
        learner,
    )  # fmt: skip
    return {row.course_id: row for row in rows}


async def get_user_activity_timeline(
    db: Db, person: UUID, course: UUID | None = None, page: Page = FIRST_PAGE
) -> list[ActivityEvent]:
    """What a person did, latest first. Raises NotFound."""
    return await db.all(
        ActivityEvent,
        """
        select * from (select * from activity_events where user_id = $1 offset 0) as e
        where app.visible_person($1) = $1 and app.known_course($2) is not distinct from $2
            and ($2 is null or e.course_id = $2)
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
