"""My courses: what is due, what is open, what is done."""

from litestar import Router, get
from litestar.response import Template

from specchem.doors import Me
from specchem.enrollments.operations import get_user_enrollments
from specchem.people.visitor import get_visitor


@get("/")
async def my_courses(me: Me) -> Template:
    """Open courses first, each with its one next step."""
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        courses = await get_user_enrollments(db, me.user_id)
    return Template(
        "enrollments/my_courses.html",
        context={
            "visitor": visitor,
            "open": [course for course in courses if course.status != "completed"],
            "done": [course for course in courses if course.status == "completed"],
        },
    )


router = Router("/", route_handlers=[my_courses])
