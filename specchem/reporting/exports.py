"""Which tables there are as files: each list and report, with the columns that its page shows and more."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from specchem.courses.versions import get_versions
from specchem.db.session import Db
from specchem.i18n import N_, language
from specchem.people.directory import MATCHES, ROLES_OF, Wanted, order
from specchem.people.operations import get_plants, get_plants_with_people
from specchem.reporting import operations
from specchem.reporting.days import WEEKS, get_volume_by_day
from specchem.reporting.schemas import Shown
from specchem.vocabulary import Page

Rows = Sequence[Sequence[Any]]
STATUSES: dict[str | None, list[str]] = {
    "not_done": ["enrolled", "in_progress"],
    "in_progress": ["in_progress"],
    "not_started": ["enrolled"],
    "done": ["completed"],
}  # of those that a plant's page shows


class Table(Protocol):
    """The headings of its columns in their order, and its rows, some at a time."""

    @property
    def headings(self) -> tuple[str, ...]:
        """In English."""

    def batches(self, db: Db) -> AsyncIterator[Any]:
        """Rows of as many values. Raises Forbidden, NotFound."""


@dataclass(frozen=True)
class Export:
    """A table of any length: its statement, and what is put into it."""

    sql: str
    headings: tuple[str, ...]
    values: tuple[object, ...] = ()

    def batches(self, db: Db) -> AsyncIterator[Any]:
        """With a cursor."""
        return db.batches(self.sql, *self.values)


@dataclass(frozen=True)
class Report:
    """A short table: its rows as its page reads them."""

    read: Callable[[Db], Awaitable[Rows]]
    headings: tuple[str, ...]

    async def batches(self, db: Db) -> AsyncIterator[Any]:
        """All at once."""
        yield await self.read(db)


EMAIL, FIRST, LAST = N_("Email"), N_("First name"), N_("Last name")
JOB, PLANT, STATUS, COURSE = N_("Job title"), N_("Plant"), N_("Status"), N_("Course")
PROGRESS, ENROLLED, COMPLETED = N_("Progress, %"), N_("Enrolled at"), N_("Completed at")
TOTAL, DONE, ON_THE_WAY, TO_START = N_("Enrolled"), N_("Completed"), N_("In progress"), N_("Not started")
RATE, AVERAGE = N_("Completed, %"), N_("Average progress, %")
ANSWERS, RIGHT, PEOPLE, COMPLETIONS = N_("Answers"), N_("Right"), N_("People"), N_("Completions")
ENROLLMENTS, QUESTION, SECTION, ACTIVE = N_("Enrollments"), N_("Question"), N_("Section"), N_("Last active")
WHEN, WHAT = N_("When"), N_("What")


def people(wanted: Wanted) -> Export:
    """The list of people as it is searched and sorted; as it stands it may be imported again."""
    return Export(
        f"""
        select p.email, p.first_name, p.last_name, p.job_title, t.name as plant, p.status, (
            select string_agg(concat_ws(', ', h.role, h.plant), '; ')
            from jsonb_to_recordset({ROLES_OF}) as h (role text, plant text)) as roles, p.created_at
        {MATCHES} order by {order(wanted.sort)}""",  # noqa: S608  words of ours
        (EMAIL, FIRST, LAST, JOB, PLANT, STATUS, N_("Roles"), N_("Here since")),
        wanted.values(),
    )


def learners(plant: UUID, course: UUID, show: Shown | None = None) -> Table:
    """Who of a plant's active people is how far in a course; of all of them, or of those that the page shows."""
    if show == "stuck":
        return _stuck(plant, course)
    return Export(
        """
        select p.email, p.first_name, p.last_name, p.job_title, e.status, coalesce(g.progress_percent, 0),
            e.enrolled_at, e.completed_at
        from enrollments e
        join profiles p on p.id = e.user_id and p.status = 'active'
        left join progress g on g.user_id = e.user_id and g.course_id = e.course_id
        where app.report_plant($1) = $1 and app.known_course($2) = $2 and e.plant_id = $1 and e.course_id = $2
            and e.status = any(($3::text [])::enrollment_status [])
        order by e.status, coalesce(g.progress_percent, 0), p.last_name, p.first_name, p.id""",
        (EMAIL, FIRST, LAST, JOB, STATUS, PROGRESS, ENROLLED, COMPLETED),
        (plant, course, STATUSES.get(show, ["enrolled", "in_progress", "completed"])),
    )


