"""Verbs over enrollments (guide: operations/enrollments.ts); the database knows who is asking."""

from uuid import UUID

from specchem.db.session import Calls, Db
from specchem.enrollments.schemas import (
    CreateEnrollment,
    Enrollment,
    EnrollmentStats,
    UpdateEnrollment,
    UserEnrollment,
)
from specchem.errors import Conflict, Forbidden
from specchem.vocabulary import FIRST_PAGE, Page

NO_ENROLLMENT = "There is no such enrollment."


async def create_enrollment(db: Db, new: CreateEnrollment) -> Enrollment:
    """Enroll a person, with progress at 0. Raises Conflict where they are enrolled or not eligible."""
    return await db.one(
        Enrollment,
        "insert into enrollments (user_id, course_id, plant_id) values ($1, $2, $3) returning *",
        new.user_id, new.course_id, new.plant_id,
    )  # fmt: skip


async def get_enrollment(db: Db, enrollment: UUID) -> Enrollment:
    """One enrollment. Raises NotFound."""
    return await db.one(
        Enrollment, "select * from enrollments where id = $1", enrollment, missing=NO_ENROLLMENT
    )


async def update_enrollment(db: Db, enrollment: UUID, change: UpdateEnrollment) -> Enrollment:
    """Take a step forward in one's own course: start it, or complete it once the answers are there.

    Raises NotFound, Forbidden for another's, Conflict for a step back or with the section still open.
    """
    # The status is the progress's shadow, so the step is made there; it never goes back.
    moved = await db.run(
        """
        update progress g set progress_percent = case when $2 = 'completed' then 100 else g.progress_percent end
        from enrollments e where e.id = $1 and g.user_id = e.user_id and g.course_id = e.course_id""",
        enrollment, change.status,
    )  # fmt: skip
    found = await get_enrollment(db, enrollment)
    if moved == "UPDATE 0":
        raise Forbidden("Only the learner takes a course forward.")
    if found.status != change.status:
        raise Conflict("A completed course stays completed.")
    return found


async def complete_enrollment(db: Db, enrollment: UUID) -> Enrollment:
    """Complete one's own course; completing it again keeps the first date. Raises as update_enrollment."""
    return await update_enrollment(db, enrollment, UpdateEnrollment(status="completed"))


async def get_user_enrollments(db: Calls, person: UUID, page: Page = FIRST_PAGE) -> list[UserEnrollment]:
    """A person's courses and how far they are, newest first. Raises NotFound."""
    return await db.call(list[UserEnrollment], "get_user_enrollments", person, page.limit, page.offset)


async def get_plant_enrollments(db: Db, plant: UUID, page: Page = FIRST_PAGE) -> list[Enrollment]:
    """A plant's enrollments, newest first. Raises NotFound, Forbidden."""
    return await db.all(
        Enrollment,
        """
        select * from enrollments e where app.report_plant($1) = $1 and e.plant_id = $1
        order by e.enrolled_at desc, e.id limit $2 offset $3""",
        plant, page.limit, page.offset,
    )  # fmt: skip


async def get_enrollment_stats(db: Db, plant: UUID, course: UUID) -> EnrollmentStats:
    """How many of a plant's active people are enrolled in a course, and how many are done."""
    return await db.one(
        EnrollmentStats,
        """
        select coalesce(sum(s.total_enrolled), 0) as total, coalesce(sum(s.completed), 0) as completed,
            app.percent(coalesce(sum(s.completed), 0), coalesce(sum(s.total_enrolled), 0)) as completion_rate
        from app.completion s
        where app.report_plant($1) = $1 and app.known_course($2) = $2 and s.plant_id = $1 and s.course_id = $2""",
        plant, course,
    )  # fmt: skip
