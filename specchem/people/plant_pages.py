"""Keeping plants: their names, their clocks, and whether they are open; for HR and dev admins."""

from functools import cache
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from litestar import Router, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from pydantic import ValidationError

from specchem.auth.forms import read
from specchem.auth.visits import Ask
from specchem.db.session import Asker
from specchem.doors import Me
from specchem.errors import BadInput, Conflict, NotFound
from specchem.i18n import N_
from specchem.people.operations import NO_PLANT, create_plant, get_plants_with_people, update_plant
from specchem.people.schemas import CreatePlant, PlantPeople, UpdatePlant
from specchem.people.visitor import get_visitor

NAME = N_("A plant needs a name of at most 100 letters, without control characters.")
ZONE = N_("Choose the plant's time zone from the list.")
DONE = {
    "added": N_("Added. People can be invited and moved into it."),
    "saved": N_("Saved."),
    "closed": N_("Closed. Its people can do nothing until it is open again."),
    "opened": N_("Open again. Its people go on where they were."),
}


@cache
def zones() -> list[str]:
    """Time zones to choose from: those named after a place, our continent's first."""
    named = [zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/")]
    return sorted(named, key=lambda zone: (not zone.startswith("America/"), zone))


@get("/admin/plants")
async def plants(me: Me, done: FromQuery[str] = "") -> Template:
    """Every plant, and a form for a new one."""
    return await _list(me, done=done)


@post("/admin/plants", status_code=200)
async def create(request: Ask, me: Me) -> Template | Redirect:
    """Open a new plant."""
    name, timezone = await read(request, "name", "timezone")
    try:
        new = CreatePlant(name=name, timezone=timezone)
        async with me.acting() as db:
            await create_plant(db, new)
    except (ValidationError, BadInput, Conflict) as error:
        return await _list(me, _sentence(error), {"name": name, "timezone": timezone})
    return Redirect("/admin/plants?done=added", status_code=303)


@get("/admin/plants/{plant:uuid}")
async def form(me: Me, plant: FromPath[UUID]) -> Template:
    """A plant's name and clock."""
    return await _one(me, plant)


@post("/admin/plants/{plant:uuid}", status_code=200)
async def change(request: Ask, me: Me, plant: FromPath[UUID]) -> Template | Redirect:
    """Rename it, set its clock."""
    name, timezone = await read(request, "name", "timezone")
    try:
        wanted = UpdatePlant(name=name, timezone=timezone)
        async with me.acting() as db:
            await update_plant(db, plant, wanted)
    except (ValidationError, BadInput, Conflict) as error:
        return await _one(me, plant, _sentence(error), {"name": name, "timezone": timezone})
    return Redirect("/admin/plants?done=saved", status_code=303)


@get("/admin/plants/{plant:uuid}/close")
async def ask_to_close(me: Me, plant: FromPath[UUID]) -> Template:
    """What closing means, before it is done."""
    return await _one(me, plant, page="people/close_plant.html")


@post("/admin/plants/{plant:uuid}/close", status_code=200)
async def close(me: Me, plant: FromPath[UUID]) -> Template | Redirect:
    """Its people can do nothing until it is open again."""
    try:
        async with me.acting() as db:
            await update_plant(db, plant, UpdatePlant(is_active=False))
    except Conflict as error:
        return await _one(me, plant, str(error), page="people/close_plant.html")
    return Redirect("/admin/plants?done=closed", status_code=303)


@post("/admin/plants/{plant:uuid}/open", status_code=303)
async def reopen(me: Me, plant: FromPath[UUID]) -> Redirect:
    """Its people go on where they were."""
    async with me.acting() as db:
        await update_plant(db, plant, UpdatePlant(is_active=True))
    return Redirect("/admin/plants?done=opened", status_code=303)


def _sentence(error: Exception) -> str:
    """What is wrong with a form, to a person: without the name of the field."""
    if isinstance(error, ValidationError):
        return NAME if error.errors()[0]["loc"] == ("name",) else ZONE
    return ZONE if isinstance(error, BadInput) and str(error).startswith("timezone: ") else str(error)


async def _list(
    me: Asker, sentence: str | None = None, typed: dict[str, str] | None = None, done: str = ""
) -> Template:
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        found = await get_plants_with_people(db)
    context: dict[str, Any] = {
        "visitor": visitor, "plants": found, "zones": zones(), "sentence": sentence,
        "done": DONE.get(done), "typed": typed or {"name": "", "timezone": "America/New_York"},
    }  # fmt: skip
    return Template("people/plants.html", context=context, status_code=400 if sentence else 200)


async def _one(
    me: Asker,
    plant: UUID,
    sentence: str | None = None,
    typed: dict[str, str] | None = None,
    *,
    page: str = "people/plant.html",
) -> Template:
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        one = _find(await get_plants_with_people(db), plant)
    context: dict[str, Any] = {
        "visitor": visitor, "one": one, "zones": zones(), "sentence": sentence,
        "typed": typed or {"name": one.plant.name, "timezone": one.plant.timezone},
    }  # fmt: skip
    return Template(page, context=context, status_code=400 if sentence else 200)


def _find(found: list[PlantPeople], plant: UUID) -> PlantPeople:
    for one in found:
        if one.plant.id == plant:
            return one
    raise NotFound(NO_PLANT)


router = Router("/", route_handlers=[plants, create, form, change, ask_to_close, close, reopen])
