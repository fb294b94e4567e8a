"""Courses and their content as JSON; answers never."""

from litestar import Router, get
from litestar.params import FromPath

from specchem.courses import operations
from specchem.courses.schemas import CourseContent, CourseRow
from specchem.doors import Listed, Me


@get("/courses", summary="The courses the caller may read")
async def courses(me: Me, page: Listed) -> list[CourseRow]:
    """By title."""
    async with me.acting() as db:
        return await operations.get_courses(db, page)


@get("/courses/{slug:str}", summary="A course with its sections and questions")
async def content(me: Me, slug: FromPath[str]) -> CourseContent:
    """Everything a player needs, and no answer."""
    async with me.acting() as db:
        return await operations.get_course_content(db, slug)


router = Router("/", route_handlers=[courses, content], tags=["courses"])
