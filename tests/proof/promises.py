"""What the record promises, each as one statement and what the database says to it.

The matrix proves who may do what; these prove what becomes of it: that triggers and checks do their work. A promise is
a statement by somebody of the cast (or `owner`, `auth service`), and a row count or an SQLSTATE.
"""

from dataclasses import dataclass

from specchem.db.session import Connection
from specchem.isolation import matrix
from specchem.isolation.cast import KINDS, Cast, Kind

BROKEN = "PX001"  # what `so` raises where the effect is not there


@dataclass(frozen=True)
class Promise:
    """Who does what, what is said to it, and the trigger, check or function that it rests on."""

    rests_on: str
    who: str
    sql: str
    said: str

    def __str__(self) -> str:
        return f"{self.rests_on}: {self.who}: {self.sql}"


def so(doing: str, condition: str) -> str:
    """Do something, and see that it had this effect."""
    return (
        f"do $so$ begin {doing}; if ({condition}) is not true then raise exception using errcode = '{BROKEN}';"
        " end if; end $so$"
    )


def promises(cast: Cast) -> list[Promise]:
    """All of them, with this cast's ids in them."""
    ids = {
        **{f"[{name}]": f"'{key}'" for name, key in cast.plant.items()},
        **{f"<{name}>": f"'{key}'" for name, key in cast.person.items()},
        **{f"@{name}": f"'{key}'" for name, key in cast.course.items()},
    }

    def filled(text: str) -> str:
        for name, key in ids.items():
            text = text.replace(name, key)
        return text

    return [Promise(rests_on, who, filled(sql), said) for rests_on, who, sql, said in ALL]


async def broken(connection: Connection, cast: Cast) -> list[str]:
    """The promises that are not kept."""
    kinds = {kind.name: kind for kind in KINDS} | {
        "owner": Kind("owner", db_role="postgres"),
        "auth service": Kind("auth service", db_role="supabase_auth_admin"),
    }
    by_kind: dict[str, list[Promise]] = {}
    for promise in promises(cast):
        by_kind.setdefault(promise.who, []).append(promise)
    found = []
    for who, theirs in by_kind.items():
        claims = cast.claims(kinds[who])
        said = await matrix.attempt(
            connection, kinds[who].db_role, claims, [promise.sql for promise in theirs]
        )
        found += [
            f"{promise} should be {promise.said}, is {code}"
            for promise, code in zip(theirs, said, strict=True)
            if code != promise.said
        ]
    return found


# ---------------------------------------------------------------- the promises
ANSWER = "insert into public.question_events (user_id, course_id, section_key, question_key, response_meta{}) values"
ACTIVITY = "insert into public.activity_events (user_id, course_id, event_type, meta{}) values"
RIGHT = ANSWER.format("") + " (<associate>, @quiz, 's', 'q', '{\"choices\": [\"a\"]}')"
# The quiz has one question that can be answered, and one that waits for its key.
OWN = "user_id = <associate> and course_id = @quiz"
ENROLLED = "select {} from public.enrollments e where " + OWN
MARKED = "select {} from public.progress g where " + OWN
LATEST = "select {} from public.question_events q where " + OWN + " order by attempt_index desc limit 1"
OUTSIDE = "insert into public.enrollments (user_id, course_id) values (<associate>, @new)"

TOUCHED = {
    "plants": "id = [A]", "profiles": "id = <associate>", "admin_roles": "user_id = <HR>",
    "invitations": "plant_id = [A]", "courses": "id = @quiz", "progress": OWN,
}  # fmt: skip
TIDY = {
    "plants": "name", "profiles": "first_name last_name job_title", "courses": "title version",
    "invitations": "first_name last_name job_title",
}  # fmt: skip

# As HR of a session that may or may not be there.
ASKING = "perform set_config('request.jwt.claims', json_build_object('sub', <HR>, 'session_id', <ann>)::text, true)"
STANDS = "insert into auth.sessions (id, user_id) values (<ann>, <HR>)"
ENTERS = "select app.enter(json_build_object('sub', {}, 'session_id', {})::text, 1000, 1000)"
NOTED = "select count(*) = {} from public.audit_events where happened_at = now() and action = '{}'"
INVITED = (
    "insert into public.invitations (email, plant_id, invited_by) values ('proof-of-invitation@example.com', [A],"
    " <ann>)"
)
WAITS = (
    "insert into auth.users (id, email, invited_at) values"
    " ('00000000-0000-4000-8000-00000000000a', 'proof-of-invitation@example.com', now())"
)
OURS = "email = 'proof-of-invitation@example.com'"
REVOKED = f"update public.invitations set revoked_at = now() where {OURS}"

