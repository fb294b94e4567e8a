"""Second factors: six digits from an authenticator app (TOTP, RFC 6238), each good once."""

import time
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pyotp
import segno

from specchem.auth.errors import AuthError
from specchem.auth.service import sessions, users
from specchem.auth.service.callers import Caller, Member
from specchem.auth.service.inputs import Enroll, Shown
from specchem.auth.service.letters import NAME
from specchem.auth.service.service import Service
from specchem.db.session import Connection

STEP = 30  # seconds a code is shown for
MOST = 10  # factors of one account
WAITS = 300  # seconds a challenge waits for its code
UNKNOWN = (404, "mfa_factor_not_found", "MFA factor not found")
WRONG = (422, "mfa_verification_failed", "Invalid TOTP code entered")


async def any_verified(connection: Connection, account: UUID) -> bool:
    """Is a second factor set up, and was its code shown once?"""
    found: bool = await connection.fetchval(
        "select exists (select from auth.mfa_factors where user_id = $1 and status = 'verified')", account
    )
    return found


async def enroll(service: Service, member: Member, sent: Enroll) -> dict[str, Any]:
    """A new secret, as text, address and picture; it counts when a code of it was shown. Raises AuthError."""
    if sent.factor_type != "totp":
        raise AuthError(400, "validation_failed", "factor_type needs to be totp")
    name, secret, factor = (sent.friendly_name or "").strip(), pyotp.random_base32(), uuid4()
    async with service.transaction() as connection:
        await users.locked(connection, member.id)  # one at a time, so that they can be counted
        await connection.execute(
            "delete from auth.mfa_factors where user_id = $1 and status = 'unverified'"
            " and created_at < now() - interval '1 hour'",
            member.id,
        )
        if not member.has_shown_two_factors and await any_verified(connection, member.id):
            raise AuthError(403, "insufficient_aal", "AAL2 required to enroll a new factor")
        names = await connection.fetch(
            "select friendly_name from auth.mfa_factors where user_id = $1", member.id
        )
        if len(names) >= MOST:
            raise AuthError(
                422,
                "too_many_enrolled_mfa_factors",
                "Maximum number of factors reached, unenroll to continue",
            )
        if name and any(one["friendly_name"] == name for one in names):
            raise AuthError(
                422,
                "mfa_factor_name_conflict",
                "A factor with this friendly name for this user already exists",
            )
        await connection.execute(
            """
            insert into auth.mfa_factors (
                id, user_id, friendly_name, factor_type, status, created_at, updated_at, secret)
            values ($1, $2, $3, 'totp', 'unverified', now(), now(), $4)""",
            factor, member.id, name, secret,
        )  # fmt: skip
    owner = member.account["email"] or str(member.id)
    uri = pyotp.TOTP(secret).provisioning_uri(name=owner, issuer_name=sent.issuer or NAME)
    totp = {"qr_code": _picture(uri), "secret": secret, "uri": uri}
    return {"id": str(factor), "type": "totp", "friendly_name": name, "totp": totp}


def _picture(uri: str) -> str:
    drawn = BytesIO()
    segno.make_qr(uri).save(drawn, kind="svg", scale=5, border=4, xmldecl=False, nl=False, light="white")
    # Clients put it into a data: address as it is, where a # would end it.
    return drawn.getvalue().decode().replace("#000", "black").replace("#fff", "white")


async def challenge(service: Service, caller: Caller, member: Member, factor: UUID) -> dict[str, Any]:
    """A code is waited for, for five minutes."""
    made = uuid4()
    async with service.transaction() as connection:
        await _own(connection, member, factor)
        await connection.execute(
            "delete from auth.mfa_challenges where factor_id = $1 and created_at < now() - interval '1 day'",
            factor,
        )
        await connection.execute(
            "insert into auth.mfa_challenges (id, factor_id, created_at, ip_address) values ($1, $2, now(), $3)",
            made, factor, caller.asked.ip or "0.0.0.0",  # noqa: S104  not known
        )  # fmt: skip
        await connection.execute(
            "update auth.mfa_factors set last_challenged_at = clock_timestamp() where id = $1", factor
        )
    return {"id": str(made), "type": "totp", "expires_at": int(time.time()) + WAITS}


