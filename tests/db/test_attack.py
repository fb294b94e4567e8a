"""Attacks by somebody who writes the SQL of a request, or who comes as a Supabase client with the tables' verbs.

Whoever has a request's SQL prompt can put another person's id into its claims and is that person: the database takes
specchem_api's word for who is asking. Held here is everything else: what no person may do, what an error, a function
or a plan tells of rows out of sight, and what such a request leaves behind for the next one on its connection.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from specchem.db.database import Database
from specchem.db.session import Pool, acting_as, open_pool
from specchem.errors import BadInput, Forbidden, NotFound, SpecChemError, Unavailable
from tests.conftest import Cluster
from tests.db.refused import acting, refused, state
from tests.world import World, wrong

NOBODY = UUID(int=0xFF)
HISTORY = ["enrollments", "progress", "question_events", "activity_events"]
BIG = "repeat('x', 10000000)"
ANSWER = "insert into question_events (user_id, course_id, section_key, question_key, is_correct) values"
ACT = "insert into activity_events (user_id, course_id, event_type) values"
ENROLL = "insert into enrollments (user_id, course_id) values"
PROFILE = "insert into profiles (id, plant_id, first_name, last_name, email) values"
GRANT = "insert into admin_roles (user_id, role) values"


def spelled(people: World, sql: str) -> str:
    """The statement with ids in it: :name is a person's, [name] a plant's, {name} a course's."""
    for sign, ids in ((":{}", people.person), ("[{}]", people.plant), ("{{{}}}", people.course)):
        for name, key in {**ids, "nobody": NOBODY}.items():
            sql = sql.replace(sign.format(name), f"'{key}'")
    return sql


async def outcome(people: World, who: str, sql: str) -> Any:
    """What a client is shown: the rows, or an error with all its words."""
    try:
        async with acting(people, who) as db:
            return await db.connection.fetch(spelled(people, sql))
    except (SpecChemError, asyncpg.PostgresError) as error:
        raw: Any = error.__cause__ or error
        return type(error), str(error), str(raw), raw.detail, raw.hint


