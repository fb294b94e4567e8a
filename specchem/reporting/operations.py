"""The reports (guide: operations/reporting.ts); each has one meaning, written down in rules/70_reports.sql."""

from uuid import UUID

from specchem.db.session import Db
from specchem.errors import Forbidden
from specchem.reporting.schemas import (
    ActivitySummary,
    CompletionRate,
    Happening,
    MissedByPerson,
    MissedQuestion,
    Month,
    MostMissed,
    OrgCompletion,
    PlantLearner,
    ProgressSummary,
    Show,
    StuckLearner,
    Week,
)
from specchem.vocabulary import FIRST_PAGE, Page

ENOUGH_ATTEMPTS = 5  # the guide's rule: fewer say nothing
QUIET_DAYS = 14  # in progress and nothing done for so long, or
MISSES = 3  # a question wrong so often and never right: stuck
MOST_STUCK = 500  # people
WEEKS, MONTHS = 12, 12  # back from now, this one among them
MOST_MISSED = 50  # questions of one person
# Each plant that the caller looks after (t) beside its counters (s), in course $1 or all.
PLANTS_BESIDE = """from plants t
        left join (
            select plant_id, sum(total_enrolled)::bigint as enrolled, sum(completed)::bigint as completed,
                sum(progress_sum)::bigint as progress_sum
            from app.completion where $1::uuid is null or course_id = $1 group by plant_id
        ) as s on s.plant_id = t.id
        where app.known_course($1) is not distinct from $1 and t.id = any((select app.visible_plants())::uuid [])
        order by t.name"""


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


async def get_plant_progress_summary(
    db: Db, plant: UUID, language: str | None = None
) -> list[ProgressSummary]:
    """A plant's courses, by title; in ``language`` what is said in it. Raises NotFound, Forbidden."""
    return await db.all(
        ProgressSummary,
        """
        select jsonb_build_object('id', c.id, 'slug', c.slug,
                'title', coalesce(c.translations -> $2 ->> 'title', c.title)) as course,
            s.total_enrolled, s.completed, s.in_progress, s.not_started,
            app.percent(s.completed, s.total_enrolled) as completion_rate,
            app.percent(s.progress_sum, 100 * s.total_enrolled) as average_progress
        from app.completion s join courses c on c.id = s.course_id
        where app.report_plant($1) = $1 and s.plant_id = $1
        order by c.title, c.id""",
        plant, language,
    )  # fmt: skip


async def get_most_missed_questions(
    db: Db, plant: UUID, course: UUID, most: MostMissed | None = None, language: str | None = None
) -> list[MissedQuestion]:
    """What a plant's people get wrong most, from 5 attempts on. Raises NotFound, Forbidden."""
    return await db.all(
        MissedQuestion,
        """
        select d.section_key, coalesce(s.translations -> $5 ->> 'title', s.title) as section, d.question_key,
            coalesce(q.translations -> $5 ->> 'prompt', q.prompt) as prompt, d.total_attempts,
            d.incorrect_attempts, d.people, d.miss_rate, d.miss_rate_low, d.miss_rate_high
        from app.question_difficulty d
        left join sections s on s.course_id = d.course_id and s.key = d.section_key
        left join questions q on q.course_id = d.course_id and q.section_key = d.section_key
            and q.key = d.question_key
        where app.report_plant($1) = $1 and app.known_course($2) = $2
            and d.plant_id = $1 and d.course_id = $2 and d.total_attempts >= $4
        order by d.miss_rate desc, d.total_attempts desc, d.section_key, d.question_key limit $3""",
        plant, course, (most or MostMissed()).limit, ENOUGH_ATTEMPTS, language,
    )  # fmt: skip


