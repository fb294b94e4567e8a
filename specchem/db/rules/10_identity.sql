-- Who is asking, and what may they look at. Every policy is built from the four questions on this page.
-- Roles and status are read from the tables at each statement, never from a claim in a token.
--
-- Every function names its search_path, with pg_temp last: an empty path would look there first for types,
-- and a caller's own pg_temp.uuid would then run as the owner.

grant usage on schema public to anon, authenticated, service_role;
grant usage on schema app to authenticated, service_role;

-- A table is closed to everybody, and then each page opens what it means to: no policy or grant that a hand or
-- a default left behind survives.
create function app.close(closed regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    policy record;
begin
    for policy in select p.polname from pg_catalog.pg_policy as p where p.polrelid = closed loop
        execute format('drop policy %I on %s', policy.polname, closed);
    end loop;
    execute format('alter table %s enable row level security', closed);
    execute format('alter table %s force row level security', closed);
    execute format('revoke all on %s from public, anon, authenticated, service_role, specchem_api', closed);
    -- Besides what the page will let whom do: nobody does anything with half a sign-in.
    execute format(
        'create policy needs_second_factor on %s as restrictive to authenticated'
        ' using ((select app.has_shown_enough()))', closed);
end $$;

-- The caller, if the account is active, its plant open and its session not ended; else null, and every policy fails.
create function app.me() returns uuid
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    -- In a variable: as a call within the query it costs twice the whole query.
    me uuid := auth.uid();
    -- Every token of Supabase's, and so of ours, says which session it is of.
    session uuid := auth.jwt() ->> 'session_id';
begin
    return (
        select p.id from public.profiles as p
        join public.plants as t on t.id = p.plant_id
        join auth.users as u on u.id = p.id
        where p.id = me and p.status = 'active' and t.is_active
        and u.deleted_at is null and (u.banned_until is null or u.banned_until <= now())
        and (session is null or exists (
            select from auth.sessions as s
            where s.id = session and s.user_id = me and (s.not_after is null or s.not_after > now())))
    );
end $$;

-- Has the caller shown as much as the account asks for? A second factor, where one is set up, or where the settings
-- want one of everybody who holds a role.
create function app.has_shown_enough() returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    me uuid;
begin
    if auth.jwt() ->> 'aal' = 'aal2' then
        return true;
    end if;
    me := auth.uid();
    return not exists (select from auth.mfa_factors as f where f.user_id = me and f.status = 'verified')
        and not exists (
            select from specchem.settings as s cross join public.admin_roles as r
            where s.admins_need_second_factor and r.user_id = me);
end $$;

-- HR of the whole company.
create function app.is_hr() returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    me uuid := app.me();
begin
    return exists (
        select from public.admin_roles as r
        where r.user_id = me and r.role = 'hr_admin' and r.plant_id is null
    );
end $$;

create function app.is_dev() returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    me uuid := app.me();
begin
    return exists (
        select from public.admin_roles as r where r.user_id = me and r.role = 'dev_admin'
    );
end $$;

-- The plants whose people the caller looks after. HR is an array of all plants rather than a boolean arm of
-- each policy, because the arm would cost the index.
create function app.visible_plants() returns uuid[]
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    -- Once: it is asked for at nearly every statement.
    me uuid := app.me();
begin
    return (
        select case
            when bool_or(r.role = 'hr_admin' and r.plant_id is null) then array(select t.id from public.plants as t)
            else coalesce(
                array_agg(r.plant_id) filter (
                    where r.plant_id is not null and r.role in ('plant_manager', 'hr_admin')), '{}')
        end
        from public.admin_roles as r where r.user_id = me
    );
end $$;

grant execute on function app.me(), app.is_hr(), app.is_dev(), app.visible_plants(), app.has_shown_enough()
to authenticated;
-- A request of the service role has no person in it; triggers ask all the same.
grant execute on function app.me() to service_role;

-- Is it only the session that is over? Whoever is suspended or deleted is told that instead.
create function app.session_ended() returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    session uuid := auth.jwt() ->> 'session_id';
begin
    return session is not null
        and not exists (
            select from auth.sessions as s where s.id = session and (s.not_after is null or s.not_after > now()))
        and exists (
            select from auth.users as u
            where u.id = auth.uid() and u.deleted_at is null and (u.banned_until is null or u.banned_until <= now()));
end $$;

-- How a request enters: the person's claims, limits on time, then the client's role, all for this transaction
-- only. Refuses whoever may not be here at all, and is true for everybody else.
create function app.enter(claims text, statement_ms integer, lock_ms integer) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform set_config('request.jwt.claims', claims, true);
    -- auth.uid() would believe this older one first, whoever left it on the connection.
    perform set_config('request.jwt.claim.sub', '', true);
    perform set_config('statement_timeout', statement_ms::text, true);
    perform set_config('lock_timeout', lock_ms::text, true);
    if app.me() is null then
        if app.session_ended() then
            perform app.refuse(401, 'Your session has ended; sign in again.');
        end if;
        perform app.refuse(403, 'This account is not active. Ask your HR team.');
    end if;
    if not app.has_shown_enough() then
        raise exception 'Signing in takes your second factor as well.'
            using errcode = 'PT401', hint = 'second_factor';
    end if;
    perform set_config('role', 'authenticated', true);
    return true;
end $$;

-- Is this a client's statement? A trigger that sees more than its caller asks before it looks anything up.
create function app.is_client() returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select current_setting('role') in ('anon', 'authenticated')
$$;

-- Which release's schema this is, for the health check.
create function app.release() returns table (revision text, rules text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select v.version_num, r.hash from specchem.alembic_version as v cross join specchem.rules as r
$$;

grant usage on schema app to specchem_api;
grant execute on function
app.enter(text, integer, integer), app.me(), app.has_shown_enough(), app.session_ended(), app.release()
to specchem_api;

-- Every change carries its time, and nobody rewrites when a row was made.
create function app.touch() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    new.created_at := old.created_at;
    new.updated_at := now();
    return new;
end $$;

-- Refusals carry a sentence for the person, and PostgREST's code for the status: PT404 is 404.
create function app.refuse(status integer, sentence text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception '%', sentence using errcode = 'PT' || status;
end $$;
grant execute on function app.refuse(integer, text) to authenticated, service_role, specchem_api;

-- A grant refuses clients; this refuses the owner, the superuser and the service role as well.
create function app.refuse_change() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op = 'DELETE' and tg_table_name = 'question_events' and current_setting('app.pruning', true) = 'on' then
        return null;
    end if;
    raise exception 'Events are append-only: % of % is refused.', lower(tg_op), tg_table_name
        using errcode = 'PT403';
end $$;
