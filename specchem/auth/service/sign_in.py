"""Signing in: by password, by a refresh token, by the code that a followed link gave."""

from typing import Any
from uuid import UUID

import asyncpg

from specchem.auth.errors import AuthError
from specchem.auth.service import flows, passwords, sessions, users
from specchem.auth.service.callers import Caller
from specchem.auth.service.inputs import Grant
from specchem.auth.service.service import Service
from specchem.db.session import Connection

# What an AuthError is made of: an exception kept and raised again would keep the frames it passed, passwords too.
INVALID = (400, "invalid_credentials", "Invalid login credentials")
BANNED = (400, "user_banned", "User is banned")
UNCONFIRMED = (400, "email_not_confirmed", "Email not confirmed")


async def by_grant(service: Service, caller: Caller, kind: str, sent: Grant) -> dict[str, Any]:
    """Supabase Auth's Session object. Raises AuthError."""
    match kind:
        case "password":
            if not sent.email:
                raise AuthError(400, "validation_failed", "missing email or phone")
            return await with_password(service, caller, sent.email, sent.password or "")
        case "refresh_token":
            if not sent.refresh_token:
                raise AuthError(400, "validation_failed", "refresh_token required")
            return await with_refresh_token(service, caller, sent.refresh_token)
        case "pkce":
            if not sent.auth_code or not sent.code_verifier:
                raise AuthError(400, "validation_failed", "invalid request: both auth code and code verifier"
                                " should be non-empty")  # fmt: skip
            return await with_code(service, caller, sent.auth_code, sent.code_verifier)
    raise AuthError(400, "invalid_credentials", "unsupported_grant_type")


async def with_password(service: Service, caller: Caller, email: str, password: str) -> dict[str, Any]:
    """A new session for the right password; whatever else is the matter, the answer and the work are the same."""
    await service.count(caller, "password", email)
    async with service.transaction() as connection:
        found = await users.with_email(connection, email)
    kept = None if found is None else found["encrypted_password"]
    if not await passwords.is_right(kept, password) or found is None:
        await service.note_failure(caller, email)
        raise AuthError(*INVALID)
    async with service.transaction() as connection:
        row = await users.locked(connection, found["id"])
        if row is None or row["encrypted_password"] != kept:  # changed while we looked
            raise AuthError(*INVALID)
        if users.is_banned(row):
            raise AuthError(*BANNED)
        if row["email_confirmed_at"] is None:
            raise AuthError(*UNCONFIRMED)
        opened = await sessions.begin(connection, row["id"], "password", caller.asked)
        session = await sessions.as_answer(connection, service.issuer, opened)
    await service.welcome(caller, email)
    return session


async def with_refresh_token(service: Service, caller: Caller, sent: str) -> dict[str, Any]:
    """The session, carried on. One whose token is in two hands is ended, and that stays so."""
    await service.count(caller, "refresh")
    async with service.transaction() as connection:
        opened = await sessions.carry_on(connection, sent, caller.asked)
        if isinstance(opened, sessions.Opened):
            return await sessions.as_answer(connection, service.issuer, opened)
    raise opened.error()


async def with_code(service: Service, caller: Caller, code: str, verifier: str) -> dict[str, Any]:
    """The session of whoever asked for the link that was followed."""
    await service.count(caller, "code")
    async with service.transaction() as connection:
        row = await may_come(connection, await flows.redeem(connection, code, verifier))
        opened = await sessions.begin(connection, row["id"], "otp", caller.asked)
        return await sessions.as_answer(connection, service.issuer, opened)


async def may_come(connection: Connection, account: UUID) -> asyncpg.Record:
    """The account, locked, if it may be signed in to. Raises AuthError 403."""
    row = await users.locked(connection, account)
    if row is None:
        raise AuthError(403, "user_not_found", "User not found")
    if users.is_banned(row):
        raise AuthError(403, "user_banned", "User is banned")
    return row