async def get_user_activity_summary(
    db: Db, person: UUID, language: str | None = None
) -> list[ActivitySummary]:
    """A person's courses with what they did in each, newest enrollment first. Raises NotFound."""
    return await db.all(
        ActivitySummary,
        """
        select
            case when c.id is not null
                then jsonb_build_object('id', c.id, 'slug', c.slug,
                    'title', coalesce(c.translations -> $2 ->> 'title', c.title)) end as course,
            jsonb_build_object('status', e.status, 'enrolled_at', e.enrolled_at, 'completed_at', e.completed_at)
                as enrollment,
            case when g.id is not null
                then jsonb_build_object('progress_percent', g.progress_percent,
                    'current_section', g.current_section, 'last_active_at', g.last_active_at) end as progress,
            jsonb_build_object('answers', a.answers, 'right_answers', a.right_answers,
                'sections_viewed', v.sections_viewed, 'languages', a.languages) as activity
        from enrollments e
        left join courses c on c.id = e.course_id
        left join progress g on g.user_id = e.user_id and g.course_id = e.course_id
        cross join lateral (
            select count(*) as answers, count(*) filter (where q.is_correct) as right_answers,
                coalesce(array_agg(distinct q.response_meta ->> 'language')
                    filter (where q.response_meta ->> 'language' ~ '^[a-z]{2,3}$'), '{}') as languages
            from question_events q where q.user_id = e.user_id and q.course_id = e.course_id) as a
        cross join lateral (
            select count(distinct y.meta ->> 'section_key') as sections_viewed from activity_events y
            where y.user_id = e.user_id and y.course_id = e.course_id and y.event_type = 'view_section') as v
        where app.visible_person($1) = $1 and e.user_id = $1
        order by e.enrolled_at desc, e.id""",
        person, language,
    )  # fmt: skip


async def get_missed_by_person(db: Db, person: UUID, language: str | None = None) -> list[MissedByPerson]:
    """What a person got wrong, never right first, then wrong most often; at most 50. Raises NotFound."""
    return await db.all(
        MissedByPerson,
        """
        select coalesce(c.translations -> $3 ->> 'title', c.title) as course,
            coalesce(s.translations -> $3 ->> 'title', s.title, m.section_key) as section,
            coalesce(q.translations -> $3 ->> 'prompt', q.prompt, m.question_key) as prompt,
            m.wrong, m.is_right, m.last_answered_at
        from (
            select e.course_id, e.section_key, e.question_key, count(*) filter (where not e.is_correct) as wrong,
                bool_or(e.is_correct) as is_right, max(e.answered_at) as last_answered_at
            from question_events e where e.user_id = $1
            group by e.course_id, e.section_key, e.question_key
        ) as m
        left join courses c on c.id = m.course_id
        left join sections s on s.course_id = m.course_id and s.key = m.section_key
        left join questions q on q.course_id = m.course_id and q.section_key = m.section_key
            and q.key = m.question_key
        where app.visible_person($1) = $1 and m.wrong > 0
        order by m.is_right, m.wrong desc, m.last_answered_at desc, m.section_key, m.question_key limit $2""",
        person, MOST_MISSED, language,
    )  # fmt: skip


async def get_person_timeline(
    db: Db, person: UUID, page: Page = FIRST_PAGE, language: str | None = None
) -> list[Happening]:
    """What a person did and answered, and when they were enrolled, latest first. Raises NotFound."""
    # The offset keeps the person's own rows first, as in the two histories.
    return await db.all(
        Happening,
        """
        select h.happened_at, h.kind, coalesce(c.translations -> $4 ->> 'title', c.title) as course,
            coalesce(s.translations -> $4 ->> 'title', s.title, h.section_key) as section,
            coalesce(q.translations -> $4 ->> 'prompt', q.prompt, h.question_key) as prompt, h.is_correct
        from (
            select * from (
                select e.answered_at as happened_at, 'answer' as kind, e.course_id, e.section_key, e.question_key,
                    e.is_correct, e.id
                from question_events e where e.user_id = $1 offset 0) as answered
            union all
            select * from (
                select a.occurred_at, a.event_type::text, a.course_id, a.meta ->> 'section_key', null,
                    null::boolean, a.id
                from activity_events a where a.user_id = $1 offset 0) as did
            union all
            select n.enrolled_at, 'enrolled', n.course_id, null, null, null, n.id
            from enrollments n where n.user_id = $1
        ) as h
        left join courses c on c.id = h.course_id
        left join sections s on s.course_id = h.course_id and s.key = h.section_key
        left join questions q on q.course_id = h.course_id and q.section_key = h.section_key
            and q.key = h.question_key
        where app.visible_person($1) = $1
        order by h.happened_at desc, h.kind = 'enrolled', h.id limit $2 offset $3""",
        person, page.limit, page.offset, language,
    )  # fmt: skip


