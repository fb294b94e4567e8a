-- How people come in: invitations, and what becomes of a new account.

-- ---------------------------------------------------------------- invitations
select app.close('public.invitations');
grant select on public.invitations to authenticated;
-- sent_at: null where the mail goes out later; else, as in an update, a wish, and the moment is the server's.
grant insert (email, plant_id, first_name, last_name, job_title, role, role_plant_id, sent_at) on public.invitations
to authenticated;
grant update (revoked_at, sent_at) on public.invitations to authenticated;
grant select, insert, update, delete on public.invitations to service_role;

-- Managers see whom their plants invited, and HR everybody.
create policy reads on public.invitations for select to authenticated using (
    plant_id = any((select app.visible_plants())::uuid[])
);
-- Managers invite into the plants they look after; who is to hold a role is HR's to say, and of dev admins nobody's.
create policy creates on public.invitations for insert to authenticated with check (
    plant_id = any((select app.visible_plants())::uuid[])
    and (role is null or (role <> 'dev_admin' and (select app.is_hr())))
);
create policy updates on public.invitations for update to authenticated using (
    plant_id = any((select app.visible_plants())::uuid[])
    and (role is null or (role <> 'dev_admin' and (select app.is_hr())))
);
-- no delete: it stays on record who was invited.

create function app.check_invitation() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op = 'UPDATE' then
        if not app.is_client() then
            return new;
        end if;
        if old.accepted_at is not null then
            perform app.refuse(409, 'This invitation has been accepted already.');
        end if;
        if old.revoked_at is not null then
            perform app.refuse(409, 'This invitation was revoked; make a new one.');
        end if;
        if new.revoked_at is distinct from old.revoked_at then
            new.revoked_at := now();
        end if;
        -- Null again: the mail did not go out after all.
        if new.sent_at is distinct from old.sent_at and new.sent_at is not null then
            new.sent_at := now();
            new.expires_at := now() + interval '14 days';
        end if;
        return new;
    end if;
    -- One that nobody took up in its time is not in the way of another.
    update public.invitations as i set revoked_at = now()
    where lower(i.email) = lower(new.email) and i.accepted_at is null and i.revoked_at is null
    and i.expires_at <= now();
    -- The policy refuses everybody else, and speaks after us: they learn nothing here of addresses and plants.
    if app.is_client() and new.plant_id = any(app.visible_plants()) then
        new.invited_by := app.me();
        if new.sent_at is not null then
            new.sent_at := now();
        end if;
        if not exists (select from public.plants as t where t.id = new.plant_id and t.is_active) then
            perform app.refuse(409, 'That plant is not open, so nobody can be put into it.');
        end if;
        if exists (select from public.profiles as p where lower(p.email) = lower(new.email)) then
            perform app.refuse(409, 'There is a person with this e-mail address already.');
        end if;
    end if;
    return new;
end $$;
create trigger checks before insert or update on public.invitations
for each row execute function app.check_invitation();

-- Whoever has a confirmed account already, and only waits for a profile, is in at once. And a link that was sent dies
-- with its invitation: the account that waited behind it goes.
create function app.follow_invitation() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op = 'INSERT' then
        perform app.accept_invitation(u.id, u.email) from auth.users as u
        where u.email = lower(new.email) and not u.is_sso_user and u.email_confirmed_at is not null
        and not exists (select from public.profiles as p where p.id = u.id);
    elsif new.revoked_at is not null and old.revoked_at is null then
        delete from auth.users as u
        where u.email = lower(new.email) and not u.is_sso_user and u.invited_at is not null
        and u.email_confirmed_at is null and u.last_sign_in_at is null;
    end if;
    return null;
end $$;
create trigger follows after insert or update of revoked_at on public.invitations
for each row execute function app.follow_invitation();

create trigger touches before update on public.invitations for each row execute function app.touch();

-- ---------------------------------------------------------------- imports
-- A file's rows wait here for HR's word, a day at most. Nobody reads them but whoever brought them.
create function app.keep_import(file_name text, sent jsonb) returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    kept uuid;
begin
    if not app.is_hr() then
        perform app.refuse(403, 'Only HR of the company imports people.');
    end if;
    delete from specchem.imports as i where i.kept_at < now() - interval '1 day';
    insert into specchem.imports (owner_id, file_name, rows)
    values (app.me(), keep_import.file_name, sent) returning id into kept;
    return kept;
end $$;

