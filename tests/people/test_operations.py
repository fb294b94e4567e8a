import msgspec
import pytest

from specchem.errors import BadInput, Conflict, Forbidden, NotFound, SpecChemError
from specchem.people import operations
from specchem.people.schemas import AdminRole, CreateProfile, UpdateProfile
from specchem.vocabulary import AdminRoleName
from tests.unchanged import refused
from tests.world import World


@pytest.mark.parametrize(
    ("who", "sees"),
    [
        ("ana", {"ana"}),
        ("max", {"ana", "cal", "max", "hugo", "dev", "sue", "sam"}),
        ("mia", {"bo", "mia"}),
        ("sue", set()),
        ("nora", set()),
        ("ina", set()),
    ],
)
async def test_who_sees_whose_profile(people: World, who: str, sees: set[str]) -> None:
    async with people.acting(who) as db:
        seen = {row["first_name"].lower() for row in await db.connection.fetch("select * from profiles")}
    assert seen == sees


async def test_me(people: World) -> None:
    async with people.acting("max") as db:
        me = await operations.get_me(db, people.person["max"])
    assert (me.plant.name, me.is_plant_manager, me.is_hr_admin) == ("Columbus, OH", True, False)
    assert [(role.role, role.plant_id) for role in me.roles] == [("plant_manager", me.plant.id)]


@pytest.mark.parametrize(
    ("who", "seen"), [("ana", 6), ("max", 6), ("hana", 7), ("dev", 7), ("sue", 0), ("ina", 0), ("nora", 0)]
)
async def test_plants_by_name(people: World, who: str, seen: int) -> None:
    async with people.acting(who) as db:
        names = [plant.name for plant in await operations.get_plants(db)]
    assert len(names) == seen
    assert names == sorted(names)


def profile_of(world: World, name: str, plant: str = "Denver, CO", **fields: str) -> CreateProfile:
    sent = {"first_name": "Nora", "last_name": "New", "email": f"{name}@example.com", **fields}
    return CreateProfile.model_validate({"id": world.person[name], "plant_id": world.plant[plant], **sent})


# guide-measured: createProfile
async def test_hr_gives_an_account_its_profile(people: World) -> None:
    async with people.acting("hana") as db:
        made = await operations.create_profile(db, profile_of(people, "nora"))
    assert (made.id, made.status, made.job_title) == (people.person["nora"], "active", None)
    async with people.acting("nora") as db:
        assert await operations.get_profile_by_id(db, made.id) == made


@pytest.mark.parametrize("who", ["ana", "max", "hugo", "dev", "nora", "sam"])
async def test_only_hr_of_the_company_creates_profiles(people: World, who: str) -> None:
    async with refused(people, Forbidden), people.acting(who) as db:
        await operations.create_profile(db, profile_of(people, "nora"))


async def test_a_profile_that_cannot_be(people: World) -> None:
    nobody = profile_of(people, "nora").model_copy(update={"id": people.plant["Denver, CO"]})
    nowhere = profile_of(people, "nora").model_copy(update={"plant_id": people.person["ana"]})
    for new, kind, sentence in [
        (profile_of(people, "ana"), Conflict, "has a profile already"),
        (profile_of(people, "nora", email="ANA@example.com"), Conflict, "this e-mail address already"),
        (profile_of(people, "nora", "Closed, NV"), Conflict, "not open"),
        (nobody, NotFound, "no such account"),
        (nowhere, Conflict, "not open"),
    ]:
        async with refused(people, kind, sentence), people.acting("hana") as db:
            await operations.create_profile(db, new)


async def test_a_profile_has_its_accounts_address(people: World) -> None:
    await people.owner(
        "update auth.users set email = 'nora@work.example' where id = $1", people.person["nora"]
    )
    async with refused(people, Conflict, "another e-mail address"), people.acting("hana") as db:
        await operations.create_profile(db, profile_of(people, "nora", email="new@example.com"))


# guide-measured: updateProfile
async def test_hr_changes_a_person(people: World) -> None:
    change = UpdateProfile(first_name="Anna", job_title=None, plant_id=people.plant["Phoenix, AZ"])
    async with people.acting("hana") as db:
        before = await operations.get_profile_by_id(db, people.person["ana"])
        after = await operations.update_profile(db, before.id, change)
    assert (after.first_name, after.job_title, after.plant_id) == ("Anna", None, change.plant_id)
    assert (after.last_name, after.email, after.status) == (before.last_name, before.email, before.status)


@pytest.mark.parametrize(
    ("who", "whom", "kind"),
    [
        ("ana", "ana", Forbidden),
        ("max", "ana", Forbidden),
        ("hugo", "ana", Forbidden),
        ("dev", "dev", Forbidden),
        ("ana", "bo", NotFound),
        ("max", "bo", NotFound),
        ("sue", "sue", NotFound),
        ("hana", "nora", NotFound),
    ],
)
async def test_who_changes_nobody(people: World, who: str, whom: str, kind: type[SpecChemError]) -> None:
    async with refused(people, kind), people.acting(who) as db:
        await operations.update_profile(db, people.person[whom], UpdateProfile(first_name="X"))


