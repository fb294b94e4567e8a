"""Progress as JSON."""

from uuid import UUID

from litestar import Router, get, put
from litestar.params import FromPath, FromQuery, JSONBody

from specchem.doors import Listed, Me
from specchem.progress import operations
from specchem.progress.schemas import MarkProgress, Progress


@put("/courses/{course:uuid}/progress", summary="Mark one's own progress")
async def mark(me: Me, course: FromPath[UUID], data: JSONBody[MarkProgress]) -> Progress:
    """Going back never lowers the percentage; more than the answers support is a 409."""
    return await operations.mark_progress(me, me.user_id, course, data)


@get("/users/{person:uuid}/progress", summary="How far a person is")
async def of_person(
    me: Me, person: FromPath[UUID], page: Listed, course_id: FromQuery[UUID | None] = None
) -> list[Progress]:
    """In each of their courses, latest activity first; or in one."""
    async with me.acting() as db:
        if course_id is not None:
            return [await operations.get_user_progress(db, person, course_id)]
        return await operations.list_user_progress(db, person, page)


@get("/plants/{plant:uuid}/progress", summary="How far a plant's people are")
async def of_plant(
    me: Me, plant: FromPath[UUID], page: Listed, course_id: FromQuery[UUID | None] = None
) -> list[Progress]:
    """In one course or all, latest activity first."""
    async with me.acting() as db:
        return await operations.get_plant_progress(db, plant, course_id, page)


router = Router("/", route_handlers=[mark, of_person, of_plant], tags=["progress"])
