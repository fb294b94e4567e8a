"""What may stand in a column, whoever writes it: even the owner is refused."""

from typing import Any

import pytest

from specchem.db.session import Db
from specchem.errors import BadInput, Conflict, NotFound, SpecChemError
from tests.db.refused import refused
from tests.world import World

UNTIDY = ["", " ", " padded", "padded ", "two\nlines", "bell\a", "a" * 201]


@pytest.mark.parametrize("name", UNTIDY)
@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("plants", "name"),
        ("profiles", "first_name"),
        ("profiles", "last_name"),
        ("profiles", "job_title"),
        ("courses", "title"),
        ("courses", "version"),
        ("progress", "current_section"),
    ],
)
async def test_names_are_tidy(people: World, table: str, column: str, name: str) -> None:
    # guide-measured: profiles.email (names ''), btree on free text
    where = "where course_id = $2" if table == "progress" else "where $2::uuid is not null"
    async with refused(people, "postgres", BadInput) as db:
        await db.run(f"update {table} set {column} = $1 {where}", name, people.course["outside"])


@pytest.mark.parametrize("name", ["a", "Zoë", "a" * 200, "Ана", "O'Neill; drop table plants", "🧪 Lab"])
async def test_names_are_anything_tidy(people: World, name: str) -> None:
    await people.owner("update profiles set first_name = $1 where id = $2", name, people.person["ana"])
    kept = await people.owner("select first_name from profiles where id = $1", people.person["ana"])
    assert kept == name


async def test_a_nul_is_refused_as_bad_input(people: World) -> None:
    async with refused(people, "postgres", BadInput) as db:
        await db.run("update plants set name = $1", "a\0b")


@pytest.mark.parametrize("email", ["", " ", "nobody", "a@b@c", "a b@example.com", "a@b\n", "a@" + "b" * 253])
async def test_emails_look_like_one(people: World, email: str) -> None:
    async with refused(people, "postgres", BadInput) as db:
        await db.run("update profiles set email = $1 where id = $2", email, people.person["ana"])


@pytest.mark.parametrize("email", ["bo@example.com", "BO@Example.COM"])
async def test_profiles_email_is_unique_whatever_its_case(people: World, email: str) -> None:
    # guide-measured: profiles.email
    async with refused(people, "postgres", Conflict, "person with this e-mail") as db:
        await db.run("update profiles set email = $1 where id = $2", email, people.person["ana"])


async def test_a_profile_needs_an_account(people: World) -> None:  # guide-measured: profiles.id -> auth.users
    async with refused(people, "postgres", NotFound, "no such account") as db:
        await db.run(
            """insert into profiles (id, plant_id, first_name, last_name, email)
            values (gen_random_uuid(), $1, 'No', 'Body', 'nobody@example.com')""",
            people.plant["Columbus, OH"],
        )


@pytest.mark.parametrize("zone", ["", "Columbus", "America/Nowhere", "a" * 500])
async def test_a_plants_time_zone_is_one(people: World, zone: str) -> None:
    async with refused(people, "postgres", BadInput, "not a time zone") as db:
        await db.run("update plants set timezone = $1 where name = 'Denver, CO'", zone)


@pytest.mark.parametrize("slug", ["", "Two Words", "-a", "a--b", "a" * 101])
async def test_a_slug_is_one(people: World, slug: str) -> None:
    async with refused(people, "postgres", BadInput) as db:
        await db.run("insert into courses (slug, title) values ($1, 'A')", slug)


@pytest.mark.parametrize(
    "sql",
    [
        "insert into plants (name) values ('Denver, CO')",
        "insert into courses (slug, title) values ('outside', 'Again')",
        "update plants set is_default = true where name = 'Denver, CO'",
    ],
)
async def test_what_there_is_once_is_there_once(people: World, sql: str) -> None:
    async with refused(people, "postgres", Conflict) as db:
        await db.run(sql)


@pytest.mark.parametrize(
    ("role", "plant", "kind"),
    [
        ("hr_admin", None, None),
        ("hr_admin", "Phoenix, AZ", None),
        ("plant_manager", "Phoenix, AZ", None),
        ("dev_admin", None, None),
        ("plant_manager", None, BadInput),
        ("dev_admin", "Phoenix, AZ", BadInput),
    ],
)
async def test_a_role_has_the_scope_it_needs(
    people: World, role: str, plant: str | None, kind: type[SpecChemError] | None
) -> None:
    # guide-measured: role/plant shape
    async def grant(db: Db) -> None:
        await db.run(
            "insert into admin_roles (user_id, role, plant_id) values ($1, $2, $3)",
            people.person["cal"], role, plant and people.plant[plant],
        )  # fmt: skip

    if kind is None:
        async with people.role("postgres") as db:
            await grant(db)
        return
    async with refused(people, "postgres", kind, "plant manager needs a plant") as db:
        await grant(db)


@pytest.mark.parametrize(
    ("who", "role", "plant"), [("hana", "hr_admin", None), ("max", "plant_manager", "Columbus, OH")]
)
async def test_nobody_has_a_role_twice(people: World, who: str, role: str, plant: str | None) -> None:
    # guide-measured: admin_roles unique
    async with refused(people, "service_role", Conflict, "this role already") as db:
        await db.run(
            "insert into admin_roles (user_id, role, plant_id) values ($1, $2, $3)",
            people.person[who], role, plant and people.plant[plant],
        )  # fmt: skip


