"""Who asks the auth service: from where, with which key, and whose session it is."""

from dataclasses import dataclass
from datetime import UTC, datetime
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

import asyncpg
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from specchem.auth.errors import AuthError
from specchem.auth.service import users
from specchem.auth.service.sessions import Asked

if TYPE_CHECKING:
    from specchem.auth.service.service import Service

Ask: TypeAlias = Request[Any, Any, State]
Asking: TypeAlias = ASGIConnection[Any, Any, Any, State]

NO_BEARER = (401, "no_authorization", "This endpoint requires a valid Bearer token")
NOT_ADMIN = (403, "not_admin", "User not allowed")


@dataclass(frozen=True)
class Caller:
    """A request's sender. A trusted one is a server that has our secret key, and speaks for somebody's address."""

    asked: Asked
    bearer: str | None
    is_trusted: bool
    is_admin: bool


@dataclass(frozen=True)
class Member:
    """A person whose session stands: the account's row, and the session's."""

    account: asyncpg.Record
    session: asyncpg.Record

    @property
    def id(self) -> UUID:
        """The account's."""
        found: UUID = self.account["id"]
        return found

    @property
    def session_id(self) -> UUID:
        """The session's."""
        found: UUID = self.session["id"]
        return found

    @property
    def has_shown_two_factors(self) -> bool:
        """In this session."""
        return bool(self.session["aal"] == "aal2")


def caller_of(asking: Asking) -> Caller:
    """Who sends a request, by its headers."""
    scheme, _, sent = asking.headers.get("authorization", "").partition(" ")
    bearer = sent.strip() if scheme.lower() == "bearer" and sent.strip() else None
    secret = asking.app.state.auth.ring.secret_key
    by_bearer, by_key = _same(bearer, secret), _same(asking.headers.get("apikey"), secret)
    address = asking.client.host if asking.client else None
    if by_bearer or by_key:
        address = asking.headers.get("sb-forwarded-for", "").strip() or address
    return Caller(
        Asked(address, asking.headers.get("user-agent")),
        bearer,
        is_trusted=by_bearer or by_key,
        # With somebody's token beside the key, it asks as that person.
        is_admin=by_bearer or (by_key and bearer is None),
    )


def _same(sent: str | None, secret: str) -> bool:
    return compare_digest((sent or "").encode(), secret.encode())


async def member_of(service: "Service", caller: Caller) -> Member:
    """Whose session it is, if it stands. Raises AuthError."""
    if caller.bearer is None:
        raise AuthError(*NO_BEARER)
    account_id, session_id = service.issuer.read(caller.bearer)
    async with service.transaction() as connection:
        account = await connection.fetchrow("select * from auth.users where id = $1", account_id)
        session = await connection.fetchrow(
            "select * from auth.sessions where id = $1 and user_id = $2", session_id, account_id
        )
    if account is None or account["deleted_at"] is not None:
        raise AuthError(403, "user_not_found", "User from sub claim in JWT does not exist")
    if users.is_banned(account):
        raise AuthError(403, "user_banned", "User is banned")
    over = session is not None and session["not_after"] and session["not_after"] <= datetime.now(UTC)
    if session is None or over:
        raise AuthError(403, "session_not_found", "Session from session_id claim in JWT does not exist")
    return Member(account, session)


async def for_members(asking: Asking, _: BaseRouteHandler) -> None:
    """A guard: whoever has no session is told so before anything they sent is looked at."""
    asking.state.member = await member_of(asking.app.state.auth, caller_of(asking))


def for_admins(asking: Asking, _: BaseRouteHandler) -> None:
    """A guard: only who has the secret key. Raises AuthError in Supabase Auth's three ways."""
    caller = caller_of(asking)
    if caller.is_admin:
        return
    if caller.bearer is None:
        raise AuthError(*NO_BEARER)
    if not caller.bearer.startswith("sb_publishable_"):
        asking.app.state.auth.issuer.read(caller.bearer)
    raise AuthError(*NOT_ADMIN)
