"""Sign-up, and the mails that anybody may ask for: what is answered never tells whether there is such an account.

The work is done after the answer, so that its time tells nothing either.
"""

from typing import Any
from uuid import UUID

import asyncpg

from specchem.auth.errors import AuthError
from specchem.auth.service import accounts, codes, links, passwords, users
from specchem.auth.service.callers import Member
from specchem.auth.service.flows import Challenge
from specchem.auth.service.inputs import Mailed, Otp, Resend, SignUp
from specchem.auth.service.letters import Letter
from specchem.auth.service.service import Service
from specchem.db.session import Connection

DISABLED = (422, "signup_disabled", "Signups not allowed for this instance")


def sign_up(service: Service, sent: SignUp, wish: str | None) -> dict[str, Any]:
    """An account to be confirmed by mail: a User object, made up for whoever asks, whatever becomes of it."""
    if not service.settings.sign_up:
        raise AuthError(*DISABLED)
    passwords.check(sent.password)
    service.later.do(_sign_up(service, sent, wish))
    return users.made_up(sent.email, sent.data or {})


async def _sign_up(service: Service, sent: SignUp, wish: str | None) -> None:
    kept = await passwords.keep(sent.password)
    async with service.transaction() as connection:
        row = await users.with_email(connection, sent.email)
        if row is None:
            account = await accounts.make(connection, sent.email, kept, user_metadata=sent.data)
            kind: str | None = "signup"
        else:
            account, kind = row["id"], await _again(connection, row["id"], sent.password)
        letter = Letter("known", sent.email, f"{service.settings.base_url}/login")
        if kind == "signup":
            letter = await links.letter(service, connection, account, kind, sent.email, wish, sent.challenge)
    if kind is not None:
        await service.mailer.send(letter)


async def _again(connection: Connection, account: UUID, password: str) -> str | None:
    """Which letter somebody gets who signs up where there is an account."""
    row = await users.locked(connection, account)
    if row is None or row["email_confirmed_at"] is not None:
        return "known"
    if row["invited_at"] is not None:
        return None  # the invitation stands, and whoever invited can send it again
    if not await passwords.is_right(row["encrypted_password"], password):
        # Two have been here, and only one can read the mail: neither one's password counts.
        await accounts.forget_claims(connection, account)
    return "signup"


async def recover(service: Service, sent: Mailed, wish: str | None) -> None:
    """Mail a link with which a new password can be set, if there is such an account."""
    async with service.transaction() as connection:
        row = await users.with_email(connection, sent.email)
        if row is None or users.is_banned(row):
            return
        letter = await links.letter(
            service, connection, row["id"], "recovery", sent.email, wish, sent.challenge
        )
    await service.mailer.send(letter)


async def send_link(service: Service, sent: Otp, wish: str | None) -> None:
    """Mail a link to sign in with; make the account where that is asked for and sign-up is on."""
    async with service.transaction() as connection:
        row = await users.with_email(connection, sent.email)
        if row is not None:
            if users.is_banned(row):
                return
            account, kind = row["id"], "magiclink"
        elif sent.create_user and service.settings.sign_up:
            account = await accounts.make(connection, sent.email, None, user_metadata=sent.data)
            kind = "signup"
        else:
            return
        letter = await links.letter(service, connection, account, kind, sent.email, wish, sent.challenge)
    await service.mailer.send(letter)


async def resend(service: Service, sent: Resend, wish: str | None) -> None:
    """Mail again what still waits for an answer."""
    async with service.transaction() as connection:
        row = await users.with_email(connection, sent.email)
        if row is None or users.is_banned(row):
            return
        if sent.type == "email_change":
            letters = await change_letters(service, connection, row, wish, sent.challenge, only_open=True)
        elif row["email_confirmed_at"] is None and row["invited_at"] is None:
            letters = [
                await links.letter(service, connection, row["id"], "signup", sent.email, wish, sent.challenge)
            ]
        else:
            return
    for letter in letters:
        await service.mailer.send(letter)


async def change_letters(
    service: Service,
    connection: Connection,
    row: asyncpg.Record,
    wish: str | None,
    challenge: Challenge | None,
    *,
    only_open: bool = False,
) -> list[Letter]:
    """To the new address and to the present one: both have to agree. ``only_open``: to those that have not yet."""
    wanted = {"email_change": row["email_change"], "email_change_current": row["email"]}
    if only_open:
        waiting = await connection.fetch(
            "select token_type::text as name from auth.one_time_tokens where user_id = $1", row["id"]
        )
        names = {one["name"] for one in waiting}
        wanted = {kind: to for kind, to in wanted.items() if links.WAYS[kind].code.name in names}
    return [
        await links.letter(service, connection, row["id"], kind, to, wish, challenge)
        for kind, to in wanted.items()
        if to
    ]


async def reauthenticate(service: Service, member: Member) -> None:
    """Mail six digits with which somebody shows once more that it is them."""
    async with service.transaction() as connection:
        email = member.account["email"]
        code = await codes.make(connection, member.id, codes.REAUTHENTICATION, email)
    await service.mailer.send(Letter("reauthentication", email, digits=code.digits))
