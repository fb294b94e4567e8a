"""Who is at the door: a bearer token at the API, a cookie at the pages."""

import time
from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie, State
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler

from specchem.auth.accounts import Accounts
from specchem.auth.tokens import LIFETIME, SIGN_IN, Tokens
from specchem.db.session import Identity
from specchem.errors import NotSignedIn

Ask: TypeAlias = Request[Any, Any, State]

COOKIE = "specchem-session"
RENEW_BELOW = LIFETIME // 2  # seconds left


async def bearer(request: Ask, tokens: NamedDependency[Tokens]) -> Identity:
    """The API's caller, from ``Authorization: Bearer``. Raises NotSignedIn."""
    return _caller(request, tokens)


def _caller(connection: ASGIConnection[Any, Any, Any, State], tokens: Tokens) -> Identity:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotSignedIn("Send an access token: Authorization: Bearer …")
    return tokens.verify(token.strip()).identity


def signed_in(connection: ASGIConnection[Any, Any, Any, State], _: BaseRouteHandler) -> None:
    """The API's doorkeeper: who has not signed in is told so before anything they sent is looked at."""
    _caller(connection, connection.app.state.tokens)


async def cookie(
    request: Ask, tokens: NamedDependency[Tokens], accounts: NamedDependency[Accounts]
) -> Identity:
    """The page's visitor, from the session cookie; renewed while the session stands. Raises NotSignedIn."""
    token = request.cookies.get(COOKIE)
    if not token:
        raise NotSignedIn(SIGN_IN)
    found = tokens.verify(token)
    if found.expires_at - time.time() < RENEW_BELOW and found.identity.session_id:
        renewed = await accounts.renew(found.identity.session_id)
        if renewed is None:
            raise NotSignedIn(SIGN_IN)
        request.state.renewed = renewed
    return found.identity


def session_cookie(token: str, *, secure: bool) -> Cookie:
    """The cookie that carries a token: for this site alone, out of reach of scripts."""
    return Cookie(
        COOKIE, value=token, path="/", httponly=True, secure=secure, samesite="lax", max_age=LIFETIME
    )


def no_session_cookie(*, secure: bool) -> Cookie:
    """The same cookie, taken back."""
    return Cookie(COOKIE, value="", path="/", httponly=True, secure=secure, samesite="lax", max_age=0)


def login_address(request: Ask) -> str:
    """The sign-in page that brings the visitor back to where they were going."""
    if request.method != "GET" or request.url.path in {"/", "/login"}:
        return "/login"
    query = f"?{request.url.query}" if request.url.query else ""
    return f"/login?next={quote(request.url.path + query)}"


def own_page(address: str | None) -> str:
    """Where to go after sign-in: a page of ours, or the first one."""
    if not address or not address.startswith("/") or address.startswith(("//", "/\\")):
        return "/"
    parts = urlsplit(address)
    hostile = parts.scheme or parts.netloc or any(ord(char) < 32 or char == "\\" for char in address)
    return "/" if hostile or parts.path == "/login" else address
