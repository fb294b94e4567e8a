"""Finding people: the list that managers and HR look at, and whom a search is about."""

import re
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from pydantic import BeforeValidator, Field

from specchem.db.session import Db
from specchem.errors import Forbidden
from specchem.people.schemas import Plant
from specchem.vocabulary import Input, Page, Status

NOT_YOURS = "Only managers and HR look people up."
_Chosen = BeforeValidator(lambda sent: sent or None)  # a form sends what was left open as ""


class Wanted(Input):
    """Which people, and in which order: ``name``, ``plant``, ``job``, ``status`` or ``added``, ``-`` turns it round."""

    search: Annotated[str, Field(max_length=200)] = ""
    plant: Annotated[UUID | None, _Chosen] = None
    status: Annotated[Status | None, _Chosen] = None
    role: Annotated[Literal["hr_admin", "plant_manager", "dev_admin", "none"] | None, _Chosen] = None
    sort: Annotated[str, Field(pattern=r"^-?(name|plant|job|status|added)$")] = "name"

    def values(self) -> tuple[object, ...]:
        """What MATCHES asks for."""
        words = (re.sub(r"([%_\\])", r"\\\1", word) for word in self.search.split())
        return [f"%{word}%" for word in words], self.plant, self.status, self.role

    def query(self) -> dict[str, str]:
        """As an address says it, without what goes without saying."""
        return {name: str(value) for name, value in self.model_dump(exclude_defaults=True).items() if value}


# People ``p`` and their plants ``t``: of the plants that the caller looks after, each word somewhere in name, e-mail
# or job. ``$1`` words as patterns, ``$2`` plant, ``$3`` status, ``$4`` role.
MATCHES = """
    from profiles p left join plants t on t.id = p.plant_id
    where p.plant_id = any((select app.visible_plants())::uuid [])
        and not exists (
            select from unnest($1::text []) w
            where concat_ws(' ', p.first_name, p.last_name, p.email, p.job_title) not ilike w)
        and ($2::uuid is null or p.plant_id = $2) and ($3::user_status is null or p.status = $3)
        and ($4::text is null or exists (
            select from admin_roles r where r.user_id = p.id and ($4 = 'none' or r.role::text = $4)) = ($4 <> 'none'))
"""
ROLES_OF = """(
    select coalesce(jsonb_agg(jsonb_build_object('role', r.role, 'plant', n.name) order by r.role, n.name), '[]')
    from admin_roles r left join plants n on n.id = r.plant_id where r.user_id = p.id)"""
_ORDERS = {
    "name": "p.last_name", "plant": "t.name", "job": "p.job_title", "status": "p.status", "added": "p.created_at",
}  # fmt: skip


class RoleHeld(msgspec.Struct, frozen=True):
    """A role, and the name of its plant; none: of the whole company, or a closed plant's that is out of sight."""

    role: str
    plant: str | None


class Found(msgspec.Struct, frozen=True):
    """A person in the list."""

    id: UUID
    first_name: str
    last_name: str
    email: str
    job_title: str | None
    status: str
    plant: str | None
    roles: list[RoleHeld]


class Powers(msgspec.Struct, frozen=True):
    """What a page offers its visitor; whether it is done, the database decides each time."""

    is_hr: bool
    is_dev: bool


def order(sort: str) -> str:
    """The order's columns, the same in every reading."""
    backwards = " desc" if sort.startswith("-") else ""
    return f"{_ORDERS[sort.removeprefix('-')]}{backwards} nulls last, p.last_name, p.first_name, p.id"


async def find_people(db: Db, wanted: Wanted, page: Page) -> list[Found]:
    """One page of them."""
    return await db.all(
        Found,
        f"""
        select p.id, p.first_name, p.last_name, p.email, p.job_title, p.status, t.name as plant, {ROLES_OF} as roles
        {MATCHES} order by {order(wanted.sort)} limit $5 offset $6""",
        *wanted.values(), page.limit, page.offset,
    )  # fmt: skip


async def count_people(db: Db, wanted: Wanted) -> int:
    """How many there are in all."""
    found: int = await db.value(f"select count(*) {MATCHES}", *wanted.values())
    return found


async def get_plants_looked_after(db: Db) -> list[Plant]:
    """The plants whose people the caller looks after, by name. Raises Forbidden for who looks after nobody."""
    plants = await db.all(
        Plant, "select * from plants where id = any((select app.visible_plants())::uuid []) order by name"
    )
    if not plants:
        raise Forbidden(NOT_YOURS)
    return plants


async def get_powers(db: Db) -> Powers:
    """Is the caller HR of the company, a dev admin?"""
    return await db.one(Powers, "select app.is_hr() as is_hr, app.is_dev() as is_dev")
