-- What learners did. Events are added and never touched again, by anyone.

-- May this learner add an event to this course now? Takes the learner's progress row, so that one learner's
-- events follow one another and attempts are counted right; returns the plant it happens in.
create function app.admit(learner uuid, course uuid, happened timestamptz, clock text) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    learner_progress record;
begin
    -- Before anything is looked up, so that another person's record answers nothing.
    if app.is_client() and learner is distinct from app.me() then
        raise insufficient_privilege using message = 'Events are recorded by the learner alone.';
    end if;
    if happened not between now() - interval '30 days' and now() + interval '5 minutes' then
        perform app.refuse(400, clock || ': at most 30 days back and 5 minutes ahead.');
    end if;
    if not exists (select from public.courses as c where c.id = course and (c.is_published or not app.is_client())) then
        perform app.refuse(404, 'There is no such course.');
    end if;
    select g.plant_id, p.status, t.is_active into learner_progress
    from public.progress as g
    join public.profiles as p on p.id = g.user_id
    join public.plants as t on t.id = g.plant_id
    where g.user_id = learner and g.course_id = course
    for update of g;
    if not found then
        perform app.refuse(409, 'Not enrolled in this course.');
    end if;
    if learner_progress.status <> 'active' or not learner_progress.is_active then
        perform app.refuse(409, 'This account is not active.');
    end if;
    return learner_progress.plant_id;
end $$;

-- ---------------------------------------------------------------- question_events
select app.close('public.question_events');
grant select on public.question_events to authenticated;
-- not plant_id, attempt_index, evidence, created_at: the server says those.
grant insert (id, user_id, course_id, section_key, question_key, is_correct, response_meta, answered_at)
on public.question_events to authenticated;
grant select, insert on public.question_events to service_role;

-- Learners see their own; managers and HR the plants they look after. Only learners answer.
create policy reads on public.question_events for select to authenticated using (
    user_id = (select app.me()) or plant_id = any((select app.visible_plants())::uuid[])
);
create policy creates on public.question_events for insert to authenticated with check (
    user_id = (select app.me())
);
create trigger refuses_change before update or delete or truncate on public.question_events
for each statement execute function app.refuse_change();

-- Retention of single answers: removes those given before a moment that nothing rests on any more, at most so many,
-- and says how many. An answer stays while it is a person's last to the question in that plant, or their last right
-- one: progress, attempts, people and the reports say the same after it. For the owner alone.
create function app.prune_answers(before timestamptz, most integer) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    removed bigint;
begin
    if before > now() - interval '31 days' then
        -- A client that was offline may send an answer again for 30 days, and must find it.
        perform app.refuse(400, 'before: answers of the last 31 days stay.');
    end if;
    perform set_config('app.pruning', 'on', true);
    with gone as (
        delete from public.question_events as e where e.id in (
            select o.id from public.question_events as o
            where o.answered_at < before and exists (
                select from public.question_events as l
                where l.course_id = o.course_id and l.user_id = o.user_id and l.section_key = o.section_key
                and l.question_key = o.question_key and l.attempt_index > o.attempt_index
                and l.plant_id = o.plant_id and (l.is_correct or not o.is_correct) and l.evidence = o.evidence)
            limit most)
        returning e.plant_id, e.course_id, e.section_key, e.question_key, e.is_correct, e.attempt_index
    ),

    summed as (
        insert into specchem.pruned_answers as x
            (plant_id, course_id, section_key, question_key, attempts, wrong, first_attempts)
        select g.plant_id, g.course_id, g.section_key, g.question_key, count(*),
            count(*) filter (where not g.is_correct), count(*) filter (where g.attempt_index = 1)
        from gone as g group by g.plant_id, g.course_id, g.section_key, g.question_key
        on conflict (plant_id, course_id, section_key, question_key) do update set
            attempts = x.attempts + excluded.attempts,
            wrong = x.wrong + excluded.wrong,
            first_attempts = x.first_attempts + excluded.first_attempts
    )

    select count(*) into removed from gone;
    perform set_config('app.pruning', '', true);
    return removed;
end $$;

