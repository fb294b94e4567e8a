-- How often somebody tried. A key stands for a kind of try and whose it is; the moment is when the last of the tries
-- counted so far is forgotten.
create table specchem.tries (
    key bytea primary key,
    forgotten_at timestamptz not null
);
create index tries_forgotten_at_idx on specchem.tries (forgotten_at);

-- What the server's settings ask of the database.
create table specchem.settings (
    only_row boolean primary key default true constraint settings_only_row check (only_row),
    admins_need_second_factor boolean not null default false
);
insert into specchem.settings default values;

-- Who signed in, failed to, or changed what others may do: who, whom, when, from where. Ids without foreign keys:
-- a record does not keep an account from being deleted, and outlives it.
create table public.audit_events (
    id uuid primary key default gen_random_uuid(),
    happened_at timestamptz not null default now(),
    action text not null,
    -- Who did it; null: the command line, or nobody who is known.
    actor_id uuid,
    -- Whom it is about.
    subject_id uuid,
    plant_id uuid references public.plants (id),
    -- Where the actor signed in from, or failed to.
    ip_address inet,
    details jsonb not null default '{}',
    constraint audit_events_action_known check (action in (
        'sign_in', 'sign_in_failed', 'role_granted', 'role_revoked', 'suspended', 'reinstated',
        'invited', 'invitation_resent', 'invitation_revoked', 'invitation_accepted'
    ))
);
create index audit_events_happened_at_idx on public.audit_events (happened_at);
create index audit_events_subject_id_idx on public.audit_events (subject_id, happened_at);
create index audit_events_plant_id_idx on public.audit_events (plant_id);

-- An invitation is open until it is accepted or revoked; after its time it opens nothing.
alter table public.invitations
add column revoked_at timestamptz,
add column sent_at timestamptz not null default now();
drop index public.invitations_open_email_unique;
create unique index invitations_open_email_unique on public.invitations (lower(email))
where accepted_at is null and revoked_at is null;

-- Whoever is suspended already is kept from signing in from now on, too.
update auth.users set banned_until = now() + interval '100 years'
where id in (
    select p.id from public.profiles as p
    where p.status = 'suspended'
);
delete from auth.sessions
where user_id in (
    select p.id from public.profiles as p
    where p.status = 'suspended'
);
