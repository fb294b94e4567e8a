"""Answers and activity as JSON."""

from uuid import UUID

from litestar import Router, get, post
from litestar.params import FromPath, FromQuery, JSONBody

from specchem.doors import Listed, Me
from specchem.events import operations
from specchem.events.schemas import (
    ActivityEvent,
    CreateActivityEvent,
    CreateQuestionEvent,
    GradedAnswer,
    QuestionDifficulty,
    QuestionEvent,
    QuestionEventBatch,
)


@post("/question-events", summary="Answer a question")
async def answer(me: Me, data: JSONBody[CreateQuestionEvent]) -> GradedAnswer:
    """Comes back graded, with the explanation. The same ``id`` again returns what is recorded."""
    return await operations.record_question_event(me, me.user_id, data)


@post("/question-events/batch", summary="Answer 1 to 500 questions, all or none")
async def answer_batch(me: Me, data: JSONBody[QuestionEventBatch]) -> list[GradedAnswer]:
    """In the order sent."""
    return await operations.record_question_events(me, me.user_id, data.events)


@post("/activity-events", summary="Record what I did")
async def activity(me: Me, data: JSONBody[CreateActivityEvent]) -> ActivityEvent:
    """One that is recorded already is returned; one that contradicts the record is a 409."""
    async with me.acting() as db:
        return await operations.record_activity_event(db, me.user_id, data)


@get("/users/{person:uuid}/question-events", summary="A person's answers")
async def answers_of(
    me: Me, person: FromPath[UUID], page: Listed, course_id: FromQuery[UUID | None] = None
) -> list[QuestionEvent]:
    """Latest first."""
    async with me.acting() as db:
        return await operations.get_user_question_events(db, person, course_id, page)


@get("/users/{person:uuid}/activity", summary="A person's timeline")
async def activity_of(
    me: Me, person: FromPath[UUID], page: Listed, course_id: FromQuery[UUID | None] = None
) -> list[ActivityEvent]:
    """Latest first."""
    async with me.acting() as db:
        return await operations.get_user_activity_timeline(db, person, course_id, page)


@get(
    "/plants/{plant:uuid}/courses/{course:uuid}/question-difficulty",
    summary="How a plant fares with each question",
)
async def difficulty(
    me: Me, plant: FromPath[UUID], course: FromPath[UUID], page: Listed
) -> list[QuestionDifficulty]:
    """Hardest first."""
    async with me.acting() as db:
        return await operations.get_question_difficulty(db, plant, course, page)


router = Router(
    "/", route_handlers=[answer, answer_batch, activity, answers_of, activity_of, difficulty], tags=["events"]
)
