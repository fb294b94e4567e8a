"""Enrolments as JSON."""

from uuid import UUID

from litestar import Router, get, patch, post
from litestar.params import FromPath, JSONBody

from specchem.db.session import acting_as
from specchem.doors import Listed, Me, Pooled
from specchem.enrollments import operations
from specchem.enrollments.schemas import (
    CreateEnrollment,
    Enrollment,
    EnrollmentStats,
    UpdateEnrollment,
    UserEnrollment,
)


@get("/me/enrollments", summary="My courses and how far I am")
async def mine(pool: Pooled, me: Me, page: Listed) -> list[UserEnrollment]:
    """Newest first."""
    async with acting_as(pool, me) as db:
        return await operations.get_user_enrollments(db, me.user_id, page)


@post("/enrollments", summary="Enrol a person (managers, HR)")
async def create(pool: Pooled, me: Me, data: JSONBody[CreateEnrollment]) -> Enrollment:
    """409 where the person is enrolled already."""
    async with acting_as(pool, me) as db:
        return await operations.create_enrollment(db, data)


@patch("/enrollments/{enrollment:uuid}", summary="Take one's own course a step forward")
async def update(
    pool: Pooled, me: Me, enrollment: FromPath[UUID], data: JSONBody[UpdateEnrollment]
) -> Enrollment:
    """409 names the section that is still open."""
    async with acting_as(pool, me) as db:
        return await operations.update_enrollment(db, enrollment, data)


@post("/enrollments/{enrollment:uuid}/complete", status_code=200, summary="Complete one's own course")
async def complete(pool: Pooled, me: Me, enrollment: FromPath[UUID]) -> Enrollment:
    """Completing it again keeps the first date."""
    async with acting_as(pool, me) as db:
        return await operations.complete_enrollment(db, enrollment)


@get("/users/{person:uuid}/enrollments", summary="A person's courses")
async def of_person(pool: Pooled, me: Me, person: FromPath[UUID], page: Listed) -> list[UserEnrollment]:
    """Newest first."""
    async with acting_as(pool, me) as db:
        return await operations.get_user_enrollments(db, person, page)


@get("/plants/{plant:uuid}/enrollments", summary="A plant's enrolments")
async def of_plant(pool: Pooled, me: Me, plant: FromPath[UUID], page: Listed) -> list[Enrollment]:
    """Newest first."""
    async with acting_as(pool, me) as db:
        return await operations.get_plant_enrollments(db, plant, page)


@get(
    "/plants/{plant:uuid}/courses/{course:uuid}/enrollment-stats",
    summary="A plant's share of done in a course",
)
async def stats(pool: Pooled, me: Me, plant: FromPath[UUID], course: FromPath[UUID]) -> EnrollmentStats:
    """Over active people."""
    async with acting_as(pool, me) as db:
        return await operations.get_enrollment_stats(db, plant, course)


router = Router(
    "/", route_handlers=[mine, create, update, complete, of_person, of_plant, stats], tags=["enrollments"]
)
