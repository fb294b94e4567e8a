"""The reports (guide: operations/reporting.ts); each has one meaning, written down in rules/70_reports.sql."""

from uuid import UUID

from specchem.db.session import Db
from specchem.errors import Forbidden
from specchem.reporting.schemas import (
    ActivitySummary,
    CompletionRate,
    MissedQuestion,
    MostMissed,
    OrgCompletion,
    PlantLearner,
    ProgressSummary,
)
from specchem.vocabulary import FIRST_PAGE, Page

ENOUGH_ATTEMPTS = 5  # the guide's rule: fewer say nothing


async def get_plant_completion_rate(db: Db, plant: UUID, course: UUID | None = None) -> CompletionRate:
    """A plant's completion, in one course or all. Raises NotFound, Forbidden."""
    return await db.one(
        CompletionRate,
        """
        select coalesce(sum(s.total_enrolled), 0) as total_enrolled, coalesce(sum(s.completed), 0) as completed,
            coalesce(sum(s.in_progress), 0) as in_progress, coalesce(sum(s.not_started), 0) as not_started,
            app.percent(coalesce(sum(s.completed), 0), coalesce(sum(s.total_enrolled), 0)) as completion_rate
        from app.completion s
        where app.report_plant($1) = $1 and app.known_course($2) is not distinct from $2
            and s.plant_id = $1 and ($2 is null or s.course_id = $2)""",
        plant, course,
    )  # fmt: skip


async def get_plant_progress_summary(db: Db, plant: UUID) -> list[ProgressSummary]:
    """A plant's courses, by title. Raises NotFound, Forbidden."""
    return await db.all(
        ProgressSummary,
        """
        select jsonb_build_object('id', c.id, 'title', c.title, 'slug', c.slug) as course,
            s.total_enrolled, s.completed, s.in_progress, s.not_started,
            app.percent(s.completed, s.total_enrolled) as completion_rate,
            app.percent(s.progress_sum, 100 * s.total_enrolled) as average_progress
        from app.completion s join courses c on c.id = s.course_id
        where app.report_plant($1) = $1 and s.plant_id = $1
        order by c.title, c.id""",
        plant,
    )


async def get_most_missed_questions(
    db: Db, plant: UUID, course: UUID, most: MostMissed | None = None
) -> list[MissedQuestion]:
    """What a plant's people get wrong most, from 5 attempts on. Raises NotFound, Forbidden."""
    return await db.all(
        MissedQuestion,
        """
        select d.section_key, d.question_key, q.prompt, d.total_attempts, d.incorrect_attempts, d.people,
            d.miss_rate, d.miss_rate_low, d.miss_rate_high
        from app.question_difficulty d
        left join questions q on q.course_id = d.course_id and q.section_key = d.section_key
            and q.key = d.question_key
        where app.report_plant($1) = $1 and app.known_course($2) = $2
            and d.plant_id = $1 and d.course_id = $2 and d.total_attempts >= $4
        order by d.miss_rate desc, d.total_attempts desc, d.section_key, d.question_key limit $3""",
        plant, course, (most or MostMissed()).limit, ENOUGH_ATTEMPTS,
    )  # fmt: skip


async def get_user_activity_summary(db: Db, person: UUID) -> list[ActivitySummary]:
    """A person's courses with what they did in each, newest enrolment first. Raises NotFound."""
    return await db.all(
        ActivitySummary,
        """
        select
            case when c.id is not null
                then jsonb_build_object('id', c.id, 'title', c.title, 'slug', c.slug) end as course,
            jsonb_build_object('status', e.status, 'enrolled_at', e.enrolled_at, 'completed_at', e.completed_at)
                as enrollment,
            case when g.id is not null
                then jsonb_build_object('progress_percent', g.progress_percent,
                    'current_section', g.current_section, 'last_active_at', g.last_active_at) end as progress,
            jsonb_build_object('answers', a.answers, 'right_answers', a.right_answers,
                'sections_viewed', v.sections_viewed) as activity
        from enrollments e
        left join courses c on c.id = e.course_id
        left join progress g on g.user_id = e.user_id and g.course_id = e.course_id
        cross join lateral (
            select count(*) as answers, count(*) filter (where q.is_correct) as right_answers
            from question_events q where q.user_id = e.user_id and q.course_id = e.course_id) as a
        cross join lateral (
            select count(distinct y.meta ->> 'section_key') as sections_viewed from activity_events y
            where y.user_id = e.user_id and y.course_id = e.course_id and y.event_type = 'view_section') as v
        where app.visible_person($1) = $1 and e.user_id = $1
        order by e.enrolled_at desc, e.id""",
        person,
    )


async def get_org_wide_completion_stats(db: Db) -> list[OrgCompletion]:
    """The plants the caller looks after, side by side, by name. Raises Forbidden for everybody else."""
    plants = await db.all(
        OrgCompletion,
        """
        select jsonb_build_object('id', t.id, 'name', t.name) as plant,
            (select count(*) from profiles p where p.plant_id = t.id and p.status = 'active') as total_users,
            coalesce(s.enrolled, 0) as total_enrollments, coalesce(s.completed, 0) as completed_enrollments,
            app.percent(coalesce(s.completed, 0), coalesce(s.enrolled, 0)) as completion_rate,
            app.percent(coalesce(s.progress_sum, 0), 100 * coalesce(s.enrolled, 0)) as average_progress
        from plants t
        left join (
            select plant_id, sum(total_enrolled)::bigint as enrolled, sum(completed)::bigint as completed,
                sum(progress_sum)::bigint as progress_sum
            from app.completion group by plant_id
        ) as s on s.plant_id = t.id
        where t.id = any((select app.visible_plants())::uuid [])
        order by t.name""",
    )
    if not plants:
        raise Forbidden("This report is for managers and HR.")
    return plants


async def get_plant_learners(
    db: Db, plant: UUID, course: UUID, page: Page = FIRST_PAGE
) -> list[PlantLearner]:
    """Who of a plant's active people is done, on the way or has not started; least far first."""
    return await db.all(
        PlantLearner,
        """
        select p.id as user_id, p.first_name, p.last_name, p.job_title, e.status,
            coalesce(g.progress_percent, 0) as progress_percent, e.enrolled_at, e.completed_at
        from enrollments e
        join profiles p on p.id = e.user_id and p.status = 'active'
        left join progress g on g.user_id = e.user_id and g.course_id = e.course_id
        where app.report_plant($1) = $1 and app.known_course($2) = $2 and e.plant_id = $1 and e.course_id = $2
        order by e.status, coalesce(g.progress_percent, 0), p.last_name, p.first_name, p.id limit $3 offset $4""",
        plant, course, page.limit, page.offset,
    )  # fmt: skip
