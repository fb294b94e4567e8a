"""What people do about their own account: a new password, the second factor, an end to all sessions."""

import time

from litestar import Response, Router, get, post
from litestar.response import Redirect, Template

from specchem.auth.errors import AuthError
from specchem.auth.forms import Desk, Visiting, again, read, refused
from specchem.auth.guard import own_page
from specchem.auth.sessions import Session, User
from specchem.auth.tokens import ENDED, Verified
from specchem.auth.visits import Ask, Visit, Visits, address_of
from specchem.doors import Me
from specchem.errors import NotSignedIn
from specchem.people.visitor import get_visitor

SHORTEST, LONGEST_BYTES = 8, 72
BY_MAIL = frozenset({"otp", "recovery", "invite", "magiclink"})
SOON_AFTER = 15 * 60  # seconds for which a mailed link is as good as the password
NOT_PRESENT = "This is not your present password."
NOTICES = {
    "password": "Your password is changed. You are signed out everywhere else.",
    "two-factor": "From now on, signing in takes a code from your app as well.",
    "removed": "Signing in takes your password alone again.",
}


@get("/account")
async def account(request: Ask, me: Me, visits: Desk, visit: Visiting) -> Template:
    """What there is to do about one's own account."""
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
    user = await user_of(request, visits, visit)
    notice = NOTICES.get(request.query_params.get("said", ""))
    return Template("auth/account.html", context={"visitor": visitor, "user": user, "notice": notice})


@post("/account/sign-out-everywhere", status_code=303)
async def leave(request: Ask, visits: Desk, visit: Visiting) -> Redirect:
    """End every session of this person's, this one too. Raises Unavailable where that cannot be done now."""
    await visits.door.ask("user", address_of(request), str(visit.verified.identity.user_id))
    await visits.asking(request).sign_out(visit.session.access_token, "global")
    visits.drop(request)
    return Redirect("/login?said=everywhere", status_code=303)


@get("/password")
async def password_form(request: Ask, visits: Desk, visit: Visiting) -> Template:
    """Where a password is chosen: the first one, a new one for one forgotten, another one."""
    user = await user_of(request, visits, visit)
    going = own_page(request.query_params.get("next"))
    return Template("auth/password.html", context=_about(user, visit, going))


@post("/password", status_code=200)
async def password(request: Ask, visits: Desk, visit: Visiting) -> Response[None] | Template:
    """Set it. Whoever did not just come by a mailed link shows the present one first."""
    current, new, repeated, going = await read(request, "current", "password", "again", "next")
    going, address = own_page(going), address_of(request)
    user = await user_of(request, visits, visit)
    about = _about(user, visit, going)
    if about["asks_current"] and not current:
        return refused("auth/password.html", NOT_PRESENT, at="current", **about)
    if fault := _fault(new, repeated):
        return refused("auth/password.html", fault, at="password", **about)
    client = visits.asking(request)
    try:
        await visits.door.ask("user", address, str(user.id))
        if about["asks_current"]:
            await visits.door.ask("password", address, user.email)
            proof = await prove(request, visits, user.email, current)
            await client.sign_out(proof.access_token)  # it was only to see whether the password is right
        await client.update_user(visit.session.access_token, password=new)
    except AuthError as error:
        if error.code == "invalid_credentials":
            return refused("auth/password.html", NOT_PRESENT, at="current", **about)
        return again("auth/password.html", error, at="password", **about)
    await visits.door.welcome(user.email, address)
    return Redirect("/account?said=password" if about["asks_current"] else going, status_code=303)


async def prove(request: Ask, visits: Visits, email: str, password: str) -> Session:
    """A new session for the right password; a wrong one goes on record. Raises AuthError."""
    try:
        return await visits.asking(request).sign_in(email, password)
    except AuthError as error:
        if error.status != 429:
            await visits.door.note_failure(email, address_of(request))
        raise


async def user_of(request: Ask, visits: Visits, visit: Visit) -> User:
    """Whose session it is, by the service's own word. Raises NotSignedIn where it has ended."""
    try:
        return await visits.asking(request).get_user(visit.session.access_token)
    except AuthError as error:
        if error.status in {401, 403}:
            raise NotSignedIn(ENDED) from None
        raise


def _about(user: User, visit: Visit, going: str) -> dict[str, object]:
    return {"email": user.email, "next": going, "asks_current": not _came_by_mail(visit.verified)}


def _came_by_mail(verified: Verified) -> bool:
    return any(method in BY_MAIL and time.time() - moment < SOON_AFTER for method, moment in verified.methods)


def _fault(new: str, repeated: str) -> str | None:
    if len(new) < SHORTEST:
        return f"Choose a password of {SHORTEST} characters or more."
    if len(new.encode()) > LONGEST_BYTES:
        return f"This password is too long: choose one of at most {LONGEST_BYTES} letters, digits and signs."
    if new != repeated:
        return "The two passwords are not the same. Type the new one twice."
    return None


router = Router("/", route_handlers=[account, leave, password_form, password])
