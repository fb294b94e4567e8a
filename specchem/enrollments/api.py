"""Enrollments as JSON."""

from uuid import UUID

from litestar import Router, get, patch, post
from litestar.params import FromPath, JSONBody

from specchem.doors import Listed, Me
from specchem.enrollments import operations
from specchem.enrollments.schemas import (
    CreateEnrollment,
    Enrollment,
    EnrollmentStats,
    UpdateEnrollment,
    UserEnrollment,
)


@get("/me/enrollments", summary="My courses and how far I am")
async def mine(me: Me, page: Listed) -> list[UserEnrollment]:
    """Newest first."""
    return await operations.get_user_enrollments(me, me.user_id, page)


@post("/enrollments", summary="Enroll a person (managers, HR)")
async def create(me: Me, data: JSONBody[CreateEnrollment]) -> Enrollment:
    """409 where the person is enrolled already."""
    async with me.acting() as db:
        return await operations.create_enrollment(db, data)


@patch("/enrollments/{enrollment:uuid}", summary="Take one's own course a step forward")
async def update(me: Me, enrollment: FromPath[UUID], data: JSONBody[UpdateEnrollment]) -> Enrollment:
    """409 names the section that is still open."""
    async with me.acting() as db:
        return await operations.update_enrollment(db, enrollment, data)


@post("/enrollments/{enrollment:uuid}/complete", status_code=200, summary="Complete one's own course")
async def complete(me: Me, enrollment: FromPath[UUID]) -> Enrollment:
    """Completing it again keeps the first date."""
    async with me.acting() as db:
        return await operations.complete_enrollment(db, enrollment)


@get("/users/{person:uuid}/enrollments", summary="A person's courses")
async def of_person(me: Me, person: FromPath[UUID], page: Listed) -> list[UserEnrollment]:
    """Newest first."""
    return await operations.get_user_enrollments(me, person, page)


@get("/plants/{plant:uuid}/enrollments", summary="A plant's enrollments")
async def of_plant(me: Me, plant: FromPath[UUID], page: Listed) -> list[Enrollment]:
    """Newest first."""
    async with me.acting() as db:
        return await operations.get_plant_enrollments(db, plant, page)


@get(
    "/plants/{plant:uuid}/courses/{course:uuid}/enrollment-stats",
    summary="A plant's share of done in a course",
)
async def stats(me: Me, plant: FromPath[UUID], course: FromPath[UUID]) -> EnrollmentStats:
    """Over active people."""
    async with me.acting() as db:
        return await operations.get_enrollment_stats(db, plant, course)


router = Router(
    "/", route_handlers=[mine, create, update, complete, of_person, of_plant, stats], tags=["enrollments"]
)
