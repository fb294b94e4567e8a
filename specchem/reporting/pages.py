"""What managers and HR look at: a plant, and the company."""

from typing import Annotated
from uuid import UUID

from litestar import Router, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template

from specchem.doors import Me
from specchem.errors import NotFound
from specchem.people.operations import get_plants
from specchem.people.visitor import get_visitor
from specchem.reporting import operations
from specchem.reporting.schemas import ProgressSummary
from specchem.vocabulary import Page

PEOPLE = 50  # a page of the list


@get("/plants/{plant:uuid}")
async def plant(
    me: Me,
    plant: FromPath[UUID],
    course_id: FromQuery[UUID | None] = None,
    offset: Annotated[int, QueryParameter(ge=0, le=1_000_000)] = 0,
) -> Template:
    """A plant's courses; of one of them: who is done, and what people get wrong."""
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        summary = await operations.get_plant_progress_summary(db, plant)
        rate = await operations.get_plant_completion_rate(db, plant)
        chosen = _chosen(summary, course_id)
        learners, missed = [], []
        if chosen is not None:
            learners = await operations.get_plant_learners(
                db, plant, chosen.course.id, Page(limit=PEOPLE, offset=offset)
            )
            missed = await operations.get_most_missed_questions(db, plant, chosen.course.id)
        named = {row.id: row for row in await get_plants(db)}.get(plant)
    return Template(
        "reporting/plant.html",
        context={
            "visitor": visitor, "plant": named, "plant_id": plant, "rate": rate, "summary": summary,
            "chosen": chosen, "learners": learners, "missed": missed, "offset": offset, "per_page": PEOPLE,
        },
    )  # fmt: skip


def _chosen(summary: list[ProgressSummary], course_id: UUID | None) -> ProgressSummary | None:
    """The course asked for, else the first. Raises NotFound."""
    if course_id is None:
        return summary[0] if summary else None
    for row in summary:
        if row.course.id == course_id:
            return row
    raise NotFound("Nobody of this plant is enrolled in such a course.")


@get("/company")
async def company(me: Me) -> Template:
    """The plants side by side."""
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        plants = await operations.get_org_wide_completion_stats(db)
    return Template("reporting/company.html", context={"visitor": visitor, "plants": plants})


router = Router("/", route_handlers=[plant, company])
