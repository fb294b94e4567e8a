-- What HR and the dev admins keep: how many people stand behind a plant or a version of a course, and how much happens.
-- Numbers over all plants, and no person: a dev admin sees none.

-- The door of the pages that are theirs.
create function app.keeps() returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    if not ((app.is_hr() or app.is_dev()) and app.has_shown_enough()) then
        perform app.refuse(403, 'Only HR and dev admins may see that.');
    end if;
    return true;
end $$;

-- Active people of each plant that has any.
create function app.plant_people() returns table (plant_id uuid, people bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select p.plant_id, count(*) from public.profiles as p
    where app.keeps() and p.status = 'active' group by p.plant_id
$$;

-- Active people in each version of a course, and whether anybody was ever enrolled in it.
create function app.course_people() returns table (course_id uuid, enrolled bigint, completed bigint, is_taken boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
    select
        c.id,
        coalesce(n.enrolled, 0),
        coalesce(n.completed, 0),
        exists (select from public.enrollments as e where e.course_id = c.id)
    from public.courses as c
    left join (
        select t.course_id, sum(t.enrolled)::bigint as enrolled, sum(t.completed)::bigint as completed
        from public.completion_counters as t group by t.course_id
    ) as n on c.id = n.course_id
    where app.keeps()
$$;

-- What was recorded on each day of the last weeks by the clock of a time zone, the latest first.
create function app.volume_by_day(weeks integer, zone text)
returns table (on_day date, answers bigint, views bigint, enrolled bigint, completed bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    with days as (
        select d::date as on_day from generate_series(
            (now() at time zone zone)::date - least(weeks, 53) * 7 + 1, (now() at time zone zone)::date, interval '1 day'
        ) as g (d)
        where app.keeps()
    ),

    began as (select min(d.on_day)::timestamp at time zone zone as at from days as d),

    counted as (
        select (e.answered_at at time zone zone)::date as on_day, 1 as answers, 0 as views, 0 as enrolled, 0 as completed
        from public.question_events as e where e.answered_at >= (select b.at from began as b)
        union all
        select (e.occurred_at at time zone zone)::date, 0, (e.event_type = 'view_section')::integer, 0,
            (e.event_type = 'complete_course')::integer
        from public.activity_events as e where e.occurred_at >= (select b.at from began as b)
        union all
        select (e.enrolled_at at time zone zone)::date, 0, 0, 1, 0
        from public.enrollments as e where e.enrolled_at >= (select b.at from began as b)
    ),

    summed as (
        select c.on_day, sum(c.answers) as answers, sum(c.views) as views, sum(c.enrolled) as enrolled,
            sum(c.completed) as completed
        from counted as c group by c.on_day
    )

    select d.on_day, coalesce(s.answers, 0)::bigint, coalesce(s.views, 0)::bigint, coalesce(s.enrolled, 0)::bigint,
        coalesce(s.completed, 0)::bigint
    from days as d left join summed as s on d.on_day = s.on_day
    order by d.on_day desc
$$;

-- The latest examination that doctor kept; not for HR, who can mend nothing of it.
create function app.examination() returns table (examined_at timestamptz, release text, findings jsonb)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
    if not (app.is_dev() and app.has_shown_enough()) then
        perform app.refuse(403, 'Only dev admins may see that.');
    end if;
    return query
        select e.examined_at, e.release, e.findings from specchem.examinations as e
        order by e.examined_at desc limit 1;
end $$;
grant execute on function
app.keeps(), app.plant_people(), app.course_people(), app.volume_by_day(integer, text), app.examination()
to authenticated;