-- The keys a learner chose, sorted; refuses what no form of ours can send.
create function app.chosen(event public.question_events) returns text[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    question public.questions;
    chosen text[];
    known integer;
begin
    select * into question from public.questions as q
    where q.course_id = event.course_id and q.section_key = event.section_key and q.key = event.question_key;
    if not found then
        perform app.refuse(400, format(
            'question_key: this course has no question "%s" in section "%s".',
            left(event.question_key, 200), left(event.section_key, 200)));
    end if;
    if jsonb_typeof(event.response_meta -> 'choices') is distinct from 'array' then
        perform app.refuse(400, 'response_meta.choices: a list of the chosen keys is needed.');
    end if;
    select array_agg(c.key order by c.key), count(k.key) into chosen, known
    from jsonb_array_elements_text(event.response_meta -> 'choices') as c (key)
    left join public.question_choices as k
        on k.course_id = event.course_id and k.section_key = event.section_key
        and k.question_key = event.question_key and k.key = c.key;
    if chosen is null then
        perform app.refuse(400, 'response_meta.choices: choose at least one answer.');
    end if;
    if known <> cardinality(chosen) then
        perform app.refuse(400, 'response_meta.choices: the question has no such choice.');
    end if;
    if cardinality(chosen) <> (select count(distinct c.key) from unnest(chosen) as c (key)) then
        perform app.refuse(400, 'response_meta.choices: each choice at most once.');
    end if;
    if not question.multiple and cardinality(chosen) <> 1 then
        perform app.refuse(400, 'response_meta.choices: this question takes one answer.');
    end if;
    return chosen;
end $$;

-- Graded here wherever the course's content is known; elsewhere what the client says is kept as its word.
create function app.grade_answer() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    chosen text[];
begin
    new.answered_at := coalesce(new.answered_at, now());
    new.created_at := now();
    new.plant_id := app.admit(new.user_id, new.course_id, new.answered_at, 'answered_at');
    if exists (select from public.sections as s where s.course_id = new.course_id) then
        new.evidence := 'server_graded';
        chosen := app.chosen(new);
        -- As sets: the order of keys is the collation's, and not one of ours.
        select k.correct @> chosen and k.correct <@ chosen into new.is_correct from public.answer_keys as k
        where k.course_id = new.course_id and k.section_key = new.section_key
        and k.question_key = new.question_key;
        if not found then
            perform app.refuse(409, 'This question has no answer key yet, so it cannot be answered.');
        end if;
    else
        new.evidence := 'client_asserted';
        if new.is_correct is null then
            perform app.refuse(400, 'is_correct: this course has no questions here, so the answer must say it.');
        end if;
    end if;
    new.attempt_index := 1 + coalesce((
        select max(e.attempt_index) from public.question_events as e
        where e.user_id = new.user_id and e.course_id = new.course_id
        and e.section_key = new.section_key and e.question_key = new.question_key), 0);
    return new;
end $$;
create trigger grades before insert on public.question_events
for each row execute function app.grade_answer();

-- The record moves as answers arrive: once per learner and course, however many came at once.
create function app.move_progress() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if tg_table_name = 'question_events' then
        update public.progress as g set current_section = latest.section_key
        from (
            select distinct on (n.user_id, n.course_id) n.user_id, n.course_id, n.section_key
            -- Of answers given at one moment the last that came in.
            from (select *, row_number() over () as place from new_rows) as n
            order by n.user_id, n.course_id, n.answered_at desc, n.place desc
        ) as latest
        where g.user_id = latest.user_id and g.course_id = latest.course_id;
    else
        update public.progress as g set current_section = coalesce(latest.section_key, g.current_section)
        from (
            select distinct on (n.user_id, n.course_id) n.user_id, n.course_id, n.meta ->> 'section_key' as section_key
            from new_rows as n
            join public.enrollments as e on e.user_id = n.user_id and e.course_id = n.course_id
            where n.event_type = 'view_section' or (n.event_type = 'start_course' and e.status = 'enrolled')
            order by n.user_id, n.course_id, n.occurred_at desc
        ) as latest
        where g.user_id = latest.user_id and g.course_id = latest.course_id;
    end if;
    return null;
end $$;
create trigger moves_progress after insert on public.question_events
referencing new table as new_rows for each statement execute function app.move_progress();

-- Answers, all or none; each comes back graded and explained, in the order sent. One that is recorded already is
-- returned as it is, unless it says something else now.
create function public.record_question_events(events jsonb, learner uuid default app.me()) returns json
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    answers json;
    honest boolean;
begin
    if jsonb_array_length(events) > 500 then
        perform app.refuse(400, 'events: send a list of at most 500 answers.');
    end if;
    -- Whoever does not name an answer cannot send it again.
    select coalesce(jsonb_agg(jsonb_build_object('id', gen_random_uuid()) || e.event order by e.place), '[]')
    into events from jsonb_array_elements(events) with ordinality as e (event, place);

    insert into public.question_events
        (id, user_id, course_id, section_key, question_key, is_correct, response_meta, answered_at)
    select s.id, learner, s.course_id, s.section_key, s.question_key, s.is_correct, s.response_meta,
        coalesce(s.answered_at, now())
    from rows from (jsonb_to_recordset(events) as (
        id uuid, course_id uuid, section_key text, question_key text, is_correct boolean,
        response_meta jsonb, answered_at timestamptz)) with ordinality as s
    order by s.course_id, s.ordinality
    on conflict (id) do nothing;

    -- Looked up by a statement of its own, which sees what another request may just have recorded.
    select json_agg(found.answer order by found.place), bool_and(found.same) into answers, honest
    from (
        select s.ordinality as place,
            (select to_json(a) from (select e.*, x.explanation, x.citation) as a) as answer,
            e.id is not null
            and (s.course_id, s.section_key, s.question_key) = (e.course_id, e.section_key, e.question_key)
            and (e.evidence = 'server_graded' or s.is_correct is not distinct from e.is_correct)
            and s.response_meta is not distinct from e.response_meta as same
        from rows from (jsonb_to_recordset(events) as (
            id uuid, course_id uuid, section_key text, question_key text, is_correct boolean,
            response_meta jsonb)) with ordinality as s
        -- The limit keeps the learner's other answers, and their explanations, out of it.
        left join lateral (
            select * from public.question_events as r where r.id = s.id and r.user_id = learner limit 1) as e on true
        left join lateral app.explain(
            e.course_id, e.section_key, e.question_key, e.response_meta ->> 'language') as x on true
    ) as found;
    if not honest then
        perform app.refuse(409, 'This id belongs to another event; send a new one.');
    end if;
    return coalesce(answers, '[]');
end $$;
grant execute on function public.record_question_events(jsonb, uuid) to authenticated, specchem_api;

-- ---------------------------------------------------------------- activity_events
select app.close('public.activity_events');
grant select on public.activity_events to authenticated;
grant insert (id, user_id, course_id, event_type, meta, occurred_at) on public.activity_events to authenticated;
grant select, insert on public.activity_events to service_role;

create policy reads on public.activity_events for select to authenticated using (
    user_id = (select app.me()) or plant_id = any((select app.visible_plants())::uuid[])
);
create policy creates on public.activity_events for insert to authenticated with check (
    user_id = (select app.me())
);
create trigger refuses_change before update or delete or truncate on public.activity_events
for each statement execute function app.refuse_change();

-- An event may not contradict the record: no completion before it, no section that is not there.
create function app.check_activity() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    new.occurred_at := coalesce(new.occurred_at, now());
    new.created_at := now();
    new.plant_id := app.admit(new.user_id, new.course_id, new.occurred_at, 'occurred_at');
    if new.event_type = 'complete_course' and not exists (
        select from public.enrollments as e
        where e.user_id = new.user_id and e.course_id = new.course_id and e.status = 'completed'
    ) then
        perform app.refuse(409, coalesce(
            'The course is not completed: section "' || app.open_section(new.user_id, new.course_id)
            || '" is still open.',
            'The course is not completed: its progress is below 100 %.'));
    end if;
    if new.event_type = 'view_section'
    and exists (select from public.sections as s where s.course_id = new.course_id)
    and not exists (
        select from public.sections as s
        where s.course_id = new.course_id and s.key = new.meta ->> 'section_key'
    ) then
        perform app.refuse(400, format(
            'meta.section_key: this course has no section "%s".', left(new.meta ->> 'section_key', 200)));
    end if;
    return new;
end $$;
create trigger checks before insert on public.activity_events
for each row execute function app.check_activity();
create trigger moves_progress after insert on public.activity_events
referencing new table as new_rows for each statement execute function app.move_progress();
