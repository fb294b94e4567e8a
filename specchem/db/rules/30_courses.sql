-- Courses and their content. What a learner may read ends where the answer key begins.

select app.close('public.courses');
grant select on public.courses to authenticated;
grant insert (slug, title, version, is_published), update (title, version, is_published)
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

select app.close('public.questions');
grant select, insert, update on public.questions to authenticated;
grant select, insert, update, delete on public.questions to service_role;
create policy reads on public.questions for select to authenticated using (
    course_id in (select c.id from public.courses as c)
);
create policy creates on public.questions for insert to authenticated with check ((select app.is_dev()));
create policy updates on public.questions for update to authenticated
using ((select app.is_dev()));

select app.close('public.question_choices');
grant select, insert, update on public.question_choices to authenticated;
grant select, insert, update, delete on public.question_choices to service_role;
create policy reads on public.question_choices for select to authenticated using (
    course_id in (select c.id from public.courses as c)
);
create policy creates on public.question_choices for insert to authenticated with check ((select app.is_dev()));
create policy updates on public.question_choices for update to authenticated
using ((select app.is_dev()));

-- Only the dev admin, who writes the courses, reads an answer key.
select app.close('public.answer_keys');
grant select, insert, update on public.answer_keys to authenticated;
grant select, insert, update, delete on public.answer_keys to service_role;
create policy reads on public.answer_keys for select to authenticated using ((select app.is_dev()));
create policy creates on public.answer_keys for insert to authenticated with check ((select app.is_dev()));
create policy updates on public.answer_keys for update to authenticated
using ((select app.is_dev()));

-- Why an answer is right or wrong: told to those who have answered. Volatile, so that an answer recorded in the
-- same statement counts.
create function app.explain(course uuid, section text, question text)
returns table (explanation text, citation text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    return query
        select k.explanation, k.citation from public.answer_keys as k
        where k.course_id = course and k.section_key = section and k.question_key = question
        and exists (
            select from public.question_events as e
            where e.user_id = app.me() and e.course_id = course
            and e.section_key = section and e.question_key = question and e.evidence = 'server_graded');
end $$;
grant execute on function app.explain(uuid, text, text) to authenticated;
