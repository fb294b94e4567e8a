"""What an admin's server does with accounts."""

import logging
import secrets
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import asyncpg

from specchem.auth.errors import AuthError
from specchem.auth.service import accounts, factors, links, passwords, redirects, users
from specchem.auth.service.inputs import AdminUser, GenerateLink, Invite
from specchem.auth.service.mail import NotSent
from specchem.auth.service.service import Service
from specchem.db.session import Connection

NO_ADDRESS = (400, "validation_failed", "Cannot create a user without an email address")
NOT_MAILED = (
    500,
    "unexpected_failure",
    "The invitation could not be mailed; check the mail settings and the log.",
)

log = logging.getLogger("specchem")


async def create(service: Service, sent: AdminUser) -> dict[str, Any]:
    """A new account, as the admin says. Raises AuthError."""
    if sent.email is None:
        raise AuthError(*NO_ADDRESS)
    kept = sent.password_hash if sent.password is None else await passwords.keep(sent.password)
    async with service.transaction() as connection:
        account = await accounts.make(
            connection, sent.email, kept, confirmed=sent.email_confirm, account=sent.id,
            user_metadata=sent.user_metadata, app_metadata=sent.app_metadata,
        )  # fmt: skip
        if sent.ban_duration:
            await accounts.ban(connection, account, sent.ban_duration)
        return await users.shown(connection, account)


async def update(service: Service, account: UUID, sent: AdminUser) -> dict[str, Any]:
    """An account changed as the admin says. Raises AuthError."""
    kept = sent.password_hash if sent.password is None else await passwords.keep(sent.password)
    async with service.transaction() as connection:
        before = await users.with_id(connection, account)
        if sent.email is not None and sent.email != before["email"]:
            await accounts.set_email(connection, account, sent.email)
        if kept is not None:
            await accounts.set_password(connection, account, kept)
        if sent.user_metadata is not None:
            await accounts.merge(connection, account, "raw_user_meta_data", sent.user_metadata)
        if sent.app_metadata is not None:
            await accounts.merge(connection, account, "raw_app_meta_data", sent.app_metadata)
        if sent.email_confirm:
            await accounts.confirm(connection, account)
        if sent.ban_duration:
            await accounts.ban(connection, account, sent.ban_duration)
        return await users.shown(connection, account)


async def delete(service: Service, account: UUID, *, soft: bool) -> None:
    """Delete an account. Raises AuthError 404, and whatever the record says against it."""
    async with service.transaction() as connection:
        await users.with_id(connection, account)
        await accounts.delete(connection, account, soft=soft)


async def all_of(service: Service, page: int, per_page: int) -> tuple[list[dict[str, Any]], int]:
    """A page of accounts, the newest first, and how many there are in all."""
    async with service.transaction() as connection:
        total = await connection.fetchval("select count(*) from auth.users")
        rows = await connection.fetch(
            "select * from auth.users order by created_at desc nulls last, id limit $1 offset $2",
            per_page, (page - 1) * per_page,
        )  # fmt: skip
        return await users.all_shown(connection, rows), total


async def one(service: Service, account: UUID) -> dict[str, Any]:
    """An account. Raises AuthError 404."""
    async with service.transaction() as connection:
        return await users.shown(connection, account)


async def invite(service: Service, sent: Invite, wish: str | None) -> dict[str, Any]:
    """Make an account and mail its link; of one that was never confirmed, mail it again. Raises AuthError."""
    async with service.transaction() as connection:
        account, is_new = await _invited(connection, sent.email, sent.data)
        letter = await links.letter(service, connection, account, "invite", sent.email, wish)
        shown = await users.shown(connection, account)
    try:
        await service.mailer.send(letter)
    except NotSent as error:
        log.error("an invitation could not be mailed: %s", error)
        if is_new:  # nobody can come by it, and it would be in the way
            async with service.transaction() as connection:
                await accounts.delete(connection, account, soft=False)
        raise AuthError(*NOT_MAILED) from None
    return shown


