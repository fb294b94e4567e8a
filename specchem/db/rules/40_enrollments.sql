-- Who takes which course. The status is the progress's shadow: one trigger (50_progress.sql) moves it.

select app.close('public.enrollments');
grant select on public.enrollments to authenticated;
grant insert (user_id, course_id, plant_id) on public.enrollments to authenticated;
-- no update: status and dates are the database's. no delete: a record of training stays.
grant select, insert, update on public.enrollments to service_role;

-- Learners see their own; managers and HR the plants they look after.
create policy reads on public.enrollments for select to authenticated using (
    user_id = (select app.me()) or plant_id = any((select app.visible_plants())::uuid[])
);
create policy creates on public.enrollments for insert to authenticated with check (
    plant_id = any((select app.visible_plants())::uuid[])
);

-- Only active people, into published courses, in their own plant. Runs with the caller's eyes, so that whoever
-- is out of sight is refused as unknown.
create function app.check_enrollment() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    person record;
    course record;
begin
    select p.plant_id, p.status, t.is_active into person
    from public.profiles as p left join public.plants as t on t.id = p.plant_id where p.id = new.user_id;
    if not found then
        perform app.refuse(404, 'There is no such person.');
    end if;
    select c.is_published, c.superseded_at into course from public.courses as c where c.id = new.course_id;
    if not found then
        perform app.refuse(404, 'There is no such course.');
    end if;
    if coalesce(new.plant_id, person.plant_id) <> person.plant_id then
        perform app.refuse(409, 'Plant ID mismatch: the person belongs to another plant.');
    end if;
    if person.status <> 'active' or person.is_active is not true then
        perform app.refuse(409, 'Only active people of an open plant can be enrolled.');
    end if;
    if not course.is_published then
        perform app.refuse(409, 'This course is not published, so nobody can be enrolled in it.');
    end if;
    if course.superseded_at is not null then
        perform app.refuse(409, 'There is a newer version of this course; enroll in that one.');
    end if;
    new.plant_id := person.plant_id;
    new.status := 'enrolled';
    new.enrolled_at := now();
    new.completed_at := null;
    return new;
end $$;
create trigger checks before insert on public.enrollments
for each row execute function app.check_enrollment();

-- An enrollment and its progress are made together or not at all.
create function app.open_progress() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into public.progress (user_id, course_id, plant_id) values (new.user_id, new.course_id, new.plant_id);
    return null;
end $$;
create trigger opens_progress after insert on public.enrollments
for each row execute function app.open_progress();

-- Forward only, and completed only when the progress says so; the first completion stands, whoever asks.
create function app.guard_enrollment() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if (new.user_id, new.course_id, new.enrolled_at) is distinct from (old.user_id, old.course_id, old.enrolled_at) then
        perform app.refuse(409, 'An enrollment keeps its person, its course and its date.');
    end if;
    if new.status < old.status or (old.status = 'completed' and new.completed_at is distinct from old.completed_at) then
        perform app.refuse(409, 'A course that was started or completed stays so, with its first date.');
    end if;
    if new.status = 'completed' and old.status <> 'completed' then
        if not exists (
            select from public.progress as p
            where p.user_id = new.user_id and p.course_id = new.course_id and p.progress_percent = 100
        ) then
            perform app.refuse(409, 'A course is completed by its progress reaching 100 %.');
        end if;
        new.completed_at := greatest(now(), old.enrolled_at);
    end if;
    return new;
end $$;
create trigger guards before update on public.enrollments
for each row execute function app.guard_enrollment();
create trigger touches before update on public.enrollments for each row execute function app.touch();

-- Starting and completing a course are written into the activity log by the transition itself.
create function app.log_transition() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    insert into public.activity_events (user_id, course_id, event_type)
    select new.user_id, new.course_id, passed.step
    from (values ('start_course'::public.event_type, 'in_progress'::public.enrollment_status),
          ('complete_course', 'completed')) as passed (step, reached)
    where passed.reached > old.status and passed.reached <= new.status
    on conflict do nothing;
    return null;
end $$;
create trigger logs after update of status on public.enrollments
for each row when (new.status <> old.status) execute function app.log_transition();

-- ---------------------------------------------------------------- operations that are asked for all day
-- As functions, so that a request is one statement (specchem/db/session.py) and PostgREST offers them too. They live
-- in the exposed schema, see with the caller's eyes, and hang on schema app by a default, so that they go with it.

-- A person's courses and how far they are, newest first.
create function public.get_user_enrollments(
    person uuid default app.me(), page_limit integer default 100, page_offset integer default 0
) returns json
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    perform app.visible_person(person);
    return (
        select coalesce(json_agg(f), '[]') from (
            select e.*, c.slug, c.title, c.version, c.translations,
                coalesce(g.progress_percent, 0) as progress_percent, g.current_section, g.last_active_at
            from public.enrollments as e
            left join public.courses as c on c.id = e.course_id
            left join public.progress as g on g.user_id = e.user_id and g.course_id = e.course_id
            where e.user_id = person
            order by e.enrolled_at desc, e.id limit least(page_limit, 500) offset page_offset) as f);
end $$;
grant execute on function public.get_user_enrollments(uuid, integer, integer) to authenticated, specchem_api;