create function app.kept_import(kept uuid) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
    if not app.is_hr() then
        perform app.refuse(403, 'Only HR of the company imports people.');
    end if;
    return (
        select jsonb_build_object('file_name', i.file_name, 'rows', i.rows) from specchem.imports as i
        where i.id = kept and i.owner_id = app.me() and i.kept_at > now() - interval '1 day');
end $$;

grant execute on function app.keep_import(text, jsonb), app.kept_import(uuid) to authenticated;

-- ---------------------------------------------------------------- sign-up
-- These run as whoever writes auth.users, which on Supabase has only auth on its search_path.

-- What a person typed about themselves, made into a name or null: trimmed, no control characters, capped.
create function app.tidy(typed text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select nullif(btrim(left(regexp_replace(
        left(typed, 1000), '[[:cntrl:][:space:]\u202a-\u202e\u2066-\u2069]+', ' ', 'g'), 100)), '')
$$;

-- Plant, job title and role come from an open invitation to this verified address. One that cannot be kept, for a
-- plant that has closed or a person who was suspended, stays open: it never stops a sign-up.
create function app.accept_invitation(account uuid, address text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    invitation public.invitations;
    typed jsonb := (select u.raw_user_meta_data from auth.users as u where u.id = account);
begin
    update public.invitations as i set accepted_at = now()
    where lower(i.email) = lower(address)
    and i.accepted_at is null and i.revoked_at is null and i.expires_at > now()
    and exists (select from public.plants as t where t.id = i.plant_id and t.is_active)
    and not exists (
        select from public.profiles as p
        where (p.id = account and p.status = 'suspended') or (p.id <> account and lower(p.email) = lower(address)))
    returning i.* into invitation;
    if not found then
        return;
    end if;
    insert into public.profiles as p (id, plant_id, first_name, last_name, email, job_title)
    values (
        account, invitation.plant_id,
        coalesce(invitation.first_name, app.tidy(typed ->> 'first_name'), app.tidy(split_part(address, '@', 1))),
        coalesce(invitation.last_name, app.tidy(typed ->> 'last_name'), '(no name yet)'),
        address, invitation.job_title)
    on conflict (id) do update set
        plant_id = excluded.plant_id,
        first_name = coalesce(invitation.first_name, p.first_name),
        last_name = coalesce(invitation.last_name, p.last_name),
        job_title = coalesce(excluded.job_title, p.job_title);
    if invitation.role is not null then
        insert into public.admin_roles (user_id, role, plant_id)
        values (account, invitation.role, invitation.role_plant_id)
        on conflict on constraint admin_roles_user_role_plant_unique do nothing;
    end if;
end $$;

-- A new account gets a profile in the default plant. Without an e-mail address, while the default plant is missing or
-- closed, or until somebody who was invited has confirmed the address, it waits without one, sees nothing, and sign-up
-- still works.
create function app.handle_new_user() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    default_plant uuid;
begin
    if new.email is null
    or exists (select from public.profiles as p where lower(p.email) = lower(new.email))
    or (new.email_confirmed_at is null and exists (
        select from public.invitations as i
        where lower(i.email) = lower(new.email)
        and i.accepted_at is null and i.revoked_at is null and i.expires_at > now()))
    then
        return new;
    end if;
    select t.id into default_plant from public.plants as t where t.is_default and t.is_active;
    if default_plant is not null then
        insert into public.profiles (id, plant_id, first_name, last_name, email)
        values (
            new.id, default_plant,
            coalesce(app.tidy(new.raw_user_meta_data ->> 'first_name'), app.tidy(split_part(new.email, '@', 1))),
            coalesce(app.tidy(new.raw_user_meta_data ->> 'last_name'), '(no name yet)'),
            new.email);
    end if;
    if new.email_confirmed_at is not null then
        perform app.accept_invitation(new.id, new.email);
    end if;
    return new;
end $$;
create or replace trigger on_auth_user_created after insert on auth.users
for each row execute function app.handle_new_user();

-- An address that is confirmed later may be invited; an address that changes is the profile's too.
create function app.follow_account() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    -- A deleted account's address is made unreadable; the record goes on saying whose it was.
    if new.email is distinct from old.email and new.email is not null and new.deleted_at is null then
        update public.profiles set email = new.email where id = new.id;
    end if;
    if old.email_confirmed_at is null and new.email_confirmed_at is not null and new.email is not null then
        perform app.accept_invitation(new.id, new.email);
    end if;
    return new;
end $$;
create or replace trigger specchem_account_changed after update of email, email_confirmed_at on auth.users
for each row execute function app.follow_account();