async def _invited(connection: Connection, email: str, data: dict[str, Any] | None) -> tuple[UUID, bool]:
    row = await users.with_email(connection, email)
    if row is not None and row["email_confirmed_at"] is not None:
        raise AuthError(*accounts.EXISTS)
    account: UUID = row["id"] if row else await accounts.make(connection, email, None, user_metadata=data)
    if row is not None:
        # Whoever may have signed up with this address before said this of themselves.
        await accounts.forget_claims(connection, account)
        await accounts.merge(connection, account, "raw_user_meta_data", data or {})
    await connection.execute(
        "update auth.users set invited_at = now(), updated_at = now() where id = $1", account
    )
    return account, row is None


async def generate_link(service: Service, sent: GenerateLink, wish: str | None) -> dict[str, Any]:
    """A link to send in one's own way, with the account it is for. Raises AuthError."""
    going = redirects.allowed(service.settings, sent.redirect_to or wish)
    kept = None if sent.password is None else await passwords.keep(sent.password)
    async with service.transaction() as connection:
        account, kind = await _for_link(connection, sent, kept)
        to = sent.new_email if kind == "email_change" and sent.new_email else sent.email
        code = await links.code_for(connection, account, kind, to)
        shown = await users.shown(connection, account)
    told = {"token": code.token, "type": links.WAYS[kind].type, "redirect_to": going}
    return shown | {
        "action_link": f"{service.settings.auth_url}/verify?{urlencode(told)}",
        "email_otp": code.digits,
        "hashed_token": code.token,
        "redirect_to": going,
        "verification_type": sent.type if sent.type.startswith("email_change") else kind,
    }


async def _for_link(connection: Connection, sent: GenerateLink, kept: str | None) -> tuple[UUID, str]:
    if sent.type == "invite":
        return (await _invited(connection, sent.email, sent.data))[0], "invite"
    row = await users.with_email(connection, sent.email)
    if sent.type == "signup" or (sent.type == "magiclink" and row is None):
        return await _signed_up(connection, row, sent, kept), "signup"
    if row is None:
        raise AuthError(404, "user_not_found", "User with this email not found")
    if sent.type in {"recovery", "magiclink"}:
        return row["id"], sent.type
    if sent.new_email is None:
        raise AuthError(400, "validation_failed", "new_email is needed")
    if await users.with_email(connection, sent.new_email) is not None:
        raise AuthError(*accounts.EXISTS)
    await connection.execute(
        "update auth.users set email_change = $2, updated_at = now(),"
        " email_change_confirm_status = case email_change when $2 then email_change_confirm_status else 0 end"
        " where id = $1",
        row["id"], sent.new_email,
    )  # fmt: skip
    return row["id"], "email_change" if sent.type == "email_change_new" else "email_change_current"


async def _signed_up(
    connection: Connection, row: asyncpg.Record | None, sent: GenerateLink, kept: str | None
) -> UUID:
    if row is None:
        kept = kept or await passwords.keep(secrets.token_urlsafe())
        return await accounts.make(connection, sent.email, kept, user_metadata=sent.data)
    if row["email_confirmed_at"] is not None:
        raise AuthError(*accounts.EXISTS)
    account: UUID = row["id"]
    if kept is not None:
        await accounts.set_password(connection, account, kept)
    return account


async def factors_of(service: Service, account: UUID) -> list[dict[str, Any]]:
    """An account's second factors. Raises AuthError 404."""
    async with service.transaction() as connection:
        shown = await users.shown(connection, account)
    found: list[dict[str, Any]] = shown.get("factors", [])
    return found


async def remove_factor(service: Service, account: UUID, factor: UUID) -> None:
    """Take a second factor away, of somebody who lost it. Raises AuthError 404."""
    async with service.transaction() as connection:
        await users.with_id(connection, account)
        found = await connection.fetchval(
            "select id from auth.mfa_factors where id = $1 and user_id = $2 for update", factor, account
        )
        if found is None:
            raise AuthError(*factors.UNKNOWN)
        await factors.remove(connection, factor)
