"""Who is at the door: a bearer token at the API, a cookie at the pages."""

import time
from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit
from uuid import UUID

from litestar import Request
from litestar.datastructures import Cookie, State
from litestar.di import NamedDependency
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from specchem.auth.service import sessions
from specchem.auth.service.service import Service
from specchem.auth.tokens import LIFETIME, SIGN_IN, Tokens
from specchem.db.session import Asker, Pool
from specchem.errors import NotSignedIn

Ask: TypeAlias = Request[Any, Any, State]

COOKIE = "specchem-session"
RENEW_BELOW = LIFETIME // 2  # seconds left


class SignedIn(ASGIMiddleware):
    """The API's doorkeeper: who has not signed in is told so before anything they sent is looked at."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let whoever brings ``Authorization: Bearer`` in. Raises NotSignedIn."""
        sent = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = sent.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise NotSignedIn("Send an access token: Authorization: Bearer …")
        state = scope["litestar_app"].state
        scope["user"] = Asker(state.pool, state.tokens.verify(token.strip()).identity)
        await next_app(scope, receive, send)


def bearer(request: Ask) -> Asker:
    """The API's caller, whom the doorkeeper let in."""
    found: Asker = request.user
    return found


async def cookie(
    request: Ask,
    pool: NamedDependency[Pool],
    tokens: NamedDependency[Tokens],
    auth: NamedDependency[Service],
) -> Asker:
    """The page's visitor, from the session cookie; renewed while the session stands. Raises NotSignedIn."""
    token = request.cookies.get(COOKIE)
    if not token:
        raise NotSignedIn(SIGN_IN)
    found = tokens.verify(token)
    if found.expires_at - time.time() < RENEW_BELOW and found.identity.session_id:
        renewed = await _renew(auth, found.identity.session_id)
        if renewed is None:
            raise NotSignedIn(SIGN_IN)
        request.state.renewed = renewed
    return Asker(pool, found.identity)


async def _renew(auth: Service, session: UUID) -> str | None:
    async with auth.transaction() as connection:
        stands = await connection.fetchval(
            """
            select true from auth.sessions s join auth.users u on u.id = s.user_id
            where s.id = $1 and (s.not_after is null or s.not_after > now())
                and u.deleted_at is null and (u.banned_until is null or u.banned_until < now())""",
            session,
        )
        if not stands:
            return None
        answer = await sessions.as_answer(connection, auth.issuer, sessions.Opened(session, ""))
    token: str = answer["access_token"]
    return token


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
