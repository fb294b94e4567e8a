-- How far a learner is. It never falls, and in a course with questions it says what the answers say.

select app.close('public.progress');
grant select on public.progress to authenticated;
grant update (progress_percent, current_section) on public.progress to authenticated;
-- no insert: an enrollment opens it. no delete: a record of training stays.
grant select, insert, update on public.progress to service_role;

-- Learners see their own; managers and HR the plants they look after. Only learners mark.
create policy reads on public.progress for select to authenticated using (
    user_id = (select app.me()) or plant_id = any((select app.visible_plants())::uuid[])
);
create policy marks on public.progress for update to authenticated
using (user_id = (select app.me()));

-- The steps of a course and whether a learner has done them: a question is done when it was answered right
-- once, a section without questions when it was viewed.
create function app.steps(learner uuid, course uuid)
returns table (section_key text, section_position integer, done boolean)
language sql stable set search_path = pg_catalog, pg_temp as $$
    select s.key, s.position,
        case when q.key is null then exists (
            select from public.activity_events as v
            where v.user_id = learner and v.course_id = course
            and v.event_type = 'view_section' and v.meta ->> 'section_key' = s.key)
        else exists (
            select from public.question_events as e
            where e.user_id = learner and e.course_id = course
            and e.section_key = s.key and e.question_key = q.key
            and e.is_correct and e.evidence = 'server_graded')
        end
    from public.sections as s
    left join public.questions as q on q.course_id = s.course_id and q.section_key = s.key
    where s.course_id = course
$$;

-- What the answers support, 0 to 100; null for a course without content. Exactly 100 only when all is done.
create function app.supported_percent(learner uuid, course uuid) returns integer
language sql stable set search_path = pg_catalog, pg_temp as $$
    select (100 * count(*) filter (where s.done) / nullif(count(*), 0))::integer from app.steps(learner, course) as s
$$;

-- The first section that still has something to do, as a person knows it; null when nothing is open.
create function app.open_section(learner uuid, course uuid) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select t.title from app.steps(learner, course) as s
    join public.sections as t on t.course_id = course and t.key = s.section_key
    where not s.done order by s.section_position limit 1
$$;

-- Which sections the caller has done, for the course's map.
create function app.my_sections(course uuid) returns table (section_key text, done boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select s.section_key, bool_and(s.done) from app.steps(app.me(), course) as s
    where exists (
        select from public.courses as c
        where c.id = course and ((c.is_published and app.me() is not null) or app.is_hr() or app.is_dev()))
    group by s.section_key
$$;
grant execute on function app.my_sections(uuid) to authenticated;

-- Sees the whole course, also a withdrawn one, which nobody marks: neither a step nor the end of it.
create function app.keep_progress() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    reached integer := case when tg_op = 'UPDATE' then old.progress_percent else 0 end;
    stood text := case when tg_op = 'UPDATE' then old.current_section end;
    supported integer := app.supported_percent(new.user_id, new.course_id);
begin
    if tg_op = 'UPDATE' and app.is_client()
    and not exists (select from public.courses as c where c.id = new.course_id and c.is_published) then
        perform app.refuse(404, 'There is no such course.');
    end if;
    if new.progress_percent is null then
        new.progress_percent := reached;
    end if;
    if new.progress_percent > greatest(reached, supported) and supported is not null then
        perform app.refuse(409, format(
            'Your answers support %s %%, not %s %%: section "%s" is still open.',
            supported, new.progress_percent, app.open_section(new.user_id, new.course_id)));
    end if;
    if new.current_section is distinct from stood
    and supported is not null
    and not exists (
        select from public.sections as s where s.course_id = new.course_id and s.key = new.current_section
    ) then
        perform app.refuse(400, format(
            'current_section: this course has no section "%s".', left(new.current_section, 200)));
    end if;
    -- Going back never lowers the percentage.
    new.progress_percent := greatest(reached, new.progress_percent, supported);
    new.last_active_at := now();
    return new;
end $$;
create trigger keeps before insert or update of progress_percent, current_section on public.progress
for each row execute function app.keep_progress();
create trigger touches before update on public.progress for each row execute function app.touch();

-- The enrollment's status follows. A learner who marks anything has started.
create function app.follow_progress() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    reached public.enrollment_status := case new.progress_percent when 100 then 'completed' else 'in_progress' end;
begin
    update public.enrollments as e
    set status = reached, completed_at = case when reached = 'completed' then now() end
    where e.user_id = new.user_id and e.course_id = new.course_id and e.status < reached;
    return null;
end $$;
create trigger moves_enrollment after update of progress_percent, current_section on public.progress
for each row execute function app.follow_progress();

-- Where a learner is and how far. Going back never lowers the percentage; null leaves what stands.
create function public.mark_progress(
    course uuid, percent integer default null, section text default null, learner uuid default app.me()
) returns json
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    marked public.progress;
begin
    update public.progress as g set
        progress_percent = coalesce(percent, g.progress_percent),
        current_section = coalesce(section, g.current_section)
    where g.user_id = learner and g.course_id = course
    returning g.* into marked;
    if not found then
        if exists (select from public.progress as g where g.user_id = learner and g.course_id = course) then
            perform app.refuse(403, 'Only the learner marks how far they are.');
        end if;
        perform app.refuse(404, 'You are not enrolled in this course.');
    end if;
    return to_json(marked);
end $$;
grant execute on function public.mark_progress(uuid, integer, text, uuid) to authenticated, specchem_api;