def _stuck(plant: UUID, course: UUID) -> Report:
    async def read(db: Db) -> Rows:
        return [
            (one.first_name, one.last_name, one.job_title, one.progress_percent, one.enrolled_at, one.last_active_at,
             one.is_quiet, "; ".join(one.questions))
            for one in await operations.get_stuck_learners(db, plant, course, language())
        ]  # fmt: skip

    quiet, wrong = N_("Nothing done for 14 days"), N_("Wrong again and again")
    return Report(read, (FIRST, LAST, JOB, PROGRESS, ENROLLED, ACTIVE, quiet, wrong))


def questions(plant: UUID, course: UUID) -> Export:
    """A course's questions as a plant's people answered them, most missed first; also those with few answers."""
    return Export(
        """
        select d.section_key, d.question_key, q.prompt, d.total_attempts, d.incorrect_attempts, d.people, d.miss_rate,
            d.miss_rate_low, d.miss_rate_high
        from app.question_difficulty d
        left join questions q on q.course_id = d.course_id and q.section_key = d.section_key
            and q.key = d.question_key
        where app.report_plant($1) = $1 and app.known_course($2) = $2 and d.plant_id = $1 and d.course_id = $2
        order by d.miss_rate desc, d.total_attempts desc, d.section_key, d.question_key""",
        (
            SECTION, N_("Key"), QUESTION, ANSWERS, N_("Wrong answers"), PEOPLE, N_("Missed, %"),
            N_("95% interval from"), N_("95% interval to"),
        ),
        (plant, course),
    )  # fmt: skip


def courses(plant: UUID) -> Export:
    """A plant's courses."""
    return Export(
        """
        select c.title, s.total_enrolled, s.completed, s.in_progress, s.not_started,
            app.percent(s.completed, s.total_enrolled), app.percent(s.progress_sum, 100 * s.total_enrolled)
        from app.completion s join courses c on c.id = s.course_id
        where app.report_plant($1) = $1 and s.plant_id = $1
        order by c.title, c.id""",
        (COURSE, TOTAL, DONE, ON_THE_WAY, TO_START, RATE, AVERAGE),
        (plant,),
    )


def weeks(plant: UUID, course: UUID) -> Report:
    """What happened in a plant's course in each of the last weeks, from Monday by the plant's clock."""

    async def read(db: Db) -> Rows:
        found = await operations.get_plant_weeks(db, plant, course)
        zone = next((ZoneInfo(one.timezone) for one in await get_plants(db) if one.id == plant), UTC)
        return [
            (
                one.starts_at.astimezone(zone).date().isoformat(),
                one.people,
                one.completed,
                one.answers,
                one.enrolled,
            )
            for one in reversed(found)
        ]

    return Report(read, (N_("Week from"), N_("People who answered"), COMPLETIONS, ANSWERS, ENROLLMENTS))


def months(course: UUID | None, zone: ZoneInfo) -> Report:
    """Completions in each of the last months, in one course or all."""

    async def read(db: Db) -> Rows:
        found = await operations.get_completion_trend(db, zone.key, course)
        return [(f"{one.starts_at.astimezone(zone):%Y-%m}", one.completed) for one in reversed(found)]

    return Report(read, (N_("Month"), COMPLETIONS))


def company(course: UUID | None) -> Export:
    """The plants that the caller looks after, side by side; in one course or all."""
    return Export(
        f"""
        select t.name, (select count(*) from profiles p where p.plant_id = t.id and p.status = 'active'),
            coalesce(s.enrolled, 0), coalesce(s.completed, 0),
            app.percent(coalesce(s.completed, 0), coalesce(s.enrolled, 0)),
            app.percent(coalesce(s.progress_sum, 0), 100 * coalesce(s.enrolled, 0))
        {operations.PLANTS_BESIDE}""",  # noqa: S608  words of ours
        (PLANT, PEOPLE, TOTAL, DONE, RATE, AVERAGE),
        (course,),
    )


def enrollments(plant: UUID | None, course: UUID | None) -> Export:
    """Every enrollment of the people that the caller looks after; suspended people too."""
    return Export(
        """
        select p.email, p.first_name, p.last_name, p.job_title, t.name, c.title, c.version, e.status,
            coalesce(g.progress_percent, 0), e.enrolled_at, e.completed_at
        from enrollments e
        join profiles p on p.id = e.user_id
        left join plants t on t.id = e.plant_id
        left join courses c on c.id = e.course_id
        left join progress g on g.user_id = e.user_id and g.course_id = e.course_id
        where e.plant_id = any((select app.visible_plants())::uuid [])
            and ($1::uuid is null or app.report_plant($1) = $1) and ($1::uuid is null or e.plant_id = $1)
            and ($2::uuid is null or e.course_id = $2)
        order by t.name, c.title, e.course_id, p.last_name, p.first_name, p.id""",
        (EMAIL, FIRST, LAST, JOB, PLANT, COURSE, N_("Version"), STATUS, PROGRESS, ENROLLED, COMPLETED),
        (plant, course),
    )


