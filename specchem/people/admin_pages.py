"""People as managers and HR look them up, and one person's page, where HR changes what is to be changed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from pydantic import ValidationError

from specchem.auth.forms import read
from specchem.auth.visits import Ask
from specchem.db.session import Asker, Db
from specchem.doors import Me
from specchem.errors import BadInput, Conflict, Forbidden
from specchem.i18n import N_, _, told
from specchem.people import operations
from specchem.people.directory import (
    Wanted,
    count_people,
    find_people,
    get_plants_looked_after,
    get_powers,
)
from specchem.people.schemas import AdminRole, UpdateProfile
from specchem.people.visitor import get_visitor
from specchem.vocabulary import Page

COLUMNS = {"name": N_("Name"), "job": N_("Job"), "plant": N_("Plant"), "status": N_("Status")}
PEOPLE = 50  # a page of the list
FIELDS = {
    "first_name": N_("First name"), "last_name": N_("Last name"), "job_title": N_("Job title"),
    "plant_id": N_("Plant"), "role": N_("Role"), "status": N_("Status"),
}  # fmt: skip
SAVED = {
    "saved": N_("Saved."),
    "moved": N_("Moved, with open and done courses."),
    "suspended": N_("Suspended, and signed out everywhere."),
    "active": N_("Reinstated. They can sign in again."),
    "granted": N_("The role is granted."),
    "revoked": N_("The role is revoked."),
}


@dataclass(frozen=True)
class Column:
    """A heading that sorts by its column, and the other way round when it does already."""

    text: str
    address: str
    order: str
    mark: str


def _column(wanted: Wanted, key: str, text: str) -> Column:
    upwards, downwards = wanted.sort == key, wanted.sort == f"-{key}"
    address = "/people?" + urlencode(wanted.query() | {"sort": f"-{key}" if upwards else key})
    order = "ascending" if upwards else "descending" if downwards else ""
    return Column(text, address, order, "▲" if upwards else "▼" if downwards else "")


def wanted_of(request: Ask) -> Wanted:
    """Which people an address asks for. Raises ValidationError, which becomes a 400."""
    sent = request.query_params
    return Wanted.model_validate({name: sent[name] for name in Wanted.model_fields if name in sent})


@get("/people")
async def people(
    request: Ask,
    me: Me,
    offset: FromQuery[int] = 0,
    enrolled: FromQuery[int] = -1,
    already: FromQuery[int] = 0,
) -> Template:
    """Whom the visitor looks after: searched, filtered, sorted, page by page."""
    wanted = wanted_of(request)
    page = Page(limit=PEOPLE, offset=offset)
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        plants = await get_plants_looked_after(db)
        powers = await get_powers(db)
        total = await count_people(db, wanted)
        found = await find_people(db, wanted, page)
    return Template(
        "people/people.html",
        context={
            "visitor": visitor, "plants": plants, "powers": powers, "wanted": wanted, "total": total, "found": found,
            "offset": page.offset, "per_page": PEOPLE, "enrolled": enrolled, "already": already,
            "columns": [_column(wanted, *one) for one in COLUMNS.items()],
        },
    )  # fmt: skip


@get("/people/{person:uuid}")
async def person(me: Me, person: FromPath[UUID], done: FromQuery[str] = "") -> Template:
    """One person: what is known, and for HR the forms to change it."""
    return await _page(me, person, done=done)


@post("/people/{person:uuid}", status_code=303)
async def edit(request: Ask, me: Me, person: FromPath[UUID]) -> Response[None] | Template:
    """Names and job."""
    names = ("first_name", "last_name", "job_title")
    typed = dict(zip(names, await read(request, *names), strict=True))

    async def change(db: Db) -> None:
        sent = typed | {"job_title": typed["job_title"].strip() or None}
        await operations.update_profile(db, person, UpdateProfile.model_validate(sent))

    return await _done(me, person, change, "saved", typed)


@post("/people/{person:uuid}/plant", status_code=303)
async def move(request: Ask, me: Me, person: FromPath[UUID]) -> Response[None] | Template:
    """To another plant; courses move along, events stay."""
    (plant,) = await read(request, "plant_id")

    async def change(db: Db) -> None:
        await operations.update_profile(db, person, UpdateProfile.model_validate({"plant_id": plant}))

    return await _done(me, person, change, "moved")


@post("/people/{person:uuid}/status", status_code=303)
async def set_status(request: Ask, me: Me, person: FromPath[UUID]) -> Response[None] | Template:
    """Suspend, or reinstate."""
    (status,) = await read(request, "status")

    async def change(db: Db) -> None:
        await operations.update_profile(db, person, UpdateProfile.model_validate({"status": status}))

    return await _done(me, person, change, status)


@post("/people/{person:uuid}/roles", status_code=303)
async def grant(request: Ask, me: Me, person: FromPath[UUID]) -> Response[None] | Template:
    """A role; for a manager with the plant."""
    role = await _role(request)

    async def change(db: Db) -> None:
        await operations.assign_admin_role(db, person, AdminRole.model_validate(role))

    return await _done(me, person, change, "granted")


@post("/people/{person:uuid}/roles/revoke", status_code=303)
async def revoke(request: Ask, me: Me, person: FromPath[UUID]) -> Response[None] | Template:
    """A role, away again."""
    role = await _role(request)

    async def change(db: Db) -> None:
        await operations.revoke_admin_role(db, person, AdminRole.model_validate(role))

    return await _done(me, person, change, "revoked")


async def _role(request: Ask) -> dict[str, str | None]:
    role, plant = await read(request, "role", "plant_id")
    return {"role": role, "plant_id": plant or None}


async def _done(
    me: Asker,
    person: UUID,
    change: Callable[[Db], Awaitable[None]],
    done: str,
    typed: dict[str, str] | None = None,
) -> Response[None] | Template:
    """The page again: after the change, or with why there was none and what was typed."""
    try:
        async with me.acting() as db:
            await change(db)
    except ValidationError as error:
        return await _page(me, person, sentence=_faults(error), status=400, typed=typed)
    except (BadInput, Conflict, Forbidden) as error:
        return await _page(me, person, sentence=told(str(error)), status=error.status, typed=typed)
    return Redirect(f"/people/{person}?done={done}", status_code=303)


def _faults(error: ValidationError) -> str:
    """Every field at fault, in words."""
    said = []
    for fault in error.errors():
        field = str(fault["loc"][0]) if fault["loc"] else ""
        if fault["type"] in {"uuid_parsing", "literal_error"}:
            said.append(_("Choose one from the list."))
        elif field in FIELDS:
            said.append(f"{_(FIELDS[field])}: {told(fault['msg'].removeprefix('Value error, '))}.")
        else:
            said.append(_("A manager needs a plant; a dev admin has none."))
    return " ".join(dict.fromkeys(said))


async def _page(
    me: Asker,
    person: UUID,
    *,
    sentence: str = "",
    status: int = 200,
    done: str = "",
    typed: dict[str, str] | None = None,
) -> Template:
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        found = await operations.get_profile_by_id_with_plant(db, person)
        roles = await operations.get_user_roles(db, person)
        powers = await get_powers(db)
        plants = await operations.get_plants(db)
        looks_after: bool = await db.value(
            "select $1 = any((select app.visible_plants())::uuid [])", found.plant.id
        )
    profile = found.profile
    kept = {name: getattr(profile, name) or "" for name in ("first_name", "last_name", "job_title")}
    context: dict[str, Any] = {
        "visitor": visitor, "profile": profile, "plant": found.plant, "roles": roles, "powers": powers,
        "named": {plant.id: plant.name for plant in plants}, "plants": [one for one in plants if one.is_active],
        "looks_after": looks_after, "is_self": person == me.user_id, "sentence": sentence,
        "done": SAVED.get(done), "typed": typed or kept,
    }  # fmt: skip
    return Template("people/person.html", context=context, status_code=status)


router = Router("/", route_handlers=[people, person, edit, move, set_status, grant, revoke])
