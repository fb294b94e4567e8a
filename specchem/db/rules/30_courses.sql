-- Courses and their content. What a learner may read ends where the answer key begins.

select app.close('public.courses');
grant select on public.courses to authenticated;
-- not superseded_at: publishing another version says that.
grant insert (slug, title, version, language, is_published, content_hash, translations),
update (title, version, language, is_published, content_hash, translations)
on public.courses to authenticated;
grant select, insert, update on public.courses to service_role;

-- Everyone active reads what is published; HR and the dev admin also what is not.
create policy reads on public.courses for select to authenticated using (
    (is_published and (select app.me()) is not null) or (select app.is_hr()) or (select app.is_dev())
);
create policy creates on public.courses for insert to authenticated with check ((select app.is_dev()));
create policy updates on public.courses for update to authenticated
using ((select app.is_dev()));
-- no delete: a course is withdrawn, what people did in it stays.
create trigger touches before update on public.courses for each row execute function app.touch();

-- Publishing a version takes the place of the one published before, for whoever is enrolled from then on.
create function app.publish() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update public.courses as c set superseded_at = now()
    where c.slug = new.slug and c.id <> new.id and c.is_published and c.superseded_at is null;
    new.superseded_at := null;
    return new;
end $$;
create trigger publishes before insert on public.courses
for each row when (new.is_published) execute function app.publish();
create trigger publishes_later before update of is_published on public.courses
for each row when (new.is_published and not old.is_published) execute function app.publish();

-- A version that was ever offered is what people were taught and asked: it is withdrawn or superseded, not rewritten.
-- Whether anybody takes it is looked up by index: for a draft, whose every row asks, a scan finds nobody,
-- and that at its end.
create function app.keep_version() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
begin
    if app.is_client() and (
        old.is_published or old.superseded_at is not null
        or exists (select from public.enrollments as e where e.course_id = old.id)
    ) and (
        (new.version, new.language) is distinct from (old.version, old.language)
        or (new.content_hash is distinct from old.content_hash and old.content_hash is not null)
        -- A language may be added.
        or not new.translations @> old.translations
    ) then
        perform app.refuse(409, 'A version that was published never changes. Load a new version instead.');
    end if;
    return new;
end $$;
create trigger keeps_version before update on public.courses
for each row execute function app.keep_version();

create function app.keep_content() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
    course uuid := case when tg_op = 'DELETE' then old.course_id else new.course_id end;
begin
    if app.is_client() and not (
        tg_op = 'UPDATE' and new.translations @> old.translations
        and to_jsonb(new) - 'translations' = to_jsonb(old) - 'translations'
    ) and exists (
        select from public.courses as c where c.id = course and (
            c.is_published or c.superseded_at is not null
            or exists (select from public.enrollments as e where e.course_id = c.id))
    ) then
        perform app.refuse(409, 'A version that was published never changes. Load a new version instead.');
    end if;
    return case when tg_op = 'DELETE' then old else new end;
end $$;

-- Content follows its course: who may read the one reads the other.
select app.close('public.sections');
grant select, insert, update on public.sections to authenticated;
grant select, insert, update, delete on public.sections to service_role;
create policy reads on public.sections for select to authenticated using (
    course_id in (select c.id from public.courses as c)
);
create policy creates on public.sections for insert to authenticated with check ((select app.is_dev()));
create policy updates on public.sections for update to authenticated
using ((select app.is_dev()));
create trigger keeps before insert or update or delete on public.sections
for each row execute function app.keep_content();

select app.close('public.questions');
grant select, insert, update on public.questions to authenticated;
grant select, insert, update, delete on public.questions to service_role;
create policy reads on public.questions for select to authenticated using (
    course_id in (select c.id from public.courses as c)
);
create policy creates on public.questions for insert to authenticated with check ((select app.is_dev()));
create policy updates on public.questions for update to authenticated
using ((select app.is_dev()));
create trigger keeps before insert or update or delete on public.questions
for each row execute function app.keep_content();

select app.close('public.question_choices');
grant select, insert, update on public.question_choices to authenticated;
grant select, insert, update, delete on public.question_choices to service_role;
create policy reads on public.question_choices for select to authenticated using (
    course_id in (select c.id from public.courses as c)
);
create policy creates on public.question_choices for insert to authenticated with check ((select app.is_dev()));
create policy updates on public.question_choices for update to authenticated
using ((select app.is_dev()));
create trigger keeps before insert or update or delete on public.question_choices
for each row execute function app.keep_content();

-- Only the dev admin, who writes the courses, reads an answer key.
select app.close('public.answer_keys');
grant select, insert, update on public.answer_keys to authenticated;
grant select, insert, update, delete on public.answer_keys to service_role;
create policy reads on public.answer_keys for select to authenticated using ((select app.is_dev()));
create policy creates on public.answer_keys for insert to authenticated with check ((select app.is_dev()));
create policy updates on public.answer_keys for update to authenticated
using ((select app.is_dev()));
create trigger keeps before insert or update or delete on public.answer_keys
for each row execute function app.keep_content();

-- Why an answer is right or wrong: told to those who have answered. Volatile, so that an answer recorded in the
-- same statement counts.
create function app.explain(course uuid, section text, question text, spoken text default null)
returns table (explanation text, citation text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    return query
        select coalesce(k.translations -> spoken ->> 'explanation', k.explanation), k.citation from public.answer_keys as k
        where k.course_id = course and k.section_key = section and k.question_key = question
        and exists (
            select from public.question_events as e
            where e.user_id = app.me() and e.course_id = course
            and e.section_key = section and e.question_key = question and e.evidence = 'server_graded');
end $$;
grant execute on function app.explain(uuid, text, text, text) to authenticated;

-- A draft is loaded again from its files: what it held goes. No grant to delete, which would give everybody silence.
create function app.empty_draft(course uuid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if app.is_client() and not app.is_dev() then
        perform app.refuse(403, 'Courses are for dev admins.');
    end if;
    delete from public.sections as s where s.course_id = course;
end $$;
grant execute on function app.empty_draft(uuid) to authenticated;
