"""People, plants and roles as JSON."""

from typing import Annotated
from uuid import UUID

from litestar import Router, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from specchem.doors import Me
from specchem.people import operations
from specchem.people.schemas import (
    AdminRole,
    Caller,
    CreateProfile,
    Plant,
    Profile,
    ProfileWithPlant,
    Role,
    RoleChecks,
    UpdateProfile,
)
from specchem.vocabulary import AdminRoleName


@get("/me", summary="The caller: profile, plant, roles")
async def me_(me: Me) -> Caller:
    """What the first page needs to know."""
    async with me.acting() as db:
        return await operations.get_me(db, me.user_id)


@get("/plants", summary="The plants the caller may see")
async def plants(me: Me) -> list[Plant]:
    """By name."""
    async with me.acting() as db:
        return await operations.get_plants(db)


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


router = Router(
    "/",
    route_handlers=[
        me_, plants, profile, create_profile, get_profile, update_profile, roles, role_checks, assign_role,
        revoke_role,
    ],
    tags=["people"],
)  # fmt: skip