async def verify(
    service: Service, caller: Caller, member: Member, factor: UUID, sent: Shown
) -> dict[str, Any]:
    """The session, which is one of two factors now. Raises AuthError."""
    account = str(member.id)
    await service.count(caller, "factor", account)
    async with service.transaction() as connection:
        row = await _own(connection, member, factor)
        challenged = await connection.fetchrow(
            "select * from auth.mfa_challenges where id = $1 and factor_id = $2", sent.challenge_id, factor
        )
        if challenged is None:
            raise AuthError(*UNKNOWN)
        late = datetime.now(UTC) - timedelta(seconds=WAITS)
        if challenged["verified_at"] is not None or challenged["created_at"] < late:
            raise AuthError(
                422, "mfa_challenge_expired", "MFA challenge has expired, create a new challenge."
            )
        step = await _step_of(connection, row, sent.code)
        if step is not None:
            await connection.execute(
                "update auth.mfa_challenges set verified_at = now(), otp_code = $2 where id = $1",
                sent.challenge_id, str(step),
            )  # fmt: skip
            opened = await _raise(connection, member, row)
            session = await sessions.as_answer(connection, service.issuer, opened)
    if step is None:
        await service.note_failure(caller, member.account["email"] or "")
        raise AuthError(*WRONG)
    await service.welcome(caller, account)
    return session


async def _step_of(connection: Connection, row: asyncpg.Record, code: str) -> int | None:
    """Which half minute a code is of, if it is of this one or a neighbour and later than the last one used."""
    used = await connection.fetchval(
        "select max(otp_code::bigint) from auth.mfa_challenges where factor_id = $1 and verified_at is not null",
        row["id"],
    )
    totp, now = pyotp.TOTP(row["secret"]), int(time.time()) // STEP
    found = [step for step in (now - 1, now, now + 1) if totp.verify(code, for_time=step * STEP)]
    fresh = [step for step in found if used is None or step > used]
    return fresh[0] if fresh else None


async def _raise(connection: Connection, member: Member, row: asyncpg.Record) -> sessions.Opened:
    if row["status"] != "verified":
        await connection.execute(
            "update auth.mfa_factors set status = 'verified', updated_at = now() where id = $1", row["id"]
        )
        # From now on it takes two: what was begun with one, and what was left half done, is over.
        await connection.execute(
            "delete from auth.mfa_factors where user_id = $1 and status = 'unverified'", member.id
        )
        await connection.execute(
            "delete from auth.sessions where user_id = $1 and id <> $2 and aal is distinct from 'aal2'",
            member.id, member.session_id,
        )  # fmt: skip
    return await sessions.raised(connection, member.id, member.session_id, row["id"])


async def unenroll(service: Service, member: Member, factor: UUID) -> dict[str, Any]:
    """Take a factor away; one that counts takes a session that has shown it. Raises AuthError."""
    async with service.transaction() as connection:
        row = await _own(connection, member, factor)
        if row["status"] == "verified" and not member.has_shown_two_factors:
            raise AuthError(422, "insufficient_aal", "AAL2 required to unenroll verified factor")
        await remove(connection, factor)
    return {"id": str(factor)}


async def remove(connection: Connection, factor: UUID) -> None:
    """Take it away from its account, and from the sessions that rested on it."""
    await sessions.lower(connection, factor)
    await connection.execute("delete from auth.mfa_factors where id = $1", factor)


async def _own(connection: Connection, member: Member, factor: UUID) -> asyncpg.Record:
    """The member's own factor, locked. Raises AuthError 404."""
    row = await connection.fetchrow(
        "select * from auth.mfa_factors where id = $1 and user_id = $2 and factor_type = 'totp' for update",
        factor, member.id,
    )  # fmt: skip
    if row is None:
        raise AuthError(*UNKNOWN)
    return row
