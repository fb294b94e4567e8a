"""What managers and HR look at: a plant, a person's training, and the company."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import Router, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template

from specchem.courses.operations import get_courses
from specchem.db.session import Db
from specchem.doors import Me
from specchem.errors import NotFound
from specchem.i18n import _, language, short_day
from specchem.people.directory import get_powers
from specchem.people.operations import get_plants, get_profile_by_id_with_plant
from specchem.people.visitor import get_visitor
from specchem.reporting import operations
from specchem.reporting.schemas import PlantLearner, ProgressSummary, Shown, Week
from specchem.vocabulary import Page

PEOPLE = 25  # a page of the list
HAPPENINGS = 50  # and of the time line
BARS = 30  # plants in the chart; the table has them all

Offset = Annotated[int, QueryParameter(ge=0, le=1_000_000)]
Chart = tuple[str, list[tuple[str, int]]]  # what it shows; for each place its label and number


@dataclass(frozen=True)
class People:
    """A list of people in a course: its name, how many they are, and what is said where there are none."""

    key: Shown
    word: str
    number: int
    empty: str


@get("/plants/{plant:uuid}")
async def plant(
    me: Me,
    plant: FromPath[UUID],
    course_id: FromQuery[UUID | None] = None,
    show: FromQuery[Shown] = "not_done",
    offset: Offset = 0,
) -> Template:
    """A plant's courses; of one of them: who is not done or stuck, the last weeks, and what people get wrong."""
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        summary = await operations.get_plant_progress_summary(db, plant, language())
        chosen = _chosen(summary, course_id)
        rate = await operations.get_plant_completion_rate(db, plant)
        named = next((row for row in await get_plants(db) if row.id == plant), None)
        zone = ZoneInfo(named.timezone) if named else visitor.zone
        of_course = {} if chosen is None else await _of_course(db, plant, chosen, show, offset, zone)
    return Template(
        "reporting/plant.html",
        context={
            "visitor": visitor, "plant": named, "plant_id": plant, "rate": rate, "summary": summary,
            "chosen": chosen, "show": show, "offset": offset, "per_page": PEOPLE, "zone": zone, **of_course,
        },
    )  # fmt: skip


async def _of_course(
    db: Db, plant: UUID, chosen: ProgressSummary, show: Shown, offset: int, zone: ZoneInfo
) -> dict[str, object]:
    """What the page shows of the chosen course."""
    course = chosen.course.id
    stuck = await operations.get_stuck_learners(db, plant, course, language())
    learners: list[PlantLearner] = [*stuck[offset : offset + PEOPLE]]
    if show != "stuck":
        page = Page(limit=PEOPLE, offset=offset)
        learners = await operations.get_plant_learners(db, plant, course, page, show)
    lists = _lists(chosen, len(stuck))
    weeks = await operations.get_plant_weeks(db, plant, course)
    return {
        "learners": learners, "lists": lists, "list": next(one for one in lists if one.key == show),
        "weeks": weeks, "charts": _charts(weeks, zone),
        "missed": await operations.get_most_missed_questions(db, plant, course, language=language()),
    }  # fmt: skip


def _lists(course: ProgressSummary, stuck: int) -> list[People]:
    return [
        People("not_done", _("Not finished"), course.total_enrolled - course.completed,
               _("Everybody who is enrolled is done.")),
        People("in_progress", _("In progress"), course.in_progress, _("Nobody is on the way.")),
        People("not_started", _("Not started"), course.not_started, _("Everybody has started.")),
        People("stuck", _("Stuck"), stuck, _("Nobody is stuck.")),
        People("done", _("Done"), course.completed, _("Nobody is done yet.")),
    ]  # fmt: skip


def _charts(weeks: list[Week], zone: ZoneInfo) -> list[Chart]:
    days = [short_day(week.starts_at, zone) for week in weeks]
    return [
        (word, list(zip(days, numbers, strict=True)))
        for word, numbers in (
            (_("People who answered"), [week.people for week in weeks]),
            (_("Completions"), [week.completed for week in weeks]),
            (_("Answers"), [week.answers for week in weeks]),
        )
    ]


def _chosen(summary: list[ProgressSummary], course_id: UUID | None) -> ProgressSummary | None:
    """The course asked for, else the first. Raises NotFound."""
    if course_id is None:
        return summary[0] if summary else None
    for row in summary:
        if row.course.id == course_id:
            return row
    raise NotFound("Nobody of this plant is enrolled in such a course.")


@get("/people/{person:uuid}/training")
async def training(me: Me, person: FromPath[UUID], offset: Offset = 0) -> Template:
    """A person's courses, what they missed and what they did, for whoever may see them."""
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        courses = await operations.get_user_activity_summary(db, person, language())
        found = await get_profile_by_id_with_plant(db, person)
        # One more than is shown says whether there is more.
        happened = await operations.get_person_timeline(
            db, person, Page(limit=HAPPENINGS + 1, offset=offset), language()
        )
        told = {
            "visitor": visitor, "person": found.profile, "plant": found.plant, "courses": courses,
            "is_own": person == me.user_id, "looks_after": await operations.looks_after(db, found.plant.id),
            "missed": await operations.get_missed_by_person(db, person, language()),
            "timeline": happened[:HAPPENINGS], "more": len(happened) > HAPPENINGS,
            "offset": offset, "per_page": HAPPENINGS,
        }  # fmt: skip
    return Template("reporting/training.html", context=told)


@get("/company")
async def company(me: Me, course_id: FromQuery[UUID | None] = None) -> Template:
    """The plants side by side, and the last months; in one course or all."""
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        plants = await operations.get_org_wide_completion_stats(db, course_id)
        months = await operations.get_completion_trend(db, visitor.zone.key, course_id)
        courses = await get_courses(db, Page(limit=500))
        powers = await get_powers(db)
    enrolled = [row for row in plants if row.total_enrollments]
    return Template(
        "reporting/company.html",
        context={
            "visitor": visitor, "plants": plants, "months": months, "courses": courses, "course_id": course_id,
            "powers": powers,
            "chart": sorted(enrolled, key=lambda row: row.completion_rate)[:BARS], "enrolled": len(enrolled),
            "title": next((link.text for link in visitor.links if link.address == "/company"), _("My plants")),
        },
    )  # fmt: skip


router = Router("/", route_handlers=[plant, training, company])
