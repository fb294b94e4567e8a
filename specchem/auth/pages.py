"""Signing in and out, as pages: the form, the forgotten password, and the links that come by mail."""

import re
from contextlib import suppress
from typing import cast, get_args

from litestar import Response, Router, get, post
from litestar.response import Redirect, Template

from specchem.auth import account_pages, factor_pages
from specchem.auth.client import LinkType
from specchem.auth.errors import AuthError
from specchem.auth.forms import Desk, again, read
from specchem.auth.guard import own_page, to
from specchem.auth.visits import Ask, Visit, address_of
from specchem.errors import Unavailable

KINDS = get_args(LinkType)
HASH = re.compile(r"[A-Za-z0-9_-]{16,200}", re.ASCII)
LONGEST_ADDRESS = 254


@get("/login")
async def login_form(request: Ask) -> Response[None] | Template:
    """The form; it remembers where the visitor was going. Who is signed in goes there at once."""
    going = own_page(request.query_params.get("next"))
    if request.scope["state"]["visit"] is not None and "again" not in request.query_params:
        return Redirect(going, status_code=303)
    return Template("auth/login.html", context={"next": going, "said": request.query_params.get("said")})


@post("/login", status_code=200)
async def login(request: Ask, visits: Desk) -> Response[None] | Template:
    """Sign in and go on; a mistake shows the form again with a sentence and the address kept."""
    email, password, going = await read(request, "email", "password", "next")
    email, going, address = email.strip(), own_page(going), address_of(request)
    try:
        if not email or not password or len(email) > LONGEST_ADDRESS:
            raise AuthError(400, "invalid_credentials", "Invalid login credentials")
        await visits.door.ask("password", address, email)
        session = await account_pages.prove(request, visits, email, password)
    except AuthError as error:
        return again("auth/login.html", error, next=going, email=email[:LONGEST_ADDRESS])
    visit = await visits.begin(request, session)
    await visits.door.welcome(email, address)
    return Redirect(_onwards(visit, going), status_code=303)


@post("/logout", status_code=303)
async def logout(request: Ask, visits: Desk) -> Redirect:
    """End the session at the service and, whatever that says, in the browser."""
    visit: Visit | None = request.scope["state"]["visit"]
    if visit is not None:
        with suppress(AuthError, Unavailable):  # over already, or not to be had
            await visits.asking(request).sign_out(visit.session.access_token)
    visits.drop(request)
    return Redirect("/login", status_code=303)


@get("/forgot-password")
async def forgot_form() -> Template:
    """Where a new password is asked for."""
    return Template("auth/forgot.html")


@post("/forgot-password", status_code=200)
async def forgot(request: Ask, visits: Desk) -> Template:
    """Mail a link, if there is such an account; every address gets the same answer."""
    (email,) = await read(request, "email")
    email = email.strip()
    if "@" not in email or len(email) > LONGEST_ADDRESS:
        return Template(
            "auth/forgot.html",
            context={"sentence": "Type the e-mail address that you sign in with."},
            status_code=400,
        )
    try:
        await visits.door.ask("mail", address_of(request), email)
    except AuthError as error:
        return again("auth/forgot.html", error, email=email)
    with suppress(AuthError):  # that somebody was sent a mail just now is nobody's business
        await visits.asking(request).recover(email)
    return Template("auth/sent.html", context={"email": email})


@get("/auth/confirm")
async def link(request: Ask) -> Template:
    """What a mailed link opens. It does nothing yet: programs that look through mail follow links too."""
    asked = request.query_params
    return _link(asked.get("type", ""), asked.get("token_hash", ""), own_page(asked.get("next")))


@post("/auth/confirm", status_code=200)
async def confirm(request: Ask, visits: Desk) -> Response[None] | Template:
    """Use the link up: whoever has it has the mailbox, and is signed in."""
    kind, token, going = await read(request, "type", "token_hash", "next")
    going = own_page(going)
    if not _is_link(kind, token):
        return _broken(kind)
    try:
        await visits.door.ask("code", address_of(request))
        session = await visits.asking(request).verify(cast(LinkType, kind), token)
    except AuthError as error:
        if error.status != 429:
            return _broken(kind)
        return again("auth/confirm.html", error, kind=kind, token_hash=token, next=going)
    if session is None:
        return Template("auth/half.html")
    visit = await visits.begin(request, session)
    if kind in {"invite", "recovery"}:
        going = to("/password", going)
    return Redirect(_onwards(visit, going), status_code=303)


def _onwards(visit: Visit, going: str) -> str:
    """By way of the second factor, if the account has one."""
    needed = visit.session.owner.authenticator is not None and visit.verified.identity.aal != "aal2"
    return to("/two-factor", going) if needed else going


def _is_link(kind: str, token: str) -> bool:
    return kind in KINDS and HASH.fullmatch(token) is not None


def _link(kind: str, token: str, going: str) -> Template:
    if not _is_link(kind, token):
        return _broken(kind)
    return Template("auth/confirm.html", context={"kind": kind, "token_hash": token, "next": going})


def _broken(kind: str) -> Template:
    return Template("auth/broken_link.html", context={"kind": kind}, status_code=400)


router = Router(
    "/",
    route_handlers=[
        login_form, login, logout, forgot_form, forgot, link, confirm, account_pages.router, factor_pages.router,
    ],
)  # fmt: skip