async def looks_after(db: Db, plant: UUID) -> bool:
    """May the caller see the plant's report?"""
    return bool(await db.value("select $1 = any(app.visible_plants())", plant))


async def get_org_wide_completion_stats(db: Db, course: UUID | None = None) -> list[OrgCompletion]:
    """The plants the caller looks after, side by side in one course or all, by name.

    Raises Forbidden for everybody else, NotFound.
    """
    plants = await db.all(
        OrgCompletion,
        f"""
        select jsonb_build_object('id', t.id, 'name', t.name) as plant,
            (select count(*) from profiles p where p.plant_id = t.id and p.status = 'active') as total_users,
            coalesce(s.enrolled, 0) as total_enrollments, coalesce(s.completed, 0) as completed_enrollments,
            app.percent(coalesce(s.completed, 0), coalesce(s.enrolled, 0)) as completion_rate,
            app.percent(coalesce(s.progress_sum, 0), 100 * coalesce(s.enrolled, 0)) as average_progress
        {PLANTS_BESIDE}""",  # noqa: S608  words of ours
        course,
    )
    if not plants:
        raise Forbidden("This report is for managers and HR.")
    return plants


async def get_completion_trend(db: Db, zone: str, course: UUID | None = None) -> list[Month]:
    """Completions in each of the last 12 months, by that zone's clock, in the plants the caller looks after.

    Of everybody who is there now, also those who were suspended since. Raises NotFound.
    """
    return await db.all(
        Month,
        """
        with months as (
            select date_trunc('month', now() at time zone $1) - n * interval '1 month' as month
            from generate_series($3 - 1, 0, -1) n
        ), finished as (
            select date_trunc('month', e.completed_at at time zone $1) as month, count(*) as completed
            from enrollments e
            where e.plant_id = any((select app.visible_plants())::uuid [])
                and e.completed_at >= (select min(m.month) from months m) at time zone $1
                and ($2::uuid is null or e.course_id = $2)
            group by 1
        )
        select m.month at time zone $1 as starts_at, coalesce(f.completed, 0) as completed
        from months m left join finished f on f.month = m.month
        where app.known_course($2) is not distinct from $2 order by m.month""",
        zone, course, MONTHS,
    )  # fmt: skip


async def get_plant_weeks(db: Db, plant: UUID, course: UUID) -> list[Week]:
    """What happened in a plant's course in each of the last 12 weeks. Raises NotFound, Forbidden.

    Enrollments and completions are of everybody who is in the plant now, answers of everybody who gave them there.
    """
    # The answers question by question: the index that there is leads to those of these weeks alone.
    return await db.all(
        Week,
        """
        with clock as materialized (
            select z.zone, date_trunc('week', now() at time zone z.zone) as monday
            from (select coalesce((select t.timezone from plants t where t.id = $1), 'UTC') as zone) as z
        ), weeks as (
            select c.zone, c.monday - n * interval '7 days' as week from clock c, generate_series($3 - 1, 0, -1) n
        ), since as materialized (
            select min(w.week at time zone w.zone) as moment, min(w.zone) as zone from weeks w
        ), answered as (
            select date_trunc('week', a.answered_at at time zone s.zone) as week, count(*) as answers,
                count(distinct a.user_id) as people
            from since s
            cross join (
                select distinct c.question_key as key from question_counters c
                where c.plant_id = $1 and c.course_id = $2) as asked
            cross join lateral (
                select e.answered_at, e.user_id from question_events e
                where e.plant_id = $1 and e.question_key = asked.key and e.answered_at >= s.moment
                    and e.course_id = $2 offset 0) as a
            group by 1
        ), enrolled as (
            select date_trunc('week', e.enrolled_at at time zone s.zone) as week, count(*) as enrolled
            from since s join enrollments e on e.plant_id = $1 and e.course_id = $2 and e.enrolled_at >= s.moment
            group by 1
        ), completed as (
            select date_trunc('week', e.completed_at at time zone s.zone) as week, count(*) as completed
            from since s join enrollments e on e.plant_id = $1 and e.course_id = $2 and e.completed_at >= s.moment
            group by 1
        )
        select w.week at time zone w.zone as starts_at, coalesce(a.answers, 0) as answers,
            coalesce(a.people, 0) as people, coalesce(n.enrolled, 0) as enrolled,
            coalesce(f.completed, 0) as completed
        from weeks w left join answered a on a.week = w.week left join enrolled n on n.week = w.week
            left join completed f on f.week = w.week
        where app.report_plant($1) = $1 and app.known_course($2) = $2
        order by w.week""",
        plant, course, WEEKS,
    )  # fmt: skip


