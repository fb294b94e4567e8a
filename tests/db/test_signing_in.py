"""Sessions, bans and second factors as the database sees them; counted tries; what goes on record."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from specchem.auth.door import OF_ACCOUNT, Door
from specchem.auth.errors import AuthError
from specchem.db.session import Db, Identity
from specchem.errors import Forbidden, NotSignedIn, SecondFactorNeeded, SpecChemError
from tests.world import World, lent

COUNT = "select count(*) from "
TABLES = """
    plants profiles admin_roles invitations courses sections questions question_choices answer_keys enrollments
    progress question_events activity_events question_counters completion_counters audit_events
""".split()  # noqa: SIM905  read by people


async def session_of(people: World, who: str) -> UUID:
    session = uuid4()
    await people.owner(
        "insert into auth.sessions (id, user_id, created_at, aal, ip) values ($1, $2, now(), 'aal1', $3)",
        session, people.person[who], "203.0.113.7",
    )  # fmt: skip
    return session


async def factor_of(people: World, who: str, status: str = "verified") -> None:
    await people.owner(
        "insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at)"
        " values ($1, $2, 'totp', $3, now(), now())",
        uuid4(), people.person[who], status,
    )  # fmt: skip


def claims(people: World, who: str, session: UUID | None = None, aal: str = "aal1") -> str:
    return Identity(people.person[who], session, aal).claims


async def enter(people: World, said: str) -> None:
    async with people.role("specchem_api") as db:
        await db.run("select app.enter($1, 1000, 1000)", said)


async def seen(people: World, said: str, table: str = "profiles") -> int:
    async with people.role("authenticated", said) as db:
        found: int = await db.value(COUNT + table)
        return found


# ---------------------------------------------------------------- sessions
async def test_a_session_that_stands_lets_in(people: World) -> None:
    said = claims(people, "hana", await session_of(people, "hana"))
    await enter(people, said)
    assert await seen(people, said) > 10


@pytest.mark.parametrize("how", ["ended", "never was", "somebody else's", "over"])
async def test_a_session_that_does_not_stand_lets_nobody_in(people: World, how: str) -> None:
    session = await session_of(people, "max" if how == "somebody else's" else "hana")
    match how:
        case "ended":
            await people.owner("delete from auth.sessions where id = $1", session)
        case "never was":
            session = uuid4()
        case "over":
            await people.owner("update auth.sessions set not_after = now() where id = $1", session)
    said = claims(people, "hana", session)
    with pytest.raises(SpecChemError) as refused:
        await enter(people, said)
    assert isinstance(refused.value, Forbidden if how == "somebody else's" else NotSignedIn)
    assert [await seen(people, said, table) for table in TABLES] == [0] * len(TABLES)


@pytest.mark.parametrize(
    ("change", "back"),
    [
        ("banned_until = now() + interval '1 hour'", "banned_until = now() - interval '1 second'"),
        ("deleted_at = now()", "deleted_at = null"),
    ],
)
async def test_a_banned_or_deleted_account_does_nothing_from_the_next_statement(
    people: World, change: str, back: str
) -> None:
    said = claims(people, "hana", await session_of(people, "hana"))
    async with people.role("supabase_auth_admin") as db:
        await db.run(f"update users set {change} where id = $1", people.person["hana"])
    with pytest.raises(Forbidden, match="not active"):
        await enter(people, said)
    assert [await seen(people, said, table) for table in TABLES] == [0] * len(TABLES)
    async with people.role("supabase_auth_admin") as db:
        await db.run(f"update users set {back} where id = $1", people.person["hana"])
    await enter(people, said)


async def test_a_deleted_account_does_nothing(people: World) -> None:
    said = claims(people, "cal", await session_of(people, "cal"))
    async with people.role("supabase_auth_admin") as db:
        await db.run("delete from users where id = $1", people.person["cal"])
    with pytest.raises(SpecChemError):
        await enter(people, said)
    assert await seen(people, said) == 0


async def test_to_suspend_bans_and_ends_every_session_and_to_reinstate_undoes_it(people: World) -> None:
    session = await session_of(people, "ana")
    said = claims(people, "ana", session)
    account = "select {} from auth.users where id = $1"
    async with people.acting("hana") as db:
        await db.run("update profiles set status = 'suspended' where id = $1", people.person["ana"])
    assert await people.owner(
        account.format("banned_until > now() + interval '99 years'"), people.person["ana"]
    )
    assert await people.owner(COUNT + "auth.sessions where id = $1", session) == 0
    with pytest.raises(Forbidden, match="not active"):
        await enter(people, said)
    assert await seen(people, said) == 0
    async with people.acting("hana") as db:
        await db.run("update profiles set status = 'active' where id = $1", people.person["ana"])
    assert await people.owner(account.format("banned_until is null"), people.person["ana"])
    with pytest.raises(NotSignedIn):
        await enter(people, said)  # the old session stays ended
    await enter(people, claims(people, "ana", await session_of(people, "ana")))


async def test_who_starts_suspended_is_banned(people: World) -> None:
    async with people.acting("hana") as db:
        await db.run(
            "insert into profiles (id, plant_id, first_name, last_name, email, status)"
            " values ($1, $2, 'Nora', 'Jones', 'nora@example.com', 'suspended')",
            people.person["nora"], people.plant["Columbus, OH"],
        )  # fmt: skip
    assert await people.owner(
        "select banned_until > now() from auth.users where id = $1", people.person["nora"]
    )


async def test_a_revoked_role_ends_with_the_next_statement(people: World) -> None:
    said = claims(people, "max", await session_of(people, "max"))
    assert await seen(people, said) > 1
    async with people.acting("hana") as db:
        await db.run("delete from admin_roles where user_id = $1", people.person["max"])
    assert await seen(people, said) == 1


# ---------------------------------------------------------------- second factors
async def test_whoever_has_a_second_factor_needs_it(people: World) -> None:
    said = {aal: claims(people, "hana", aal=aal) for aal in ("aal1", "aal2")}
    await factor_of(people, "hana", "unverified")
    await enter(people, said["aal1"])  # one that is being set up binds nobody
    await factor_of(people, "hana")
    with pytest.raises(SecondFactorNeeded, match="second factor"):
        await enter(people, said["aal1"])
    assert [await seen(people, said["aal1"], table) for table in TABLES] == [0] * len(TABLES)
    await enter(people, said["aal2"])
    assert await seen(people, said["aal2"]) > 10


@pytest.mark.parametrize(
    ("who", "needs"), [("hana", True), ("hugo", True), ("max", True), ("dev", True), ("ana", False)]
)
async def test_the_settings_can_want_it_of_whoever_holds_a_role(people: World, who: str, needs: bool) -> None:
    await people.owner("update specchem.settings set admins_need_second_factor = true")
    await enter(people, claims(people, who, aal="aal2"))
    if not needs:
        await enter(people, claims(people, who))
        return
    with pytest.raises(SecondFactorNeeded):
        await enter(people, claims(people, who))
    assert await seen(people, claims(people, who)) == 0
    with pytest.raises(SpecChemError):
        async with people.role("authenticated", claims(people, who)) as db:
            await db.run(
                "insert into enrollments (user_id, course_id) values ($1, $2)",
                people.person["cal"], people.course["outside"],
            )  # fmt: skip


# ---------------------------------------------------------------- tries
@pytest.fixture
def door(people: World) -> Door:
    assert people.connection is not None
    return Door(lent(people.connection))


async def guess(door: Door, address: str, account: str, most: int = 1000) -> int:
    """How many guesses get through before one has to wait."""
    for number in range(most):
        try:
            await door.ask("password", address, account)
        except AuthError as error:
            refused = error
        else:
            continue
        assert (refused.status, refused.code) == (429, "over_request_rate_limit")
        assert refused.wait is not None
        assert 0 < refused.wait <= 60
        return number
    return most


async def test_guesses_at_one_account_are_counted_over_all_addresses(door: Door) -> None:
    through = 0
    for number in range(200):
        through += await guess(door, f"198.51.100.{number}", "ana@example.com", 1)
    assert through == OF_ACCOUNT["password"].burst
    # In other letters it is the same account, and another account is another.
    assert await guess(door, "203.0.113.1", " ANA@example.com", 1) == 0
    assert await guess(door, "203.0.113.1", "bo@example.com", 1) == 1


async def test_strangers_lock_nobody_out_of_where_they_work(door: Door) -> None:
    await door.welcome("ana@example.com", "192.0.2.10")
    for number in range(200):
        await guess(door, f"198.51.100.{number}", "ana@example.com", 1)
    assert await guess(door, "192.0.2.10", "ana@example.com") == OF_ACCOUNT["password"].burst


async def test_a_right_password_begins_the_count_anew(door: Door) -> None:
    assert await guess(door, "192.0.2.10", "ana@example.com") == OF_ACCOUNT["password"].burst
    await door.welcome("ana@example.com", "192.0.2.10")
    assert await guess(door, "192.0.2.10", "ana@example.com") == OF_ACCOUNT["password"].burst


async def test_an_address_that_tries_many_accounts_waits(door: Door) -> None:
    through = sum([await guess(door, "192.0.2.10", f"{number}@example.com", 1) for number in range(300)])
    assert through == 100
    assert await guess(door, "192.0.2.11", "somebody@example.com", 1) == 1


async def test_an_ipv6_network_is_one_address(door: Door) -> None:
    through = sum(
        [
            await guess(door, f"2001:db8:1:2:{number:x}::1", f"{number}@example.com", 1)
            for number in range(300)
        ]
    )
    assert through == 100


async def test_tries_come_back_with_time(people: World, door: Door) -> None:
    await guess(door, "192.0.2.10", "ana@example.com")
    await people.owner("update specchem.tries set forgotten_at = forgotten_at - interval '60 seconds'")
    assert await guess(door, "192.0.2.10", "ana@example.com") == 2


async def test_what_is_kept_of_tries_names_nobody(people: World, door: Door) -> None:
    await door.ask("password", "192.0.2.10", "ana@example.com")
    await door.welcome("ana@example.com", "192.0.2.10")
    rows = await people.owner("select json_agg(t)::text from specchem.tries t")
    assert "ana" not in rows
    assert "192.0.2" not in rows


# ---------------------------------------------------------------- the record
async def events(people: World) -> list[dict[str, Any]]:
    async with people.role("postgres") as db:
        rows = await db.connection.fetch(
            "select * from audit_events where happened_at = now() order by action"
        )
        return [dict(row) for row in rows]


async def noted(people: World, said: str, sql: str, *values: object) -> dict[str, Any]:
    """The one row that doing something leaves."""
    await people.owner("alter table audit_events disable trigger user")
    await people.owner("delete from audit_events")
    await people.owner("alter table audit_events enable trigger user")
    async with people.role("authenticated", said) as db:
        await db.run(sql, *values)
    (event,) = await events(people)
    return event


async def test_who_did_what_to_whom_when_and_from_where_is_on_record(people: World) -> None:
    hana, ana, columbus = people.person["hana"], people.person["ana"], people.plant["Columbus, OH"]
    said = claims(people, "hana", await session_of(people, "hana"))
    grant = "insert into admin_roles (user_id, role, plant_id) values ($1, 'plant_manager', $2)"
    cases: list[tuple[str, tuple[Any, ...], str, UUID | None, dict[str, Any]]] = [
        (grant, (ana, columbus), "role_granted", ana, {"role": "plant_manager"}),
        (
            "delete from admin_roles where user_id = $1",
            (ana,),
            "role_revoked",
            ana,
            {"role": "plant_manager"},
        ),
        ("update profiles set status = 'suspended' where id = $1", (ana,), "suspended", ana, {}),
        ("update profiles set status = 'active' where id = $1", (ana,), "reinstated", ana, {}),
    ]
    for sql, values, action, subject, details in cases:
        event = await noted(people, said, sql, *values)
        assert (event["action"], event["actor_id"], event["subject_id"]) == (action, hana, subject)
        assert (event["plant_id"], str(event["ip_address"])) == (columbus, "203.0.113.7")
        assert event["details"] == details


async def test_an_invitations_life_is_on_record(people: World) -> None:
    said = claims(people, "max", await session_of(people, "max"))
    made = "insert into invitations (email, plant_id) values ('zed@example.com', $1)"
    event = await noted(people, said, made, people.plant["Columbus, OH"])
    assert (event["action"], event["actor_id"]) == ("invited", people.person["max"])
    await people.owner("update invitations set sent_at = 'epoch' where email = 'zed@example.com'")
    for column, action in (("sent_at", "invitation_resent"), ("revoked_at", "invitation_revoked")):
        sql = f"update invitations set {column} = 'infinity' where email = 'zed@example.com'"
        event = await noted(people, said, sql)
        assert (event["action"], event["actor_id"]) == (action, people.person["max"])
    await noted(people, said, made, people.plant["Columbus, OH"])
    account = uuid4()
    async with people.role("supabase_auth_admin") as db:
        await db.run(
            "insert into users (id, email, email_confirmed_at) values ($1, 'zed@example.com', now())", account
        )
    event = next(one for one in await events(people) if one["action"] == "invitation_accepted")
    assert (event["subject_id"], event["plant_id"]) == (account, people.plant["Columbus, OH"])


async def test_sign_ins_and_failures_are_on_record(people: World, door: Door) -> None:
    await session_of(people, "ana")
    async with people.role("supabase_auth_admin") as db:
        await db.run("update users set last_sign_in_at = now() where id = $1", people.person["ana"])
    await door.note_failure("Ana@example.com", "198.51.100.7")
    await door.note_failure("hunter2-typed-into-the-wrong-field", "not an address")
    found = [
        (one["action"], one["actor_id"], one["subject_id"], str(one["ip_address"] or ""))
        for one in await events(people)
    ]
    ana = people.person["ana"]
    assert sorted(found, key=str) == sorted(
        [
            ("sign_in", ana, ana, "203.0.113.7"),
            ("sign_in_failed", None, ana, "198.51.100.7"),
            ("sign_in_failed", None, None, ""),
        ],
        key=str,
    )
    assert "hunter2" not in await people.owner("select json_agg(e)::text from audit_events e")


async def test_the_record_of_it_is_hrs_to_read_and_nobodys_to_change(people: World) -> None:
    async def count(db: Db) -> int:
        found: int = await db.value(COUNT + "audit_events")
        return found

    seen_by = {}
    for who in ("hana", "hugo", "max", "ana", "dev", "sam"):
        async with people.acting(who) as db:
            seen_by[who] = await count(db) > 0
    assert {who for who, sees in seen_by.items() if sees} == {"hana"}
    for role in ("postgres", "service_role"):
        for sql in (
            "update audit_events set action = 'sign_in'",
            "delete from audit_events",
            "truncate audit_events",
        ):
            with pytest.raises(Forbidden):
                async with people.role(role) as db:
                    await db.run(sql)