# ---------------------------------------------------------------- forged records
MINE = f"{ANSWER} (:ana, {{outside}}, 's', 'q', false)"
FORGED = {
    "a plant, by insert … select": ANSWER.replace(" values", "").replace("(user_id", "(plant_id, user_id")
    + " select [Denver, CO], user_id, course_id, 's', 'q', true from enrollments",
    "an activity's plant": "insert into activity_events (user_id, course_id, event_type, plant_id)"
    " values (:ana, {outside}, 'view_section', [Denver, CO])",
    "an activity's date": "insert into activity_events (user_id, course_id, event_type, created_at)"
    " values (:ana, {outside}, 'view_section', 'epoch')",
    "another's answer beside one's own": f"{MINE}, (:bo, {{hazmat}}, 's', 'q', true)",
    "a grade, by upsert on the id": f"{MINE} on conflict (id) do update set is_correct = true",
    "a grade, by upsert on the attempt": f"{MINE} on conflict on constraint question_events_attempt_unique"
    " do update set is_correct = true",
    "a grade, in a second step": f"with e as ({MINE} returning id)"
    " update question_events q set is_correct = true from e where q.id = e.id",
    "no answer, by merge": "merge into question_events using plants on true when matched then delete",
    "a status, by merge": "merge into enrollments using plants on true when matched"
    " then update set status = 'completed'",
    "a status": "insert into enrollments (user_id, course_id, status) values (:ana, {hazmat}, 'completed')",
    "a date": "insert into enrollments (user_id, course_id, enrolled_at) values (:ana, {hazmat}, 'epoch')",
    "progress, by upsert": "insert into progress (user_id, course_id, plant_id) values (:ana, {hazmat}, [Columbus, OH])"
    " on conflict (user_id, course_id) do update set progress_percent = 100",
    "a counter": "insert into question_counters values ([Columbus, OH], {hazmat}, 's', 'q', 1, 1, 0, 1, 1)",
    **{f"progress's {column}": f"update progress set {column} = default"
       for column in ("id", "user_id", "course_id", "created_at", "updated_at")},
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
async def test_a_forged_record_is_refused(people: World, what: str) -> None:
    async with refused(people, "ana") as db:
        await db.run(spelled(people, FORGED[what]))


HURRIES = [
    "update progress set progress_percent = 100",
    "update progress set (progress_percent, current_section) = (select 100, 'marking') where course_id = {hazmat}",
    "update progress p set progress_percent = 100 from enrollments e where e.user_id = p.user_id",
    "update progress set progress_percent = 2147483647 where course_id = {hazmat}",
    "update progress set progress_percent = -1 where course_id = {hazmat}",
    "merge into progress p using courses c on c.id = p.course_id when matched then update set progress_percent = 100",
    "declare c cursor for select * from progress where course_id = {hazmat}; fetch c;"
    " update progress set progress_percent = 100 where current of c",
    "insert into activity_events (user_id, course_id, event_type, meta)"
    " select :ana, course_id, 'view_section', jsonb_build_object('section_key', key) from sections",
    f"{ACT} (:ana, {{hazmat}}, 'complete_course')",
    "with p as (update progress set progress_percent = 100 where course_id = {outside} returning user_id)"
    " insert into activity_events (user_id, course_id, event_type) select user_id, {hazmat}, 'complete_course' from p",
    "insert into question_events (user_id, course_id, section_key, question_key, is_correct, response_meta)"
    " select :ana, course_id, section_key, question_key, true, jsonb_build_object('choices', jsonb_build_array(key))"
    " from question_choices where position = 1",
    "update questions set multiple = true", "update answer_keys set correct = '{a}'", "update sections set key = 'a'",
    "update question_choices set key = 'a'", "update courses set is_published = false",
]  # fmt: skip


async def test_no_hurry_completes_a_course_without_the_right_answers(people: World) -> None:
    """Some of the answers are right by chance, so the learner comes somewhere, but not to the end."""
    for sql in HURRIES + [sql.replace("{hazmat}", "{outside}") for sql in HURRIES]:
        with suppress(SpecChemError):
            async with people.acting("ana") as db:
                await db.run(spelled(people, sql))
    # Of "outside", which has no content here, the learner's word is all there is.
    log = "select array_agg(course_id) from activity_events where event_type = 'complete_course'"
    assert await people.owner(log) == [people.course["outside"]]
    done = "select array_agg(course_id) from enrollments where status = 'completed'"
    assert await people.owner(done) == [people.course["outside"]]
    come = "select progress_percent from progress where user_id = $1 and course_id = $2"
    assert 0 < await people.owner(come, people.person["ana"], people.course["hazmat"]) < 100


async def test_an_explanation_is_earned_by_an_answer_that_was_graded(people: World) -> None:
    """A guess at a key, recorded before the content came, does not show the answer when it comes."""
    async with people.acting("ana") as db:
        await db.run(spelled(people, f"{ANSWER} (:ana, {{outside}}, 's', 'q', true)"))
    for sql in ("sections values ({outside}, 's', 1, 'S', 'Body')", "questions values ({outside}, 's', 'q', 1, 'Why?')",
                "answer_keys values ({outside}, 's', 'q', '{a}', 'It is a.', 'CFR')"):  # fmt: skip
        await people.owner(spelled(people, f"insert into {sql}"))
    assert await outcome(people, "ana", "select * from app.explain({outside}, 's', 'q')") == []


# ---------------------------------------------------------------- rising
RISES = [
    f"{GRANT} (:me, 'dev_admin')", f"{GRANT} (:me, 'hr_admin')",
    "insert into admin_roles (user_id, role, plant_id) values (:me, 'plant_manager', [Dallas, TX])",
    "insert into admin_roles (user_id, role) select id, 'dev_admin' from profiles",
    "insert into admin_roles (user_id, role, plant_id) select p.id, 'hr_admin', t.id from profiles p, plants t",
    f"{GRANT} (:cal, 'hr_admin') on conflict on constraint admin_roles_user_role_plant_unique"
    " do update set user_id = :me",
    "merge into admin_roles r using plants t on r.user_id = :me and r.role = 'hr_admin' and r.plant_id = t.id"
    " when not matched then insert (user_id, role, plant_id) values (:me, 'hr_admin', t.id)",
    "update admin_roles set user_id = :me", "delete from admin_roles",
    "insert into invitations (email, plant_id, role) values ('me@example.com', [Dallas, TX], 'hr_admin')",
    "update profiles set id = :nora where id = :me", "update profiles set plant_id = [Phoenix, AZ] where id = :me",
    "update profiles set status = 'active'",
    f"{PROFILE} (:me, [Phoenix, AZ], 'A', 'B', 'me@example.com') on conflict (id) do update set status = 'active'",
    "update auth.users set email = 'hana@example.com' where id = :me",
    "insert into auth.users (id, email) values (gen_random_uuid(), 'hana@example.com')",
]  # fmt: skip


async def standing_of(people: World, who: str) -> Any:
    """A person's roles and status, and the plants that they may look into."""
    roles = (
        "select array_agg((role, plant_id)::text order by role, plant_id) from admin_roles where user_id = $1"
    )
    status = "select status::text from profiles where id = $1"
    async with people.acting(who) as db:
        sees = await db.connection.fetch("select unnest(app.visible_plants()) order by 1")
    return await people.owner(roles, people.person[who]), await people.owner(status, people.person[who]), sees


@pytest.mark.parametrize("who", ["ana", "max", "hugo", "hana", "dev", "sue", "sam"])
async def test_nobody_rises_by_their_own_hand(people: World, who: str) -> None:
    before = await standing_of(people, who)
    for sql in RISES:
        found = await outcome(people, who, sql.replace("'me@", f"'{who}@").replace(":me", f":{who}"))
        assert isinstance(found, list) or issubclass(found[0], SpecChemError), sql
        assert await standing_of(people, who) == before, sql


@pytest.mark.parametrize(
    ("master", "made", "wanted"), [("hana", "hr_admin", "dev_admin"), ("dev", "dev_admin", "hr_admin")]
)
async def test_a_puppet_makes_nobody_what_the_master_cannot(
    people: World, master: str, made: str, wanted: str
) -> None:
    async with people.acting(master) as db:
        await db.run(f"{GRANT} ($1, $2)", people.person["cal"], made)
    for who, whom in (("cal", "cal"), ("cal", master), ("cal", "bo"), (master, "cal")):
        async with refused(people, who) as db:
            await db.run(f"{GRANT} ($1, $2)", people.person[whom], wanted)


# ---------------------------------------------------------------- oracles
# What is asked, by whom, and the guesses that must be answered alike: there but out of sight, or not there at all.
# "authenticated" is a client whose token names nobody.
ORACLES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "an account, by a profile": (
        f"{PROFILE} (X, [Denver, CO], 'A', 'B', 'a@example.com')", "ana max dev", (":bo", ":nora", ":nobody")),
    "an address, by a profile": (
        f"{PROFILE} (:bo, [Denver, CO], 'A', 'B', X)", "ana max dev", ("'bo@example.com'", "'q@example.com'")),
    "a closed plant, by a profile": (
        f"{PROFILE} (:nobody, X, 'A', 'B', 'a@b')", "ana max", ("[Closed, NV]", "[Denver, CO]", "[nobody]")),
    "a plant's name": ("insert into plants (name) values (X)", "ana max sue", ("'Closed, NV'", "'New, NV'")),
    "a course's slug": ("insert into courses (slug, title) values (X, 'A')", "ana max hana", ("'draft'", "'new'")),
    "an answer key": (
        "insert into answer_keys select course_id, section_key, X, '{a}', 'E', 'C' from questions limit 1"
        " on conflict do nothing", "ana max", ("key", "'new'")),
    "a role": (f"{GRANT} (X, 'hr_admin')", "ana max hugo dev", (":hana", ":sue", ":bo", ":nora", ":nobody")),
    "a dev admin": (f"{GRANT} (X, 'dev_admin')", "ana max hugo hana", (":dev", ":sue", ":nobody")),
    "a person, by an enrollment": (f"{ENROLL} (X, {{hazmat}})", "ana max hugo", (":bo", ":mia", ":ina", ":nobody")),
    "a course, by an enrollment": (f"{ENROLL} (:ana, X)", "ana max hugo", ("{draft}", "{nobody}")),
    "a learner, by an answer": (
        f"{ANSWER} (X, {{hazmat}}, 's', 'q', true)", "ana max hana", (":bo", ":sue", ":nora", ":nobody")),
    "a learner, by nobody's answer": (
        f"{ANSWER} (X, {{outside}}, 's', 'q', true)", "authenticated", (":ana", ":bo", ":sue", ":nobody")),
    "a learner, by an activity": (f"{ACT} (X, {{hazmat}}, 'complete_course')", "max hana", (":ana", ":bo", ":nobody")),
    "a course, by an answer": (f"{ANSWER} (:ana, X, 's', 'q', true)", "ana", ("{draft}", "{nobody}")),
    "a course, by an activity": (f"{ACT} (:ana, X, 'view_section')", "ana", ("{draft}", "{nobody}")),
    "a draft's sections": ("select * from app.my_sections(X)", "ana max sue authenticated", ("{draft}", "{nobody}")),
    "a course's sections": ("select * from app.my_sections(X)", "sue ina authenticated", ("{hazmat}", "{nobody}")),
    "an explanation": (
        "select x.* from questions q, app.explain(q.course_id, q.section_key, X) x", "ana max", ("q.key", "'new'")),
    "a person, by a report": ("select app.visible_person(X)", "ana max dev", (":bo", ":mia", ":nobody", "null")),
    "a plant, by a report": ("select app.report_plant(X)", "ana max", ("[Closed, NV]", "[nobody]", "null")),
    "a course, by a report": ("select app.known_course(X)", "ana max", ("{draft}", "{nobody}")),
    "a person, by a change": (
        "update profiles set first_name = 'A' where id = X returning id", "ana max dev", (":bo", ":nobody")),
    "a role, by a dismissal": (
        "delete from admin_roles where user_id = X returning id", "ana max dev", (":hana", ":nobody")),
}  # fmt: skip


