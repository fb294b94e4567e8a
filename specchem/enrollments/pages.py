"""My courses: the one next step, what is open, what is done; and my record, to read or print."""

from litestar import Router, get
from litestar.response import Template

from specchem.doors import Me
from specchem.enrollments.operations import get_user_enrollments
from specchem.enrollments.schemas import UserEnrollment
from specchem.events.operations import get_taken
from specchem.people.visitor import get_visitor
from specchem.vocabulary import Page

ALL = Page(limit=500)


@get("/")
async def my_courses(me: Me) -> Template:
    """The next step first, then what was begun, what waits to be begun, and what is done."""
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        courses = await get_user_enrollments(db, me.user_id, ALL)
    begun = sorted(
        _of(courses, "in_progress"), key=lambda one: one.last_active_at or one.enrolled_at, reverse=True
    )
    waiting = sorted(_of(courses, "enrolled"), key=lambda one: one.enrolled_at)  # the longest first
    step = next((one for one in [*begun, *waiting] if one.slug), None)
    return Template(
        "enrollments/my_courses.html",
        context={
            "visitor": visitor,
            "step": step,
            "begun": [one for one in begun if one is not step],
            "waiting": [one for one in waiting if one is not step],
            "done": sorted(
                _of(courses, "completed"), key=lambda one: one.completed_at or one.enrolled_at, reverse=True
            ),
        },
    )


@get("/record")
async def my_record(me: Me) -> Template:
    """Every course the visitor was enrolled in: which version, when, in which language, with how many answers."""
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        courses = await get_user_enrollments(db, me.user_id, ALL)
        taken = await get_taken(db, me.user_id)
    return Template(
        "enrollments/my_record.html", context={"visitor": visitor, "courses": courses, "taken": taken}
    )


def _of(courses: list[UserEnrollment], status: str) -> list[UserEnrollment]:
    return [one for one in courses if one.status == status]


router = Router("/", route_handlers=[my_courses, my_record])
