"""Verbs over progress (guide: operations/progress.ts); the database knows who is asking."""

from uuid import UUID

from specchem.db.session import Calls, Db
from specchem.progress.schemas import MarkProgress, Progress, UpdateProgress
from specchem.vocabulary import FIRST_PAGE, Page


async def update_progress(db: Calls, learner: UUID, course: UUID, update: UpdateProgress) -> Progress:
    """Record how far a learner has come; a lower percentage than the record's changes nothing."""
    return await mark_progress(
        db, learner, course,
        MarkProgress(progress_percent=update.progress_percent, current_section=update.current_section),
    )  # fmt: skip


async def mark_progress(db: Calls, learner: UUID, course: UUID, mark: MarkProgress) -> Progress:
    """Record where a learner is and how far. Going back never lowers the percentage.

    Raises NotFound where not enrolled, Forbidden for another's, Conflict for more than the answers support.
    """
    return await db.call(
        Progress, "mark_progress", course, mark.progress_percent, mark.current_section, learner
    )


async def get_user_progress(db: Db, person: UUID, course: UUID) -> Progress:
    """How far a person is in a course. Raises NotFound."""
    return await db.one(
        Progress,
        "select * from progress where user_id = $1 and course_id = $2",
        person, course, missing="There is no such person, or they are not enrolled in this course.",
    )  # fmt: skip


async def list_user_progress(db: Db, person: UUID, page: Page = FIRST_PAGE) -> list[Progress]:
    """How far a person is in each of their courses, latest activity first. Raises NotFound."""
    return await db.all(
        Progress,
        """
        select * from progress g where app.visible_person($1) = $1 and g.user_id = $1
        order by g.last_active_at desc, g.id limit $2 offset $3""",
        person, page.limit, page.offset,
    )  # fmt: skip


async def get_plant_progress(
    db: Db, plant: UUID, course: UUID | None = None, page: Page = FIRST_PAGE
) -> list[Progress]:
    """How far a plant's people are, in one course or all, latest activity first. Raises NotFound, Forbidden."""
    return await db.all(
        Progress,
        """
        select * from progress g
        where app.report_plant($1) = $1 and app.known_course($2) is not distinct from $2
            and g.plant_id = $1 and ($2 is null or g.course_id = $2)
        order by g.last_active_at desc, g.id limit $3 offset $4""",
        plant, course, page.limit, page.offset,
    )  # fmt: skip