async def test_changes_the_record_refuses(people: World) -> None:
    for whom, change, kind, sentence in [
        ("hana", UpdateProfile(status="suspended"), Forbidden, "own status"),
        ("ana", UpdateProfile(plant_id=people.plant["Closed, NV"]), Conflict, "not open"),
        ("ana", UpdateProfile(plant_id=people.person["ana"]), Conflict, "not open"),
    ]:
        async with refused(people, kind, sentence), people.acting("hana") as db:
            await operations.update_profile(db, people.person[whom], change)


async def test_a_suspension_holds_from_the_next_statement_on(people: World) -> None:
    async with people.acting("hana") as db:
        await operations.update_profile(db, people.person["max"], UpdateProfile(status="suspended"))
    async with refused(people, NotFound), people.acting("max") as db:
        await operations.get_profile_by_id(db, people.person["max"])


# guide-measured: getProfileById / WithPlant
@pytest.mark.parametrize(
    ("who", "whom"), [("ana", "ana"), ("max", "ana"), ("hugo", "ana"), ("hana", "bo"), ("mia", "bo")]
)
async def test_a_person_and_their_plant(people: World, who: str, whom: str) -> None:
    async with people.acting(who) as db:
        alone = await operations.get_profile_by_id(db, people.person[whom])
        found = await operations.get_profile_by_id_with_plant(db, people.person[whom])
    assert found.profile == alone
    assert found.plant.id == alone.plant_id


@pytest.mark.parametrize(
    ("who", "whom"),
    [("ana", "bo"), ("max", "bo"), ("dev", "ana"), ("hana", "nora"), ("sam", "sam"), ("ina", "ina")],
)
async def test_unknown_or_not_theirs_to_see_is_the_same(people: World, who: str, whom: str) -> None:
    for read in (
        operations.get_profile_by_id,
        operations.get_profile_by_id_with_plant,
        operations.get_user_roles,
    ):
        async with refused(people, NotFound, "There is no such person."), people.acting(who) as db:
            await read(db, people.person[whom])


# guide-measured: getProfileById (bad uuid → raw 22P02 with SQL text)
async def test_what_is_no_id_is_bad_input_without_sql(people: World) -> None:
    with pytest.raises(BadInput) as caught:
        async with people.acting("hana") as db:
            await operations.get_profile_by_id(db, "not-an-id")  # type: ignore[arg-type]
    assert "select" not in str(caught.value)


# guide-measured: assignAdminRole
GRANTS: list[tuple[str, str, AdminRoleName, str | None]] = [
    ("hana", "ana", "plant_manager", "Columbus, OH"),
    ("hana", "ana", "plant_manager", "Dallas, TX"),
    ("hana", "ana", "hr_admin", None),
    ("hana", "ana", "hr_admin", "Columbus, OH"),
    ("dev", "ana", "dev_admin", None),
]


def grant(world: World, role: AdminRoleName, plant: str | None) -> AdminRole:
    return AdminRole(role=role, plant_id=world.plant[plant] if plant else None)


@pytest.mark.parametrize(("who", "whom", "role", "plant"), GRANTS)
async def test_a_role_is_granted_once_and_revoked_once(
    people: World, who: str, whom: str, role: AdminRoleName, plant: str | None
) -> None:
    person, given = people.person[whom], grant(people, role, plant)
    async with people.acting(who) as db:
        first = await operations.assign_admin_role(db, person, given)
        assert await operations.assign_admin_role(db, person, given) == first
        assert (first.user_id, first.role, first.plant_id) == (person, role, given.plant_id)
    async with people.acting(whom) as db:
        assert await operations.get_user_roles(db, person) == [first]
    async with people.acting(who) as db:
        await operations.revoke_admin_role(db, person, given)
        await operations.revoke_admin_role(db, person, given)
    assert await people.owner("select count(*) from admin_roles where user_id = $1", person) == 0


@pytest.mark.parametrize(
    ("who", "whom", "role", "plant", "kind"),
    [
        ("ana", "ana", "hr_admin", None, Forbidden),
        ("ana", "cal", "hr_admin", None, Forbidden),
        ("max", "cal", "plant_manager", "Columbus, OH", Forbidden),
        ("hugo", "cal", "plant_manager", "Columbus, OH", Forbidden),
        ("hana", "hana", "plant_manager", "Seattle, WA", Forbidden),
        ("hana", "ana", "dev_admin", None, Forbidden),
        ("dev", "ana", "hr_admin", None, Forbidden),
        ("dev", "dev", "hr_admin", None, Forbidden),
        ("sam", "ana", "hr_admin", None, Forbidden),
        ("hana", "sue", "plant_manager", "Columbus, OH", Conflict),
        ("hana", "nora", "hr_admin", None, NotFound),
    ],
)
async def test_a_grant_that_is_refused(
    people: World, who: str, whom: str, role: AdminRoleName, plant: str | None, kind: type[SpecChemError]
) -> None:
    async with refused(people, kind), people.acting(who) as db:
        await operations.assign_admin_role(db, people.person[whom], grant(people, role, plant))


