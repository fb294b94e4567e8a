"""What people change about their own account."""

from typing import Any

from specchem.auth.errors import AuthError
from specchem.auth.service import accounts, codes, factors, joining, passwords, users
from specchem.auth.service.callers import Caller, Member
from specchem.auth.service.inputs import UserUpdate
from specchem.auth.service.letters import Letter
from specchem.auth.service.service import Service
from specchem.db.session import Connection

NEEDS_BOTH = (
    401,
    "insufficient_aal",
    "AAL2 session is required to update email or password when MFA is enabled.",
)


async def update(
    service: Service, caller: Caller, member: Member, sent: UserUpdate, wish: str | None
) -> dict[str, Any]:
    """The User object afterwards. Raises AuthError."""
    await service.count(caller, "user", str(member.id))
    if sent.app_metadata is not None:
        raise AuthError(403, "not_admin", "Updating app_metadata requires admin privileges")
    email = sent.email if sent.email != member.account["email"] else None
    if sent.password is not None or email is not None:
        async with service.transaction() as connection:
            if not member.has_shown_two_factors and await factors.any_verified(connection, member.id):
                raise AuthError(*NEEDS_BOTH)
    kept = await _new_password(service, caller, member, sent)
    if email is not None:
        await service.count(caller, "mail", email)
    letters: list[Letter] = []
    async with service.transaction() as connection:
        await users.locked(connection, member.id)
        if sent.nonce:
            await _check_nonce(connection, member, sent.nonce)
        if kept is not None:
            await accounts.set_password(connection, member.id, kept, but=member.session_id)
        if sent.data:
            await accounts.merge(connection, member.id, "raw_user_meta_data", sent.data)
        if email is not None:
            letters = await _wish_for_email(service, connection, member, email, sent, wish)
        shown = await users.shown(connection, member.id)
    for letter in letters:
        service.later.do(service.mailer.send(letter))
    return shown


async def _new_password(service: Service, caller: Caller, member: Member, sent: UserUpdate) -> str | None:
    if sent.password is None:
        return None
    passwords.check(sent.password)
    present = member.account["encrypted_password"]
    if sent.current_password is not None:
        email = member.account["email"] or ""
        await service.count(caller, "password", email)
        if not await passwords.is_right(present, sent.current_password):
            await service.note_failure(caller, email)
            raise AuthError(400, "invalid_credentials", "The current password is not right.")
    if await passwords.is_right(present, sent.password):
        raise AuthError(422, "same_password", "New password should be different from the old password.")
    return await passwords.keep(sent.password)


async def _check_nonce(connection: Connection, member: Member, nonce: str) -> None:
    email = member.account["email"] or ""
    taken = await codes.take_digits(connection, email, nonce, (codes.REAUTHENTICATION,))
    if taken is None or taken.account != member.id:
        raise AuthError(422, "reauthentication_not_valid", "Nonce has expired or is invalid")


async def _wish_for_email(
    service: Service, connection: Connection, member: Member, email: str, sent: UserUpdate, wish: str | None
) -> list[Letter]:
    if await users.with_email(connection, email) is not None:
        raise AuthError(*accounts.EXISTS)
    row = await connection.fetchrow(
        "update auth.users set email_change = $2, email_change_confirm_status = 0, updated_at = now()"
        " where id = $1 returning *",
        member.id, email,
    )  # fmt: skip
    assert row is not None  # noqa: S101  locked
    return await joining.change_letters(service, connection, row, wish, sent.challenge)
