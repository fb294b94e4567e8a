"""A mail's link or digits come back: the address is confirmed, and whoever shows them is signed in."""

from typing import Any
from urllib.parse import urlencode

import asyncpg

from specchem.auth.errors import AuthError
from specchem.auth.service import accounts, codes, flows, redirects, sessions
from specchem.auth.service.callers import Caller
from specchem.auth.service.codes import Taken
from specchem.auth.service.inputs import Verify
from specchem.auth.service.service import Service
from specchem.auth.service.sign_in import may_come
from specchem.db.session import Connection

EXPIRED = (403, "otp_expired", "Token has expired or is invalid")
HALF = {
    "code": "200",
    "msg": "Confirmation link accepted. Please proceed to confirm link sent to the other email",
}


async def verify(service: Service, caller: Caller, sent: Verify) -> dict[str, Any]:
    """A new session; or, of a change of address, that the other address has still to agree. Raises AuthError."""
    await service.count(caller, "code", sent.email)
    kinds = codes.OF_TYPE[sent.type]
    async with service.transaction() as connection:
        if sent.token_hash:
            taken = await codes.take_token(connection, sent.token_hash, kinds)
        else:
            taken = await codes.take_digits(connection, sent.email or "", sent.token or "", kinds)
        if taken is not None:
            if not await _accept(connection, taken):
                return HALF
            opened = await sessions.begin(connection, taken.account, "otp", caller.asked)
            session = await sessions.as_answer(connection, service.issuer, opened)
    if taken is None:
        if sent.email:
            await service.note_failure(caller, sent.email)
        raise AuthError(*EXPIRED)
    await service.welcome(caller, session["user"]["email"])
    return session


async def follow(service: Service, caller: Caller, token: str, kind: str, wish: str | None) -> str:
    """Where a link that was followed leads: to the page wished for, with a session, a code or a refusal."""
    going = redirects.allowed(service.settings, wish)
    try:
        await service.count(caller, "code")
        async with service.transaction() as connection:
            taken = await codes.take_token(connection, token, codes.OF_TYPE.get(kind, ()))
            if taken is None:
                raise AuthError(403, "otp_expired", "Email link is invalid or has expired")
            if not await _accept(connection, taken):
                return _with(going, "#", message=HALF["msg"])
            if token.startswith(codes.PKCE):
                code = await flows.reached(connection, taken.account, taken.kind.name)
                if code is None:
                    raise AuthError(*flows.UNKNOWN)
                return _with(going, "?", code=code)
            opened = await sessions.begin(connection, taken.account, "otp", caller.asked)
            session = await sessions.as_answer(connection, service.issuer, opened)
    except AuthError as error:
        mark = "?" if token.startswith(codes.PKCE) else "#"
        return _with(going, mark, error="access_denied", error_code=error.code,
                     error_description=error.message)  # fmt: skip
    told = {name: str(value) for name, value in session.items() if name != "user"}
    return _with(going, "#", **told, type=kind)


async def _accept(connection: Connection, taken: Taken) -> bool:
    """What follows from a mail that was read. False: another address has to agree first."""
    row = await may_come(connection, taken.account)
    if taken.kind in (codes.CHANGE_NEW, codes.CHANGE_CURRENT):
        return await _change_address(connection, row)
    if row["email_confirmed_at"] is None:
        if taken.kind is not codes.CONFIRMATION:
            # Whoever signed up with this address, and did not confirm it, need not be who reads its mail.
            await connection.execute(
                "update auth.users set encrypted_password = null where id = $1", taken.account
            )
        await accounts.confirm(connection, taken.account)
    return True


async def _change_address(connection: Connection, row: asyncpg.Record) -> bool:
    if row["email"] and row["email_change_confirm_status"] == 0:
        await connection.execute(
            "update auth.users set email_change_confirm_status = 1, updated_at = now() where id = $1",
            row["id"],
        )
        return False
    await accounts.set_email(connection, row["id"], row["email_change"])
    return True


def _with(address: str, mark: str, **told: str) -> str:
    bare = address.partition("#")[0]
    if mark == "?" and "?" in bare:
        mark = "&"
    return f"{bare}{mark}{urlencode(told)}"
