-- The guide's eight tables and four enums, the course's content beside them, and what sign-up needs.
-- Tables, constraints and indexes only: functions, triggers, policies and grants are restated from rules/.

create type public.user_status as enum ('active', 'suspended');
create type public.enrollment_status as enum ('enrolled', 'in_progress', 'completed');
create type public.admin_role as enum ('hr_admin', 'dev_admin', 'plant_manager');
create type public.event_type as enum ('view_section', 'start_course', 'complete_course');

-- A text is tidy when it is trimmed, not blank, at most 200 characters long, and free of control characters and of
-- those that turn the direction of writing round.
-- The expression stands in each constraint, so that a refusal names the column.

create table public.plants (
    id uuid primary key default gen_random_uuid(),
    name text not null constraint plants_name_unique unique,
    timezone text not null default 'UTC',
    is_active boolean not null default true,
    -- A new account that nobody invited lands in the default plant.
    is_default boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint plants_name_tidy
    check (
        char_length(name) <= 200
        and name !~ '^$|^[[:space:]]|[[:space:]]$|[[:cntrl:]\u202a-\u202e\u2066-\u2069]'
    )
);
create unique index plants_one_default on public.plants (is_default) where is_default;

create table public.profiles (
    id uuid primary key references auth.users (id) on delete cascade,
    plant_id uuid not null references public.plants (id),
    first_name text not null,
    last_name text not null,
    email text not null,
    job_title text,
    status public.user_status not null default 'active',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    -- What enrolments and progress point at, so that their plant is always the person's.
    constraint profiles_id_plant_unique unique (id, plant_id),
    constraint profiles_first_name_tidy
    check (
        char_length(first_name) <= 200
        and first_name !~ '^$|^[[:space:]]|[[:space:]]$|[[:cntrl:]\u202a-\u202e\u2066-\u2069]'
    ),
    constraint profiles_last_name_tidy
    check (
        char_length(last_name) <= 200
        and last_name !~ '^$|^[[:space:]]|[[:space:]]$|[[:cntrl:]\u202a-\u202e\u2066-\u2069]'
    ),
    constraint profiles_job_title_tidy
    check (
        char_length(job_title) <= 200
        and job_title !~ '^$|^[[:space:]]|[[:space:]]$|[[:cntrl:]\u202a-\u202e\u2066-\u2069]'
    ),
    constraint profiles_email_valid
    check (
        char_length(email) <= 254 and email ~ '^[^@]+@[^@]+$'
        and email !~ '[[:space:][:cntrl:]\u202a-\u202e\u2066-\u2069]'
    )
);
create index profiles_plant_id_idx on public.profiles (plant_id);
create index profiles_email_idx on public.profiles (email);
create unique index profiles_email_unique on public.profiles (lower(email));
-- Statistics are of all plants together, and whoever may ask for a plan sees what follows from them.
alter table public.profiles
alter column first_name set statistics 0,
alter column last_name set statistics 0,
alter column email set statistics 0,
alter column job_title set statistics 0;
alter index public.profiles_email_unique alter column 1 set statistics 0;
create index profiles_active_plant_idx on public.profiles (plant_id) where status = 'active';

create table public.admin_roles (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references public.profiles (id) on delete cascade,
    role public.admin_role not null,
    plant_id uuid references public.plants (id),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint admin_roles_user_role_plant_unique unique nulls not distinct (user_id, role, plant_id),
    -- A manager manages a plant; HR is of one plant or, without one, of the company; a dev admin of none.
    constraint admin_roles_scope check (
        case role when 'plant_manager' then plant_id is not null when 'dev_admin' then plant_id is null else true end
    )
);
create index admin_roles_user_id_idx on public.admin_roles (user_id);
create index admin_roles_plant_id_idx on public.admin_roles (plant_id);

