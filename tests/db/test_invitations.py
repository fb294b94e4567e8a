"""Who may invite whom, and what becomes of an invitation; in the database, whichever door is used."""

from typing import Any
from uuid import UUID

import pytest

from specchem.errors import Conflict, Forbidden, SpecChemError
from tests.db.test_signup import confirm, profile, sign_up
from tests.world import World

COLUMBUS, DENVER, PHOENIX = "Columbus, OH", "Denver, CO", "Phoenix, AZ"


async def invite(people: World, who: str, plant: str, **more: Any) -> UUID:
    fields = {"email": "zed@example.com", "plant_id": people.plant[plant], **more}
    names, places = ", ".join(fields), ", ".join(f"${number + 1}" for number in range(len(fields)))
    async with people.acting(who) as db:
        made: UUID = await db.value(
            f"insert into invitations ({names}) values ({places}) returning id", *fields.values()
        )
        return made


@pytest.mark.parametrize(
    ("who", "plant", "role"),
    [
        ("hana", COLUMBUS, None), ("hana", DENVER, "plant_manager"), ("hana", DENVER, "hr_admin"),
        ("max", COLUMBUS, None), ("mia", PHOENIX, None), ("hugo", COLUMBUS, None),
    ],
)  # fmt: skip
async def test_who_may_invite(people: World, who: str, plant: str, role: str | None) -> None:
    scope = {"role": role, "role_plant_id": people.plant[plant] if role == "plant_manager" else None}
    made = await invite(people, who, plant, first_name="Zed", **scope)
    assert await people.owner("select invited_by from invitations where id = $1", made) == people.person[who]
    account = await sign_up(people, "zed@example.com", {"first_name": "Mallory"}, confirmed=True)
    found = await profile(people, account) or {}
    assert (found["plant"], found["first_name"]) == (plant, "Zed")
    held = await people.owner("select role::text from admin_roles where user_id = $1", account)
    assert held == role


@pytest.mark.parametrize(
    ("who", "plant", "role"),
    [
        ("ana", COLUMBUS, None), ("dev", COLUMBUS, None), ("sue", COLUMBUS, None), ("sam", COLUMBUS, None),
        ("max", DENVER, None), ("max", COLUMBUS, "hr_admin"), ("max", COLUMBUS, "plant_manager"),
        ("hugo", COLUMBUS, "hr_admin"), ("hugo", PHOENIX, None), ("hana", COLUMBUS, "dev_admin"),
    ],
)  # fmt: skip
async def test_who_may_not_invite(people: World, who: str, plant: str, role: str | None) -> None:
    scope = {"role": role, "role_plant_id": people.plant[plant] if role == "plant_manager" else None}
    with pytest.raises(Forbidden):
        await invite(people, who, plant, **scope)
    assert await people.owner("select count(*) from invitations where email = 'zed@example.com'") == 0


async def test_whoever_may_not_invite_learns_nothing_of_addresses(people: World) -> None:
    for email in ("ana@example.com", "never-was@example.com"):
        with pytest.raises(Forbidden):
            await invite(people, "max", DENVER, email=email)


async def test_a_manager_sees_the_invitations_of_their_plants_alone(people: World) -> None:
    await invite(people, "hana", COLUMBUS)
    await invite(people, "hana", PHOENIX, email="zoe@example.com")
    seen = {}
    for who in ("hana", "max", "mia", "ana", "dev"):
        async with people.acting(who) as db:
            seen[who] = await db.value(
                "select array_agg(email order by email) from invitations where accepted_at is null"
            )
    assert seen == {
        "hana": ["zed@example.com", "zoe@example.com"],
        "max": ["zed@example.com"],
        "mia": ["zoe@example.com"],
        "ana": None,
        "dev": None,
    }


@pytest.mark.parametrize("how", ["twice", "in other letters", "a person"])
async def test_an_address_is_invited_once(people: World, how: str) -> None:
    await invite(people, "hana", COLUMBUS)
    email = {"twice": "zed@example.com", "in other letters": "ZED@example.com", "a person": "ana@example.com"}
    with pytest.raises(Conflict, match="already"):
        await invite(people, "max", COLUMBUS, email=email[how])


