"""The second factor: codes from an authenticator app, set up, asked for and taken away again."""

import re
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import segno
from litestar import Response, Router, get, post
from litestar.response import Redirect, Template

from specchem.auth.account_pages import user_of
from specchem.auth.errors import AuthError
from specchem.auth.forms import Desk, Visiting, again, read
from specchem.auth.guard import own_page, to
from specchem.auth.sessions import Session
from specchem.auth.visits import Ask, Visit, Visits, address_of

ISSUER = "SpecChem Safety Training"
APP = "Authenticator app"  # the one kind there is
CODE = re.compile(r"\d{6}", re.ASCII)
WRONG = "mfa_verification_failed"


@get("/two-factor")
async def ask(request: Ask, visits: Desk, visit: Visiting) -> Response[None] | Template:
    """Ask for the code; who has no app yet sets one up, and who has shown it goes on."""
    going = own_page(request.query_params.get("next"))
    user = await user_of(request, visits, visit)
    if user.authenticator is None:
        return Redirect(to("/two-factor/set-up", going), status_code=303)
    if visit.verified.identity.aal == "aal2":
        return Redirect(going, status_code=303)
    return Template("auth/two_factor.html", context={"next": going})


@post("/two-factor", status_code=200)
async def answer(request: Ask, visits: Desk, visit: Visiting) -> Response[None] | Template:
    """The right code makes the session one of two factors."""
    code, going = await read(request, "code", "next")
    going = own_page(going)
    user = await user_of(request, visits, visit)
    if user.authenticator is None:
        return Redirect(to("/two-factor/set-up", going), status_code=303)
    try:
        session = await _show(request, visits, visit, user.authenticator.id, code)
    except AuthError as error:
        return again("auth/two_factor.html", error, next=going)
    await visits.begin(request, session)
    return Redirect(going, status_code=303)


@get("/two-factor/set-up")
async def offer(request: Ask, visits: Desk, visit: Visiting) -> Response[None] | Template:
    """What it takes, and a button to begin."""
    user = await user_of(request, visits, visit)
    if user.authenticator is not None:
        return Redirect("/account", status_code=303)
    going = own_page(request.query_params.get("next"))
    return Template("auth/set_up.html", context={"next": going})


@post("/two-factor/set-up", status_code=200)
async def begin(request: Ask, visits: Desk, visit: Visiting) -> Response[None] | Template:
    """A new secret, as a picture for the app's camera and as text; it counts when a code of it was shown."""
    (going,) = await read(request, "next")
    going = own_page(going)
    user = await user_of(request, visits, visit)
    if user.authenticator is not None:
        return Redirect("/account", status_code=303)
    client, token = visits.asking(request), visit.session.access_token
    try:
        await visits.door.ask("user", address_of(request), str(user.id))
        for left in user.factors or ():  # begun before and not finished
            await client.unenroll(token, left.id)
        made = await client.enroll(token, APP, ISSUER)
    except AuthError as error:
        return again("auth/set_up.html", error, next=going)
    return Template("auth/set_up.html", context=_picture(made.id, made.totp.uri) | {"next": going})


@post("/two-factor/confirm", status_code=200)
async def confirm(request: Ask, visits: Desk, visit: Visiting) -> Response[None] | Template:
    """The first code shows that the app has the secret."""
    factor, uri, code, going = await read(request, "factor", "uri", "code", "next")
    going = own_page(going)
    try:
        about = _picture(UUID(factor), uri)
    except ValueError:
        return Redirect(to("/two-factor/set-up", going), status_code=303)
    try:
        session = await _show(request, visits, visit, UUID(factor), code)
    except AuthError as error:
        return again("auth/set_up.html", error, next=going, **about)
    await visits.begin(request, session)
    return Redirect("/account?said=two-factor" if going == "/" else going, status_code=303)


@get("/two-factor/remove")
async def removal(request: Ask, visits: Desk, visit: Visiting) -> Response[None] | Template:
    """Asks for a code once more."""
    user = await user_of(request, visits, visit)
    if user.authenticator is None:
        return Redirect("/account", status_code=303)
    return Template("auth/remove.html")


@post("/two-factor/remove", status_code=200)
async def remove(request: Ask, visits: Desk, visit: Visiting) -> Response[None] | Template:
    """Whoever has the app may take it away."""
    (code,) = await read(request, "code")
    user = await user_of(request, visits, visit)
    if user.authenticator is None:
        return Redirect("/account", status_code=303)
    client = visits.asking(request)
    try:
        shown = await _show(request, visits, visit, user.authenticator.id, code)
        await client.unenroll(shown.access_token, user.authenticator.id)
        # The token still says that two factors were shown.
        session = await client.refresh(shown.refresh_token)
    except AuthError as error:
        return again("auth/remove.html", error)
    await visits.begin(request, session)
    return Redirect("/account?said=removed", status_code=303)


async def _show(request: Ask, visits: Visits, visit: Visit, factor: UUID, typed: str) -> Session:
    """A session in which the factor was shown. Raises AuthError for a wrong code, or too many."""
    code = re.sub(r"\s", "", typed)
    account, address = str(visit.verified.identity.user_id), address_of(request)
    await visits.door.ask("factor", address, account)
    client, token = visits.asking(request), visit.session.access_token
    try:
        if not CODE.fullmatch(code):
            raise AuthError(422, WRONG, "Invalid TOTP code entered")
        challenge = await client.challenge(token, factor)
        session = await client.answer(token, factor, challenge.id, code)
    except AuthError as error:
        if error.code == WRONG:
            await visits.door.note_failure(account, address)
        raise
    await visits.door.welcome(account, address)
    return session


def _picture(factor: UUID, uri: str) -> dict[str, object]:
    """The secret for the page. Raises ValueError for what is no such address."""
    secret = parse_qs(urlsplit(uri).query).get("secret", [""])[0]
    if not uri.startswith("otpauth://totp/") or not re.fullmatch(r"[A-Z2-7]{16,128}=*", secret):
        raise ValueError("not an authenticator's address")
    picture = segno.make_qr(uri).svg_data_uri(scale=5, border=2, light="#fff", dark="#000")
    grouped = " ".join(re.findall(".{1,4}", secret))
    return {"factor": factor, "uri": uri, "picture": picture, "secret": grouped}


router = Router(
    "/", route_handlers=[ask, answer, offer, begin, confirm, removal, remove]
)  # fmt: skip
