-- A request makes, changes and drops nothing: on a plain PostgreSQL the platform saw to that (local/). Supabase lets
-- the owner do so, and where nobody lets us, requests are held by their grants alone.
do $$ begin
    if not exists (select from pg_catalog.pg_event_trigger as e where e.evtname = 'specchem_requests') then
        execute $guard$
            create function app.refuse_ddl() returns event_trigger
            language plpgsql set search_path = pg_catalog, pg_temp as $body$
            begin
                if session_user = 'specchem_api' then
                    raise insufficient_privilege using message = 'A request does not change the schema.';
                end if;
            end $body$;
            create event trigger specchem_requests on ddl_command_start execute function app.refuse_ddl()
        $guard$;
    end if;
exception when insufficient_privilege then
    null;
end $$;

-- Last: PostgreSQL lets everyone call a new function. Of ours, only what a page granted by name stays callable.
-- Not by default privileges: those would reach functions that are not ours.
revoke execute on all functions in schema app from public;
revoke execute on function
public.get_user_enrollments(uuid, integer, integer),
public.mark_progress(uuid, integer, text, uuid),
public.record_question_events(jsonb, uuid)
from public, anon, service_role;
