-- Indexes that came to tables when these held data already. `specchem db upgrade` builds one that is missing without
-- keeping anybody from writing; as part of the SQL file it is built in the transaction, and writers wait.
-- Whoever changes one gives it a new name, or drops it in a revision.

-- How many people a plant has, without looking at them: row security asks for their id too.
create index if not exists profiles_active_plant_idx
on public.profiles (plant_id) include (id) where status = 'active';

-- The company's completions of the last months, without those before; course and person are what it is asked by.
create index if not exists enrollments_completed_idx
on public.enrollments (plant_id, completed_at) include (course_id, user_id) where completed_at is not null;
