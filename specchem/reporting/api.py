"""The reports as JSON."""

from typing import Annotated
from uuid import UUID

from litestar import Router, get
from litestar.params import FromPath, FromQuery, QueryParameter

from specchem.doors import Listed, Me
from specchem.reporting import operations
from specchem.reporting.schemas import (
    ActivitySummary,
    CompletionRate,
    MissedQuestion,
    MostMissed,
    OrgCompletion,
    PlantLearner,
    ProgressSummary,
)


@get("/plants/{plant:uuid}/completion-rate", summary="A plant's completion, in one course or all")
async def completion_rate(
    me: Me, plant: FromPath[UUID], course_id: FromQuery[UUID | None] = None
) -> CompletionRate:
    """Over active people."""
    async with me.acting() as db:
        return await operations.get_plant_completion_rate(db, plant, course_id)


@get("/plants/{plant:uuid}/progress-summary", summary="A plant's courses side by side")
async def progress_summary(me: Me, plant: FromPath[UUID]) -> list[ProgressSummary]:
    """By title."""
    async with me.acting() as db:
        return await operations.get_plant_progress_summary(db, plant)


@get("/plants/{plant:uuid}/courses/{course:uuid}/most-missed", summary="What a plant's people get wrong most")
async def most_missed(
    me: Me,
    plant: FromPath[UUID],
    course: FromPath[UUID],
    limit: Annotated[int, QueryParameter(ge=1, le=100, description="Questions, at most.")] = 10,
) -> list[MissedQuestion]:
    """From 5 attempts on."""
    async with me.acting() as db:
        return await operations.get_most_missed_questions(db, plant, course, MostMissed(limit=limit))


@get("/plants/{plant:uuid}/courses/{course:uuid}/learners", summary="Who is done, on the way, not started")
async def learners(me: Me, plant: FromPath[UUID], course: FromPath[UUID], page: Listed) -> list[PlantLearner]:
    """Least far first."""
    async with me.acting() as db:
        return await operations.get_plant_learners(db, plant, course, page)


@get("/users/{person:uuid}/activity-summary", summary="A person's courses and what they did in each")
async def activity_summary(me: Me, person: FromPath[UUID]) -> list[ActivitySummary]:
    """Newest enrollment first."""
    async with me.acting() as db:
        return await operations.get_user_activity_summary(db, person)


@get("/reports/org-completion", summary="The plants one looks after, side by side (managers, HR)")
async def org_completion(me: Me) -> list[OrgCompletion]:
    """By name."""
    async with me.acting() as db:
        return await operations.get_org_wide_completion_stats(db)


router = Router(
    "/",
    route_handlers=[
        completion_rate,
        progress_summary,
        most_missed,
        learners,
        activity_summary,
        org_completion,
    ],
    tags=["reports"],
)
