"""Sessions: begun, carried on by single-use refresh tokens, raised by a second factor, ended."""

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from specchem.auth.errors import AuthError
from specchem.auth.service import users
from specchem.auth.service.issuer import LIFETIME, Issuer
from specchem.db.session import Connection

REUSE = timedelta(seconds=10)  # two tabs may send the same token at once


@dataclass(frozen=True)
class Asked:
    """Where somebody asks from, as far as it is known."""

    address: str | None = None
    agent: str | None = None

    @property
    def ip(self) -> IPv4Address | IPv6Address | None:
        """Behind a proxy the address is what a header says, and from a Unix socket nothing."""
        try:
            return ip_address(self.address or "")
        except ValueError:
            return None

    @property
    def browser(self) -> str:
        """What is kept of the user agent."""
        return (self.agent or "").replace("\0", "")[:500]


@dataclass(frozen=True)
class Opened:
    """A session and the one refresh token that carries it on."""

    session: UUID
    refresh_token: str


@dataclass(frozen=True)
class Refused:
    """Why a refresh token is not taken; told when what it made necessary is committed."""

    code: str
    message: str

    def error(self) -> AuthError:
        """As an answer."""
        return AuthError(400, self.code, f"Invalid Refresh Token: {self.message}")


async def begin(connection: Connection, account: UUID, method: str, asked: Asked) -> Opened:
    """A new session of somebody who has shown who they are by ``method``."""
    now, session = datetime.now(UTC), uuid4()
    await connection.execute(
        """
        insert into auth.sessions (id, user_id, created_at, updated_at, aal, user_agent, ip)
        values ($1, $2, $3, $3, 'aal1', $4, $5)""",
        session, account, now, asked.browser, asked.ip,
    )  # fmt: skip
    await add_method(connection, session, method)
    # After the session, which the record of sign-ins reads.
    await connection.execute(
        "update auth.users set last_sign_in_at = $2, updated_at = $2 where id = $1", account, now
    )
    await connection.execute(
        "update auth.identities set last_sign_in_at = $2 where user_id = $1 and provider = 'email'",
        account, now,
    )  # fmt: skip
    return Opened(session, await _next_token(connection, account, session, None))


async def add_method(connection: Connection, session: UUID, method: str) -> None:
    """How its owner has shown who they are; the latest time counts."""
    await connection.execute(
        """
        insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
        values ($1, $2, $3, $3, $4)
        on conflict on constraint mfa_amr_claims_session_id_authentication_method_pkey
        do update set updated_at = excluded.updated_at""",
        uuid4(), session, datetime.now(UTC), method,
    )  # fmt: skip


async def carry_on(connection: Connection, sent: str, asked: Asked) -> Opened | Refused:
    """The session's next refresh token for a present one.

    One that was used before is taken while nobody used its successor, or for ten seconds, and gives that successor.
    Later it is in two hands, and the session ends.
    """
    unknown = Refused("refresh_token_not_found", "Refresh Token Not Found")
    session = await connection.fetchval("select session_id from auth.refresh_tokens where token = $1", sent)
    # One refresh of a session at a time; only then is the token looked at.
    standing = await connection.fetchrow(
        "select * from auth.sessions where id = $1 for no key update", session
    )
    if standing is None:
        return unknown
    if standing["not_after"] is not None and standing["not_after"] <= datetime.now(UTC):
        return Refused("session_expired", "Session Expired")
    account = await connection.fetchrow("select * from auth.users where id = $1", standing["user_id"])
    if account is None or account["deleted_at"] is not None:
        return unknown
    if users.is_banned(account):
        return Refused("user_banned", "User Banned")
    token = await connection.fetchrow("select * from auth.refresh_tokens where token = $1", sent)
    if token is None:
        return unknown
    if not token["revoked"]:
        following = await _next_token(connection, account["id"], session, sent)
    else:
        active = await _active(connection, session)
        recently = token["updated_at"] > datetime.now(UTC) - REUSE
        if active is None or not (recently or active["parent"] == sent):
            await connection.execute("delete from auth.sessions where id = $1", session)
            return Refused("refresh_token_already_used", "Already Used")
        following = active["token"]
    await connection.execute(
        """
        update auth.sessions set refreshed_at = now() at time zone 'utc', updated_at = now(), user_agent = $2,
            ip = $3
        where id = $1""",
        session, asked.browser, asked.ip,
    )  # fmt: skip
    return Opened(session, following)


async def raised(connection: Connection, account: UUID, session: UUID, factor: UUID) -> Opened:
    """The same session, now that its owner has shown a second factor, with a new refresh token."""
    await add_method(connection, session, "totp")
    await connection.execute(
        "update auth.sessions set aal = 'aal2', factor_id = $2, updated_at = now() where id = $1",
        session, factor,
    )  # fmt: skip
    active = await _active(connection, session)
    return Opened(
        session, await _next_token(connection, account, session, active["token"] if active else None)
    )


async def lower(connection: Connection, factor: UUID) -> None:
    """Sessions that rested on a factor that is taken away are ones of a single factor again."""
    await connection.execute(
        "delete from auth.mfa_amr_claims where authentication_method = 'totp' and session_id in"
        " (select id from auth.sessions where factor_id = $1)",
        factor,
    )
    await connection.execute(
        "update auth.sessions set aal = 'aal1', factor_id = null where factor_id = $1", factor
    )


async def end(connection: Connection, session: UUID) -> None:
    """End one; its refresh tokens go with it."""
    await connection.execute("delete from auth.sessions where id = $1", session)


async def end_all(connection: Connection, account: UUID, *, but: UUID | None = None) -> None:
    """End an account's sessions, all ``but`` one."""
    await connection.execute(
        "delete from auth.sessions where user_id = $1 and id is distinct from $2", account, but
    )


async def as_answer(connection: Connection, issuer: Issuer, opened: Opened) -> dict[str, Any]:
    """Supabase Auth's Session object."""
    row = await connection.fetchrow("select user_id, aal from auth.sessions where id = $1", opened.session)
    assert row is not None  # noqa: S101  in this transaction it stands
    methods = await connection.fetch(
        "select authentication_method, updated_at from auth.mfa_amr_claims where session_id = $1"
        " order by updated_at desc",
        opened.session,
    )
    amr = [
        {"method": one["authentication_method"], "timestamp": int(one["updated_at"].timestamp())}
        for one in methods
    ]
    user, now = await users.shown(connection, row["user_id"]), int(time.time())
    return {
        "access_token": issuer.issue(user, opened.session, row["aal"] or "aal1", amr, now=now),
        "token_type": "bearer",
        "expires_in": LIFETIME,
        "expires_at": now + LIFETIME,
        "refresh_token": opened.refresh_token,
        "user": user,
    }


async def _next_token(connection: Connection, account: UUID, session: UUID, before: str | None) -> str:
    now, token = datetime.now(UTC), secrets.token_urlsafe(24)
    if before is not None:
        await connection.execute(
            "update auth.refresh_tokens set revoked = true, updated_at = $2 where token = $1", before, now
        )
    await connection.execute(
        """
        insert into auth.refresh_tokens (token, user_id, parent, revoked, created_at, updated_at, session_id)
        values ($1, $2, $3, false, $4, $4, $5)""",
        token, str(account), before, now, session,
    )  # fmt: skip
    return token


async def _active(connection: Connection, session: UUID) -> asyncpg.Record | None:
    return await connection.fetchrow(
        "select token, parent from auth.refresh_tokens where session_id = $1 and not revoked"
        " order by id desc limit 1",
        session,
    )
