"""Supabase Auth's contract under ``/auth/v1``: what anybody may ask, and all the routes together."""

from typing import Any

from litestar import Response, Router, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, JSONBody
from litestar.response import Redirect

from specchem import __version__, noting
from specchem.auth.errors import AuthError, in_supabase_words
from specchem.auth.service import admin, joining, own, sign_in, verifying
from specchem.auth.service.callers import Ask, Caller, caller_of
from specchem.auth.service.inputs import Grant, Mailed, Otp, Resend, SignUp, Verify
from specchem.auth.service.service import Service

Auth = NamedDependency[Service]
Asker = NamedDependency[Caller]
MAX_BODY = 64 * 1024  # bytes


@post("/token", status_code=200, summary="Sign in: Supabase Auth's Session object", security=[{}])
async def token(
    data: JSONBody[Grant], auth: Auth, caller: Asker, grant_type: FromQuery[str]
) -> dict[str, Any]:
    """By ``password``, ``refresh_token`` or ``pkce``; 400 ``invalid_credentials`` alike for whatever is wrong."""
    return await sign_in.by_grant(auth, caller, grant_type, data)


@get("/.well-known/jwks.json", summary="The public keys that access tokens are signed with", security=[{}])
async def jwks(auth: Auth) -> Response[dict[str, Any]]:
    """As Supabase shows them; may be kept for ten minutes."""
    return Response(auth.ring.jwks(), headers={"Cache-Control": "public, max-age=600"})


@post("/signup", status_code=200)
async def signup(
    data: JSONBody[SignUp], auth: Auth, caller: Asker, redirect_to: FromQuery[str | None] = None
) -> dict[str, Any]:
    """An account of one's own, to be confirmed by mail; off unless the settings say otherwise."""
    if auth.settings.sign_up:
        await auth.count(caller, "mail", data.email)
    return joining.sign_up(auth, data, redirect_to)


@post("/recover", status_code=200)
async def recover(
    data: JSONBody[Mailed], auth: Auth, caller: Asker, redirect_to: FromQuery[str | None] = None
) -> dict[str, Any]:
    """A mail for whoever has forgotten the password."""
    await auth.count(caller, "mail", data.email)
    auth.later.do(joining.recover(auth, data, redirect_to))
    return {}


@post("/otp", status_code=200)
async def otp(
    data: JSONBody[Otp], auth: Auth, caller: Asker, redirect_to: FromQuery[str | None] = None
) -> dict[str, Any]:
    """A mail to sign in with."""
    await auth.count(caller, "mail", data.email)
    auth.later.do(joining.send_link(auth, data, redirect_to))
    return {}


@post("/resend", status_code=200)
async def resend(
    data: JSONBody[Resend], auth: Auth, caller: Asker, redirect_to: FromQuery[str | None] = None
) -> dict[str, Any]:
    """The same mail once more."""
    await auth.count(caller, "mail", data.email)
    auth.later.do(joining.resend(auth, data, redirect_to))
    return {}


@post("/verify", status_code=200)
async def verify(data: JSONBody[Verify], auth: Auth, caller: Asker) -> dict[str, Any]:
    """What a mail held, for a session."""
    return await verifying.verify(auth, caller, data)


@get("/verify", status_code=303)
async def follow(request: Ask, auth: Auth, caller: Asker) -> Redirect:
    """A link, followed: on to a page of ours, or one that the settings name."""
    sent = {name: request.query_params.get(name, "") for name in ("token", "type", "redirect_to")}
    going = await verifying.follow(auth, caller, sent["token"][:200], sent["type"], sent["redirect_to"])
    return Redirect(going, status_code=303)


@get("/settings")
async def settings(auth: Auth) -> dict[str, Any]:
    """How one may come in."""
    return {
        "external": {"email": True, "phone": False, "anonymous_users": False},
        "disable_signup": not auth.settings.sign_up,
        "mailer_autoconfirm": False,
        "phone_autoconfirm": False,
        "sms_provider": "",
        "saml_enabled": False,
        "mfa_enabled": True,
    }


@get("/health")
async def health() -> dict[str, str]:
    """That the service answers."""
    return {
        "version": __version__,
        "name": "SpecChem",
        "description": "SpecChem's own auth service, which speaks Supabase Auth's language",
    }


def refusal(request: Ask, error: AuthError) -> Response[dict[str, Any]]:
    """Supabase Auth's error body, and a problem document at once."""
    noting.refused(error.code)
    words, headers = in_supabase_words(request, error.status, error.code, error.message)
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": "Refused",
        "status": error.status,
        "detail": error.message,
        "errors": [],
        **words,
    }
    if error.code == "weak_password":
        body["weak_password"] = {"reasons": list(error.reasons)}
    if error.wait is not None:
        headers["Retry-After"] = str(error.wait)
    return Response(body, status_code=error.status, media_type="application/problem+json", headers=headers)


def _auth(state: State) -> Service:
    found: Service = state.auth
    return found


def _caller(request: Ask) -> Caller:
    return caller_of(request)


# Their shapes are Supabase's and proven with Supabase's clients; ours describes what a client of ours needs.
as_supabase = Router(
    "/",
    route_handlers=[
        signup, recover, otp, resend, verify, follow, settings, health, own.router, admin.router,
    ],
    include_in_schema=False,
)  # fmt: skip

router = Router(
    "/auth/v1",
    route_handlers=[token, jwks, as_supabase],
    dependencies={
        "auth": Provide(_auth, sync_to_thread=False),
        "caller": Provide(_caller, sync_to_thread=False),
    },
    exception_handlers={AuthError: refusal},
    request_max_body_size=MAX_BODY,
    tags=["auth"],
)
