"""Rows of auth.users, and Supabase Auth's User object made of them."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from specchem.auth.errors import AuthError
from specchem.db.session import Connection

TIMES = (
    "email_confirmed_at", "confirmed_at", "invited_at", "confirmation_sent_at", "recovery_sent_at",
    "email_change_sent_at", "reauthentication_sent_at", "last_sign_in_at", "banned_until", "deleted_at",
)  # fmt: skip
NEVER = datetime.min.replace(tzinfo=UTC)


async def with_email(connection: Connection, email: str) -> asyncpg.Record | None:
    """The account with this address, ours to sign in; addresses are kept in small letters."""
    return await connection.fetchrow(
        "select * from auth.users where email = $1 and not is_sso_user and deleted_at is null",
        email.strip().lower(),
    )


async def with_id(connection: Connection, account: UUID) -> asyncpg.Record:
    """The account. Raises AuthError 404 ``user_not_found``."""
    row = await connection.fetchrow("select * from auth.users where id = $1", account)
    if row is None:
        raise AuthError(404, "user_not_found", "User not found")
    return row


async def locked(connection: Connection, account: UUID) -> asyncpg.Record | None:
    """The account, which nobody changes until this transaction ends."""
    return await connection.fetchrow(
        "select * from auth.users where id = $1 and deleted_at is null for no key update", account
    )


def is_banned(row: asyncpg.Record) -> bool:
    """At this moment."""
    return row["banned_until"] is not None and row["banned_until"] > datetime.now(UTC)


async def shown(connection: Connection, account: UUID) -> dict[str, Any]:
    """One account as Supabase Auth shows it."""
    (user,) = await all_shown(connection, [await with_id(connection, account)])
    return user


async def all_shown(connection: Connection, rows: list[asyncpg.Record]) -> list[dict[str, Any]]:
    """Accounts as Supabase Auth shows them, with their identities and factors."""
    accounts = [row["id"] for row in rows]
    identities = await connection.fetch(
        "select * from auth.identities where user_id = any($1) order by created_at", accounts
    )
    factors = await connection.fetch(
        "select * from auth.mfa_factors where user_id = any($1) order by created_at", accounts
    )
    return [
        _user(
            row,
            [_identity(one) for one in identities if one["user_id"] == row["id"]],
            [factor(one) for one in factors if one["user_id"] == row["id"]],
        )
        for row in rows
    ]


def _user(
    row: asyncpg.Record, identities: list[dict[str, Any]], factors: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "aud": row["aud"] or "authenticated",
        "role": row["role"] or "",
        "email": row["email"] or "",
        "phone": row["phone"] or "",
        **{name: stamp(row[name]) for name in TIMES if row[name]},
        **({"new_email": row["email_change"]} if row["email_change"] else {}),
        "app_metadata": row["raw_app_meta_data"] or {},
        "user_metadata": row["raw_user_meta_data"] or {},
        "identities": identities,
        **({"factors": factors} if factors else {}),
        # Clients insist on these two.
        "created_at": stamp(row["created_at"] or NEVER),
        "updated_at": stamp(row["updated_at"] or NEVER),
        "is_anonymous": row["is_anonymous"],
    }


def _identity(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "identity_id": str(row["id"]),
        "id": row["provider_id"],
        "user_id": str(row["user_id"]),
        "identity_data": row["identity_data"],
        "provider": row["provider"],
        **{name: stamp(row[name]) for name in ("last_sign_in_at", "created_at", "updated_at")},
        "email": row["email"],
    }


def factor(row: asyncpg.Record) -> dict[str, Any]:
    """A second factor as Supabase Auth shows it: never its secret."""
    return {
        "id": str(row["id"]),
        "friendly_name": row["friendly_name"] or "",
        "factor_type": row["factor_type"],
        "status": row["status"],
        "created_at": stamp(row["created_at"]),
        "updated_at": stamp(row["updated_at"]),
        **({"last_challenged_at": stamp(row["last_challenged_at"])} if row["last_challenged_at"] else {}),
    }


def made_up(email: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """What a sign-up is answered with, whether there was such an account before or not."""
    account, now = str(uuid4()), stamp(datetime.now(UTC))
    return {
        "id": account,
        "aud": "authenticated",
        "role": "authenticated",
        "email": email,
        "phone": "",
        "confirmation_sent_at": now,
        "app_metadata": {"provider": "email", "providers": ["email"]},
        "user_metadata": metadata,
        "identities": [
            {
                "identity_id": str(uuid4()),
                "id": account,
                "user_id": account,
                "identity_data": {"sub": account, "email": email, "email_verified": False},
                "provider": "email",
                "last_sign_in_at": now,
                "created_at": now,
                "updated_at": now,
                "email": email,
            }
        ],
        "created_at": now,
        "updated_at": now,
        "is_anonymous": False,
    }


def stamp(moment: datetime | None) -> str | None:
    """A time as Supabase writes it."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