@pytest.mark.parametrize("what", ORACLES)
async def test_what_is_out_of_sight_is_answered_like_what_is_not_there(people: World, what: str) -> None:
    await people.owner("insert into sections values ($1, 'secret', 1, 'S', 'B')", people.course["draft"])
    sql, askers, guesses = ORACLES[what]
    for who in askers.split():
        answers = [await outcome(people, who, sql.replace("X", guess)) for guess in guesses]
        assert answers == [answers[0]] * len(guesses), who


SPY = """create function pg_temp.spy(value text) returns boolean language plpgsql cost 0.0000000001 as $$ begin
    perform set_config('attack.seen', concat(current_setting('attack.seen', true), '|', value), true);
    return true;
end $$"""
SECRETS = {
    "profiles": "email", "plants": "name", "courses": "slug", "sections": "title", "questions": "prompt",
    "question_choices": "text", "answer_keys": "explanation", "admin_roles": "user_id::text",
    "enrollments": "user_id::text", "progress": "user_id::text", "question_events": "user_id::text",
    "activity_events": "user_id::text", "question_counters": "plant_id::text", "app.completion": "plant_id::text",
}  # fmt: skip


@pytest.mark.parametrize("who", ["ana", "max", "dev", "sue"])
async def test_a_leaky_function_meets_no_row_out_of_sight(people: World, who: str) -> None:
    """However cheap it says it is: the policies are asked first."""
    answer = ANSWER.replace("is_correct", "response_meta") + " (:bo, {hazmat}, $1, $2, $3)"
    async with people.acting("bo") as db:
        _, *fields = wrong(people, *next(iter(people.answers))).values()
        await db.run(spelled(people, answer), *fields)
    async with people.role("postgres") as db:
        await db.run(SPY)
    for table, column in SECRETS.items():
        async with people.acting(who) as db:
            visible = {row[0] for row in await db.connection.fetch(f"select {column} from {table}")}
            await db.run("select set_config('attack.seen', '', true)")
            await db.run(f"select count(*) from {table} where pg_temp.spy({column})")
            seen = await db.value("select current_setting('attack.seen')")
        assert set(seen.split("|")[1:]) == visible, table