async def test_nobody_is_invited_into_a_closed_plant(people: World) -> None:
    with pytest.raises(Conflict, match="not open"):
        await invite(people, "hana", "Closed, NV")


async def test_one_that_ran_out_is_not_in_the_way(people: World) -> None:
    first = await invite(people, "max", COLUMBUS)
    await people.owner("update invitations set expires_at = now() where id = $1", first)
    second = await invite(people, "max", COLUMBUS)
    assert await people.owner("select revoked_at is not null from invitations where id = $1", first)
    assert await people.owner("select revoked_at is null from invitations where id = $1", second)


async def change(people: World, who: str, invitation: UUID, column: str) -> int:
    async with people.acting(who) as db:
        tag = await db.run(f"update invitations set {column} = 'epoch' where id = $1", invitation)
        return int(tag.split()[-1])


async def test_to_revoke_takes_the_account_that_waited_with_it(people: World) -> None:
    made = await invite(people, "max", COLUMBUS)
    account = await sign_up(people, "zed@example.com")
    await people.owner("update auth.users set invited_at = now() where id = $1", account)
    assert await profile(people, account) is None
    assert await change(people, "max", made, "revoked_at") == 1
    assert await people.owner("select count(*) from auth.users where id = $1", account) == 0
    assert await people.owner("select revoked_at = now() from invitations where id = $1", made)
    for column in ("revoked_at", "sent_at"):
        with pytest.raises(Conflict, match="revoked"):
            await change(people, "max", made, column)
    later = await sign_up(people, "zed@example.com", confirmed=True)
    assert (await profile(people, later) or {})["plant"] == COLUMBUS  # the default one, as anybody's
    assert await people.owner("select accepted_at from invitations where id = $1", made) is None


async def test_to_revoke_takes_no_account_that_somebody_uses(people: World) -> None:
    made = await invite(people, "hana", DENVER)
    account = await sign_up(people, "zed@example.com")
    assert await change(people, "hana", made, "revoked_at") == 1
    assert await people.owner("select count(*) from auth.users where id = $1", account) == 1
    await confirm(people, account)
    assert (await profile(people, account) or {}).get("plant") != DENVER


async def test_to_send_again_begins_its_time_anew(people: World) -> None:
    made = await invite(people, "max", COLUMBUS)
    await people.owner("update invitations set expires_at = now(), sent_at = 'epoch' where id = $1", made)
    async with people.acting("max") as db:
        await db.run("update invitations set sent_at = now() + interval '9 years' where id = $1", made)
    row = "select sent_at = now() and expires_at = now() + interval '14 days' from invitations where id = $1"
    assert await people.owner(row, made)


@pytest.mark.parametrize(("who", "role"), [("ana", None), ("mia", None), ("dev", None), ("max", "hr_admin")])
async def test_who_may_not_change_an_invitation(people: World, who: str, role: str | None) -> None:
    made = await invite(people, "hana", COLUMBUS, role=role)
    for column in ("revoked_at", "sent_at"):
        assert await change(people, who, made, column) == 0
    for column in (
        "plant_id = plant_id",
        "role = 'hr_admin'",
        "email = 'me@example.com'",
        "expires_at = 'infinity'",
    ):
        with pytest.raises(Forbidden):
            async with people.acting("hana") as db:
                await db.run(f"update invitations set {column} where id = $1", made)


async def test_an_accepted_one_is_left_as_it_is(people: World) -> None:
    made = await invite(people, "max", COLUMBUS)
    await sign_up(people, "zed@example.com", confirmed=True)
    with pytest.raises(SpecChemError, match="accepted"):
        await change(people, "max", made, "revoked_at")


async def test_whoever_waits_with_a_confirmed_address_is_in_at_once(people: World) -> None:
    async with people.role("supabase_auth_admin") as db:
        await db.run("update users set email = 'zed@example.com', email_confirmed_at = now() where id = $1",
                     people.person["nora"])  # fmt: skip
    made = await invite(people, "mia", PHOENIX, first_name="Nora", last_name="Jones")
    assert (await profile(people, people.person["nora"]) or {})["plant"] == PHOENIX
    assert await people.owner("select accepted_at is not null from invitations where id = $1", made)
