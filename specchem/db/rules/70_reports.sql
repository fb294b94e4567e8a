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

select app.close('public.completion_counters');
grant select on public.completion_counters to authenticated;
grant select on public.completion_counters to service_role;
-- no writes for anyone: the triggers below count.

create policy reads on public.completion_counters for select to authenticated using (
    plant_id = any((select app.visible_plants())::uuid[])
);

create function app.add_completion(
    plant uuid, course uuid, enrolled bigint, in_progress bigint, completed bigint, progress_sum bigint
) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    insert into public.completion_counters as c
        (plant_id, course_id, shard, enrolled, in_progress, completed, progress_sum)
    values (plant, course, pg_backend_pid() % 16, enrolled, in_progress, completed, progress_sum)
    on conflict (plant_id, course_id, shard) do update set
        enrolled = c.enrolled + excluded.enrolled,
        in_progress = c.in_progress + excluded.in_progress,
        completed = c.completed + excluded.completed,
        progress_sum = c.progress_sum + excluded.progress_sum
$$;

-- Counted are active people, in their present plant. Whether a person is active is read under a lock that their
-- suspension or move waits for: the profile where they are enrolled, else the progress row, which every step takes.
create function app.count_enrollment() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    changed public.enrollments := coalesce(new, old);
begin
    if tg_op = 'INSERT' then
        perform from public.profiles as p where p.id = changed.user_id for share;
    else
        perform from public.progress as g
        where g.user_id = changed.user_id and g.course_id = changed.course_id for update;
    end if;
    perform app.add_completion(
        changed.plant_id, changed.course_id,
        case tg_op when 'INSERT' then 1 when 'DELETE' then -1 else 0 end,
        coalesce((new.status = 'in_progress')::integer, 0) - coalesce((old.status = 'in_progress')::integer, 0),
        coalesce((new.status = 'completed')::integer, 0) - coalesce((old.status = 'completed')::integer, 0),
        0)
    from public.profiles as p where p.id = changed.user_id and p.status = 'active';
    return null;
end $$;
create trigger counts_enrolled after insert or delete on public.enrollments
for each row execute function app.count_enrollment();
create trigger counts_steps after update on public.enrollments
for each row when (new.status <> old.status) execute function app.count_enrollment();

create function app.count_progress() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    changed public.progress := coalesce(new, old);
begin
    perform app.add_completion(
        changed.plant_id, changed.course_id, 0, 0, 0,
        coalesce(new.progress_percent, 0) - coalesce(old.progress_percent, 0))
    from public.profiles as p where p.id = changed.user_id and p.status = 'active';
    return null;
end $$;
create trigger counts_progress after update on public.progress
for each row when (new.progress_percent <> old.progress_percent) execute function app.count_progress();
create trigger counts_made_progress after insert on public.progress
for each row when (new.progress_percent <> 0) execute function app.count_progress();
create trigger counts_lost_progress after delete on public.progress
for each row execute function app.count_progress();

-- A person who is suspended, reinstated or moved takes all their courses along.
create function app.count_person() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform from public.progress as g where g.user_id = new.id order by g.course_id for update;
    perform app.add_completion(
        s.plant_id, e.course_id,
        s.sign,
        s.sign * (e.status = 'in_progress')::integer,
        s.sign * (e.status = 'completed')::integer,
        s.sign * coalesce(g.progress_percent, 0))
    from (
        select * from (values
            (old.plant_id, -(old.status = 'active')::integer),
            (new.plant_id, (new.status = 'active')::integer)
        ) as v (plant_id, sign) where v.sign <> 0 order by v.plant_id
    ) as s
    join public.enrollments as e on e.user_id = new.id
    left join public.progress as g on g.user_id = e.user_id and g.course_id = e.course_id;
    return null;
end $$;
create trigger counts after update on public.profiles
for each row when ((new.status, new.plant_id) is distinct from (old.status, old.plant_id))
execute function app.count_person();

-- A missing progress row counts as 0.
create view app.completion with (security_invoker = true) as
select
    c.plant_id,
    c.course_id,
    sum(c.enrolled)::integer as total_enrolled,
    sum(c.completed)::integer as completed,
    sum(c.in_progress)::integer as in_progress,
    sum(c.enrolled - c.in_progress - c.completed)::integer as not_started,
    sum(c.progress_sum)::bigint as progress_sum
from public.completion_counters as c
group by c.plant_id, c.course_id
having sum(c.enrolled) > 0;

-- What the counters would say if they were counted anew; no row means that they agree.
create view app.completion_differences with (security_invoker = true) as
with recounted as (
    select
        e.plant_id,
        e.course_id,
        count(*) as enrolled,
        count(*) filter (where e.status = 'in_progress') as in_progress,
        count(*) filter (where e.status = 'completed') as completed,
        coalesce(sum(g.progress_percent), 0)::bigint as progress_sum
    from public.enrollments as e
    inner join public.profiles as p on e.user_id = p.id and p.status = 'active'
    left join public.progress as g on e.user_id = g.user_id and e.course_id = g.course_id
    group by e.plant_id, e.course_id
),