async def test_a_suspended_person_is_given_no_role(people: World) -> None:  # guide-measured: role/plant shape
    async with refused(people, "service_role", Conflict, "suspended") as db:
        await db.run(
            "insert into admin_roles (user_id, role, plant_id) values ($1, 'hr_admin', null)",
            people.person["sue"],
        )


@pytest.mark.parametrize("percent", [101, 500, 9999])
@pytest.mark.parametrize("who", ["ana", "service_role", "postgres"])
async def test_progress_percent_is_0_to_100(people: World, who: str, percent: int) -> None:
    # guide-measured: progress_percent. Of a course without content, where only the range speaks.
    async with refused(people, who, BadInput) as db:
        await db.run(
            "update progress set progress_percent = $1 where course_id = $2",
            percent,
            people.course["outside"],
        )


META: list[tuple[Any, bool]] = [
    ({}, True), ({"text": "a" * 8000}, True), (None, True),
    ({"text": "a" * 8200}, False), ([], False), ("text", False), (1, False),
]  # fmt: skip


@pytest.mark.parametrize(("meta", "fine"), META)
@pytest.mark.parametrize(
    "sql",
    [
        """insert into question_events (user_id, course_id, section_key, question_key, is_correct, response_meta)
        values ($1, $2, 's', 'q', true, $3)""",
        "insert into activity_events (user_id, course_id, event_type, meta) values ($1, $2, 'view_section', $3)",
    ],
)
async def test_an_events_extra_data_is_a_small_object(people: World, sql: str, meta: Any, fine: bool) -> None:
    values = people.person["ana"], people.course["outside"], meta
    if fine:
        async with people.acting("ana") as db:
            assert await db.run(sql, *values) == "INSERT 0 1"
    else:
        async with refused(people, "ana", BadInput, "8 KB") as db:
            await db.run(sql, *values)


@pytest.mark.parametrize("table", ["plants", "profiles", "courses", "enrollments", "progress"])
async def test_updated_at_is_kept_and_created_at_stays(people: World, table: str) -> None:
    # guide-measured: updated_at
    column = {"plants": "is_default", "profiles": "job_title", "courses": "is_published",
              "enrollments": "status", "progress": "progress_percent"}[table]  # fmt: skip
    where = f"where user_id = '{people.person['ana']}'" if table == "progress" else ""
    made = f"select min(created_at) from {table}"
    before = await people.owner(made)
    await people.owner(
        f"update {table} set {column} = {column}, updated_at = 'epoch', created_at = 'epoch' {where}"
    )
    assert await people.owner(made) == before
    assert await people.owner(f"select bool_and(updated_at = now()) from {table} {where}")


@pytest.mark.parametrize(
    "sql",
    [
        "update enrollments set status = 'completed'",
        "update enrollments set status = 'completed', completed_at = now()",
        "update enrollments set completed_at = '2090-01-01'",
        "update enrollments set enrolled_at = '2090-01-01'",
        "update enrollments set user_id = user_id, course_id = gen_random_uuid()",
        "update enrollments set plant_id = (select id from plants where name = 'Dallas, TX')",
        "update progress set plant_id = (select id from plants where name = 'Dallas, TX')",
    ],
)
@pytest.mark.parametrize("who", ["service_role", "postgres"])
async def test_an_enrollment_says_only_what_its_progress_says(people: World, who: str, sql: str) -> None:
    # guide-measured: status/completed_at, plant_id on rows
    async with refused(people, who, SpecChemError) as db:
        await db.run(sql)


@pytest.mark.parametrize(
    "sql",
    ["status = 'in_progress'", "status = 'enrolled', completed_at = null", "completed_at = '2090-01-01'"],
)
async def test_a_completed_course_stays_completed_with_its_first_date(people: World, sql: str) -> None:
    await people.owner(
        "update progress set progress_percent = 100 where course_id = $1", people.course["outside"]
    )
    await people.owner(
        "update enrollments set completed_at = completed_at where course_id = $1", people.course["outside"]
    )
    async with refused(people, "service_role", Conflict, "stays so") as db:
        await db.run(f"update enrollments set {sql} where course_id = $1", people.course["outside"])


@pytest.mark.parametrize("who", ["ana", "bo", "sue"])  # with events, with an enrollment alone, suspended
@pytest.mark.parametrize(("role", "sql"), [
    ("supabase_auth_admin", "delete from auth.users where id = $1"),
    ("postgres", "delete from auth.users where id = $1"),
    ("postgres", "delete from public.profiles where id = $1"),
])  # fmt: skip
async def test_an_account_with_history_is_not_deleted(people: World, who: str, role: str, sql: str) -> None:
    # guide-measured: ON DELETE CASCADE, profiles.id -> auth.users
    await people.owner(
        "update progress set current_section = 's' where course_id = $1", people.course["outside"]
    )
    async with refused(people, role, Conflict, "so it stays") as db:
        await db.run(sql, people.person[who])


@pytest.mark.parametrize("who", ["cal", "hana", "nora"])
async def test_an_account_without_history_may_be_deleted(people: World, who: str) -> None:
    async with people.role("supabase_auth_admin") as db:
        assert await db.run("delete from auth.users where id = $1", people.person[who]) == "DELETE 1"
    left = """select (select count(*) from profiles where id = $1)
        + (select count(*) from admin_roles where user_id = $1)"""
    assert await people.owner(left, people.person[who]) == 0


@pytest.mark.parametrize("table", ["courses", "plants", "enrollments"])
async def test_what_the_record_stands_on_is_not_deleted(people: World, table: str) -> None:
    async with refused(people, "postgres", Conflict, "so it stays") as db:
        await db.run(f"delete from {table}")
