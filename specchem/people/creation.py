"""Making people from the command line and for the demo: an invitation, then the account that accepts it."""

from collections.abc import Awaitable, Callable
from typing import Self
from uuid import UUID

from pydantic import ValidationError, ValidationInfo, field_validator

from specchem.db.session import Connection
from specchem.errors import BadInput, NotFound
from specchem.vocabulary import AdminRoleName, Email, Input, Name, Text


class NewPerson(Input):
    """A person to make, with plants by name; a role's scope is checked by the database."""

    email: Email
    plant: Text
    first_name: Name | None = None
    last_name: Name | None = None
    job_title: Name | None = None
    role: AdminRoleName | None = None
    role_plant: Text | None = None

    @field_validator("role_plant")
    @classmethod
    def _scope_fits(cls, role_plant: str | None, sent: ValidationInfo) -> str | None:
        if role_plant and sent.data.get("role") == "dev_admin":
            raise ValueError("a dev admin has no plant")
        return role_plant

    @classmethod
    def checked(cls, **fields: object) -> Self:
        """One made from what was typed. Raises BadInput that names every fault."""
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            faults = [
                f"{fault['loc'][0]}: {fault['msg'].removeprefix('Value error, ').rstrip('.')}."
                for fault in error.errors()
            ]
            raise BadInput("\n".join(faults)) from None


async def create_person(
    connection: Connection, person: NewPerson, create_account: Callable[[], Awaitable[UUID]]
) -> UUID:
    """Invite a person and make the account, which takes plant, names, job and role from the invitation.

    As the owner, inside a transaction. Raises NotFound for a plant that is not there, Conflict for an address
    that has an account.
    """
    await connection.execute(
        """
        insert into invitations (email, plant_id, first_name, last_name, job_title, role, role_plant_id)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (lower(email)) where accepted_at is null and revoked_at is null do update set
            plant_id = excluded.plant_id, first_name = excluded.first_name, last_name = excluded.last_name,
            job_title = excluded.job_title, role = excluded.role, role_plant_id = excluded.role_plant_id,
            expires_at = excluded.expires_at""",
        person.email, await _plant(connection, person.plant), person.first_name, person.last_name,
        person.job_title, person.role,
        await _plant(connection, person.role_plant) if person.role_plant else None,
    )  # fmt: skip
    return await create_account()


async def _plant(connection: Connection, name: str) -> UUID:
    found: UUID | None = await connection.fetchval(
        "select id from plants where name = $1 and is_active", name
    )
    if found is None:
        names = await connection.fetchval(
            "select string_agg(name, '; ' order by name) from plants where is_active"
        )
        raise NotFound(f"There is no open plant “{name}”; there are: {names}.")
    return found
