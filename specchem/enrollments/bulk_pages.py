"""Enrolling people whom their manager or HR has chosen or found: in which course, and what it would do."""

from contextlib import suppress
from urllib.parse import urlencode
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.datastructures import FormMultiDict, MultiDict
from litestar.response import Redirect, Template

from specchem.auth.visits import Ask
from specchem.db.session import Asker
from specchem.doors import Me
from specchem.enrollments.bulk import Group, enroll, get_offers
from specchem.i18n import language
from specchem.people.directory import Wanted, get_plants_looked_after
from specchem.people.visitor import get_visitor

NOBODY = "Choose at least one person first."
CHOOSE = "Choose a course."


@get("/people/enroll")
async def form(request: Ask, me: Me) -> Template:
    """The courses there are, each with how many would be enrolled in it."""
    return await _page(me, request.query_params)


@post("/people/enroll", status_code=303)
async def send(request: Ask, me: Me) -> Response[None] | Template:
    """Enroll them, and say how many on the list."""
    sent = await request.form()
    group = _group(sent)
    course = _id(str(sent.get("course_id") or ""))
    if course is None or group.chosen == []:
        return await _page(me, sent, CHOOSE if course is None else NOBODY)
    async with me.acting() as db:
        await get_plants_looked_after(db)
        done = await enroll(db, group, course)
    query = group.wanted.query() | {"enrolled": str(done.enrolled), "already": str(done.already)}
    return Redirect(f"/people?{urlencode(query)}", status_code=303)


def _group(sent: MultiDict[str] | FormMultiDict) -> Group:
    """Whom a form or an address is about. Raises ValidationError."""
    wanted = Wanted.model_validate({name: sent[name] for name in Wanted.model_fields if name in sent})
    if sent.get("who") == "found":
        return Group(wanted)
    return Group(wanted, [one for text in sent.getall("person", []) if (one := _id(str(text)))])


def _id(text: str) -> UUID | None:
    with suppress(ValueError):
        return UUID(text)
    return None


async def _page(me: Asker, sent: MultiDict[str] | FormMultiDict, sentence: str | None = None) -> Template:
    group = _group(sent)
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        await get_plants_looked_after(db)
        offers = await get_offers(db, group, language())
    if group.chosen == []:
        sentence = NOBODY
    people = offers[0].to_enroll + offers[0].already + offers[0].not_eligible if offers else 0
    context = {
        "visitor": visitor, "group": group, "offers": offers, "sentence": sentence, "people": people,
        "asked": group.wanted.query(), "course_id": str(sent.get("course_id") or ""),
    }  # fmt: skip
    return Template("enrollments/enroll.html", context=context, status_code=400 if sentence else 200)


router = Router("/", route_handlers=[form, send])
