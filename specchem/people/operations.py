"""Verbs over people, plants and roles (guide: operations/auth.ts); the database knows who is asking."""

from typing import Any
from uuid import UUID

import msgspec

from specchem.db.session import Db
from specchem.errors import Forbidden
from specchem.people.schemas import (
    AdminRole,
    Caller,
    CreatePlant,
    CreateProfile,
    Plant,
    PlantPeople,
    Profile,
    ProfileWithPlant,
    Role,
    RoleChecks,
    UpdatePlant,
    UpdateProfile,
)

NO_PERSON = "There is no such person."
NO_PLANT = "There is no such plant."


async def get_plants(db: Db) -> list[Plant]:
    """The plants the caller may see, by name."""
    return await db.all(Plant, "select * from plants order by name")


async def get_plants_with_people(db: Db) -> list[PlantPeople]:
    """Every plant with its number of active people, open ones first; for HR and dev admins. Raises Forbidden."""
    return await db.all(
        PlantPeople,
        """
        select to_jsonb(t) as plant, coalesce(n.people, 0) as people,
            t.id = (select p.plant_id from profiles p where p.id = app.me()) as is_mine
        from plants t left join app.plant_people() n on n.plant_id = t.id
        where app.keeps() order by t.is_active desc, t.name""",
    )


async def create_plant(db: Db, new: CreatePlant) -> Plant:
    """A new plant, open; for HR and dev admins. Raises Conflict where the name is taken."""
    return await db.one(
        Plant, "insert into plants (name, timezone) values ($1, $2) returning *", new.name, new.timezone
    )


async def update_plant(db: Db, plant: UUID, change: UpdatePlant) -> Plant:
    """Rename a plant, set its clock, close or open it; for HR and dev admins. Raises NotFound, Forbidden, Conflict."""
    updated = await db.maybe(
        Plant,
        """
        update plants set name = coalesce($2, name), timezone = coalesce($3, timezone),
            is_active = coalesce($4, is_active)
        where id = $1 returning *""",
        plant, change.name, change.timezone, change.is_active,
    )  # fmt: skip
    if updated is None:
        await db.one(Plant, "select * from plants where id = $1", plant, missing=NO_PLANT)
        raise Forbidden("Only HR and dev admins may change a plant.")
    return updated


async def create_profile(db: Db, new: CreateProfile) -> Profile:
    """Give an account its profile; HR only. Raises Conflict where it has one."""
    return await db.one(
        Profile,
        """
        insert into profiles (id, plant_id, first_name, last_name, email, job_title, status)
        values ($1, $2, $3, $4, $5, $6, $7) returning *""",
        new.id, new.plant_id, new.first_name, new.last_name, new.email, new.job_title, new.status,
    )  # fmt: skip


async def update_profile(db: Db, person: UUID, change: UpdateProfile) -> Profile:
    """Change a person's names, job, status or plant; HR only, and nobody their own status."""
    changed: dict[str, Any] = change.model_dump(exclude_unset=True)
    updated = await db.maybe(
        Profile,
        """
        update profiles set
            plant_id = coalesce($2, plant_id), first_name = coalesce($3, first_name),
            last_name = coalesce($4, last_name), status = coalesce($5, status),
            job_title = case when $6 then $7 else job_title end
        where id = $1 returning *""",
        person, change.plant_id, change.first_name, change.last_name, change.status,
        "job_title" in changed, change.job_title,
    )  # fmt: skip
    if updated is None:
        await get_profile_by_id(db, person)  # unknown: 404
        raise Forbidden("Only HR may change a person.")
    return updated


async def get_profile_by_id(db: Db, person: UUID) -> Profile:
    """A person the caller may see. Raises NotFound."""
    return await db.one(Profile, "select * from profiles where id = $1", person, missing=NO_PERSON)