-- Who may join which plant, decided before the person signs up and matched by verified e-mail.
create table public.invitations (
    id uuid primary key default gen_random_uuid(),
    email text not null,
    plant_id uuid not null references public.plants (id),
    first_name text,
    last_name text,
    job_title text,
    role public.admin_role,
    role_plant_id uuid references public.plants (id),
    invited_by uuid references public.profiles (id) on delete set null,
    expires_at timestamptz not null default now() + interval '14 days',
    accepted_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint invitations_email_valid
    check (
        char_length(email) <= 254 and email ~ '^[^@]+@[^@]+$'
        and email !~ '[[:space:][:cntrl:]\u202a-\u202e\u2066-\u2069]'
    ),
    constraint invitations_first_name_tidy
    check (
        char_length(first_name) <= 200
        and first_name !~ '^$|^[[:space:]]|[[:space:]]$|[[:cntrl:]\u202a-\u202e\u2066-\u2069]'
    ),
    constraint invitations_last_name_tidy
    check (
        char_length(last_name) <= 200
        and last_name !~ '^$|^[[:space:]]|[[:space:]]$|[[:cntrl:]\u202a-\u202e\u2066-\u2069]'
    ),
    constraint invitations_job_title_tidy
    check (
        char_length(job_title) <= 200
        and job_title !~ '^$|^[[:space:]]|[[:space:]]$|[[:cntrl:]\u202a-\u202e\u2066-\u2069]'
    ),
    constraint invitations_role_scope check (
        case role
            when 'plant_manager' then role_plant_id is not null
            when 'hr_admin' then true
            else role_plant_id is null
        end
    )
);
create unique index invitations_open_email_unique on public.invitations (lower(email)) where accepted_at is null;
create index invitations_plant_id_idx on public.invitations (plant_id);
create index invitations_role_plant_id_idx on public.invitations (role_plant_id);
create index invitations_invited_by_idx on public.invitations (invited_by);

create table public.courses (
    id uuid primary key default gen_random_uuid(),
    slug text not null constraint courses_slug_unique unique,
    title text not null,
    version text not null default '1.0',
    is_published boolean not null default false,
    -- Of the content that was loaded; null for a course that an outside player shows.
    content_hash text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint courses_slug_valid check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and char_length(slug) <= 100),
    constraint courses_title_tidy
    check (
        char_length(title) <= 200
        and title !~ '^$|^[[:space:]]|[[:space:]]$|[[:cntrl:]\u202a-\u202e\u2066-\u2069]'
    ),
    constraint courses_version_tidy
    check (
        char_length(version) <= 200
        and version !~ '^$|^[[:space:]]|[[:space:]]$|[[:cntrl:]\u202a-\u202e\u2066-\u2069]'
    )
);

-- Content. Keys are stable across versions, because events name them.
create table public.sections (
    course_id uuid not null references public.courses (id) on delete cascade,
    key text not null,
    position integer not null,
    title text not null,
    body text not null,
    primary key (course_id, key),
    constraint sections_position_unique unique (course_id, position) deferrable,
    constraint sections_key_valid check (key ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and char_length(key) <= 100)
);

create table public.questions (
    course_id uuid not null,
    section_key text not null,
    key text not null,
    position integer not null,
    prompt text not null,
    multiple boolean not null default false,
    primary key (course_id, section_key, key),
    foreign key (course_id, section_key) references public.sections (course_id, key) on delete cascade,
    constraint questions_position_unique unique (course_id, section_key, position) deferrable,
    constraint questions_key_valid check (key ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and char_length(key) <= 100)
);

create table public.question_choices (
    course_id uuid not null,
    section_key text not null,
    question_key text not null,
    key text not null,
    position integer not null,
    text text not null,
    primary key (course_id, section_key, question_key, key),
    foreign key (course_id, section_key, question_key)
    references public.questions (course_id, section_key, key) on delete cascade
);

-- Apart from the questions, so that no policy or grant on those can ever show an answer.
create table public.answer_keys (
    course_id uuid not null,
    section_key text not null,
    question_key text not null,
    -- The keys of the right choices, in order.
    correct text[] not null,
    explanation text not null,
    citation text not null,
    primary key (course_id, section_key, question_key),
    foreign key (course_id, section_key, question_key)
    references public.questions (course_id, section_key, key) on delete cascade,
    constraint answer_keys_correct_some check (cardinality(correct) > 0)
);

create table public.enrollments (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references public.profiles (id) on delete restrict,
    course_id uuid not null references public.courses (id) on delete restrict,
    plant_id uuid not null references public.plants (id),
    status public.enrollment_status not null default 'enrolled',
    enrolled_at timestamptz not null default now(),
    completed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint enrollments_user_course_unique unique (user_id, course_id),
    -- A transfer to another plant takes the person's courses along.
    constraint enrollments_user_plant_fkey
    foreign key (user_id, plant_id) references public.profiles (id, plant_id) on update cascade on delete restrict,
    constraint enrollments_completed_has_date check ((status = 'completed') = (completed_at is not null)),
    constraint enrollments_dates_in_order check (completed_at >= enrolled_at)
);
create index enrollments_plant_course_idx on public.enrollments (plant_id, course_id);
create index enrollments_status_idx on public.enrollments (status);
create index enrollments_user_status_idx on public.enrollments (user_id, status);
create index enrollments_course_id_idx on public.enrollments (course_id);

