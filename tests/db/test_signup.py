"""Sign-up, as the auth service does it: its own role, with nothing but `auth` on its search_path."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from specchem.db.session import Db
from specchem.errors import BadInput, Conflict, NotFound
from tests.db.refused import refused
from tests.world import World

PROFILE = """select p.first_name, p.last_name, p.email, p.job_title, t.name as plant, p.status::text from profiles p
    join plants t on t.id = p.plant_id where p.id = $1"""


async def sign_up(
    people: World, email: str | None, meta: Any = None, *, confirmed: bool = False, phone: str | None = None
) -> UUID:
    async with people.role("supabase_auth_admin") as db:
        return await _sign_up(db, email, meta, confirmed, phone)


async def _sign_up(
    db: Db, email: str | None, meta: Any = None, confirmed: bool = False, phone: str | None = None
) -> UUID:
    account = uuid4()
    await db.run(
        """insert into users (id, email, raw_user_meta_data, email_confirmed_at, phone)
        values ($1, $2, $3, case when $4 then now() end, $5)""",
        account, email, meta, confirmed, phone,
    )  # fmt: skip
    return account


async def confirm(people: World, account: UUID) -> None:
    async with people.role("supabase_auth_admin") as db:
        await db.run("update users set email_confirmed_at = now() where id = $1", account)


async def invite(people: World, **fields: Any) -> None:
    given = {"email": "Zed@Example.com", "plant_id": people.plant["Denver, CO"], **fields}
    places = ", ".join(f"${n}" for n in range(1, len(given) + 1))
    await people.owner(f"insert into invitations ({', '.join(given)}) values ({places})", *given.values())


async def profile(people: World, account: UUID) -> dict[str, Any] | None:
    async with people.role("postgres") as db:
        row = await db.connection.fetchrow(PROFILE, account)
    return dict(row) if row else None


async def test_a_new_account_gets_a_profile_in_the_default_plant(people: World) -> None:
    # guide-measured: handle_new_user via supabase_auth_admin
    account = await sign_up(people, "zed@example.com", {"first_name": "Zed", "last_name": "Zhou"})
    assert await profile(people, account) == {
        "first_name": "Zed", "last_name": "Zhou", "email": "zed@example.com", "job_title": None,
        "plant": "Columbus, OH", "status": "active",
    }  # fmt: skip
    assert await people.owner("select count(*) from admin_roles where user_id = $1", account) == 0


async def test_what_a_person_claims_of_themselves_gives_no_plant_and_no_role(people: World) -> None:
    denver = str(people.plant["Denver, CO"])
    claims = {"plant_id": denver, "plant": "Denver, CO", "role": "hr_admin", "status": "active", "id": denver}
    account = await sign_up(people, "zed@example.com", claims, confirmed=True)
    assert (await profile(people, account) or {})["plant"] == "Columbus, OH"
    assert await people.owner("select count(*) from admin_roles where user_id = $1", account) == 0


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("a" * 10_000_000, "a" * 100),
        ("\x01\x02", "zed"),
        (" Zed\n\tX \x07 ", "Zed X"),
        ("", "zed"),
        (None, "zed"),
        (7, "7"),
        (["Zed"], '["Zed"]'),
        ("'; drop table profiles; --", "'; drop table profiles; --"),
        ("é" * 300, "é" * 100),
        ("a" * 99 + " b", "a" * 99),
    ],
    ids=["10 MB", "control", "spaces", "empty", "null", "number", "list", "sql", "long", "cut at a space"],
)
async def test_a_typed_name_is_tidied(
    people: World, typed: Any, kept: str
) -> None:  # guide-measured: metadata
    account = await sign_up(people, "zed@example.com", {"first_name": typed, "last_name": typed})
    found = await profile(people, account) or {}
    assert found["first_name"] == kept
    assert found["last_name"] == ("(no name yet)" if kept == "zed" else kept)


@pytest.mark.parametrize("meta", [None, [], "text", 1, {}, {"first_name": {"first_name": {}}}])
async def test_metadata_of_any_shape_stops_no_sign_up(people: World, meta: Any) -> None:
    assert await profile(people, await sign_up(people, "zed@example.com", meta))


async def test_an_invitation_to_a_confirmed_address_gives_plant_job_and_role(people: World) -> None:
    # guide-measured: same, public in path
    denver = people.plant["Denver, CO"]
    await invite(people, job_title="Chemist", role="plant_manager", role_plant_id=denver)
    account = await sign_up(people, "zed@example.com", {"first_name": "Zed"}, confirmed=True)
    found = await profile(people, account) or {}
    assert (found["plant"], found["job_title"], found["first_name"]) == ("Denver, CO", "Chemist", "Zed")
    assert await people.owner("select array_agg(plant_id) from admin_roles where user_id = $1", account) == [
        denver
    ]
    assert await people.owner(
        "select accepted_at is not null from invitations where email = 'Zed@Example.com'"
    )


async def test_an_invitation_waits_until_the_address_is_confirmed(people: World) -> None:
    await invite(people, role="hr_admin")
    account = await sign_up(people, "zed@example.com")
    # Not even in the default plant, whose manager has no business with them.
    assert await profile(people, account) is None
    assert await people.owner("select count(*) from admin_roles where user_id = $1", account) == 0
    await confirm(people, account)
    assert (await profile(people, account) or {})["plant"] == "Denver, CO"
    assert await people.owner("select count(*) from admin_roles where user_id = $1", account) == 1


async def test_an_invitation_is_accepted_once(people: World) -> None:
    await invite(people, role="hr_admin")
    await sign_up(people, "zed@example.com", confirmed=True)
    async with people.role("supabase_auth_admin") as db:
        await db.run("update users set email = 'old@example.com' where email = 'zed@example.com'")
    other = await sign_up(people, "zed@example.com", confirmed=True)
    assert (await profile(people, other) or {})["plant"] == "Columbus, OH"


async def test_an_invitation_that_has_expired_gives_nothing(people: World) -> None:
    expired = await people.owner("select now() - interval '1 second'")
    await invite(people, role="hr_admin", expires_at=expired)
    account = await sign_up(people, "zed@example.com", confirmed=True)
    assert (await profile(people, account) or {})["plant"] == "Columbus, OH"
    assert await people.owner("select count(*) from admin_roles where user_id = $1", account) == 0


async def test_an_invitation_into_a_plant_that_has_closed_stops_no_sign_up(people: World) -> None:
    await invite(people, role="hr_admin")
    await people.owner("update plants set is_active = false where name = 'Denver, CO'")
    account = await sign_up(people, "zed@example.com", confirmed=True)
    assert (await profile(people, account) or {})["plant"] == "Columbus, OH"
    assert await people.owner("select count(*) from admin_roles where user_id = $1", account) == 0


async def test_a_suspended_person_accepts_no_invitation(people: World) -> None:
    account = await sign_up(people, "zed@example.com")
    await invite(people, role="hr_admin")
    await people.owner("update profiles set status = 'suspended' where id = $1", account)
    await confirm(people, account)
    assert (await profile(people, account) or {})["plant"] == "Columbus, OH"
    assert await people.owner("select count(*) from admin_roles where user_id = $1", account) == 0


@pytest.mark.parametrize(
    "sql", ["update plants set is_default = false", "update plants set is_active = false where is_default"]
)
async def test_without_an_open_default_plant_an_account_waits(people: World, sql: str) -> None:
    # guide-measured: default plant missing/renamed, default plant inactive
    await people.owner(sql)
    account = await sign_up(people, "zed@example.com", confirmed=True)
    assert await profile(people, account) is None
    async with people.role("authenticated", f'{{"sub": "{account}"}}') as db:
        assert await db.value("select count(*) from plants") == 0


async def test_the_invited_keep_the_names_they_typed_without_a_default_plant(people: World) -> None:
    await people.owner("update plants set is_default = false")
    await invite(people)
    typed = {"first_name": "Grace", "last_name": "Hopper"}
    found = await profile(people, await sign_up(people, "zed@example.com", typed, confirmed=True))
    assert found is not None
    assert (found["first_name"], found["last_name"]) == ("Grace", "Hopper")


async def test_without_a_default_plant_the_invited_come_in(people: World) -> None:
    await people.owner("update plants set is_default = false")
    await invite(people)
    account = await sign_up(people, "z" * 230 + "@example.com", confirmed=True)
    assert await profile(people, account) is None
    await people.owner(
        "update invitations set email = $1 where accepted_at is null", "y" * 230 + "@example.com"
    )
    account = await sign_up(people, "y" * 230 + "@example.com", confirmed=True)
    assert (await profile(people, account) or {})["first_name"] == "y" * 100


async def test_a_renamed_default_plant_is_the_default_still(people: World) -> None:
    await people.owner("update plants set name = 'Columbus, Ohio' where is_default")
    account = await sign_up(people, "zed@example.com")
    assert (await profile(people, account) or {})["plant"] == "Columbus, Ohio"


async def test_an_account_by_phone_waits(people: World) -> None:  # guide-measured: phone sign-up (email null)
    account = await sign_up(people, None, {"first_name": "Zed"}, phone="15551234567")
    assert await profile(people, account) is None


@pytest.mark.parametrize("email", ["new@example.com", "New@Example.com"])
async def test_an_address_that_changes_is_the_profiles_too(people: World, email: str) -> None:
    # guide-measured: profiles.email (auth email change not propagated)
    async with people.role("supabase_auth_admin") as db:
        await db.run("update users set email = $1 where id = $2", email, people.person["ana"])
    assert (await profile(people, people.person["ana"]) or {})["email"] == email


async def test_an_address_that_is_dropped_leaves_the_profiles(people: World) -> None:
    async with people.role("supabase_auth_admin") as db:
        await db.run("update users set email = null where id = $1", people.person["ana"])
    assert (await profile(people, people.person["ana"]) or {})["email"] == "ana@example.com"


@pytest.mark.parametrize("email", ["bo@example.com", "BO@example.com"])
async def test_an_address_does_not_change_into_another_persons(people: World, email: str) -> None:
    async with refused(people, "supabase_auth_admin", Conflict) as db:
        await db.run("update users set email = $1 where id = $2", email, people.person["ana"])


async def test_a_second_account_with_a_persons_address_does_not_become_them(people: World) -> None:
    """As with single sign-on, where Supabase allows the same address twice."""
    await invite(people, email="bo@EXAMPLE.com", role="hr_admin")
    account = await sign_up(people, "BO@example.com", confirmed=True)
    assert await profile(people, account) is None
    async with people.role("supabase_auth_admin") as db:
        await db.run("update users set email_confirmed_at = null where id = $1", account)
    await confirm(people, account)
    assert await profile(people, account) is None
    assert await people.owner("select count(*) from admin_roles where user_id = $1", account) == 0


async def test_sign_up_does_not_look_into_pg_temp(
    people: World,
) -> None:  # guide-measured: pg_temp.plants shadow
    async with people.role("supabase_auth_admin") as db:
        await db.run("create temporary table plants (id uuid, is_default boolean, is_active boolean)")
        await db.run("create temporary table profiles (id uuid, email text)")
        await db.run("insert into pg_temp.plants values ($1, true, true)", people.plant["Denver, CO"])
        account = await _sign_up(db, "zed@example.com")
    assert await people.owner("select count(*) from public.profiles where id = $1", account) == 1
    assert (
        await people.owner(
            "select t.name from public.profiles p join public.plants t on t.id = p.plant_id where p.id = $1",
            account,
        )
        == "Columbus, OH"
    )


@pytest.mark.parametrize(
    "table", ["profiles", "admin_roles", "invitations", "answer_keys", "question_events"]
)
async def test_the_auth_service_sees_nothing_of_ours(people: World, table: str) -> None:
    async with refused(people, "supabase_auth_admin") as db:
        await db.run(f"select from public.{table}")


async def test_a_profile_belongs_to_its_account(people: World) -> None:
    async with refused(people, "postgres", Conflict, "for good") as db:
        await db.run("update profiles set id = $1 where id = $2", people.person["nora"], people.person["cal"])


@pytest.mark.parametrize(("plant", "kind"), [("Closed, NV", Conflict), (None, Conflict)])
async def test_nobody_is_put_into_a_plant_that_is_not_open(
    people: World, plant: str | None, kind: Any
) -> None:
    key = people.plant[plant] if plant else uuid4()
    for who in ("hana", "service_role"):
        async with refused(people, who, kind, "not open") as db:
            await db.run("update profiles set plant_id = $1 where id = $2", key, people.person["ana"])


async def test_ways_in_are_refused_as_what_they_are(people: World) -> None:
    assert timedelta(days=14) == await people.owner("select max(expires_at - created_at) from invitations")
    for fields, kind in (({"email": "none"}, BadInput), ({"role": "plant_manager"}, BadInput),
                         ({"plant_id": uuid4()}, NotFound)):  # fmt: skip
        with pytest.raises(kind):
            await invite(people, **fields)
    await invite(people)
    with pytest.raises(Conflict):
        await invite(people)
