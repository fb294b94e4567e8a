"""Courses and their content as JSON; answers never."""

from litestar import Router, get
from litestar.params import FromPath

from specchem.courses import operations
from specchem.courses.schemas import CourseContent, CourseRow
from specchem.db.session import acting_as
from specchem.doors import Listed, Me, Pooled


@get("/courses", summary="The courses the caller may read")
async def courses(pool: Pooled, me: Me, page: Listed) -> list[CourseRow]:
    """By title."""
    async with acting_as(pool, me) as db:
        return await operations.get_courses(db, page)


@get("/courses/{slug:str}", summary="A course with its sections and questions")
async def content(pool: Pooled, me: Me, slug: FromPath[str]) -> CourseContent:
    """Everything a player needs, and no answer."""
    async with acting_as(pool, me) as db:
        return await operations.get_course_content(db, slug)


router = Router("/", route_handlers=[courses, content], tags=["courses"])