create table public.progress (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references public.profiles (id) on delete restrict,
    course_id uuid not null references public.courses (id) on delete restrict,
    plant_id uuid not null references public.plants (id),
    progress_percent integer not null default 0,
    current_section text,
    last_active_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint progress_user_course_unique unique (user_id, course_id),
    constraint progress_enrollment_fkey
    foreign key (user_id, course_id) references public.enrollments (user_id, course_id) on delete restrict,
    constraint progress_user_plant_fkey
    foreign key (user_id, plant_id) references public.profiles (id, plant_id) on update cascade on delete restrict,
    constraint progress_percent_range check (progress_percent between 0 and 100),
    constraint progress_current_section_tidy
    check (
        char_length(current_section) <= 200
        and current_section !~ '^$|^[[:space:]]|[[:space:]]$|[[:cntrl:]\u202a-\u202e\u2066-\u2069]'
    )
);
create index progress_plant_course_idx on public.progress (plant_id, course_id);
create index progress_course_id_idx on public.progress (course_id);

-- Events stay in the plant where they happened: no foreign key moves them with the person.
create table public.question_events (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references public.profiles (id) on delete restrict,
    course_id uuid not null references public.courses (id) on delete restrict,
    plant_id uuid not null references public.plants (id),
    section_key text not null,
    question_key text not null,
    is_correct boolean not null,
    attempt_index integer not null default 1,
    evidence text not null,
    response_meta jsonb,
    answered_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    -- Counts a person's attempts at a question, and answers "right once?" without a scan. The course comes first, so
    -- that its foreign key needs no index of its own.
    constraint question_events_attempt_unique
    unique (course_id, user_id, section_key, question_key, attempt_index),
    constraint question_events_attempt_positive check (attempt_index > 0),
    constraint question_events_evidence_known check (evidence in ('server_graded', 'client_asserted')),
    constraint question_events_section_key_tidy
    check (
        char_length(section_key) <= 200
        and section_key !~ '^$|^[[:space:]]|[[:space:]]$|[[:cntrl:]\u202a-\u202e\u2066-\u2069]'
    ),
    constraint question_events_question_key_tidy
    check (
        char_length(question_key) <= 200
        and question_key !~ '^$|^[[:space:]]|[[:space:]]$|[[:cntrl:]\u202a-\u202e\u2066-\u2069]'
    ),
    constraint question_events_response_meta_small
    check (jsonb_typeof(response_meta) = 'object' and octet_length(response_meta::text) <= 8192),
    -- jsonb holds what few readers can: deeper nesting and larger numbers than this would break a manager's page.
    constraint question_events_response_meta_readable check (not jsonb_path_exists(
        response_meta, '$.**{17 to last}'
    ) and not jsonb_path_exists(
        response_meta, '$.** ? (@.type() == "number" && (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308))'
    ))
);
create index question_events_plant_course_question_idx
on public.question_events (plant_id, course_id, question_key);
create index question_events_answered_at_idx on public.question_events (answered_at);
create index question_events_user_question_idx on public.question_events (user_id, question_key);
create index question_events_plant_question_answered_idx
on public.question_events (plant_id, question_key, answered_at desc);

create table public.activity_events (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references public.profiles (id) on delete restrict,
    course_id uuid not null references public.courses (id) on delete restrict,
    plant_id uuid not null references public.plants (id),
    event_type public.event_type not null,
    meta jsonb,
    occurred_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    constraint activity_events_meta_small
    check (jsonb_typeof(meta) = 'object' and octet_length(meta::text) <= 8192),
    constraint activity_events_meta_readable check (not jsonb_path_exists(
        meta, '$.**{17 to last}'
    ) and not jsonb_path_exists(
        meta, '$.** ? (@.type() == "number" && (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308))'
    ))
);
create index activity_events_plant_course_event_idx
on public.activity_events (plant_id, course_id, event_type);
create index activity_events_occurred_at_idx on public.activity_events (occurred_at);
create index activity_events_user_event_idx on public.activity_events (user_id, event_type);
create index activity_events_course_id_idx on public.activity_events (course_id);
-- A course is started once and completed once; viewing is looked up by section.
create unique index activity_events_once_unique
on public.activity_events (user_id, course_id, event_type) where event_type <> 'view_section';
create index activity_events_viewed_idx
on public.activity_events (user_id, course_id, (meta ->> 'section_key')) where event_type = 'view_section';

-- What the question reports read. Sixteen shards keep writers of one busy plant out of each other's way.
create table public.question_counters (
    plant_id uuid not null references public.plants (id),
    course_id uuid not null references public.courses (id),
    section_key text not null,
    question_key text not null,
    shard smallint not null,
    attempts bigint not null,
    wrong bigint not null,
    first_attempts bigint not null,
    people bigint not null,
    primary key (plant_id, course_id, section_key, question_key, shard)
);
create index question_counters_course_id_idx on public.question_counters (course_id);
