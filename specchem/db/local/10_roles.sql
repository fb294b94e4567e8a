-- What Supabase gives and a plain PostgreSQL lacks: the platform's roles, with the platform's limits.
-- Run once, by a superuser, where schema auth is missing. What fails in the cloud fails here first.

do $$
declare
    wanted record;
begin
    for wanted in select * from (values
        ('anon', 'nologin noinherit'),
        ('authenticated', 'nologin noinherit'),
        ('service_role', 'nologin noinherit bypassrls'),
        ('supabase_auth_admin', 'login noinherit createrole'),
        ('postgres', 'login createdb createrole bypassrls')) as platform (role, attributes)
    loop
        if not exists (select from pg_roles where rolname = wanted.role) then
            execute format('create role %I %s', wanted.role, wanted.attributes);
        end if;
    end loop;
    grant anon, authenticated, service_role to postgres with admin option;
end $$;

-- The owner of our tables, and of the database, is no superuser.
do $$
begin
    execute format('alter database %I owner to postgres', current_database());
end $$;
alter schema public owner to postgres;
grant usage on schema public to anon, authenticated, service_role;

-- Supabase's older, wider default: whatever the owner makes is open to all three, until a page closes it.
alter default privileges for role postgres in schema public
grant all on tables to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
grant all on sequences to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
grant all on functions to anon, authenticated, service_role;
