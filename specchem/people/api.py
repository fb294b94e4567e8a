"""People, plants and roles as JSON."""

from typing import Annotated, TypeAlias
from uuid import UUID

from litestar import Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from specchem import noting
from specchem.auth.visits import Ask, Visits
from specchem.doors import Listed, Me
from specchem.people import inviting, operations
from specchem.people.invitations import get_invitations, revoke_invitation
from specchem.people.schemas import (
    AdminRole,
    Caller,
    CreatePlant,
    CreateProfile,
    Invitation,
    Invited,
    InviteMany,
    Plant,
    Profile,
    ProfileWithPlant,
    Role,
    RoleChecks,
    UpdatePlant,
    UpdateProfile,
)
from specchem.vocabulary import AdminRoleName

Visiting: TypeAlias = NamedDependency[Visits]


@get("/me", summary="The caller: profile, plant, roles")
async def me_(me: Me) -> Caller:
    """What the first page needs to know."""
    async with me.acting() as db:
        found = await operations.get_me(db, me.user_id)
    noting.in_plant(found.plant.id)
    return found


@get("/plants", summary="The plants the caller may see")
async def plants(me: Me) -> list[Plant]:
    """By name."""
    async with me.acting() as db:
        return await operations.get_plants(db)


@post("/plants", summary="Open a new plant (HR, dev admins)")
async def create_plant(me: Me, data: JSONBody[CreatePlant]) -> Plant:
    """409 where the name is taken."""
    async with me.acting() as db:
        return await operations.create_plant(db, data)


@patch("/plants/{plant:uuid}", summary="Rename, set the clock of, close or open a plant (HR, dev admins)")
async def update_plant(me: Me, plant: FromPath[UUID], data: JSONBody[UpdatePlant]) -> Plant:
    """Only what is named changes."""
    async with me.acting() as db:
        return await operations.update_plant(db, plant, data)


@get("/users/{person:uuid}", summary="A person and their plant")
async def profile(me: Me, person: FromPath[UUID]) -> ProfileWithPlant:
    """404 for one the caller may not see."""
    async with me.acting() as db:
        return await operations.get_profile_by_id_with_plant(db, person)


@post("/profiles", summary="Give an account its profile (HR)")
async def create_profile(me: Me, data: JSONBody[CreateProfile]) -> Profile:
    """For an account that exists."""
    async with me.acting() as db:
        return await operations.create_profile(db, data)


@get("/profiles/{person:uuid}", summary="A person")
async def get_profile(me: Me, person: FromPath[UUID]) -> Profile:
    """404 for one the caller may not see."""
    async with me.acting() as db:
        return await operations.get_profile_by_id(db, person)


@patch("/profiles/{person:uuid}", summary="Change a person's names, job, status or plant (HR)")
async def update_profile(me: Me, person: FromPath[UUID], data: JSONBody[UpdateProfile]) -> Profile:
    """Only what is named changes."""
    async with me.acting() as db:
        return await operations.update_profile(db, person, data)


@get("/users/{person:uuid}/roles", summary="A person's roles")
async def roles(me: Me, person: FromPath[UUID]) -> list[Role]:
    """Oldest first."""
    async with me.acting() as db:
        return await operations.get_user_roles(db, person)


@get("/users/{person:uuid}/role-checks", summary="What a person's roles amount to")
async def role_checks(me: Me, person: FromPath[UUID], plant_id: FromQuery[UUID | None] = None) -> RoleChecks:
    """``plant_id`` asks whether the person manages that plant."""
    async with me.acting() as db:
        return RoleChecks(
            await operations.is_user_admin(db, person),
            await operations.is_user_plant_manager(db, person, plant_id),
            await operations.is_user_hr_admin(db, person),
        )


@post("/users/{person:uuid}/roles", summary="Grant a role (HR: hr_admin, plant_manager; dev: dev_admin)")
async def assign_role(me: Me, person: FromPath[UUID], data: JSONBody[AdminRole]) -> Role:
    """Granting it again returns it."""
    async with me.acting() as db:
        return await operations.assign_admin_role(db, person, data)


@delete("/users/{person:uuid}/roles", summary="Revoke a role")
async def revoke_role(
    me: Me,
    person: FromPath[UUID],
    role: Annotated[AdminRoleName, QueryParameter(description="The role to take away.")],
    plant_id: FromQuery[UUID | None] = None,
) -> None:
    """Revoking it again changes nothing."""
    async with me.acting() as db:
        await operations.revoke_admin_role(db, person, AdminRole(role=role, plant_id=plant_id))


@get("/invitations", summary="Invitations that are open (managers, HR)")
async def invitations(me: Me, page: Listed) -> list[Invitation]:
    """Newest first; a manager sees those into their plants."""
    async with me.acting() as db:
        return await get_invitations(db, page)


@post("/invitations", status_code=200, summary="Invite people by e-mail (managers: their plants; HR: any)")
async def invite_people(request: Ask, me: Me, visits: Visiting, data: JSONBody[InviteMany]) -> list[Invited]:
    """What became of each, in the order sent; one that is refused leaves the others."""
    return await inviting.invite(me, visits.asking(request), data.invitations)


@post("/invitations/{invitation:uuid}/send", status_code=200, summary="Send an invitation's link again")
async def send_again(request: Ask, me: Me, visits: Visiting, invitation: FromPath[UUID]) -> Invited:
    """Its time begins anew."""
    return await inviting.invite_again(me, visits.asking(request), invitation)


@delete("/invitations/{invitation:uuid}", status_code=200, summary="Revoke an invitation")
async def revoke(me: Me, invitation: FromPath[UUID]) -> Invitation:
    """A link that was sent opens nothing from now on."""
    async with me.acting() as db:
        return await revoke_invitation(db, invitation)


router = Router(
    "/",
    route_handlers=[
        me_, plants, create_plant, update_plant, profile, create_profile, get_profile, update_profile, roles,
        role_checks, assign_role, revoke_role, invitations, invite_people, send_again, revoke,
    ],
    tags=["people"],
)  # fmt: skip