def training(person: UUID) -> Report:
    """A person's courses."""

    async def read(db: Db) -> Rows:
        return [
            (one.course.title if one.course else None, one.enrollment.status,
             one.progress.progress_percent if one.progress else 0, one.activity.answers, one.activity.right_answers,
             one.enrollment.enrolled_at, one.progress.last_active_at if one.progress else None,
             one.enrollment.completed_at, ", ".join(one.activity.languages))
            for one in await operations.get_user_activity_summary(db, person, language())
        ]  # fmt: skip

    return Report(
        read, (COURSE, STATUS, PROGRESS, ANSWERS, RIGHT, ENROLLED, ACTIVE, COMPLETED, N_("Language"))
    )


def missed(person: UUID) -> Report:
    """What a person got wrong."""

    async def read(db: Db) -> Rows:
        return [
            (one.course, one.section, one.prompt, one.wrong, one.is_right, one.last_answered_at)
            for one in await operations.get_missed_by_person(db, person, language())
        ]

    headings = (N_("Times wrong"), N_("Right by now"), N_("Last answered"))
    return Report(read, (COURSE, SECTION, QUESTION, *headings))


def timeline(person: UUID) -> Report:
    """Everything that a person did, latest first."""

    async def read(db: Db) -> Rows:
        rows: list[tuple[Any, ...]] = []
        page = Page(limit=500)
        while found := await operations.get_person_timeline(db, person, page, language()):
            rows += [
                (one.happened_at, one.kind, one.course, one.section, one.prompt, one.is_correct)
                for one in found
            ]
            page = Page(limit=page.limit, offset=page.offset + page.limit)
        return rows

    return Report(read, (WHEN, WHAT, COURSE, SECTION, QUESTION, RIGHT))


def plants() -> Report:
    """Every plant, for who keeps them."""

    async def read(db: Db) -> Rows:
        return [
            (one.plant.name, "open" if one.plant.is_active else "closed", one.people, one.plant.timezone)
            for one in await get_plants_with_people(db)
        ]

    return Report(read, (PLANT, N_("State"), N_("Active people"), N_("Time zone")))


def versions() -> Report:
    """Every version of every course, for who keeps them."""

    async def read(db: Db) -> Rows:
        return [
            (
                one.title,
                one.version,
                one.state,
                ", ".join(one.languages),
                one.enrolled,
                one.completed,
                one.created_at,
            )
            for one in await get_versions(db)
        ]

    return Report(
        read,
        (COURSE, N_("Version"), N_("State"), N_("Languages"), N_("People in it"), N_("Done"), N_("Loaded")),
    )


def days(zone: ZoneInfo) -> Report:
    """How much was recorded on each of the last days."""

    async def read(db: Db) -> Rows:
        return [
            (one.on_day.isoformat(), one.answers, one.views, one.enrolled, one.completed)
            for one in await get_volume_by_day(db, WEEKS, zone.key)
        ]

    return Report(read, (N_("Day"), ANSWERS, N_("Sections read"), ENROLLMENTS, COMPLETIONS))


def invitations() -> Export:
    """Those that are open."""
    return Export(
        """
        select i.email, i.first_name, i.last_name, i.job_title, t.name, i.role, i.created_at, i.sent_at, i.expires_at
        from invitations i left join plants t on t.id = i.plant_id
        where i.accepted_at is null and i.revoked_at is null order by i.created_at desc, i.id""",
        (EMAIL, FIRST, LAST, JOB, PLANT, N_("Role"), N_("Made at"), N_("Sent at"), N_("Open until")),
    )


def audit() -> Export:
    """Who did what: sign-ins, roles, suspensions, invitations; HR's alone."""
    return Export(
        """
        select a.happened_at, a.action, o.email, s.email, t.name, host(a.ip_address), a.details::text
        from audit_events a
        left join profiles o on o.id = a.actor_id
        left join profiles s on s.id = a.subject_id
        left join plants t on t.id = a.plant_id
        order by a.happened_at desc, a.id""",
        (WHEN, WHAT, N_("Who"), N_("Whom"), PLANT, N_("From where"), N_("More")),
    )