async def get_plant_learners(
    db: Db, plant: UUID, course: UUID, page: Page = FIRST_PAGE, show: Show = "all"
) -> list[PlantLearner]:
    """Who of a plant's active people is done, on the way or has not started; least far first."""
    return await db.all(
        PlantLearner,
        """
        select p.id as user_id, p.first_name, p.last_name, p.job_title, e.status,
            coalesce(g.progress_percent, 0) as progress_percent, e.enrolled_at, e.completed_at,
            case when e.status <> 'enrolled' then g.last_active_at end as last_active_at
        from enrollments e
        join profiles p on p.id = e.user_id and p.status = 'active'
        left join progress g on g.user_id = e.user_id and g.course_id = e.course_id
        where app.report_plant($1) = $1 and app.known_course($2) = $2 and e.plant_id = $1 and e.course_id = $2
            and case $5 when 'not_done' then e.status <> 'completed' when 'in_progress' then e.status = 'in_progress'
                when 'not_started' then e.status = 'enrolled' when 'done' then e.status = 'completed' else true end
        order by e.status, coalesce(g.progress_percent, 0), p.last_name, p.first_name, p.id limit $3 offset $4""",
        plant, course, page.limit, page.offset, show,
    )  # fmt: skip


async def get_stuck_learners(
    db: Db, plant: UUID, course: UUID, language: str | None = None
) -> list[StuckLearner]:
    """Who of a plant's active people is stuck in a course, quiet for longest first; at most 500.

    Stuck is: in progress, and either nothing done for 14 days, or a question answered wrong three times or more and
    never right. Raises NotFound, Forbidden.
    """
    return await db.all(
        StuckLearner,
        """
        select p.id as user_id, p.first_name, p.last_name, p.job_title, e.status,
            coalesce(g.progress_percent, 0) as progress_percent, e.enrolled_at, e.completed_at, l.last_active_at,
            l.last_active_at < now() - $3 * interval '1 day' as is_quiet, m.questions
        from enrollments e
        join profiles p on p.id = e.user_id and p.status = 'active'
        left join progress g on g.user_id = e.user_id and g.course_id = e.course_id
        cross join lateral (select coalesce(g.last_active_at, e.enrolled_at) as last_active_at) as l
        cross join lateral (
            select coalesce(jsonb_agg(coalesce(q.translations -> $6 ->> 'prompt', q.prompt, t.question_key)
                order by t.section_key, t.question_key), '[]') as questions
            from (
                select distinct w.section_key, w.question_key from question_events w
                where w.course_id = $2 and w.user_id = e.user_id and w.attempt_index >= $4
                offset 0) as t
            left join questions q on q.course_id = $2 and q.section_key = t.section_key and q.key = t.question_key
            where not exists (
                select from question_events r
                where r.course_id = $2 and r.user_id = e.user_id and r.section_key = t.section_key
                    and r.question_key = t.question_key and r.is_correct)) as m
        where app.report_plant($1) = $1 and app.known_course($2) = $2 and e.plant_id = $1 and e.course_id = $2
            and e.status = 'in_progress'
            and (l.last_active_at < now() - $3 * interval '1 day' or m.questions <> '[]')
        order by l.last_active_at, p.last_name, p.first_name, p.id limit $5""",
        plant, course, QUIET_DAYS, MISSES, MOST_STUCK, language,
    )  # fmt: skip
