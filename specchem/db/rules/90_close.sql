-- Last: PostgreSQL lets everyone call a new function. Of ours, only what a page granted by name stays callable.
-- Not by default privileges: those would reach functions that are not ours.
revoke execute on all functions in schema app from public;
revoke execute on function
public.get_user_enrollments(uuid, integer, integer),
public.mark_progress(uuid, integer, text, uuid),
public.record_question_events(jsonb, uuid)
from public, anon, service_role;