@pytest.mark.parametrize("who", ["ana", "bo", "sue"])
async def test_an_error_tells_only_of_rows_in_sight(people: World, who: str) -> None:
    found = await outcome(people, who, "select email::integer from profiles")
    assert found == [] if who == "sue" else f'"{who}@example.com"' in found[2]
    assert await outcome(people, who, "select explanation::integer from answer_keys") == []


PLANS = {
    "job_title = X": ("'Secret'", "'Unheard of'"), "last_name = X": ("'Test'", "'Unheard of'"),
    "first_name < X": ("'A'", "'Z'"), "email < X": ("'a'", "'z'"), "lower(email) < X": ("'a'", "'z'"),
}  # fmt: skip


@pytest.mark.parametrize("condition", PLANS)
async def test_a_plan_tells_nothing_of_people_out_of_sight(people: World, condition: str) -> None:
    """EXPLAIN, or PostgREST's count=planned: the planner's statistics are of all plants together."""
    await people.owner(
        "update profiles set job_title = 'Secret' where plant_id <> $1", people.plant["Columbus, OH"]
    )
    await people.owner("analyze profiles")
    explain = f"explain select from profiles where {condition}"
    plans = [await outcome(people, "ana", explain.replace("X", guess)) for guess in PLANS[condition]]
    estimates = [plan[0][0].partition(" rows=")[2].partition(" ")[0] for plan in plans]
    assert estimates[0] == estimates[1]


