"""Which tables there are as files: each list and report, with the columns that its page shows and more."""

from dataclasses import dataclass
from uuid import UUID

from specchem.i18n import N_
from specchem.people.directory import MATCHES, ROLES_OF, Wanted, order


@dataclass(frozen=True)
class Export:
    """A table: its statement, the headings of its columns in their order, and what is put into the statement."""

    sql: str
    headings: tuple[str, ...]
    values: tuple[object, ...] = ()


EMAIL, FIRST, LAST = N_("Email"), N_("First name"), N_("Last name")
JOB, PLANT, STATUS, COURSE = N_("Job title"), N_("Plant"), N_("Status"), N_("Course")
PROGRESS, ENROLLED, COMPLETED = N_("Progress, %"), N_("Enrolled at"), N_("Completed at")
TOTAL, DONE, ON_THE_WAY, TO_START = N_("Enrolled"), N_("Completed"), N_("In progress"), N_("Not started")
RATE, AVERAGE = N_("Completed, %"), N_("Average progress, %")


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


def learners(plant: UUID, course: UUID) -> Export:
    """Who of a plant's active people is how far in a course."""
    return Export(
        """
        select p.email, p.first_name, p.last_name, p.job_title, e.status, coalesce(g.progress_percent, 0),
            e.enrolled_at, e.completed_at
        from enrollments e
        join profiles p on p.id = e.user_id and p.status = 'active'
        left join progress g on g.user_id = e.user_id and g.course_id = e.course_id
        where app.report_plant($1) = $1 and app.known_course($2) = $2 and e.plant_id = $1 and e.course_id = $2
        order by e.status, coalesce(g.progress_percent, 0), p.last_name, p.first_name, p.id""",
        (EMAIL, FIRST, LAST, JOB, STATUS, PROGRESS, ENROLLED, COMPLETED),
        (plant, course),
    )


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
            N_("Section"), N_("Key"), N_("Question"), N_("Answers"), N_("Wrong answers"), N_("People"), N_("Missed, %"),
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


def company() -> Export:
    """The plants that the caller looks after, side by side."""
    return Export(
        """
        select t.name, (select count(*) from profiles p where p.plant_id = t.id and p.status = 'active'),
            coalesce(s.enrolled, 0), coalesce(s.completed, 0),
            app.percent(coalesce(s.completed, 0), coalesce(s.enrolled, 0)),
            app.percent(coalesce(s.progress_sum, 0), 100 * coalesce(s.enrolled, 0))
        from plants t
        left join (
            select plant_id, sum(total_enrolled)::bigint as enrolled, sum(completed)::bigint as completed,
                sum(progress_sum)::bigint as progress_sum
            from app.completion group by plant_id
        ) as s on s.plant_id = t.id
        where t.id = any((select app.visible_plants())::uuid [])
        order by t.name""",
        (PLANT, N_("People"), TOTAL, DONE, RATE, AVERAGE),
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
        (N_("When"), N_("What"), N_("Who"), N_("Whom"), PLANT, N_("From where"), N_("More")),
    )
