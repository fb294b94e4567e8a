"""Deliberate faults in a database, each with the one finding that names it."""

from dataclasses import dataclass

from specchem.doctor.findings import Line


@dataclass(frozen=True)
class Fault:
    """What is done, as a superuser, and which line says what of it; ``undo`` where all databases share it."""

    sql: str
    line: Line
    found: str
    undo: str = ""
    # In a database with nobody in it, where such a thing can be removed.
    bare: bool = False


def _rule(sql: str, found: str, line: Line = Line.POLICIES) -> Fault:
    return Fault(sql, line, found)


def _made(sql: str, found: str) -> Fault:
    return Fault(sql, Line.MIGRATIONS, found)


FAULTS = {
    # ---- row security, policies and grants
    "row security off": _rule(
        "alter table public.profiles disable row level security", "row security is off on public.profiles"
    ),
    "row security not forced": _rule(
        "alter table public.plants no force row level security", "row security is not forced on public.plants"
    ),
    "a policy lets everybody in": _rule(
        "alter policy reads on public.progress using (true)",
        "policy reads on public.progress was altered: condition",
    ),
    "a policy checks nothing": _rule(
        "alter policy creates on public.enrollments with check (true)",
        "policy creates on public.enrollments was altered: check",
    ),
    "a policy for public": _rule(
        "alter policy reads on public.courses to public",
        "policy reads on public.courses was altered: roles is public instead of authenticated",
    ),
    "a policy dropped": _rule(
        "drop policy needs_second_factor on public.answer_keys",
        "policy needs_second_factor on public.answer_keys is missing",
    ),
    "a policy added": _rule(
        "create policy evil on public.answer_keys for select to anon using (true)",
        "policy evil on public.answer_keys was added",
    ),
    "a grant added": _rule(
        "set role postgres; grant delete on public.plants to anon",
        "grant of DELETE on public.plants to anon was added",
    ),
    "a grant on columns added": _rule(
        "set role postgres; grant update (plant_id, status) on public.enrollments to authenticated",
        "grant of UPDATE (plant_id), UPDATE (status) on public.enrollments to authenticated was added",
    ),
    "a grant to everybody": _rule(
        "set role postgres; grant execute on function app.is_hr() to public",
        "grant of EXECUTE on function app.is_hr() to PUBLIC was added",
    ),
    "a grant that can be passed on": _rule(
        "set role postgres; grant select on public.audit_events to authenticated with grant option",
        "grant of SELECT with grant option on public.audit_events to authenticated was added",
    ),
    "a grant taken away": _rule(
        "set role postgres; revoke insert on public.activity_events from service_role",
        "grant of INSERT on public.activity_events to service_role is missing",
    ),
    "a schema closed": _rule(
        "set role postgres; revoke usage on schema public from authenticated",
        "grant of USAGE on schema public to authenticated is missing",
    ),
    "a schema opened": _rule(
        "set role postgres; grant create on schema app to authenticated",
        "grant of CREATE on schema app to authenticated was added",
    ),
    "later tables given away": _rule(
        "alter default privileges for role postgres in schema app grant select on tables to anon",
        "grant of SELECT (r) on what is made later in schema app to anon was added",
    ),
    # ---- triggers
    "a trigger dropped": _made(
        "drop trigger keeps on public.progress", "trigger keeps on public.progress is missing"
    ),
    "a trigger switched off": _made(
        "alter table public.question_events disable trigger refuses_change",
        "trigger refuses_change on public.question_events is disabled",
    ),
    "a trigger added": _made(
        "create trigger sees after insert on public.question_events for each row execute function app.touch()",
        "trigger sees on public.question_events was added",
    ),
    "sign-up's trigger dropped": Fault(
        "drop trigger on_auth_user_created on auth.users", Line.AUTH_TRIGGERS,
        "trigger on_auth_user_created on auth.users is missing",
    ),
    "sign-up's trigger switched off": Fault(
        "alter table auth.users disable trigger on_auth_user_created", Line.AUTH_TRIGGERS,
        "trigger on_auth_user_created on auth.users is disabled",
    ),
    "a rule in the way": _made(
        "create rule swallows as on insert to public.question_events do instead nothing",
        "rule swallows on public.question_events was added",
    ),
    # ---- functions and views
    "a function's text": _made(
        "set role postgres; create or replace function app.is_hr() returns boolean language plpgsql stable"
        " security definer set search_path = pg_catalog, pg_temp as 'begin return true; end'",
        "function app.is_hr() was altered: body",
    ),
    "a function's search path": _made(
        "alter function app.handle_new_user() reset all",
        "function app.handle_new_user() was altered: settings is none instead of search_path=pg_catalog, pg_temp",
    ),
    "a function's eyes": _made(
        "alter function app.tidy(text) security definer",
        "function app.tidy(text) was altered: eyes is the owner's instead of the caller's",
    ),
    "a function's owner": _made(
        "alter function app.me() owner to supabase_admin",
        "function app.me() is owned by supabase_admin instead of postgres",
    ),
    "a function dropped": _made(
        "drop function app.report_plant(uuid)", "function app.report_plant(uuid) is missing"
    ),
    "a function added": _made(
        "create function app.everything() returns bigint language sql set search_path = pg_catalog, pg_temp"
        " as 'select count(*) from public.profiles'; revoke execute on function app.everything() from public;"
        " alter function app.everything() owner to postgres",
        "function app.everything() was added",
    ),
    "a view with its owner's eyes": _made(
        "alter view app.completion set (security_invoker = false)",
        "view app.completion was altered: eyes is the owner's instead of the caller's",
    ),
    "a view's text": _made(
        "set role postgres; create or replace view app.completion with (security_invoker = true) as select c.plant_id,"
        " c.course_id, sum(c.enrolled)::integer as total_enrolled, sum(c.completed)::integer as completed,"
        " sum(c.in_progress)::integer as in_progress, 0 as not_started, sum(c.progress_sum)::bigint as progress_sum"
        " from public.completion_counters as c group by c.plant_id, c.course_id",
        "view app.completion was altered: definition",
    ),
    # ---- tables, columns, constraints, types, indexes
    "a table's owner": _made(
        "alter table public.plants owner to supabase_admin",
        "table public.plants is owned by supabase_admin instead of postgres",
    ),
    "a table that a crash empties": _made(
        "alter table specchem.tries set unlogged",
        "table specchem.tries was altered: persistence is unlogged instead of logged",
    ),
    "a table added": _made(
        "create table public.notes (id uuid primary key, note text not null)", "table public.notes was added"
    ),
    "a table dropped": _made("drop table specchem.tries", "table specchem.tries is missing"),
    "a column dropped": _made(
        "alter table public.invitations drop column job_title", "column public.invitations.job_title is missing"
    ),
    "a column added": _made(
        "alter table public.progress add column bonus integer", "column public.progress.bonus was added"
    ),
    "a column's type": _made(
        "alter table public.profiles alter column job_title type varchar(50)",
        "column public.profiles.job_title was altered: type is character varying(50) instead of text",
    ),
    "a column that may be empty": _made(
        "alter table public.profiles alter column first_name drop not null",
        "column public.profiles.first_name was altered: nullability is nullable instead of not null",
    ),
    "a column's default": _made(
        "alter table public.plants alter column is_active set default false",
        "column public.plants.is_active was altered: default is false instead of true",
    ),
    "names in the statistics": _made(
        "alter table public.profiles alter column email set statistics 100",
        "column public.profiles.email was altered: statistics is kept instead of none",
    ),
    "a constraint dropped": _made(
        "alter table public.progress drop constraint progress_percent_range",
        "constraint progress_percent_range of public.progress is missing",
    ),
    "a constraint that is wider": _made(
        "alter table public.progress drop constraint progress_percent_range,"
        " add constraint progress_percent_range check (progress_percent between 0 and 500)",
        "constraint progress_percent_range of public.progress was altered: definition",
    ),
    "a foreign key never checked": _made(
        "alter table public.progress drop constraint progress_course_id_fkey, add constraint progress_course_id_fkey"
        " foreign key (course_id) references public.courses (id) on delete restrict not valid",
        "constraint progress_course_id_fkey of public.progress is not valid:"
        " rows that were there before it were never checked",
    ),
    "an enum of more": _made(
        "alter type public.user_status add value 'on_leave'",
        "type public.user_status was altered: values is active, suspended, on_leave instead of active, suspended",
    ),
    "an index dropped": Fault(
        "drop index public.progress_plant_course_idx", Line.QUERIES,
        "index public.progress_plant_course_idx is missing",
    ),
    "an index broken": Fault(
        "update pg_index set indisvalid = false where indexrelid = 'public.enrollments_user_status_idx'::regclass",
        Line.QUERIES, "index public.enrollments_user_status_idx is invalid",
    ),
    "an index added": Fault(
        "create index by_hand on public.profiles (last_name)", Line.QUERIES, "index public.by_hand was added"
    ),
    # ---- roles
    "a role past row security": Fault(
        "alter role authenticated bypassrls", Line.EFFECTIVENESS, "role authenticated has BYPASSRLS",
        undo="alter role authenticated nobypassrls",
    ),
    "a role that logs in": Fault(
        "alter role anon login", Line.EFFECTIVENESS, "role anon has LOGIN", undo="alter role anon nologin"
    ),
    "a role that makes roles": Fault(
        "alter role specchem_api createrole", Line.EFFECTIVENESS, "role specchem_api has CREATEROLE",
        undo="alter role specchem_api nocreaterole",
    ),
    "the requests' login shut out": Fault(
        "alter role specchem_api nologin", Line.EFFECTIVENESS, "role specchem_api lacks LOGIN",
        undo="alter role specchem_api login",
    ),
    "the service role held by row security": Fault(
        "alter role service_role nobypassrls", Line.EFFECTIVENESS, "role service_role lacks BYPASSRLS",
        undo="alter role service_role bypassrls",
    ),
    "a login that becomes more": Fault(
        "grant service_role to specchem_api", Line.EFFECTIVENESS, "role specchem_api is a member of service_role",
        undo="revoke service_role from specchem_api",
    ),
    "clients that read all": Fault(
        "grant pg_read_all_data to authenticated", Line.EFFECTIVENESS,
        "role authenticated is a member of pg_read_all_data", undo="revoke pg_read_all_data from authenticated",
    ),
    "a login that cannot become a client": Fault(
        # Whoever granted it: from PostgreSQL 16 on each grantor's grant stands for itself.
        "set role postgres; revoke authenticated from specchem_api; reset role;"
        " revoke authenticated from specchem_api", Line.EFFECTIVENESS,
        "role specchem_api is no member of authenticated",
        undo="set role postgres; grant authenticated to specchem_api",
    ),
    "an owner that row security holds": Fault(
        "alter role postgres nobypassrls", Line.EFFECTIVENESS, "role postgres, the owner, lacks BYPASSRLS",
        undo="alter role postgres bypassrls",
    ),
    "a setting of the login's": Fault(
        "alter role specchem_api set statement_timeout = 0", Line.CONNECTION,
        "role specchem_api has a setting of its own: statement_timeout=0", undo="alter role specchem_api reset all",
    ),
    # ---- what is in it
    "rules of another release": _made(
        "update specchem.rules set hash = 'of an older release'", "Pending: rules to restate"
    ),
    "a plant missing": Fault(
        "delete from public.plants where name = 'Denver, CO'", Line.SEED,
        "plant Denver, CO is missing", bare=True,
    ),
    "no default plant": Fault(
        "update public.plants set is_default = false", Line.SEED,
        "no plant is the default one: whoever was not invited waits without a profile",
    ),
    "the course missing": Fault(
        "delete from public.courses where slug = 'function-specific-hazmat'", Line.SEED,
        "course function-specific-hazmat is missing", bare=True,
    ),
    "the course of another time": Fault(
        "update public.courses set content_hash = 'other', version = '0.9' where slug = 'function-specific-hazmat'",
        Line.SEED, "course function-specific-hazmat is not what this release brings: version 0.9 is loaded,"
        " 1.0 is in the files",
    ),
    "a counter off by one": Fault(
        "update public.completion_counters set enrolled = enrolled + 1 where ctid = ("
        " select min(ctid) from public.completion_counters)", Line.ENROLLMENTS,
        "the counters of completion are wrong for plant *, course *: enrolled counted *, recounted *",
    ),
    "an answer never counted": Fault(
        "insert into public.question_counters select id, (select id from public.courses limit 1), 's', 'q', 0,"
        " 1, 0, 1, 1 from public.plants where name = 'Denver, CO'", Line.EVENTS,
        "the counters of answers are wrong for plant *, course *, question q of s: *attempts counted 1, recounted 0*",
    ),
    "accounts that nobody is": Fault(
        "create or replace function auth.uid() returns uuid language sql stable as 'select null::uuid'",
        Line.POLICIES_VALIDATED, "* tries came out otherwise than written; *",
    ),
}  # fmt: skip
