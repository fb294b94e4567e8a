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

-- Whoever closed the plant they are in could not open it again.
create function app.check_closing() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if app.is_client() and exists (
        select from public.profiles as p where p.id = auth.uid() and p.plant_id = new.id
    ) then
        perform app.refuse(409, 'You are in this plant yourself; ask an admin of another plant to close it.');
    end if;
    return new;
end $$;
create trigger closes before update of is_active on public.plants
for each row when (old.is_active and not new.is_active) execute function app.check_closing();

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
