"""The local auth service's work on schema auth, as role supabase_auth_admin."""

import asyncio
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from uuid import UUID, uuid4

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from specchem.auth.errors import AuthError
from specchem.auth.service.issuer import LIFETIME, Issuer
from specchem.db.session import Connection, Pool

PASSWORDS = PasswordHasher()  # argon2id with the library's present parameters (RFC 9106)
# Somebody's, for the time it takes: an unknown address answers no faster than a known one.
NOBODY = PASSWORDS.hash(secrets.token_urlsafe())

MIN_LENGTH = 8
MAX_BYTES = 72  # Supabase's rule


# What an AuthError is made of: an exception kept and raised again would keep the frames it passed, passwords too.
INVALID = (400, "invalid_credentials", "Invalid login credentials")
BANNED = (400, "user_banned", "User is banned")
UNCONFIRMED = (400, "email_not_confirmed", "Email not confirmed")


@dataclass(frozen=True)
class Accounts:
    """Accounts and sessions over one pool, with the tokens that stand for them."""

    pool: Pool
    issuer: Issuer

    async def sign_in(
        self, email: str, password: str, agent: str | None, address: str | None
    ) -> dict[str, Any]:
        """A new session for the right password: Supabase Auth's Session object. Raises AuthError."""
        async with self.pool.acquire() as connection:
            user = await connection.fetchrow(
                "select * from auth.users where email = $1 and not is_sso_user and deleted_at is null",
                email.strip().lower(),
            )
            hashed = (user and user["encrypted_password"]) or NOBODY
            # Off the event loop: hashing takes tens of milliseconds on purpose.
            if not await asyncio.to_thread(_matches, hashed, password) or user is None:
                raise AuthError(*INVALID)
            now = datetime.now(UTC)
            if user["banned_until"] and user["banned_until"] > now:
                raise AuthError(*BANNED)
            if user["email_confirmed_at"] is None:
                raise AuthError(*UNCONFIRMED)
            session, refresh = uuid4(), secrets.token_urlsafe(16)
            async with connection.transaction():
                await connection.execute(
                    """
                    insert into auth.sessions (id, user_id, created_at, updated_at, aal, user_agent, ip)
                    values ($1, $2, $3, $3, 'aal1', $4, $5)""",
                    session, user["id"], now, (agent or "").replace("\0", "")[:500], _ip(address),
                )  # fmt: skip
                await connection.execute(
                    """
                    insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
                    values ($1, $2, $3, $3, 'password')""",
                    uuid4(), session, now,
                )  # fmt: skip
                await connection.execute(
                    """
                    insert into auth.refresh_tokens (token, user_id, revoked, created_at, updated_at, session_id)
                    values ($1, $2, false, $3, $3, $4)""",
                    refresh, str(user["id"]), now, session,
                )  # fmt: skip
                await connection.execute(
                    "update auth.users set last_sign_in_at = $2, updated_at = $2 where id = $1",
                    user["id"],
                    now,
                )
            shown = await _user(connection, user["id"])
        token = self.issuer.issue(shown, session, "aal1", [_by_password(now)])
        return {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": LIFETIME,
            "expires_at": int(time.time()) + LIFETIME,
            "refresh_token": refresh,
            "user": shown,
        }

    async def renew(self, session: UUID) -> str | None:
        """A fresh access token for a session that still stands; None for one that was ended."""
        async with self.pool.acquire() as connection:
            row = await connection.fetchrow(
                """
                select s.user_id, s.aal, s.created_at from auth.sessions s join auth.users u on u.id = s.user_id
                where s.id = $1 and (s.not_after is null or s.not_after > now())
                    and u.deleted_at is null and (u.banned_until is null or u.banned_until < now())""",
                session,
            )
            if row is None:
                return None
            shown = await _user(connection, row["user_id"])
        return self.issuer.issue(shown, session, row["aal"], [_by_password(row["created_at"])])

    async def sign_out(self, session: UUID) -> None:
        """End a session; ending it again does no harm."""
        async with self.pool.acquire() as connection:
            await connection.execute("delete from auth.sessions where id = $1", session)


def _by_password(moment: datetime) -> dict[str, Any]:
    return {"method": "password", "timestamp": int(moment.timestamp())}


def _ip(address: str | None) -> IPv4Address | IPv6Address | None:
    # Behind a proxy it is what a header says, and from a Unix socket nothing.
    try:
        return ip_address(address or "")
    except ValueError:
        return None


def _matches(hashed: str, password: str) -> bool:
    try:
        return PASSWORDS.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


async def create_account(
    connection: Connection, email: str, password: str | None, marks: dict[str, Any] | None = None
) -> UUID:
    """An account with a confirmed address, as an admin makes it; without a password nobody can sign in to it.

    ``marks`` go into app_metadata. Call inside a transaction. Raises AuthError for a password that is too short
    or too long.
    """
    hashed = None
    if password is not None:
        if len(password) < MIN_LENGTH or len(password.encode()) > MAX_BYTES:
            raise AuthError(
                422, "weak_password", f"Password should be {MIN_LENGTH} characters to {MAX_BYTES} bytes."
            )
        hashed = await asyncio.to_thread(PASSWORDS.hash, password)
    account = uuid4()
    email = email.strip().lower()
    metadata = {"provider": "email", "providers": ["email"], **(marks or {})}
    await connection.execute(
        """
        insert into auth.users (
            instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data,
            raw_user_meta_data, created_at, updated_at)
        values (
            '00000000-0000-0000-0000-000000000000', $1, 'authenticated', 'authenticated', $2, $3, now(), $4,
            '{"email_verified": true}', now(), now())""",
        account, email, hashed, metadata,
    )  # fmt: skip
    await connection.execute(
        """
        insert into auth.identities (provider_id, user_id, identity_data, provider, created_at, updated_at)
        values ($1, $2, jsonb_build_object('sub', $1::text, 'email', $3::text, 'email_verified', true),
            'email', now(), now())""",
        str(account), account, email,
    )  # fmt: skip
    return account


async def _user(connection: Connection, account: UUID) -> dict[str, Any]:
    """Supabase Auth's User object."""
    row = await connection.fetchrow("select * from auth.users where id = $1", account)
    assert row is not None  # noqa: S101  just found
    identities = await connection.fetch(
        "select * from auth.identities where user_id = $1 order by created_at", account
    )
    times = [
        "email_confirmed_at",
        "confirmed_at",
        "invited_at",
        "last_sign_in_at",
        "banned_until",
        "deleted_at",
    ]
    return {
        "id": str(row["id"]),
        "aud": row["aud"],
        "role": row["role"],
        "email": row["email"] or "",
        "phone": row["phone"] or "",
        **{name: _stamp(row[name]) for name in times if row[name]},
        "app_metadata": row["raw_app_meta_data"] or {},
        "user_metadata": row["raw_user_meta_data"] or {},
        "identities": [
            {
                "identity_id": str(one["id"]),
                "id": one["provider_id"],
                "user_id": str(one["user_id"]),
                "identity_data": one["identity_data"],
                "provider": one["provider"],
                "last_sign_in_at": _stamp(one["last_sign_in_at"]),
                "created_at": _stamp(one["created_at"]),
                "updated_at": _stamp(one["updated_at"]),
                "email": one["email"],
            }
            for one in identities
        ],
        "created_at": _stamp(row["created_at"]),
        "updated_at": _stamp(row["updated_at"]),
        "is_anonymous": row["is_anonymous"],
    }


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
