"""Lists and reports as files, with the filter that their page has."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Router, get
from litestar.params import FromPath, FromQuery
from litestar.response import Stream

from specchem.auth.visits import Ask
from specchem.doors import Me
from specchem.errors import BadInput, Forbidden, NotFound
from specchem.export import TYPES, Format, sent, written
from specchem.i18n import _
from specchem.people.directory import Wanted, get_plants_looked_after
from specchem.people.visitor import get_visitor
from specchem.reporting import exports
from specchem.reporting.exports import Export

NO_TABLE = "There is no such table."
NOT_YOURS = "Only HR of the company reads the record of who did what."


@get("/export/{table:str}")
async def export(request: Ask, me: Me, table: FromPath[str], format: FromQuery[Format] = "csv") -> Stream:  # noqa: A002
    """A table as a file. Whatever is refused is refused before the first byte of it."""
    wanted = _wanted(request, table)
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        await get_plants_looked_after(db)
        if table == "audit" and not await db.value("select app.is_hr()"):
            raise Forbidden(NOT_YOURS)
        headings = [_(one) for one in wanted.headings]
        file = await written(format, headings, db.batches(wanted.sql, *wanted.values), visitor.zone)
    name = f"{table}-{datetime.now(visitor.zone):%Y-%m-%d}.{format}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Stream(sent(file), media_type=TYPES[format], headers=headers)


def _wanted(request: Ask, table: str) -> Export:
    """What is asked for. Raises NotFound, and ValidationError or BadInput for what cannot be read."""
    query = request.query_params
    if table == "people":
        asked = {name: query[name] for name in Wanted.model_fields if name in query}
        return exports.people(Wanted.model_validate(asked))
    plant, course = _id(query.get("plant")), _id(query.get("course_id"))
    made: dict[str, tuple[Callable[..., Export], tuple[Any, ...], int]] = {
        "learners": (exports.learners, (plant, course), 2),
        "questions": (exports.questions, (plant, course), 2),
        "courses": (exports.courses, (plant,), 1),
        "company": (exports.company, (), 0),
        "enrollments": (exports.enrollments, (plant, course), 0),
        "invitations": (exports.invitations, (), 0),
        "audit": (exports.audit, (), 0),
    }
    if table not in made:
        raise NotFound(NO_TABLE)
    make, values, needed = made[table]
    if None in values[:needed]:
        raise BadInput("Choose a plant and a course.")
    return make(*values)


def _id(sent: str | None) -> UUID | None:
    try:
        return UUID(sent) if sent else None
    except ValueError:
        raise BadInput("Choose a plant and a course.") from None


router = Router("/", route_handlers=[export])
