"""Inviting people, as a page: a form for one or many, and those that are open."""

import re
from typing import Any
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Redirect, Template
from pydantic import ValidationError

from specchem.auth.forms import Desk, read
from specchem.auth.visits import Ask
from specchem.db.session import Asker, Db
from specchem.doors import Me
from specchem.errors import Forbidden
from specchem.i18n import N_, _, told
from specchem.people.invitations import count_unsent, get_invitations, revoke_invitation
from specchem.people.inviting import invite, invite_again, send_waiting
from specchem.people.operations import get_me, get_plants
from specchem.people.schemas import Invite, Invited, Plant
from specchem.people.visitor import get_visitor
from specchem.vocabulary import Page

MOST = 200  # addresses at once
ROLES = {"plant_manager": N_("Manager of the plant"), "hr_admin": N_("HR of the company")}
FIELDS = {"email": N_("email"), "job_title": N_("job title")}  # the others are chosen from lists
NOBODY = "Name at least one e-mail address."
TOO_MANY = f"Name at most {MOST} addresses at once."
NOT_YOURS = "Only managers and HR invite people."


@get("/invitations")
async def form(me: Me) -> Template:
    """Whom to invite, and who has not come yet."""
    return await _page(me)


@post("/invitations", status_code=200)
async def send(request: Ask, me: Me, visits: Desk) -> Template:
    """What became of each address; those that were refused stay in the form."""
    sent = await request.form()
    typed = {name: str(sent.get(name) or "") for name in ("emails", "plant_id", "job_title", "role")}
    emails = list(dict.fromkeys(one for one in re.split(r"[\s,;]+", typed["emails"]) if one))
    if not 0 < len(emails) <= MOST:
        return await _page(me, NOBODY if not emails else TOO_MANY, typed=typed)
    outcomes = await _invite(me, visits, request, emails, typed)
    refused = {one.email for one in outcomes if one.invitation is None}
    left = "\n".join(email for email in emails if email in refused)
    return await _page(me, outcomes=outcomes, typed=typed | {"emails": left})


@post("/invitations/send-waiting", status_code=200)
async def send_some(request: Ask, me: Me, visits: Desk) -> Template:
    """Some of the mails that wait; the page goes on by itself, or with its button, until none does."""
    (told_before,) = await read(request, "gone")
    outcomes = await send_waiting(me, visits.asking(request))
    failed = [one for one in outcomes if one.problem]
    gone = int(told_before) if told_before.isdecimal() else 0
    return await _page(me, outcomes=failed, gone=gone + len(outcomes) - len(failed), goes_on=not failed)


@post("/invitations/{invitation:uuid}/send", status_code=200)
async def send_again(
    request: Ask, me: Me, visits: Desk, invitation: FromPath[UUID]
) -> Response[None] | Template:
    """A new link; the old one opens nothing any more."""
    outcome = await invite_again(me, visits.asking(request), invitation)
    return await _page(me, outcomes=[outcome])


@post("/invitations/{invitation:uuid}/revoke", status_code=303)
async def revoke(me: Me, invitation: FromPath[UUID]) -> Redirect:
    """The link opens nothing any more."""
    async with me.acting() as db:
        await revoke_invitation(db, invitation)
    return Redirect("/invitations", status_code=303)


async def _invite(
    me: Asker, visits: Desk, request: Ask, emails: list[str], typed: dict[str, str]
) -> list[Invited]:
    """Each address that is one, in the order typed, with a sentence for those that are not."""
    role = typed["role"] if typed["role"] in ROLES else None
    wanted: dict[str, Invite] = {}
    wrong: dict[str, Invited] = {}
    for email in emails:
        try:
            wanted[email] = Invite(
                email=email, plant_id=UUID(typed["plant_id"]), job_title=typed["job_title"] or None, role=role,
                role_plant_id=UUID(typed["plant_id"]) if role == "plant_manager" else None,
            )  # fmt: skip
        except ValidationError as error:
            fault = error.errors()[0]
            # What is amiss with an address is a sentence of its own; of another field it says which.
            sentence = fault.get("ctx", {}).get("reason")
            if sentence is None:
                sentence = (
                    f"{_(FIELDS[str(fault['loc'][0])])}: {told(fault['msg'].removeprefix('Value error, '))}"
                )
            wrong[email] = Invited(email, None, False, sentence)
        except ValueError:
            wrong[email] = Invited(email, None, False, "Choose a plant.")
    made = await invite(me, visits.asking(request), list(wanted.values()))
    found = wrong | dict(zip(wanted, made, strict=True))
    return [found[email] for email in emails]


async def _page(
    me: Asker,
    sentence: str | None = None,
    *,
    outcomes: list[Invited] | None = None,
    typed: dict[str, str] | None = None,
    gone: int = 0,
    goes_on: bool | None = None,
) -> Template:
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        plants, is_hr = await _plants(db, me)
        waiting = await get_invitations(db, Page(limit=500))
        unsent = await count_unsent(db)
    context: dict[str, Any] = {
        "visitor": visitor, "plants": plants, "roles": ROLES if is_hr else {}, "waiting": waiting,
        "named": {plant.id: plant.name for plant in plants}, "sentence": sentence, "outcomes": outcomes or [],
        "typed": typed or {}, "role_names": ROLES, "unsent": unsent, "gone": gone, "goes_on": goes_on,
    }  # fmt: skip
    return Template("people/invitations.html", context=context, status_code=400 if sentence else 200)


async def _plants(db: Db, me: Asker) -> tuple[list[Plant], bool]:
    """Where the caller may invite into, and whether as HR of the company. Raises Forbidden for who may not at all."""
    caller = await get_me(db, me.user_id)
    looked_after = {role.plant_id for role in caller.roles if role.plant_id is not None}
    plants = [
        plant
        for plant in await get_plants(db)
        if plant.is_active and (caller.is_hr_admin or plant.id in looked_after)
    ]
    if not plants:
        raise Forbidden(NOT_YOURS)
    return plants, caller.is_hr_admin


router = Router("/", route_handlers=[form, send, send_some, send_again, revoke])