async def get_profile_by_id_with_plant(db: Db, person: UUID) -> ProfileWithPlant:
    """A person and their plant. Raises NotFound."""
    return await db.one(
        ProfileWithPlant,
        """
        select to_jsonb(p) as profile, to_jsonb(t) as plant
        from profiles p join plants t on t.id = p.plant_id where p.id = $1""",
        person,
        missing=NO_PERSON,
    )


async def assign_admin_role(db: Db, person: UUID, grant: AdminRole) -> Role:
    """Grant a role; granting it again returns it. Raises Forbidden, NotFound, Conflict for the suspended."""
    granted = await db.maybe(
        Role,
        """
        insert into admin_roles (user_id, role, plant_id) values ($1, $2, $3)
        on conflict on constraint admin_roles_user_role_plant_unique do nothing returning *""",
        person, grant.role, grant.plant_id,
    )  # fmt: skip
    if granted is not None:
        return granted
    return await db.one(
        Role,
        "select * from admin_roles where user_id = $1 and role = $2 and plant_id is not distinct from $3",
        person, grant.role, grant.plant_id,
    )  # fmt: skip


async def revoke_admin_role(db: Db, person: UUID, revoked: AdminRole) -> None:
    """Take a role away; taking it again changes nothing. Raises NotFound, Forbidden for who may not revoke it."""
    where = "user_id = $1 and role = $2 and plant_id is not distinct from $3"
    scope = (person, revoked.role, revoked.plant_id)
    await db.run(f"delete from admin_roles where {where}", *scope)  # noqa: S608  no value is in the text
    # To whom it is not entrusted, "it is gone" would be a lie: they may not even see it.
    stays = f"""
        select case when (case $2::admin_role when 'dev_admin' then app.is_dev() else app.is_hr() end)
            then exists (select from admin_roles where {where})
            else app.visible_person($1) = $1 end"""  # noqa: S608
    if await db.value(stays, *scope):
        raise Forbidden("You may not revoke this role.")


async def get_user_roles(db: Db, person: UUID) -> list[Role]:
    """A person's roles, oldest first. Raises NotFound."""
    return await db.all(
        Role,
        """
        select r.* from admin_roles r where app.visible_person($1) = $1 and r.user_id = $1
        order by r.created_at, r.id""",
        person,
    )


async def is_user_admin(db: Db, person: UUID) -> bool:
    """Has this person a role, and are they active?"""
    return (await check_roles(db, person)).is_admin


async def is_user_plant_manager(db: Db, person: UUID, plant: UUID | None = None) -> bool:
    """Does this active person manage the plant, or without one: any plant?"""
    return (await check_roles(db, person, plant)).is_plant_manager


async def is_user_hr_admin(db: Db, person: UUID) -> bool:
    """Is this active person HR of the whole company? HR of one plant is not."""
    return (await check_roles(db, person)).is_hr_admin


async def check_roles(db: Db, person: UUID, plant: UUID | None = None) -> RoleChecks:
    """What a person's roles amount to. Raises NotFound."""
    return await db.one(
        RoleChecks,
        """
        select count(r.id) > 0 as is_admin,
            count(*) filter (where r.role = 'plant_manager' and r.plant_id = coalesce($2, r.plant_id)) > 0
                as is_plant_manager,
            count(*) filter (where r.role = 'hr_admin' and r.plant_id is null) > 0 as is_hr_admin
        from profiles p
        left join plants t on t.id = p.plant_id
        left join admin_roles r on r.user_id = p.id and p.status = 'active' and t.is_active
        where app.visible_person($1) = $1 and p.id = $1""",
        person, plant,
    )  # fmt: skip


async def get_me(db: Db, caller: UUID) -> Caller:
    """The caller's own page."""
    found = await get_profile_by_id_with_plant(db, caller)
    checks = await check_roles(db, caller)
    return Caller(
        found.profile, found.plant, await get_user_roles(db, caller), **msgspec.structs.asdict(checks)
    )
