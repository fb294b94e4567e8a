"""What a mail holds to show that it was read: a link's token and six digits, each good once and for a while.

The token is random, so that nobody finds it by trying; kept is only its hash. The digits can be tried, so they count
only together with the address, never longer than an hour, and each try of an address is counted at the door.
"""

import secrets
from dataclasses import dataclass
from hashlib import sha224
from hmac import compare_digest
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from specchem.db.session import Connection

PKCE = "pkce_"  # begins the token of a link that ends in a code for whoever asked for it


@dataclass(frozen=True)
class Kind:
    """A kind of code: its name among one_time_tokens, which is also the column of auth.users for its digits."""

    name: str
    sent_at: str


CONFIRMATION = Kind("confirmation_token", "confirmation_sent_at")
RECOVERY = Kind("recovery_token", "recovery_sent_at")
CHANGE_NEW = Kind("email_change_token_new", "email_change_sent_at")
CHANGE_CURRENT = Kind("email_change_token_current", "email_change_sent_at")
REAUTHENTICATION = Kind("reauthentication_token", "reauthentication_sent_at")
KINDS = {kind.name: kind for kind in (CONFIRMATION, RECOVERY, CHANGE_NEW, CHANGE_CURRENT, REAUTHENTICATION)}

# By the type that a client names.
OF_TYPE: dict[str, tuple[Kind, ...]] = {
    "signup": (CONFIRMATION,),
    "invite": (CONFIRMATION,),
    "recovery": (RECOVERY,),
    "magiclink": (RECOVERY,),
    "email": (CONFIRMATION, RECOVERY),
    "email_change": (CHANGE_NEW, CHANGE_CURRENT),
}

LIVES = "o.created_at > (now() at time zone 'utc') - interval '1 hour'"
# An invitation's link waits for its reader: a week.
LINK_LIVES = (
    f"({LIVES} or (o.token_type = 'confirmation_token' and u.invited_at is not null"
    " and o.created_at > (now() at time zone 'utc') - interval '7 days'))"
)


@dataclass(frozen=True)
class Code:
    """What goes into one mail."""

    token: str
    digits: str


@dataclass(frozen=True)
class Taken:
    """Whose code was shown, and which; it is used up."""

    account: UUID
    kind: Kind


async def make(connection: Connection, account: UUID, kind: Kind, email: str, *, pkce: bool = False) -> Code:
    """A new code; the one before, of the same kind, is void."""
    code = Code((PKCE if pkce else "") + secrets.token_hex(28), f"{secrets.randbelow(1_000_000):06}")
    await connection.execute(
        """
        insert into auth.one_time_tokens as o (id, user_id, token_type, token_hash, relates_to, created_at, updated_at)
        values ($1, $2, $3, $4, $5, now() at time zone 'utc', now() at time zone 'utc')
        on conflict (user_id, token_type) do update set token_hash = excluded.token_hash,
            relates_to = excluded.relates_to, created_at = excluded.created_at, updated_at = excluded.updated_at""",
        uuid4(), account, kind.name, _hash(code.token), email,
    )  # fmt: skip
    await connection.execute(
        f"update auth.users set {kind.name} = $2, {kind.sent_at} = now(), updated_at = now() where id = $1",  # noqa: S608
        account, _hash(email + code.digits),
    )  # fmt: skip
    return code


async def take_token(connection: Connection, token: str, kinds: tuple[Kind, ...]) -> Taken | None:
    """Use a link's token up."""
    row = await connection.fetchrow(
        f"""
        delete from auth.one_time_tokens o using auth.users u
        where o.token_hash = $1 and o.token_type::text = any($2) and u.id = o.user_id and u.deleted_at is null
            and {LINK_LIVES}
        returning o.user_id, o.token_type::text as token_type""",  # noqa: S608
        _hash(token), [kind.name for kind in kinds],
    )  # fmt: skip
    return None if row is None else await _taken(connection, row["user_id"], KINDS[row["token_type"]])


async def take_digits(
    connection: Connection, email: str, digits: str, kinds: tuple[Kind, ...]
) -> Taken | None:
    """Use the digits up that were mailed to an address."""
    rows = await connection.fetch(
        f"""
        select u.*, o.token_type::text as token_type from auth.one_time_tokens o join auth.users u on u.id = o.user_id
        where o.relates_to = $1 and o.token_type::text = any($2) and u.deleted_at is null and not u.is_sso_user
            and {LIVES}""",  # noqa: S608
        email, [kind.name for kind in kinds],
    )  # fmt: skip
    for row in rows:
        kind = KINDS[row["token_type"]]
        if compare_digest(row[kind.name] or "", _hash(email + digits)):
            return await _use_up(connection, row, kind)
    return None


async def _use_up(connection: Connection, row: asyncpg.Record, kind: Kind) -> Taken | None:
    gone: Any = await connection.fetchval(
        "delete from auth.one_time_tokens where user_id = $1 and token_type::text = $2 returning id",
        row["id"], kind.name,
    )  # fmt: skip
    # Of two who come at once, the second finds nothing left.
    return None if gone is None else await _taken(connection, row["id"], kind)


async def _taken(connection: Connection, account: UUID, kind: Kind) -> Taken:
    await connection.execute(f"update auth.users set {kind.name} = '' where id = $1", account)  # noqa: S608
    return Taken(account, kind)


def _hash(text: str) -> str:
    return sha224(text.encode()).hexdigest()