ALL: list[tuple[str, str, str, str]] = [
    # Who is asking.
    ("app.me", "associate", so("perform 1", "app.me() = <associate>"), "0"),
    ("app.me", "suspended HR", so("perform 1", "app.me() is null"), "0"),
    ("app.me", "of a closed plant", so("perform 1", "app.me() is null"), "0"),
    ("app.me", "no profile", so("perform 1", "app.me() is null"), "0"),
    *(
        ("app.me", "owner", so(f"{ASKING}; {change}", f"app.me() is {found}"), "0")
        for change, found in (
            (STANDS, "not null"), ("perform 1", "null"),
            (STANDS + "; update auth.sessions set not_after = now() where user_id = <HR>", "null"),
            (STANDS + "; update auth.sessions set user_id = <ann> where user_id = <HR>", "null"),
            (STANDS + "; update auth.users set banned_until = 'infinity' where id = <HR>", "null"),
            (STANDS + "; update auth.users set deleted_at = now() where id = <HR>", "null"),
        )
    ),
    ("app.has_shown_enough", "HR and dev admin by password alone", so("perform 1", "not app.has_shown_enough()"), "0"),
    ("app.has_shown_enough", "HR", so("perform 1", "app.has_shown_enough()"), "0"),
    ("app.enter", "API login", ENTERS.format("<associate>", "null"), "1"),
    ("app.enter", "API login", ENTERS.format("<suspended HR>", "null"), "PT403"),
    ("app.enter", "API login", ENTERS.format("<HR and dev admin by password alone>", "null"), "PT401"),
    ("app.session_ended", "API login", ENTERS.format("<associate>", "gen_random_uuid()"), "PT401"),
    # When a row was made is not rewritten.
    *(
        ("touches", "owner", so(
            f"update public.{table} set created_at = 'epoch' where {where}",
            f"select bool_and(created_at <> 'epoch' and updated_at = now()) from public.{table} where {where}",
        ), "0")
        for table, where in TOUCHED.items()
    ),
    ("touches on enrollments", "owner", so(
        "update public.enrollments set created_at = 'epoch' where " + OWN, ENROLLED.format("created_at <> 'epoch'")
    ), "0"),
    # Texts are tidy: trimmed, not blank, short, without control characters.
    *(
        (f"{table}_{column}_tidy", "owner", f"update public.{table} set {column} = {text} where {TOUCHED[table]}",
         "23514")
        for table, columns in TIDY.items()
        for column in columns.split()
        for text in ("' x'", "'x '", "''", "E'a\\nb'", "repeat('x', 201)", "U&'a\\202eb'")
    ),
    # Plants.
    ("plants.checks", "HR", "update public.plants set timezone = 'Mars/Base' where id = [A]", "PT400"),
    # People.
    ("profiles.checks", "HR", "update public.profiles set status = 'suspended' where id = <HR>", "PT403"),
    ("profiles.checks", "HR", "update public.profiles set plant_id = [Z] where id = <associate>", "PT409"),
    ("profiles.checks", "HR", "insert into public.profiles (id, plant_id, first_name, last_name, email)"
     " values (<no profile>, [Z], 'New', 'Person', (select <no profile> || '@example.com'))", "PT409"),
    ("profiles.checks", "owner", "update public.profiles set id = gen_random_uuid() where id = <ann>", "PT409"),
    ("profiles_email_valid", "owner", "update public.profiles set email = 'nobody' where id = <associate>", "23514"),
    ("profiles_email_valid", "owner",
     "update public.profiles set email = repeat('x', 250) || '@x.de' where id = <associate>", "23514"),
    ("a transfer takes courses along", "HR", so(
        "update public.profiles set plant_id = [C] where id = <associate>", ENROLLED.format("plant_id = [C]")
    ), "0"),
    ("admin_roles.checks", "HR",
     "insert into public.admin_roles (user_id, role) values (<suspended associate>, 'hr_admin')", "PT409"),
    # The dev admin does not see that person, and is told all the same.
    ("app.check_role sees everybody", "dev admin",
     "insert into public.admin_roles (user_id, role) values (<suspended associate>, 'dev_admin')", "PT409"),
    ("admin_roles_scope", "HR", "insert into public.admin_roles (user_id, role) values (<ann>, 'plant_manager')",
     "23514"),
    ("admin_roles_scope", "dev admin",
     "insert into public.admin_roles (user_id, role, plant_id) values (<ann>, 'dev_admin', [A])", "23514"),
    ("invitations_email_valid", "owner",
     "update public.invitations set email = 'nobody' where plant_id = [A] and accepted_at is null", "23514"),
    ("invitations_role_scope", "owner", "update public.invitations set role = 'plant_manager' where plant_id = [A]",
     "23514"),
    ("invitations_role_scope", "owner",
     "update public.invitations set role_plant_id = [A] where plant_id = [A]", "23514"),
    *(
        ("invitations.checks", who, f"insert into public.invitations (email, plant_id) values ({email}, {plant})", said)
        for who, email, plant, said in (
            ("HR", "'proof-of-invitation@example.com'", "[Z]", "PT409"),
            ("HR", "(select <associate> || '@example.com')", "[A]", "PT409"),
            # Out of one's reach, no word of who is there.
            ("manager", "(select <associate> || '@example.com')", "[B]", "42501"),
        )
    ),
    ("invitations.checks", "HR", "update public.invitations set sent_at = now() where accepted_at is not null",
     "PT409"),
    ("invitations.checks", "owner", so(
        INVITED + f"; update public.invitations set expires_at = now() where {OURS}; " + INVITED,
        f"select count(*) = 1 from public.invitations where {OURS} and revoked_at is null"), "0"),
    ("invitations.follows", "owner", so(
        INVITED + "; " + WAITS + "; " + REVOKED, f"select count(*) = 0 from auth.users where {OURS}"), "0"),
    ("invitations.follows", "owner", so(
        WAITS + "; update auth.users set email_confirmed_at = now() where " + OURS + "; delete from public.profiles"
            " where " + OURS + "; " + INVITED,
        f"select count(*) = 1 from public.profiles where {OURS} and plant_id = [A]"), "0"),
    ("app.handle_new_user", "owner", so(
        INVITED + "; " + WAITS, f"select count(*) = 0 from public.profiles where {OURS}"), "0"),
    # Suspension, and what goes on record.
    ("follows_status", "HR", "update public.profiles set status = 'suspended' where id = <associate>", "1"),
    ("follows_status", "owner", so(
        "insert into auth.sessions (id, user_id) values (<ann>, <associate>);"
        " update public.profiles set status = 'suspended' where id = <associate>",
        "select u.banned_until > now() and not exists (select from auth.sessions s where s.user_id = u.id)"
        " from auth.users u where u.id = <associate>"), "0"),
    ("follows_status", "owner", so(
        "update public.profiles set status = 'active' where id = <suspended associate>",
        "select banned_until is null from auth.users where id = <suspended associate>"), "0"),
    ("begins_suspended", "owner", so(
        "insert into public.profiles (id, plant_id, first_name, last_name, email, status)"
        " values (<no profile>, [A], 'New', 'Person', (select <no profile> || '@example.com'), 'suspended')",
        "select banned_until > now() from auth.users where id = <no profile>"), "0"),
    *(
        (name, "owner", so(f"alter table public.audit_events disable trigger user; delete from public.audit_events;"
                           f" {doing}", NOTED.format(1, action)), "0")
        for name, doing, action in (
            ("follows_status", "update public.profiles set status = 'suspended' where id = <associate>", "suspended"),
            ("is_noted", "insert into public.admin_roles (user_id, role) values (<ann>, 'hr_admin')", "role_granted"),
            ("is_noted", "delete from public.admin_roles where user_id = <HR>", "role_revoked"),
            ("is_noted", INVITED, "invited"),
            ("is_noted", INVITED + "; " + REVOKED, "invitation_revoked"),
            ("specchem_signed_in", "update auth.users set last_sign_in_at = now() where id = <ann>", "sign_in"),
            ("app.note_failure", "perform app.note_failure('somebody', '')", "sign_in_failed"),
        )
    ),
    *(
        (name, "HR", doing, "1")
        for name, doing in (
            ("is_noted", "insert into public.admin_roles (user_id, role) values (<ann>, 'hr_admin')"),
            ("is_noted", "insert into public.invitations (email, plant_id) values ('proof-of-it@example.com', [B])"),
        )
    ),
    ("specchem_signed_in", "auth service", "update auth.users set last_sign_in_at = now() where id = <ann>", "1"),
    *(
        ("refuses_change", "owner", f"{change} public.audit_events{rest}", "PT403")
        for change, rest in (("update", " set action = action"), ("delete from", ""), ("truncate", ""))
    ),
    ("audit_events_action_known", "owner", "insert into public.audit_events (action) values ('waved')", "23514"),
    # Tries are counted for whoever holds the door.
    ("app.count_try", "API login", "select app.count_try('password', '192.0.2.1', 'ann', 5, 1, 5, 1)", "1"),
    ("app.count_success", "API login", "select app.count_success('ann', '192.0.2.1')", "1"),
    ("app.note_failure", "API login", "select app.note_failure('ann', '192.0.2.1')", "1"),
    # Sign-up, as the service that does it.
    ("on_auth_user_created", "auth service", so(
        "insert into auth.users (id, email, email_confirmed_at) values"
        " ('00000000-0000-4000-8000-00000000000a', 'proof-of-signup@example.com', now())",
        "true",
    ), "0"),
    ("on_auth_user_created makes a profile", "owner", so(
        "insert into auth.users (id, email, email_confirmed_at) values"
        " ('00000000-0000-4000-8000-00000000000a', 'proof-of-signup@example.com', now())",
        "select exists (select from public.profiles where id = '00000000-0000-4000-8000-00000000000a')",
    ), "0"),
    ("specchem_account_changed", "auth service",
     "update auth.users set email = 'moved@example.com' where id = <associate>", "1"),
    ("specchem_account_changed", "owner", so(
        "update auth.users set email = 'moved@example.com' where id = <associate>",
        "select email = 'moved@example.com' from public.profiles where id = <associate>",
    ), "0"),
    # Courses and their keys.
    ("courses_slug_valid", "dev admin", "insert into public.courses (slug, title) values ('Not a slug', 'New')",
     "23514"),
    ("sections_key_valid", "owner", "update public.sections set key = 'Not a key' where course_id = @draft", "23514"),
    ("questions_key_valid", "owner",
     "update public.questions set key = 'Not a key' where course_id = @draft and key = 'open'", "23514"),
    ("answer_keys_correct_some", "dev admin",
     "update public.answer_keys set correct = '{}' where course_id = @draft", "23514"),
    ("sections.keeps", "dev admin", "update public.sections set body = 'B' where course_id = @quiz", "PT409"),
    ("questions.keeps", "dev admin", "update public.questions set prompt = 'B' where course_id = @quiz", "PT409"),
    ("question_choices.keeps", "dev admin",
     "update public.question_choices set text = 'B' where course_id = @quiz", "PT409"),
    ("answer_keys.keeps", "dev admin", "update public.answer_keys set citation = 'B' where course_id = @quiz", "PT409"),
    ("courses.keeps_version", "dev admin", "update public.courses set version = '9' where id = @quiz", "PT409"),
    ("app.keep_version sees everybody's enrollments", "dev admin", so(
        "update public.courses set is_published = false where id = @quiz;"
        " begin update public.courses set version = '9' where id = @quiz;"
        " exception when sqlstate 'PT409' then null; end",
        "select version <> '9' from public.courses where id = @quiz"), "0"),
    ("courses.publishes_later", "dev admin", so(
        "insert into public.courses (slug, title, version) select slug, title, '2' from public.courses"
        " where id = @quiz; update public.courses set is_published = true where version = '2'"
        " and slug = (select slug from public.courses where id = @quiz)",
        "select superseded_at is not null from public.courses where id = @quiz"), "0"),
    ("courses.publishes", "dev admin", so(
        "insert into public.courses (slug, title, version, is_published) select slug, title, '2', true"
        " from public.courses where id = @quiz",
        "select superseded_at is not null from public.courses where id = @quiz"), "0"),
    ("plants.closes", "HR", "update public.plants set is_active = false where id = [A]", "PT409"),
    ("plants.closes", "HR", "update public.plants set is_active = false where id = [B]", "1"),
    ("app.empty_draft", "associate", "select app.empty_draft(@draft)", "PT403"),
    ("app.empty_draft empties", "dev admin", so(
        "perform app.empty_draft(@draft)", "select count(*) = 0 from public.sections where course_id = @draft"), "0"),
    ("courses_language_valid", "dev admin",
     "insert into public.courses (slug, title, language) values ('new-course', 'New', 'E N')", "23514"),
    ("courses_translations_object", "dev admin", "update public.courses set translations = '[]' where id = @draft",
     "23514"),
    ("sections_translations_object", "dev admin",
     "update public.sections set translations = '[]' where course_id = @draft", "23514"),
    ("questions_translations_object", "dev admin",
     "update public.questions set translations = '[]' where course_id = @draft", "23514"),
    ("question_choices_translations_object", "dev admin",
     "update public.question_choices set translations = '[]' where course_id = @draft", "23514"),
    ("answer_keys_translations_object", "dev admin",
     "update public.answer_keys set translations = '[]' where course_id = @draft", "23514"),
    ("app.explain", "associate", so("perform 1", "select count(*) = 1 from app.explain(@quiz, 's', 'q')"), "0"),
    ("app.explain tells who has answered", "associate",
     so("perform 1", "select count(*) = 0 from app.explain(@draft, 's', 'q')"), "0"),
    # Enrollments.
    ("enrollments.checks", "HR", "insert into public.enrollments (user_id, course_id) values (<zoe>, @new)", "PT409"),
    ("enrollments.checks", "HR",
     "insert into public.enrollments (user_id, course_id) values (<suspended associate>, @new)", "PT409"),
    ("enrollments.checks", "HR", "insert into public.enrollments (user_id, course_id) values (<ann>, @draft)", "PT409"),
    ("enrollments.checks", "HR",
     "insert into public.enrollments (user_id, course_id, plant_id) values (<ann>, @new, [B])", "PT409"),
    # Whoever is out of sight is unknown: no word of whether they are there, active, or where.
    ("app.check_enrollment has the caller's eyes", "manager",
     "insert into public.enrollments (user_id, course_id) values (<bob>, @new)", "PT404"),
    ("app.check_enrollment has the caller's eyes", "manager",
     "insert into public.enrollments (user_id, course_id) values (gen_random_uuid(), @new)", "PT404"),
    ("app.check_enrollment has the caller's eyes", "manager",
     "insert into public.enrollments (user_id, course_id) values (<ann>, @draft)", "PT404"),
    ("app.known_course has the caller's eyes", "associate", "select app.known_course(@draft)", "PT404"),
    ("opens_progress", "HR", so(
        "insert into public.enrollments (user_id, course_id) values (<ann>, @new)",
        "select progress_percent = 0 from public.progress where user_id = <ann> and course_id = @new",
    ), "0"),
    ("guards", "service role",
     "update public.enrollments set status = 'completed', completed_at = now() where " + OWN, "PT409"),
    ("guards", "service role", "update public.enrollments set user_id = <ann> where " + OWN, "PT409"),
    ("guards", "service role", "update public.enrollments set enrolled_at = 'epoch' where " + OWN, "PT409"),
    ("guards", "service role", "update public.enrollments set status = 'enrolled' where " + OWN, "PT409"),
    ("enrollments_completed_has_date", "owner", "update public.enrollments set completed_at = now() where " + OWN,
     "23514"),
    ("enrollments_dates_in_order", "owner", so(
        OUTSIDE + "; update public.progress set progress_percent = 100"
            " where user_id = <associate> and course_id = @new;"
        " alter table public.enrollments disable trigger guards",
        "true") + "; update public.enrollments set completed_at = 'epoch'"
        " where user_id = <associate> and course_id = @new", "23514"),
    ("logs", "associate", so("perform 1",
        "select count(*) = 1 from public.activity_events where event_type = 'start_course' and " + OWN), "0"),
    # Progress.
    ("keeps", "associate", "update public.progress set progress_percent = 100 where " + OWN, "PT409"),
    ("keeps", "associate", "update public.progress set current_section = 'nowhere' where " + OWN, "PT400"),
    ("keeps", "owner", so(
        OUTSIDE + "; update public.progress set progress_percent = 60 where user_id = <associate> and course_id = @new;"
        " update public.progress set progress_percent = 20 where user_id = <associate> and course_id = @new",
        "select progress_percent = 60 from public.progress where user_id = <associate> and course_id = @new"), "0"),
    ("moves_enrollment", "owner", so(
        OUTSIDE + "; update public.progress set progress_percent = 100"
            " where user_id = <associate> and course_id = @new",
        "select status = 'completed' and completed_at = now() from public.enrollments"
        " where user_id = <associate> and course_id = @new"), "0"),
    ("logs both", "owner", so(
        OUTSIDE + "; update public.progress set progress_percent = 100"
            " where user_id = <associate> and course_id = @new",
        "select count(*) = 2 from public.activity_events where user_id = <associate> and course_id = @new"), "0"),
    ("progress_percent_range", "owner", so(
        OUTSIDE, "true") + "; update public.progress set progress_percent = 101"
        " where user_id = <associate> and course_id = @new", "23514"),
    ("progress_current_section_tidy", "owner", so(
        OUTSIDE, "true") + "; update public.progress set current_section = ' x'"
        " where user_id = <associate> and course_id = @new", "23514"),
    ("app.my_sections", "associate", so("perform 1", "select count(*) = 1 from app.my_sections(@quiz)"), "0"),
    # Answers.
    ("grades", "associate", so(RIGHT, LATEST.format(
        "q.is_correct and q.evidence = 'server_graded' and q.attempt_index = 2 and q.plant_id = [A]")), "0"),
    ("grades", "associate", so(ANSWER.format(", is_correct") +
        " (<associate>, @quiz, 's', 'q', '{\"choices\": [\"b\"]}', true)", LATEST.format("not q.is_correct")), "0"),
    ("grades", "associate", ANSWER.format("") + " (<associate>, @quiz, 's', 'q', '{\"choices\": [\"z\"]}')", "PT400"),
    ("grades", "associate", ANSWER.format("") + " (<associate>, @quiz, 's', 'q', '{\"choices\": [\"a\", \"b\"]}')",
     "PT400"),
    ("grades", "associate", ANSWER.format("") + " (<associate>, @quiz, 's', 'none', '{\"choices\": [\"a\"]}')",
     "PT400"),
    ("grades", "associate", ANSWER.format(", answered_at") +
        " (<associate>, @quiz, 's', 'q', '{\"choices\": [\"a\"]}', now() - interval '31 days')", "PT400"),
    ("grades", "associate", ANSWER.format(", answered_at") +
        " (<associate>, @quiz, 's', 'q', '{\"choices\": [\"a\"]}', now() + interval '6 minutes')", "PT400"),
    ("grades", "associate", ANSWER.format("") + " (<associate>, @new, 's', 'q', '{}')", "PT409"),
    ("moves_progress on question_events", "associate", so(RIGHT, MARKED.format("progress_percent = 50")), "0"),
    # Completion is counted as it changes: enrolling, every step, a person who leaves or moves.
    *(
        (name, "owner", so(done, "select count(*) = 0 from app.completion_differences"), "0")
        for name, done in (
            ("counts_enrolled", OUTSIDE),
            ("counts_steps", OUTSIDE + "; update public.progress set progress_percent = 50"
             " where user_id = <associate> and course_id = @new"),
            ("counts_progress", RIGHT),
            ("counts_lost_progress", RIGHT + "; delete from public.progress where " + OWN),
            ("counts_made_progress", "alter table public.enrollments disable trigger opens_progress; " + OUTSIDE +
             "; insert into public.progress (user_id, course_id, plant_id, progress_percent)"
             " values (<associate>, @new, [A], 50)"),
            ("counts on profiles", "update public.profiles set status = 'suspended' where id = <associate>"),
            ("counts on profiles", "update public.profiles set plant_id = [B] where id = <associate>"),
        )
    ),
    ("counts on question_events", "manager", so("perform 1",
        "select sum(attempts) >= 6 and sum(people) >= 6 from public.question_counters where course_id = @quiz"), "0"),
    ("counts on question_events", "owner",
     so(RIGHT, "select count(*) = 0 from app.counter_differences where course_id = @quiz"), "0"),
    *(
        ("refuses_change", who, f"{change} public.{table}{rest}", said)
        for table in ("question_events", "activity_events")
        for who, said in (("owner", "PT403"), ("service role", "42501"))
        for change, rest in (("update", " set plant_id = plant_id"), ("delete from", ""), ("truncate", ""))
    ),
    *(
        (name, "owner", so(
            OUTSIDE + "; alter table public.question_events disable trigger moves_progress", "true"
        ) + "; " + ANSWER.format(", is_correct") +
         f" (<associate>, @new, {section}, {question}, {meta}, true)", "23514")
        # A section's key goes on into the progress, whose own check would refuse it as well.
        for name, section, question, meta in (
            ("question_events_section_key_tidy", "' x'", "'q'", "null"),
            ("question_events_question_key_tidy", "'s'", "'x '", "null"),
            ("question_events_response_meta_small", "'s'", "'q'", "'[]'"),
            ("question_events_response_meta_small", "'s'", "'q'", "jsonb_build_object('x', repeat('x', 8192))"),
            ("question_events_response_meta_readable", "'s'", "'q'",
             "(repeat('{\"a\":', 18) || '1' || repeat('}', 18))::jsonb"),
            ("question_events_response_meta_readable", "'s'", "'q'", "'{\"a\": 1e400}'"),
        )
    ),
    ("question_events_attempt_positive", "owner", so(
        "alter table public.question_events disable trigger grades", "true") +
        "; insert into public.question_events (user_id, course_id, plant_id, section_key, question_key, is_correct,"
        " attempt_index, evidence) values (<associate>, @quiz, [A], 's', 'q', true, 0, 'server_graded')", "23514"),
    ("question_events_evidence_known", "owner", so(
        "alter table public.question_events disable trigger grades", "true") +
        "; insert into public.question_events (user_id, course_id, plant_id, section_key, question_key, is_correct,"
        " attempt_index, evidence) values (<associate>, @quiz, [A], 's', 'q', true, 9, 'hearsay')", "23514"),
    # Activity.
    ("activity_events.checks", "associate", ACTIVITY.format("") + " (<associate>, @quiz, 'complete_course', null)",
     "PT409"),
    ("activity_events.checks", "associate",
     ACTIVITY.format("") + " (<associate>, @quiz, 'view_section', '{\"section_key\": \"none\"}')", "PT400"),
    ("activity_events.checks", "associate", ACTIVITY.format(", occurred_at") +
        " (<associate>, @quiz, 'view_section', '{\"section_key\": \"s\"}', 'epoch')", "PT400"),
    ("moves_progress on activity_events", "owner", so(
        OUTSIDE + "; " + ACTIVITY.format("") + " (<associate>, @new, 'view_section', '{\"section_key\": \"there\"}')",
        "select current_section = 'there' from public.progress where user_id = <associate> and course_id = @new"), "0"),
    ("activity_events_meta_small", "associate", ACTIVITY.format("") + " (<associate>, @quiz, 'view_section',"
        " jsonb_build_object('section_key', 's', 'x', repeat('x', 8192)))", "23514"),
    ("activity_events_meta_readable", "associate", ACTIVITY.format("") + " (<associate>, @quiz, 'view_section',"
        " '{\"section_key\": \"s\", \"x\": 1e400}')", "23514"),
    # Doors of the reports.
    ("app.report_plant", "manager", "select app.report_plant([A])", "1"),
    ("app.report_plant", "manager", "select app.report_plant([B])", "PT403"),
    ("app.report_plant", "associate", "select app.report_plant([Z])", "PT404"),
    ("app.visible_person", "manager", "select app.visible_person(<bob>)", "PT404"),
    ("app.release", "API login", "select * from app.release()", "1"),
    ("app.volume", "API login", "select * from app.volume()", "1"),
    *(
        (name, who, f"select * from app.{name}({given}) limit 1", said)
        for name, given in (("keeps", ""), ("plant_people", ""), ("course_people", ""), ("volume_by_day", "8, 'UTC'"))
        for who, said in (("HR", "1"), ("dev admin", "1"), ("manager", "PT403"), ("associate", "PT403"),
                          ("HR and dev admin by password alone", "PT403"))
    ),
    *(
        ("app.examination", who, "select * from app.examination()", said)
        for who, said in (("dev admin", "0"), ("HR", "PT403"), ("manager", "PT403"), ("associate", "PT403"),
                          ("HR and dev admin by password alone", "PT403"))
    ),
]  # fmt: skip
