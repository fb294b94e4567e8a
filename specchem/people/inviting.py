"""Inviting by mail: the invitation first, as the person who makes it, and then the link, from the auth service."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from specchem.auth.client import AuthClient
from specchem.auth.errors import AuthError
from specchem.db.session import Asker
from specchem.errors import SpecChemError
from specchem.people.invitations import claim_unsent, create_invitation, give_back, renew_invitation
from specchem.people.schemas import Invitation, Invite, Invited

AT_ONCE = 5  # mails that are sent at the same time
BATCH = 25  # of a request, when many wait
NOT_SENT = "The invitation is made, but its mail could not be sent: {} Send it again later."


async def invite(me: Asker, auth: AuthClient, wanted: Sequence[Invite]) -> list[Invited]:
    """Ask people to join; each by itself, in the order given. Raises where nothing at all can be done."""
    made: list[Invited] = []
    async with me.acting() as db:
        for one in wanted:
            try:
                async with db.attempt():
                    made.append(Invited(one.email, await create_invitation(db, one), False, None))
            except SpecChemError as error:
                if error.status >= 500:
                    raise
                made.append(Invited(one.email, None, False, str(error)))
    # Committed first: a link that arrives must find its invitation.
    return await _send_all(auth, made)


async def send_waiting(me: Asker, auth: AuthClient) -> list[Invited]:
    """Send some of the mails that have not gone out; one that fails waits on."""
    async with me.acting() as db:
        claimed = await claim_unsent(db, BATCH)
    done = await _send_all(auth, [Invited(one.email, one, False, None) for one in claimed])
    failed = [one.invitation.id for one in done if one.invitation is not None and one.problem]
    if failed:
        async with me.acting() as db:
            await give_back(db, failed)
    return done


async def _send_all(auth: AuthClient, made: Sequence[Invited]) -> list[Invited]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def sent(one: Invited) -> Invited:
        async with gate:
            return one if one.invitation is None else await _send(auth, one.invitation)

    return list(await asyncio.gather(*map(sent, made)))


async def invite_again(me: Asker, auth: AuthClient, invitation: UUID) -> Invited:
    """A new link, and time begins anew. Raises NotFound, Forbidden, Conflict."""
    async with me.acting() as db:
        renewed = await renew_invitation(db, invitation)
    return await _send(auth, renewed)


async def _send(auth: AuthClient, invitation: Invitation) -> Invited:
    if invitation.accepted_at is not None:  # whoever waited with a confirmed address is in at once
        return Invited(invitation.email, invitation, False, None)
    names = {"first_name": invitation.first_name, "last_name": invitation.last_name}
    try:
        await auth.invite(invitation.email, {name: text for name, text in names.items() if text})
    except (AuthError, SpecChemError) as error:
        return Invited(invitation.email, invitation, False, NOT_SENT.format(f"{str(error).rstrip('.')}."))
    return Invited(invitation.email, invitation, True, None)
