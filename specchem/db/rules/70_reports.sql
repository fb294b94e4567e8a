-- What managers and HR read. One meaning each; the cost does not grow with the events.

-- ---------------------------------------------------------------- question_counters
select app.close('public.question_counters');
grant select on public.question_counters to authenticated;
grant select on public.question_counters to service_role;
-- no writes for anyone: the trigger below counts.

create policy reads on public.question_counters for select to authenticated using (
    plant_id = any((select app.visible_plants())::uuid[])
);

-- Counts a statement's new events in one write per question, into the writer's shard. People are counted at
-- their first answer in that plant: a person who moved is counted once in each.
create function app.count_answers() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into public.question_counters as c
        (plant_id, course_id, section_key, question_key, shard, attempts, wrong, first_attempts, people)
    select n.plant_id, n.course_id, n.section_key, n.question_key, pg_backend_pid() % 16,
        count(*), count(*) filter (where not n.is_correct), count(*) filter (where n.attempt_index = 1),
        count(*) filter (where n.attempt_index = 1 or not exists (
            select from public.question_events as e
            where e.user_id = n.user_id and e.course_id = n.course_id and e.section_key = n.section_key
            and e.question_key = n.question_key and e.plant_id = n.plant_id and e.attempt_index < n.attempt_index))
    from new_rows as n
    group by n.plant_id, n.course_id, n.section_key, n.question_key
    -- One order for all writers, so that none waits for the other in a circle.
    order by n.plant_id, n.course_id, n.section_key, n.question_key
    on conflict (plant_id, course_id, section_key, question_key, shard) do update set
        attempts = c.attempts + excluded.attempts,
        wrong = c.wrong + excluded.wrong,
        first_attempts = c.first_attempts + excluded.first_attempts,
        people = c.people + excluded.people;
    return null;
end $$;
create trigger counts after insert on public.question_events
referencing new table as new_rows for each statement execute function app.count_answers();

-- ---------------------------------------------------------------- the doors of the reports
-- A report asks them in its where clause and of nothing but its parameters, as in `app.report_plant($1) = $1`:
-- such a condition is evaluated once, before the first row. In the from clause a join whose other side is empty
-- may never come to them.

-- The plant, if the caller looks after it. Everyone knows the open plants, so another's is refused, not hidden.
create function app.report_plant(plant uuid) returns uuid
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    if plant = any(app.visible_plants()) then
        return plant;
    end if;
    if exists (select from public.plants as t where t.id = plant) then
        perform app.refuse(403, 'Only this plant''s managers and HR may see that.');
    end if;
    perform app.refuse(404, 'There is no such plant.');
end $$;

-- The person, if the caller may see them at all.
create function app.visible_person(person uuid) returns uuid
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (select from public.profiles as p where p.id = person) then
        perform app.refuse(404, 'There is no such person.');
    end if;
    return person;
end $$;

-- The course, or null where none was asked for.
create function app.known_course(course uuid) returns uuid
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    if course is not null and not exists (select from public.courses as c where c.id = course) then
        perform app.refuse(404, 'There is no such course.');
    end if;
    return course;
end $$;
grant execute on function app.report_plant(uuid), app.visible_person(uuid), app.known_course(uuid) to authenticated;

-- ---------------------------------------------------------------- completion
-- Part of the whole in per cent; 0 where there is no whole.
create function app.percent(part bigint, whole bigint) returns double precision
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select case when whole > 0 then round(100.0 * part / whole, 2) else 0 end::double precision
$$;

-- Over active people, by their present plant; a missing progress row counts as 0.
create view app.completion with (security_invoker = true) as
select
    e.plant_id,
    e.course_id,
    count(*)::integer as total_enrolled,
    (count(*) filter (where e.status = 'completed'))::integer as completed,
    (count(*) filter (where e.status = 'in_progress'))::integer as in_progress,
    (count(*) filter (where e.status = 'enrolled'))::integer as not_started,
    coalesce(sum(g.progress_percent), 0)::bigint as progress_sum