async def test_statistics_of_our_tables_are_not_shown(people: World) -> None:
    await people.owner("analyze profiles")
    counted = "select count(*) from pg_stats where schemaname in ('public', 'auth', 'app', 'specchem')"
    assert await people.owner(counted) > 0
    for who in ("ana", "hana", "dev", "anon"):
        assert await outcome(people, who, counted) == [(0,)]


# ---------------------------------------------------------------- functions
NOT_FOR_CLIENTS = {
    "files": "pg_read_file('/etc/passwd') pg_read_binary_file('PG_VERSION') pg_ls_dir('.') pg_stat_file('.')"
    " pg_ls_logdir() pg_current_logfile() lo_import('/etc/passwd') lo_export(1,'/tmp/x')",
    "the server": "pg_reload_conf() pg_rotate_logfile() pg_stat_reset() pg_switch_wal() pg_promote()"
    " pg_create_restore_point('x') set_config('log_statement','all',true)"
    " set_config('session_replication_role','replica',true)",
    "ours": "app.enter('{}',1,1) app.release() app.close('profiles') app.tidy('x')",
}


@pytest.mark.parametrize("kind", NOT_FOR_CLIENTS)
async def test_functions_that_are_not_for_clients_are_refused(people: World, kind: str) -> None:
    for call in NOT_FOR_CLIENTS[kind].split():
        assert (await outcome(people, "ana", f"select {call}"))[0] is Forbidden, call