counted as (
    select
        c.plant_id,
        c.course_id,
        sum(c.enrolled)::bigint as enrolled,
        sum(c.in_progress)::bigint as in_progress,
        sum(c.completed)::bigint as completed,
        sum(c.progress_sum)::bigint as progress_sum
    from public.completion_counters as c
    group by c.plant_id, c.course_id
)

select
    coalesce(r.plant_id, c.plant_id) as plant_id,
    coalesce(r.course_id, c.course_id) as course_id,
    to_jsonb(r) as recounted,
    to_jsonb(c) as counted
from recounted as r
full join counted as c on r.plant_id = c.plant_id and r.course_id = c.course_id
-- Not two rows compared: a dump would write that out in a way that comes back as another text.
where
    coalesce(r.enrolled, 0) <> coalesce(c.enrolled, 0) or coalesce(r.in_progress, 0) <> coalesce(c.in_progress, 0)
    or coalesce(r.completed, 0) <> coalesce(c.completed, 0)
    or coalesce(r.progress_sum, 0) <> coalesce(c.progress_sum, 0);

-- ---------------------------------------------------------------- questions
-- Shares in per cent, and Wilson's 95 % interval (z = 1.96) of the misses. Written out instead of called: a function
-- that names its search path costs more than all the rest of this report.
create view app.question_difficulty with (security_invoker = true) as
with summed as (
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
    having sum(c.attempts) > 0
),

shares as (
    select
        s.*,
        s.wrong::double precision / s.attempts as missed,
        1.96 * sqrt(
            (s.wrong::double precision / s.attempts * (s.attempts - s.wrong) + 0.9604) / s.attempts / s.attempts
        ) as half
    from summed as s
)

select
    h.plant_id,
    h.course_id,
    h.section_key,
    h.question_key,
    h.attempts as total_attempts,
    h.wrong as incorrect_attempts,
    h.first_attempts,
    h.people,
    h.attempts - h.wrong as correct_attempts,
    round(100.0 * (h.attempts - h.wrong) / h.attempts, 2)::double precision as success_rate,
    round(100.0 * h.wrong / h.attempts, 2)::double precision as miss_rate,
    round((100 * greatest(0, (h.missed + 1.9208 / h.attempts - h.half) / (1 + 3.8416 / h.attempts)))::numeric, 2)
    ::double precision as miss_rate_low,
    round((100 * least(1, (h.missed + 1.9208 / h.attempts + h.half) / (1 + 3.8416 / h.attempts)))::numeric, 2)
    ::double precision as miss_rate_high
from shares as h;

grant select on app.completion, app.question_difficulty to authenticated;
grant execute on function app.percent(bigint, bigint) to authenticated;

-- What the counters would say if they were counted anew from the events, those that were pruned included; no row
-- means that they agree.
create view app.counter_differences with (security_invoker = true) as
with recounted as (
    select
        e.plant_id,
        e.course_id,
        e.section_key,
        e.question_key,
        count(*) + coalesce(max(x.attempts), 0) as attempts,
        count(*) filter (where not e.is_correct) + coalesce(max(x.wrong), 0) as wrong,
        count(*) filter (where e.attempt_index = 1) + coalesce(max(x.first_attempts), 0) as first_attempts,
        count(distinct e.user_id) as people
    from public.question_events as e
    left join specchem.pruned_answers as x
        on
            e.plant_id = x.plant_id and e.course_id = x.course_id
            and e.section_key = x.section_key and e.question_key = x.question_key
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
    r.attempts is distinct from c.attempts or r.wrong is distinct from c.wrong
    or r.first_attempts is distinct from c.first_attempts or r.people is distinct from c.people;

-- ---------------------------------------------------------------- how much there is
-- For whoever watches the server: sums over all plants, no plant and no person. Its cost does not grow with the
-- people; with the answers it grows by those to one question in one plant.
-- lag: answers that the counters lack, of the question answered last. They are counted in the transaction that stores
-- them, so it is 0 unless somebody broke that.
create function app.volume() returns table (
    question_events bigint, enrolled bigint, in_progress bigint, completed bigint,
    newest_answer timestamptz, lag bigint
)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    with newest as (
        select e.plant_id, e.course_id, e.section_key, e.question_key, e.answered_at
        from public.question_events as e order by e.answered_at desc limit 1
    )
    select
        (select coalesce(sum(c.attempts), 0)::bigint from public.question_counters as c),
        coalesce(sum(c.enrolled - c.in_progress - c.completed), 0)::bigint,
        coalesce(sum(c.in_progress), 0)::bigint,
        coalesce(sum(c.completed), 0)::bigint,
        (select n.answered_at from newest as n),
        coalesce((
            select
                (select count(*) from public.question_events as e where
                    e.plant_id = n.plant_id and e.course_id = n.course_id
                    and e.question_key = n.question_key and e.section_key = n.section_key)
                + coalesce((select x.attempts from specchem.pruned_answers as x where
                    x.plant_id = n.plant_id and x.course_id = n.course_id
                    and x.question_key = n.question_key and x.section_key = n.section_key), 0)
                - coalesce((select sum(c.attempts) from public.question_counters as c where
                    c.plant_id = n.plant_id and c.course_id = n.course_id
                    and c.question_key = n.question_key and c.section_key = n.section_key), 0)
            from newest as n
        ), 0)::bigint
    from public.completion_counters as c
$$;
grant execute on function app.volume() to specchem_api;
