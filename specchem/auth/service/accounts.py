"""Accounts: made, changed, banned and deleted. Each verb is called inside a transaction."""

import base64
import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from specchem.auth.errors import AuthError
from specchem.auth.service import passwords, sessions
from specchem.db.session import Connection
from specchem.vocabulary import META_BYTES, as_meta

BY_MAIL = {"provider": "email", "providers": ["email"]}
EXISTS = (422, "email_exists", "A user with this email address has already been registered")
TOO_LARGE = (400, "validation_failed", f"User data must be at most {META_BYTES // 1024} KB of plain JSON.")
NO_BAN = (400, "validation_failed", "ban_duration must be a time such as 24h or 1h30m, or none.")
HOURS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3}


async def create_account(
    connection: Connection, email: str, password: str | None, marks: dict[str, Any] | None = None
) -> UUID:
    """An account with a confirmed address, as an admin makes it; without a password nobody can sign in to it.

    ``marks`` go into app_metadata. Raises AuthError for a password that is too short or too long.
    """
    kept = None if password is None else await passwords.keep(password)
    return await make(connection, email, kept, confirmed=True, app_metadata=marks or {})


async def make(
    connection: Connection,
    email: str,
    kept: str | None,
    *,
    confirmed: bool = False,
    user_metadata: dict[str, Any] | None = None,
    app_metadata: dict[str, Any] | None = None,
    account: UUID | None = None,
) -> UUID:
    """A new account. Raises AuthError 422 ``email_exists``.

    As Supabase Auth does it: what an admin decides comes after the row, so that triggers see the same here and there.
    """
    account, email = account or uuid4(), email.strip().lower()
    try:
        async with connection.transaction():
            await connection.execute(
                """
                insert into auth.users (
                    instance_id, id, aud, role, email, encrypted_password, raw_app_meta_data, raw_user_meta_data,
                    created_at, updated_at)
                values (
                    '00000000-0000-0000-0000-000000000000', $1, 'authenticated', 'authenticated', $2, $3, $4, $5,
                    now(), now())""",
                account, email, kept, BY_MAIL, user_metadata or {},
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise AuthError(*EXISTS) from None
    await connection.execute(
        """
        insert into auth.identities (provider_id, user_id, identity_data, provider, created_at, updated_at)
        values ($1, $2, jsonb_build_object('sub', $1::text, 'email', $3::text, 'email_verified', false),
            'email', now(), now())""",
        str(account), account, email,
    )  # fmt: skip
    if app_metadata:
        await merge(connection, account, "raw_app_meta_data", app_metadata)
    if confirmed:
        await confirm(connection, account)
    return account


async def confirm(connection: Connection, account: UUID) -> None:
    """Whoever uses the account reads the mail of its address."""
    await connection.execute(
        """
        update auth.users set email_confirmed_at = coalesce(email_confirmed_at, now()), updated_at = now(),
            raw_user_meta_data = coalesce(raw_user_meta_data, '{}') || '{"email_verified": true}'
        where id = $1""",
        account,
    )
    await connection.execute(
        """
        update auth.identities set updated_at = now(), identity_data = identity_data || '{"email_verified": true}'
        where user_id = $1 and provider = 'email'""",
        account,
    )


async def merge(connection: Connection, account: UUID, column: str, new: dict[str, Any]) -> None:
    """Add to metadata; null takes a key away. Raises AuthError where it would grow too large."""
    assert column in {"raw_app_meta_data", "raw_user_meta_data"}  # noqa: S101  ours, never a caller's
    before = await connection.fetchval(f"select {column} from auth.users where id = $1 for update", account)  # noqa: S608
    merged = {name: value for name, value in {**(before or {}), **new}.items() if value is not None}
    try:
        as_meta(merged)
    except ValueError:
        raise AuthError(*TOO_LARGE) from None
    await connection.execute(
        f"update auth.users set {column} = $2, updated_at = now() where id = $1", account, merged  # noqa: S608
    )  # fmt: skip


async def set_password(
    connection: Connection, account: UUID, kept: str | None, *, but: UUID | None = None
) -> None:
    """A new password ends every session ``but`` one: who had the old one is out."""
    await connection.execute(
        "update auth.users set encrypted_password = $2, updated_at = now() where id = $1", account, kept
    )
    # What was mailed before would set another one.
    await connection.execute(
        "delete from auth.one_time_tokens where user_id = $1 and token_type in ('recovery_token',"
        " 'reauthentication_token')",
        account,
    )
    await connection.execute("delete from auth.flow_state where user_id = $1", account)
    await sessions.end_all(connection, account, but=but)


async def forget_claims(connection: Connection, account: UUID) -> None:
    """Forget what was said at sign-up by somebody who need not own the address: password, and data."""
    await connection.execute(
        "update auth.users set encrypted_password = null, raw_user_meta_data = '{}' where id = $1", account
    )


async def set_email(connection: Connection, account: UUID, email: str) -> None:
    """Another address, which its owner has shown to read. Raises AuthError 422 ``email_exists``."""
    try:
        async with connection.transaction():
            await connection.execute(
                """
                update auth.users set email = $2, email_change = '', email_change_confirm_status = 0,
                    updated_at = now()
                where id = $1""",
                account, email,
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise AuthError(*EXISTS) from None
    await connection.execute(
        """
        update auth.identities set updated_at = now(),
            identity_data = identity_data || jsonb_build_object('email', $2::text)
        where user_id = $1 and provider = 'email'""",
        account, email,
    )  # fmt: skip
    # What was mailed to the old address opens nothing any more.
    await connection.execute("delete from auth.one_time_tokens where user_id = $1", account)


async def ban(connection: Connection, account: UUID, duration: str) -> None:
    """Keep an account out for a time such as ``24h``, and end its sessions; ``none`` lets it in again."""
    await connection.execute(
        "update auth.users set banned_until = $2, updated_at = now() where id = $1",
        account, None if duration == "none" else datetime.now(UTC) + _span(duration),
    )  # fmt: skip
    if duration != "none":
        await sessions.end_all(connection, account)


def _span(duration: str) -> timedelta:
    # Go's way of writing times, as Supabase's clients send them.
    if not re.fullmatch(r"(\d{1,9}(\.\d{1,9})?(h|ms|m|s))+", duration, re.ASCII):
        raise AuthError(*NO_BAN)
    parts = re.findall(r"([\d.]+)(h|ms|m|s)", duration)
    seconds = sum(float(number) * HOURS[unit] for number, unit in parts)
    if not 0 < seconds <= 10_000 * 366 * 24 * 3600 / 10:  # a thousand years
        raise AuthError(*NO_BAN)
    return timedelta(seconds=seconds)


async def delete(connection: Connection, account: UUID, *, soft: bool) -> None:
    """Delete an account; ``soft``: its row stays, with nothing left in it that names anybody or lets anybody in."""
    if not soft:
        await connection.execute("delete from auth.users where id = $1", account)
        return
    await connection.execute(
        """
        update auth.users set email = $2, phone = null, encrypted_password = null, email_change = '',
            raw_user_meta_data = '{}', raw_app_meta_data = '{}', deleted_at = now(), updated_at = now()
        where id = $1""",
        account, _unreadable(account, await _email(connection, account)),
    )  # fmt: skip
    await connection.execute(
        "update auth.identities set provider_id = $2, identity_data = '{}', updated_at = now() where user_id = $1",
        account, _unreadable(account, str(account)),
    )  # fmt: skip
    await sessions.end_all(connection, account)
    for table in ("mfa_factors", "one_time_tokens", "flow_state"):
        await connection.execute(f"delete from auth.{table} where user_id = $1", account)  # noqa: S608


async def _email(connection: Connection, account: UUID) -> str:
    return await connection.fetchval("select email from auth.users where id = $1", account) or ""


def _unreadable(account: UUID, text: str) -> str:
    return base64.urlsafe_b64encode(sha256(f"{account}{text}".encode()).digest()).decode().rstrip("=")