@pytest.mark.parametrize(("call", "kind"), [
    ("refuse(null, 'x')", BadInput), ("refuse(403, null)", Forbidden), ("refuse(404, '%s %I {0} <b>')", NotFound),
    ("refuse(999, 'x')", asyncpg.PostgresError), ("refuse(200, 'x')", asyncpg.PostgresError),
(f"explain({BIG}::uuid, '', '')", BadInput)])  # fmt: skip
async def test_strange_arguments_are_errors_in_order(people: World, call: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        async with people.acting("ana") as db:
            await db.run(f"select app.{call}")


async def test_of_nothing_there_is_nothing_to_tell(people: World) -> None:
    for call in ("known_course(null)", "explain(null, null, null)", "my_sections(null)",
                 f"explain({{hazmat}}, {BIG}, {BIG})"):  # fmt: skip
        assert await outcome(people, "ana", f"select from app.{call} as x where x is not null") == []


# ---------------------------------------------------------------- hostile text
META = ANSWER.replace("is_correct", "is_correct, response_meta")
VIEW = ACT.replace("event_type", "event_type, meta")
# Every text that a client writes, by whom; X is the text.
TEXTS = {
    "current_section": ("ana", "update progress set current_section = X where course_id = {outside}"),
    "section_key": ("ana", f"{ANSWER} (:ana, {{outside}}, X, 'q', true)"),
    "question_key": ("ana", f"{ANSWER} (:ana, {{outside}}, 's', X, true)"),
    "plant name": ("hana", "update plants set name = X where id = [Denver, CO]"),
    "first_name": ("hana", "update profiles set first_name = X where id = :ana"),
    "last_name": ("hana", "update profiles set last_name = X where id = :ana"),
    "job_title": ("hana", "update profiles set job_title = X where id = :ana"),
    "email": ("hana", f"{PROFILE} (:nora, [Denver, CO], 'A', 'B', 'a@' || X)"),
    "course title": ("dev", "update courses set title = X"),
    "course version": ("dev", "update courses set version = X where slug = 'draft'"),
}  # fmt: skip
OTHER_TEXTS = {
    "current_section of hazmat": (
        "ana",
        "update progress set current_section = X where course_id = {hazmat}",
    ),
    "section_key of hazmat": ("ana", f"{ANSWER} (:ana, {{hazmat}}, X, 'q', true)"),
    "question_key of hazmat": ("ana", f"{ANSWER} (:ana, {{hazmat}}, 's', X, true)"),
    "response_meta": ("ana", f"{META} (:ana, {{outside}}, 's', 'q', true, jsonb_build_object('a', X))"),
    "meta": ("ana", f"{VIEW} (:ana, {{outside}}, 'view_section', jsonb_build_object('a', X))"),
    "section viewed": (
        "ana",
        f"{VIEW} (:ana, {{hazmat}}, 'view_section', jsonb_build_object('section_key', X))",
    ),
    "timezone": ("hana", "update plants set timezone = X where id = [Denver, CO]"),
    "timezone, by a learner": ("ana", "insert into plants (name, timezone) values ('A', X)"),
    "course slug": ("dev", "insert into courses (slug, title) values (X, 'A')"),
}
ALL_TEXTS = TEXTS | OTHER_TEXTS


@pytest.mark.parametrize("what", ALL_TEXTS)
async def test_ten_megabytes_are_refused_in_few_words(people: World, what: str) -> None:
    who, sql = ALL_TEXTS[what]
    found = await outcome(people, who, sql.replace("X", BIG))
    assert found[0] is BadInput
    assert len(str(found)) < 2000


async def test_a_nul_is_refused_everywhere(people: World) -> None:
    for who, sql in ALL_TEXTS.values():
        with pytest.raises(BadInput):
            async with people.acting(who) as db:
                await db.run(spelled(people, sql.replace("X", "$1::text")), "a\0b")


@pytest.mark.parametrize("what", TEXTS)
async def test_what_turns_text_around_is_refused(people: World, what: str) -> None:
    """As at our own doors: a name that shows as another's, or a key that turns a manager's report around."""
    who, sql = TEXTS[what]
    for char in ("\u202e", "\u2066"):
        with pytest.raises(BadInput):
            async with people.acting(who) as db:
                await db.run(spelled(people, sql.replace("X", "$1::text")), f"a{char}b")


async def test_a_name_from_sign_up_does_not_turn_text_around(people: World) -> None:
    account, typed = uuid4(), {"first_name": "\u202eanah", "last_name": "\u2067Z\u2069"}
    async with people.role("supabase_auth_admin") as db:
        await db.run(
            "insert into users (id, email, raw_user_meta_data) values ($1, 'z@b', $2)", account, typed
        )
    names = await people.owner("select array[first_name, last_name] from profiles where id = $1", account)
    assert names == ["anah", "Z"]


@pytest.mark.parametrize("depth", [6000, 60_000])
async def test_deep_nesting_is_bad_input(people: World, depth: int) -> None:
    nested = f"(repeat('{{\"a\":', {depth}) || '1' || repeat('}}', {depth}))::jsonb"
    assert (await outcome(people, "ana", f"{VIEW} (:ana, {{outside}}, 'view_section', {nested})"))[
        0
    ] is BadInput


@pytest.mark.parametrize("zone", ["FOO5", "edt", "america/new_york"])
async def test_a_time_zone_is_one_that_our_pages_know_too(people: World, zone: str) -> None:
    """PostgreSQL knows more of them; a plant with one of those could open no page."""
    async with refused(people, "hana", BadInput, "not a time zone") as db:
        await db.run("update plants set timezone = $1 where name = 'Denver, CO'", zone)


# ---------------------------------------------------------------- copy, cursors, prepared statements
@pytest.mark.parametrize("table", [*HISTORY, "admin_roles"])
async def test_copy_writes_nothing(people: World, table: str) -> None:
    before, rows = await state(people), [(people.person["ana"],)]
    with pytest.raises((asyncpg.FeatureNotSupportedError, Forbidden)):
        async with people.acting("ana") as db:
            await db.connection.copy_records_to_table(table, records=rows, columns=["user_id"])
    assert await state(people) == before


async def test_copy_reaches_no_file_and_no_program(people: World) -> None:
    for sql in ("to '/tmp/x'", "from '/etc/passwd'", "to program 'id'", "from program 'id'"):
        async with refused(people, "ana") as db:
            await db.run(f"copy profiles (id) {sql}")


async def test_copy_shows_what_select_shows(people: World) -> None:
    async with people.acting("ana") as db:
        for table, column in (("profiles", "first_name"), ("answer_keys", "explanation")):
            await db.connection.copy_from_table(table, columns=[column], output=(out := BytesIO()))
            assert out.getvalue() == (b"Ana\n" if table == "profiles" else b"")


async def test_what_another_person_prepared_or_declared_shows_ones_own_rows(people: World) -> None:
    async with people.acting("dev") as db:
        await db.run("prepare keys as table answer_keys; declare keys cursor for table answer_keys")
        for _ in range(6):  # until the plan is a generic one
            assert await db.connection.fetch("execute keys")
        await db.run("select set_config('request.jwt.claims', $1, true)", people.identity("ana").claims)
        assert await db.connection.fetch("execute keys") == []
        assert await db.connection.fetch("fetch all from keys") == []
        await db.run("deallocate keys")


# ---------------------------------------------------------------- roles and rules, from inside a request
@pytest.fixture(scope="session")
async def standing(cluster: Cluster) -> Database:
    return await cluster.copy()


@pytest.fixture
async def narrow(standing: Database) -> AsyncIterator[Pool]:
    """A pool of one, so that the next request gets the same connection."""
    opened = await open_pool(standing.api, 1)
    yield opened
    await opened.close()


async def request(pool: Pool, cluster: Cluster, who: str, *statements: str) -> None:
    async with acting_as(pool, cluster.world.identity(who)) as db:
        for sql in statements:
            await db.run(sql)


@pytest.mark.parametrize("how", [
    "set role {}", "set local role {}", "set session authorization {}", "select set_config('role', '{}', false)",
    "reset role; set role {}", "commit; set role {}", "grant {} to authenticated", "alter role {} login"])  # fmt: skip
async def test_a_request_becomes_nobody_else(narrow: Pool, cluster: Cluster, how: str) -> None:
    for role in ("postgres", "service_role", "supabase_auth_admin", "supabase_admin"):
        with pytest.raises(Forbidden):
            await request(narrow, cluster, "hana", how.format(role))


@pytest.mark.parametrize("how", ["reset role", "set local role anon", "set local role none", "commit", "rollback",
                                 "commit and chain", "rollback; begin", "reset session authorization"])  # fmt: skip
async def test_who_steps_out_of_the_role_can_do_nothing(narrow: Pool, cluster: Cluster, how: str) -> None:
    for sql in ("table profiles", "select app.visible_plants()", "update progress set progress_percent = 1"):
        with pytest.raises(Forbidden):
            await request(narrow, cluster, "hana", how, sql)


RULES = """select md5(string_agg(line, '|' order by line)) from (
    select concat(oid, polname, polroles, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
        from pg_policy
    union all select concat(oid, relacl, relrowsecurity, relforcerowsecurity, relowner) from pg_class
        where relnamespace in ('public'::regnamespace, 'app'::regnamespace)
    union all select concat(oid, proacl, prosrc, proconfig, proowner) from pg_proc where pronamespace > 16384
    union all select concat(oid, tgenabled, tgfoid) from pg_trigger
    union all select concat(oid, nspacl) from pg_namespace
) as c (line)"""
CHANGES = [
    "drop owned by authenticated", "reassign owned by authenticated to anon", "grant select on profiles to public",
    "grant all on all tables in schema public to anon", "revoke select on profiles from authenticated",
    "create policy mine on profiles using (true)", "drop policy reads on profiles",
    "alter table profiles no force row level security", "alter table progress disable trigger all",
    "alter table profiles owner to authenticated", "drop table progress", "drop schema app cascade",
    "create trigger mine before update on progress for each row execute function app.touch()",
    "create rule mine as on update to progress do instead nothing", "create schema authenticated",
    "create table public.mine ()", "create view public.mine as table profiles", "comment on table profiles is 'mine'",
    "create function public.mine() returns int language sql as 'select 1'", "alter function app.me() security invoker",
    "create or replace function app.me() returns uuid language sql as 'select null::uuid'", "create extension pg_trgm",
    "create event trigger mine on ddl_command_start execute function app.touch()", "create publication mine",
    "alter type admin_role add value 'mine'", "create role mine", "alter role authenticated bypassrls",
    "alter role authenticated set search_path = auth",
]  # fmt: skip


class Undone(Exception):
    """Raised to roll a request back."""


@pytest.mark.parametrize("sql", CHANGES)
async def test_a_request_changes_no_rule(narrow: Pool, cluster: Cluster, sql: str) -> None:
    """Refused, or without effect."""
    before = after = ""
    with suppress(SpecChemError, Undone):
        async with acting_as(narrow, cluster.world.identity("ana")) as db:
            before = after = await db.value(RULES)
            await db.run(sql)
            after = await db.value(RULES)
            raise Undone
    assert after == before


async def test_a_request_locks_nobody_out(people: World) -> None:
    # Not admin_roles and the courses' content: who may delete or update a whole table may lock it.
    for table in ("plants", "profiles", "courses", *HISTORY):
        async with refused(people, "ana") as db:
            await db.run(f"lock table {table} in share mode")
    for table in ("plants", "profiles where id <> app.me()", "courses"):
        assert await outcome(people, "ana", f"select from {table} for update") == []


async def test_a_request_reads_and_stops_no_other(standing: Database, cluster: Cluster) -> None:
    pool, people = await open_pool(standing.api, 2), cluster.world
    async with acting_as(pool, people.identity("bo")) as other, acting_as(pool, people.identity("ana")) as db:
        pid = await other.value("select pg_backend_pid()")
        seen = await db.value("select query from pg_stat_activity where pid = $1", pid)
        assert seen == "<insufficient privilege>"
        for stop in ("pg_cancel_backend", "pg_terminate_backend"):
            with pytest.raises(Forbidden):
                async with db.attempt():
                    await db.run(f"select {stop}($1)", pid)
    await pool.close()


# ---------------------------------------------------------------- what a request leaves behind
HIJACK = """do $$ declare prepared record; begin
    for prepared in select name from pg_prepared_statements where statement like '%app.enter%' loop
        execute format('deallocate %I', prepared.name);
        execute format('prepare %I (text, integer, integer) as select app.enter(%L, $2, $3) from (select $1) as x',
            prepared.name, '{"sub": ":hana"}');
    end loop;
end $$"""
LEFT = {
    "a table": "create temporary table profiles as select 'Mallory' as first_name; create temporary table progress ()",
    "a type": "create domain pg_temp.uuid as pg_catalog.uuid check (value is null)",
    "an old claim": "select set_config('request.jwt.claim.sub', ':hana', false)",
    "claims": "select set_config('request.jwt.claims', '{\"sub\": \":hana\"}', false)",
    "a statement": HIJACK,
    "no statements": "deallocate all",
    "a role": "select set_config('role', 'anon', false)",
    "a search_path": "set search_path = auth",
    "row_security": "set row_security = off",
    "read only": "set default_transaction_read_only = on",
    "no time": "set statement_timeout = 1; set idle_in_transaction_session_timeout = 1",
}


@pytest.mark.parametrize("what", LEFT)
async def test_what_is_left_on_a_connection_reaches_nobody_else(
    narrow: Pool, cluster: Cluster, what: str
) -> None:
    """The next person sees what is theirs and does their work; at worst they are told once to try again."""
    people = cluster.world
    await request(narrow, cluster, "cal", "select")  # so that there is a statement prepared
    with suppress(SpecChemError):
        await request(narrow, cluster, "ana", LEFT[what].replace(":hana", str(people.person["hana"])))
    with suppress(Unavailable):
        await request(narrow, cluster, "bo", "select")
    async with acting_as(narrow, people.identity("bo")) as db:
        assert await db.value("select array_agg(first_name) from profiles") == ["Bo"]
        assert await db.run("update progress set progress_percent = progress_percent") == "UPDATE 1"
        assert await db.value("select app.me()::uuid") == people.person["bo"]


async def test_locks_channels_and_cursors_end_with_the_request(narrow: Pool, cluster: Cluster) -> None:
    left = "select pg_advisory_lock(7); listen mine; declare mine cursor with hold for table profiles"
    await request(narrow, cluster, "hana", left)
    async with acting_as(narrow, cluster.world.identity("ana")) as db:
        for remains in (
            "listening_channels()",
            "cursors where is_holdable",
            "locks where locktype = 'advisory'",
        ):
            assert await db.value(f"select count(*) from pg_{remains}") == 0, remains
