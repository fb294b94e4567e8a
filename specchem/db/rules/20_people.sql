-- People, their plants and their roles.

-- ---------------------------------------------------------------- plants
select app.close('public.plants');
grant select on public.plants to authenticated;
grant insert (name, timezone, is_active), update (name, timezone, is_active) on public.plants to authenticated;
grant select, insert, update on public.plants to service_role;

-- Everyone active sees the plants that are open; HR and the dev admin all of them, and they keep the list.
create policy reads on public.plants for select to authenticated using (
    (is_active and (select app.me()) is not null) or (select app.is_hr()) or (select app.is_dev())
);
create policy creates on public.plants for insert to authenticated with check (
    (select app.is_hr()) or (select app.is_dev())
);
create policy updates on public.plants for update to authenticated using (
    (select app.is_hr()) or (select app.is_dev())
);
-- no delete: a plant is closed, its people's records stay.

create function app.check_plant() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    -- By name: PostgreSQL itself takes EDT, FOO5 and any case, which a program that reads the zone does not.
    if not exists (select from pg_catalog.pg_timezone_names as z where z.name = new.timezone) then
        perform app.refuse(400, format(
            'timezone: "%s" is not a time zone; use an IANA name such as America/New_York.', left(new.timezone, 100)));
    end if;
    return new;
end $$;
create trigger checks before insert or update of timezone on public.plants
for each row execute function app.check_plant();
create trigger touches before update on public.plants for each row execute function app.touch();

-- ---------------------------------------------------------------- profiles
select app.close('public.profiles');
grant select on public.profiles to authenticated;
grant insert (id, plant_id, first_name, last_name, email, job_title, status) on public.profiles to authenticated;
-- not email: it follows the account.
grant update (first_name, last_name, job_title, status, plant_id) on public.profiles to authenticated;
grant select, insert, update on public.profiles to service_role;

-- People see themselves; managers and HR the plants they look after.
create policy reads on public.profiles for select to authenticated using (
    id = (select app.me()) or plant_id = any((select app.visible_plants())::uuid[])
);
create policy creates on public.profiles for insert to authenticated with check ((select app.is_hr()));
create policy updates on public.profiles for update to authenticated
using ((select app.is_hr()));
-- no delete: a person who leaves is suspended.

-- Nobody changes their own status, and nobody is put into a plant that is closed.
create function app.check_profile() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    -- The policy refuses everybody else, and speaks after us: they learn nothing here of accounts and plants.
    if app.is_client() and not app.is_hr() then
        return new;
    end if;
    if tg_op = 'UPDATE' then
        if new.id <> old.id then
            perform app.refuse(409, 'A profile belongs to its account for good.');
        end if;
        if new.status <> old.status and new.id = auth.uid() then
            perform app.refuse(403, 'Nobody changes their own status; ask another HR admin.');
        end if;
    end if;
    if tg_op = 'INSERT' and exists (
        select from auth.users as u where u.id = new.id and lower(u.email) <> lower(new.email)
    ) then
        perform app.refuse(409, 'The account has another e-mail address; the profile follows it.');
    end if;
    if (tg_op = 'INSERT' or new.plant_id <> old.plant_id)
    and not exists (select from public.plants as t where t.id = new.plant_id and t.is_active) then
        perform app.refuse(409, 'That plant is not open, so nobody can be put into it.');
    end if;
    return new;
end $$;
create trigger checks before insert or update on public.profiles
for each row execute function app.check_profile();
create trigger touches before update on public.profiles for each row execute function app.touch();

-- ---------------------------------------------------------------- admin_roles
select app.close('public.admin_roles');
grant select, delete on public.admin_roles to authenticated;
grant insert (user_id, role, plant_id) on public.admin_roles to authenticated;
grant select, insert, update, delete on public.admin_roles to service_role;

-- People see their own roles; managers those over their plants; HR all; a dev admin the dev admins'.
create policy reads on public.admin_roles for select to authenticated using (
    user_id = (select app.me())
    or plant_id = any((select app.visible_plants())::uuid[])
    or (select app.is_hr())
    or (role = 'dev_admin' and (select app.is_dev()))
);
-- HR appoints HR and managers, dev admins appoint dev admins, and nobody appoints or dismisses themselves.
create policy creates on public.admin_roles for insert to authenticated with check (
    user_id <> (select app.me())
    and (
        (role in ('hr_admin', 'plant_manager') and (select app.is_hr()))
        or (role = 'dev_admin' and (select app.is_dev()))
    )
);
create policy deletes on public.admin_roles for delete to authenticated using (
    user_id <> (select app.me())
    and (
        (role in ('hr_admin', 'plant_manager') and (select app.is_hr()))
        or (role = 'dev_admin' and (select app.is_dev()))
    )
);
-- no update: a role is granted or revoked.

create function app.check_role() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if exists (select from public.profiles as p where p.id = new.user_id and p.status = 'suspended') then
        perform app.refuse(409, 'A suspended person cannot be given a role; reinstate them first.');
    end if;
    return null;
end $$;
-- After the policies, so that those who may not grant learn nothing of a person's status.
create trigger checks after insert or update on public.admin_roles
for each row execute function app.check_role();
create trigger touches before update on public.admin_roles for each row execute function app.touch();

-- ---------------------------------------------------------------- invitations
select app.close('public.invitations');
-- no grants to clients yet: invitations are made from the command line until there are pages for them.
grant select, insert, update, delete on public.invitations to service_role;
create trigger touches before update on public.invitations for each row execute function app.touch();

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
    where lower(i.email) = lower(address) and i.accepted_at is null and i.expires_at > now()
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

-- A new account gets a profile in the default plant. Without an e-mail address, or while the default plant is
-- missing or closed, it waits without one, sees nothing, and sign-up still works.
create function app.handle_new_user() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    default_plant uuid;
begin
    if new.email is null or exists (select from public.profiles as p where lower(p.email) = lower(new.email)) then
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
    if new.email is distinct from old.email and new.email is not null then
        update public.profiles set email = new.email where id = new.id;
    end if;
    if old.email_confirmed_at is null and new.email_confirmed_at is not null and new.email is not null then
        perform app.accept_invitation(new.id, new.email);
    end if;
    return new;
end $$;
create or replace trigger specchem_account_changed after update of email, email_confirmed_at on auth.users
for each row execute function app.follow_account();
