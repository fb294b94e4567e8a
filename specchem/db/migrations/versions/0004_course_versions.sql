-- A version of a course is a row of its own: people go on in the version they were enrolled in, whatever is
-- published after it.
alter table public.courses
add column language text not null default 'en',
-- When a newer version was published; nobody is enrolled in this one any more.
add column superseded_at timestamptz,
drop constraint courses_slug_unique,
add constraint courses_slug_version_unique unique (slug, version),
add constraint courses_language_valid check (language ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$');
create unique index courses_current_unique on public.courses (slug) where is_published and superseded_at is null;

-- The words in other languages, by language and then by column: {"es": {"title": "…"}}. Beside the words they stand
-- for, so that who may read the one may read the other.
alter table public.courses add column translations jsonb not null default '{}'
constraint courses_translations_object check (jsonb_typeof(translations) = 'object');
alter table public.sections add column translations jsonb not null default '{}'
constraint sections_translations_object check (jsonb_typeof(translations) = 'object');
alter table public.questions add column translations jsonb not null default '{}'
constraint questions_translations_object check (jsonb_typeof(translations) = 'object');
alter table public.question_choices add column translations jsonb not null default '{}'
constraint question_choices_translations_object check (jsonb_typeof(translations) = 'object');
alter table public.answer_keys add column translations jsonb not null default '{}'
constraint answer_keys_translations_object check (jsonb_typeof(translations) = 'object');

-- Many are invited at once, and their mails go out one after another: until then there is no moment.
alter table public.invitations alter column sent_at drop not null;

-- Rows of a file of people, between HR's look at what they would change and the change.
create table specchem.imports (
    id uuid primary key default gen_random_uuid(),
    owner_id uuid not null,
    file_name text not null,
    rows jsonb not null,
    kept_at timestamptz not null default now()
);
create index imports_kept_at_idx on specchem.imports (kept_at);

-- What `specchem doctor --keep` found, as it says it with --json.
create table specchem.examinations (
    examined_at timestamptz primary key default now(),
    release text not null,
    findings jsonb not null constraint examinations_findings_array check (jsonb_typeof(findings) = 'array')
);