from public.enrollments as e
inner join public.profiles as p on e.user_id = p.id and p.status = 'active'
left join public.progress as g on e.user_id = g.user_id and e.course_id = g.course_id
group by e.plant_id, e.course_id;

-- ---------------------------------------------------------------- questions
-- Wilson's 95 % interval of a share, in per cent (z = 1.96).
create function app.wilson_low(part bigint, whole bigint) returns double precision
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select case when whole > 0 then round((100 * greatest(0,
        (part::numeric / whole + 1.9208 / whole
            - 1.96 * sqrt((part::numeric / whole) * (1 - part::numeric / whole) / whole + 0.9604 / whole / whole))
        / (1 + 3.8416 / whole)))::numeric, 2) else 0 end::double precision
$$;
create function app.wilson_high(part bigint, whole bigint) returns double precision
language sql immutable set search_path = pg_catalog, pg_temp as $$
    -- Subtracted as decimals: 65.76, not 65.75999999999999.
    select case when whole > 0 then 100 - app.wilson_low(whole - part, whole)::numeric else 100 end::double precision
$$;

create view app.question_difficulty with (security_invoker = true) as
select
    c.plant_id,
    c.course_id,
    c.section_key,
    c.question_key,
    sum(c.attempts)::bigint as total_attempts,
    sum(c.attempts - c.wrong)::bigint as correct_attempts,
    sum(c.wrong)::bigint as incorrect_attempts,
    sum(c.first_attempts)::bigint as first_attempts,
    sum(c.people)::bigint as people,
    app.percent(sum(c.attempts - c.wrong)::bigint, sum(c.attempts)::bigint) as success_rate,
    app.percent(sum(c.wrong)::bigint, sum(c.attempts)::bigint) as miss_rate,
    app.wilson_low(sum(c.wrong)::bigint, sum(c.attempts)::bigint) as miss_rate_low,
    app.wilson_high(sum(c.wrong)::bigint, sum(c.attempts)::bigint) as miss_rate_high
from public.question_counters as c
group by c.plant_id, c.course_id, c.section_key, c.question_key;

grant select on app.completion, app.question_difficulty to authenticated;
grant execute on function app.percent(bigint, bigint), app.wilson_low(bigint, bigint), app.wilson_high(bigint, bigint)
to authenticated;

-- What the counters would say if they were counted anew from the events; no row means that they agree.
create view app.counter_differences with (security_invoker = true) as
with recounted as (
    select
        e.plant_id,
        e.course_id,
        e.section_key,
        e.question_key,
        count(*) as attempts,
        count(*) filter (where not e.is_correct) as wrong,
        count(*) filter (where e.attempt_index = 1) as first_attempts,
        count(distinct e.user_id) as people
    from public.question_events as e
    group by e.plant_id, e.course_id, e.section_key, e.question_key
),

counted as (
    select
        c.plant_id,
        c.course_id,
        c.section_key,
        c.question_key,
        sum(c.attempts)::bigint as attempts,
        sum(c.wrong)::bigint as wrong,
        sum(c.first_attempts)::bigint as first_attempts,
        sum(c.people)::bigint as people
    from public.question_counters as c
    group by c.plant_id, c.course_id, c.section_key, c.question_key
)

select
    coalesce(r.plant_id, c.plant_id) as plant_id,
    coalesce(r.course_id, c.course_id) as course_id,
    coalesce(r.section_key, c.section_key) as section_key,
    coalesce(r.question_key, c.question_key) as question_key,
    to_jsonb(r) as recounted,
    to_jsonb(c) as counted
from recounted as r
full join counted as c
    on
        r.plant_id = c.plant_id and r.course_id = c.course_id
        and r.section_key = c.section_key and r.question_key = c.question_key
where
    (r.attempts, r.wrong, r.first_attempts, r.people)
    is distinct from (c.attempts, c.wrong, c.first_attempts, c.people);
