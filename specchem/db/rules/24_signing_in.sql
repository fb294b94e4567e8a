-- Signing in: how often one may try, what suspension does to an account, and what goes on record of both.

-- ---------------------------------------------------------------- tries
-- Whose tries these are, as a key that names nobody.
create function app.try_key(what text, whose text) returns bytea
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select sha256(convert_to(what || E'\n' || whose, 'UTF8'))
$$;

-- Count one try: 0, or in how many seconds there is room for it. A bucket of `burst` tries that empties by one
-- each `every` seconds, kept as the moment when it is empty (the generic cell rate algorithm).
create function app.take_try(whose bytea, burst integer, every double precision) returns double precision
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    step interval := make_interval(secs => every);
begin
    insert into specchem.tries as t (key, forgotten_at) values (whose, now() + step)
    on conflict (key) do update set forgotten_at = greatest(t.forgotten_at, now()) + step
    where greatest(t.forgotten_at, now()) + step <= now() + step * burst;
    if found then
        return 0;
    end if;
    return (
        select extract(epoch from t.forgotten_at + step - now() - step * burst)::double precision
        from specchem.tries as t where t.key = whose
    );
end $$;

-- Count a try by its address and, where one is named, by its account: 0, or the seconds to wait. An address from which
-- the account has signed in before has a count of its own there, so that strangers cannot lock anybody out of it.
create function app.count_try(
    what text, address text, account text,
    address_burst integer, address_every double precision, account_burst integer, account_every double precision
) returns double precision
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    wait double precision := 0;
begin
    -- Now and then whoever comes by takes out what is forgotten.
    if random() < 0.01 then
        delete from specchem.tries as t
        where t.key in (select o.key from specchem.tries as o where o.forgotten_at < now() limit 1000);
    end if;
    if address <> '' then
        wait := app.take_try(app.try_key(what || ' from', address), address_burst, address_every);
    end if;
    if wait = 0 and account is not null then
        wait := app.take_try(
            case when exists (
                select from specchem.tries as t
                where t.key = app.try_key('known', account || E'\n' || address) and t.forgotten_at > now())
            then app.try_key(what, account || E'\n' || address) else app.try_key(what, account) end,
            account_burst, account_every);
    end if;
    return wait;
end $$;

-- Somebody proved who they are: their tries are forgotten, and the address is known for a season.
create function app.count_success(account text, address text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    delete from specchem.tries as t where t.key in (
        select app.try_key(o.what, o.whose)
        from unnest('{password,code,factor}'::text[]) as w (what)
        cross join lateral (values (w.what, account), (w.what, account || E'\n' || address)) as o (what, whose));
    if address <> '' then
        insert into specchem.tries as t (key, forgotten_at)
        values (app.try_key('known', account || E'\n' || address), now() + interval '90 days')
        on conflict (key) do update set forgotten_at = excluded.forgotten_at;
    end if;
end $$;

-- ---------------------------------------------------------------- audit_events
select app.close('public.audit_events');
grant select on public.audit_events to authenticated, service_role;
-- HR of the company proves with it who let whom do what.
create policy reads on public.audit_events for select to authenticated using ((select app.is_hr()));
-- no insert, update or delete: the database writes it.
create trigger refuses_change before update or delete or truncate on public.audit_events
for each statement execute function app.refuse_change();

-- Write down what the caller did; the command line has no caller.
create function app.note(what text, whom uuid, plant uuid, more jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    insert into public.audit_events (action, actor_id, subject_id, plant_id, ip_address, details)
    values (
        what, auth.uid(), whom, plant,
        (select s.ip from auth.sessions as s where s.id = (auth.jwt() ->> 'session_id')::uuid), more);
end $$;

-- A failed sign-in, of whom if there is such a person: what was typed is not kept, it may be a password.
create function app.note_failure(account text, address text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into public.audit_events (action, subject_id, plant_id, ip_address)
    select 'sign_in_failed', p.id, p.plant_id, nullif(address, '')::inet
    from (select 1) as always
    left join public.profiles as p on lower(p.email) = account;
end $$;

grant execute on function
app.count_try(text, text, text, integer, double precision, integer, double precision),
app.count_success(text, text), app.note_failure(text, text)
to specchem_api;

-- Whoever signed them in, here or at Supabase, the account says so.
create function app.note_sign_in() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into public.audit_events (action, actor_id, subject_id, plant_id, ip_address)
    values (
        'sign_in', new.id, new.id, (select p.plant_id from public.profiles as p where p.id = new.id),
        (select s.ip from auth.sessions as s where s.user_id = new.id order by s.created_at desc limit 1));
    return null;
end $$;
create or replace trigger specchem_signed_in after update of last_sign_in_at on auth.users
for each row when (new.last_sign_in_at is distinct from old.last_sign_in_at)
execute function app.note_sign_in();

-- A suspended person's sessions end at once and the account is banned, so that no refresh brings a new token; to be
-- reinstated undoes it.
create function app.follow_status() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update auth.users set
        banned_until = case new.status when 'suspended' then now() + interval '100 years' end
    where id = new.id;
    if new.status = 'suspended' then
        delete from auth.sessions where user_id = new.id;
    end if;
    if tg_op = 'UPDATE' or new.status = 'suspended' then
        perform app.note(
            case new.status when 'suspended' then 'suspended' else 'reinstated' end, new.id, new.plant_id, '{}');
    end if;
    return null;
end $$;
create trigger follows_status after update of status on public.profiles
for each row when (new.status is distinct from old.status) execute function app.follow_status();
create trigger begins_suspended after insert on public.profiles
for each row when (new.status = 'suspended') execute function app.follow_status();

create function app.note_role() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    held public.admin_roles := case tg_op when 'DELETE' then old else new end;
begin
    perform app.note(
        case tg_op when 'DELETE' then 'role_revoked' else 'role_granted' end,
        held.user_id, held.plant_id, jsonb_build_object('role', held.role));
    return null;
end $$;
create trigger is_noted after insert or delete on public.admin_roles
for each row execute function app.note_role();

create function app.note_invitation() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    about jsonb := jsonb_build_object('invitation_id', new.id, 'role', new.role);
begin
    if tg_op = 'INSERT' then
        perform app.note('invited', null, new.plant_id, about);
    elsif new.accepted_at is not null and old.accepted_at is null then
        perform app.note(
            'invitation_accepted',
            (select u.id from auth.users as u where u.email = lower(new.email) and not u.is_sso_user),
            new.plant_id, about);
    elsif new.revoked_at is not null and old.revoked_at is null then
        perform app.note('invitation_revoked', null, new.plant_id, about);
    elsif new.sent_at is distinct from old.sent_at and old.sent_at is not null and new.sent_at is not null then
        perform app.note('invitation_resent', null, new.plant_id, about);
    end if;
    return null;
end $$;
create trigger is_noted after insert or update on public.invitations
for each row execute function app.note_invitation();
