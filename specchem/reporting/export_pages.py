"""Lists and reports as files, with the filter that their page has."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import Router, get
from litestar.params import FromPath, FromQuery
from litestar.response import Stream

from specchem.auth.visits import Ask
from specchem.doors import Me
from specchem.errors import BadInput, Forbidden, NotFound
from specchem.export import TYPES, Format, sent, written
from specchem.i18n import _
from specchem.people.admin_pages import wanted_of
from specchem.people.directory import get_plants_looked_after
from specchem.people.visitor import get_visitor
from specchem.reporting import exports
from specchem.reporting.exports import Table
from specchem.reporting.schemas import Shown

NO_TABLE = "There is no such table."
NOT_YOURS = "Only HR of the company reads the record of who did what."
CHOOSE = "Choose a plant and a course, or a person."
CHOOSE_LIST = "Choose one from the list."
# Whoever may see a person's training has it, and who keeps plants and courses need look after nobody.
OTHERS = {"training", "missed", "timeline", "plants", "versions", "days"}


@get("/export/{table:str}")
async def export(request: Ask, me: Me, table: FromPath[str], format: FromQuery[Format] = "csv") -> Stream:  # noqa: A002
    """A table as a file. Whatever is refused is refused before the first byte of it."""
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        wanted = _wanted(request, table, visitor.zone)
        if table not in OTHERS:
            await get_plants_looked_after(db)
        if table == "audit" and not await db.value("select app.is_hr()"):
            raise Forbidden(NOT_YOURS)
        headings = [_(one) for one in wanted.headings]
        file = await written(format, headings, wanted.batches(db), visitor.zone)
    name = f"{table}-{datetime.now(visitor.zone):%Y-%m-%d}.{format}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Stream(sent(file), media_type=TYPES[format], headers=headers)


def _wanted(request: Ask, table: str, zone: ZoneInfo) -> Table:
    """What is asked for. Raises NotFound, and ValidationError or BadInput for what cannot be read."""
    query = request.query_params
    if table == "people":
        return exports.people(wanted_of(request))
    plant, course, person = (_id(query.get(name)) for name in ("plant", "course_id", "person"))
    show = query.get("show")
    if show is not None and show not in get_args(Shown):
        raise BadInput(CHOOSE_LIST)
    made: dict[str, tuple[Callable[..., Table], tuple[Any, ...], int]] = {
        "learners": (exports.learners, (plant, course, show), 2),
        "questions": (exports.questions, (plant, course), 2),
        "weeks": (exports.weeks, (plant, course), 2),
        "courses": (exports.courses, (plant,), 1),
        "company": (exports.company, (course,), 0),
        "months": (exports.months, (course, zone), 0),
        "enrollments": (exports.enrollments, (plant, course), 0),
        "invitations": (exports.invitations, (), 0),
        "audit": (exports.audit, (), 0),
        "training": (exports.training, (person,), 1),
        "missed": (exports.missed, (person,), 1),
        "timeline": (exports.timeline, (person,), 1),
        "plants": (exports.plants, (), 0),
        "versions": (exports.versions, (), 0),
        "days": (exports.days, (zone,), 0),
    }
    if table not in made:
        raise NotFound(NO_TABLE)
    make, values, needed = made[table]
    if None in values[:needed]:
        raise BadInput(CHOOSE)
    return make(*values)


def _id(sent: str | None) -> UUID | None:
    try:
        return UUID(sent) if sent else None
    except ValueError:
        raise BadInput(CHOOSE) from None


router = Router("/", route_handlers=[export])