async def test_a_role_in_a_plant_that_is_not_there(people: World) -> None:
    async with refused(people, NotFound, "no such plant"), people.acting("hana") as db:
        await operations.assign_admin_role(
            db, people.person["ana"], AdminRole(role="plant_manager", plant_id=people.person["ana"])
        )


@pytest.mark.parametrize(
    ("who", "whom", "role", "plant"),
    [
        ("hana", "hana", "hr_admin", None),
        ("max", "max", "plant_manager", "Columbus, OH"),
        ("max", "hugo", "hr_admin", "Columbus, OH"),
        ("hana", "dev", "dev_admin", None),
        ("dev", "dev", "dev_admin", None),
        # Nothing to take away, and not theirs to take: "done" would be a lie.
        ("max", "ana", "hr_admin", None),
        ("ana", "ana", "hr_admin", None),
    ],
)
async def test_a_revocation_that_is_refused(
    people: World, who: str, whom: str, role: AdminRoleName, plant: str | None
) -> None:
    async with refused(people, Forbidden), people.acting(who) as db:
        await operations.revoke_admin_role(db, people.person[whom], grant(people, role, plant))


async def test_a_dev_admin_is_not_told_that_an_hr_role_is_gone(people: World) -> None:
    await people.owner(
        "insert into admin_roles (user_id, role, plant_id) values ($1, 'plant_manager', $2), ($3, 'hr_admin', null)",
        people.person["dev"], people.plant["Columbus, OH"], people.person["ana"],
    )  # fmt: skip
    async with refused(people, Forbidden), people.acting("dev") as db:
        await operations.revoke_admin_role(db, people.person["ana"], grant(people, "hr_admin", None))


async def test_a_revocation_from_somebody_out_of_sight(people: World) -> None:
    async with refused(people, NotFound), people.acting("max") as db:
        await operations.revoke_admin_role(db, people.person["hana"], grant(people, "hr_admin", None))


# guide-measured: getUserRoles / isUserAdmin / isUserHRAdmin / isUserPlantManager
@pytest.mark.parametrize(
    ("whom", "admin", "manager", "of_columbus", "hr"),
    [
        ("ana", False, False, False, False),
        ("max", True, True, True, False),
        ("mia", True, True, False, False),
        ("hana", True, False, False, True),
        ("hugo", True, False, False, False),  # HR of one plant is not HR
        ("dev", True, False, False, False),
        ("sam", False, False, False, False),  # suspended
        ("sue", False, False, False, False),
    ],
)
async def test_what_roles_amount_to(
    people: World, whom: str, admin: bool, manager: bool, of_columbus: bool, hr: bool
) -> None:
    person = people.person[whom]
    async with people.acting("hana") as db:
        assert await operations.is_user_admin(db, person) == admin
        assert await operations.is_user_plant_manager(db, person) == manager
        assert await operations.is_user_plant_manager(db, person, people.plant["Columbus, OH"]) == of_columbus
        assert await operations.is_user_hr_admin(db, person) == hr


async def test_roles_of_a_closed_plants_people_count_for_nothing(people: World) -> None:
    async with people.acting("hana") as db:
        await operations.assign_admin_role(db, people.person["ina"], AdminRole(role="hr_admin"))
        assert len(await operations.get_user_roles(db, people.person["ina"])) == 1
        assert not await operations.is_user_admin(db, people.person["ina"])


async def test_roles_come_oldest_first(people: World) -> None:
    async with people.acting("hana") as db:
        roles = await operations.get_user_roles(db, people.person["mia"])
    assert roles == sorted(roles, key=lambda role: (role.created_at, role.id))
    assert {role.plant_id for role in roles} == {people.plant["Phoenix, AZ"], people.plant["Dallas, TX"]}


@pytest.mark.parametrize(("who", "whom"), [("ana", "max"), ("max", "hana"), ("max", "bo"), ("sue", "sue")])
async def test_whose_roles_nobody_is_told(people: World, who: str, whom: str) -> None:
    async with refused(people, NotFound), people.acting(who) as db:
        await operations.check_roles(db, people.person[whom])


async def test_what_goes_out_has_no_surprise(people: World) -> None:
    async with people.acting("ana") as db:
        me = msgspec.to_builtins(await operations.get_me(db, people.person["ana"]))
    assert set(me) == {"profile", "plant", "roles", "is_admin", "is_plant_manager", "is_hr_admin"}
