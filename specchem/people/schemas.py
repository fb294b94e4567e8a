"""What may come in about people, and what goes out (guide: validations/auth.ts)."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import msgspec
from pydantic import BeforeValidator, Field, model_validator

from specchem.vocabulary import AdminRoleName, Email, Flag, Input, Name, Status, Text


class CreateProfile(Input):
    """A profile for an account that exists (guide: createProfileSchema); ``id`` is the account's."""

    id: UUID
    plant_id: UUID
    first_name: Name
    last_name: Name
    email: Email
    job_title: Name | None = None
    status: Status = "active"


def _not_empty(value: object) -> object:
    if value is None:
        raise ValueError("cannot be empty")
    return value


NotEmpty = BeforeValidator(_not_empty)  # a field may be left out, and then it stays


class UpdateProfile(Input):
    """What HR may change of a profile (guide: updateProfileSchema); at least one field."""

    plant_id: Annotated[UUID | None, NotEmpty] = None
    first_name: Annotated[Name | None, NotEmpty] = None
    last_name: Annotated[Name | None, NotEmpty] = None
    job_title: Name | None = None
    status: Annotated[Status | None, NotEmpty] = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name at least one field to change")
        return self


class CreatePlant(Input):
    """A new plant; ``timezone`` is an IANA name, which the database knows or refuses."""

    name: Name
    timezone: Text = "America/New_York"


class UpdatePlant(Input):
    """What may change of a plant; at least one field. Closed, its people can do nothing until it is open again."""

    name: Annotated[Name | None, NotEmpty] = None
    timezone: Annotated[Text | None, NotEmpty] = None
    is_active: Annotated[Flag | None, NotEmpty] = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name at least one field to change")
        return self


class AdminRole(Input):
    """A role to grant or revoke (guide: adminRoleSchema).

    A plant manager needs a plant, a dev admin has none, and HR without a plant is HR of the whole company.
    """

    role: AdminRoleName
    plant_id: UUID | None = None

    @model_validator(mode="after")
    def _scope_fits(self) -> Self:
        if self.role == "plant_manager" and self.plant_id is None:
            raise ValueError("plant_id is needed for a plant manager")
        if self.role == "dev_admin" and self.plant_id is not None:
            raise ValueError("a dev admin has no plant_id")
        return self


class Invite(Input):
    """Somebody to ask to join a plant, with the role they are to hold there, if any."""

    email: Email
    plant_id: UUID
    first_name: Name | None = None
    last_name: Name | None = None
    job_title: Name | None = None
    role: AdminRoleName | None = None
    role_plant_id: UUID | None = None


class InviteMany(Input):
    """Up to 200 people to ask at once; each by itself, so that one fault leaves the others."""

    invitations: Annotated[tuple[Invite, ...], Field(min_length=1, max_length=200)]


class Profile(msgspec.Struct, frozen=True):
    """A person as the table holds them."""

    id: UUID
    plant_id: UUID
    first_name: str
    last_name: str
    email: str
    job_title: str | None
    status: str
    created_at: datetime
    updated_at: datetime


class Plant(msgspec.Struct, frozen=True):
    """A plant as the table holds it; ``timezone`` is an IANA name."""

    id: UUID
    name: str
    timezone: str
    is_active: bool
    is_default: bool
    created_at: datetime
    updated_at: datetime


class PlantPeople(msgspec.Struct, frozen=True):
    """A plant and how many active people it has."""

    plant: Plant
    people: int
    is_mine: bool  # the caller's own


class ProfileWithPlant(msgspec.Struct, frozen=True):
    """A person and their plant."""

    profile: Profile
    plant: Plant


class Role(msgspec.Struct, frozen=True):
    """A role as the table holds it."""

    id: UUID
    user_id: UUID
    role: str
    plant_id: UUID | None
    created_at: datetime
    updated_at: datetime


class RoleChecks(msgspec.Struct, frozen=True):
    """What a person's roles amount to while the person is active."""

    is_admin: bool
    is_plant_manager: bool
    is_hr_admin: bool


class Caller(msgspec.Struct, frozen=True):
    """The caller: profile, plant, roles and what those amount to."""

    profile: Profile
    plant: Plant
    roles: list[Role]
    is_admin: bool
    is_plant_manager: bool
    is_hr_admin: bool


class Invitation(msgspec.Struct, frozen=True):
    """An invitation as the table holds it."""

    id: UUID
    email: str
    plant_id: UUID
    first_name: str | None
    last_name: str | None
    job_title: str | None
    role: str | None
    role_plant_id: UUID | None
    invited_by: UUID | None
    sent_at: datetime | None  # none: the mail is still to go out
    expires_at: datetime
    accepted_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime
    updated_at: datetime


class Invited(msgspec.Struct, frozen=True):
    """What became of one: the invitation, or None; and a sentence where it was refused or its mail was not sent."""

    email: str
    invitation: Invitation | None
    sent: bool
    problem: str | None
