"""Mails with a link and six digits: written inside a transaction, sent after it."""

from dataclasses import dataclass
from uuid import UUID

from specchem.auth.service import codes, flows, redirects
from specchem.auth.service.codes import Code, Kind
from specchem.auth.service.flows import Challenge
from specchem.auth.service.letters import Letter, confirm_address
from specchem.auth.service.service import Service
from specchem.db.session import Connection


@dataclass(frozen=True)
class Way:
    """What a kind of letter holds: which code, and of which type the link is."""

    code: Kind
    type: str


WAYS = {
    "signup": Way(codes.CONFIRMATION, "signup"),
    "invite": Way(codes.CONFIRMATION, "invite"),
    "recovery": Way(codes.RECOVERY, "recovery"),
    "magiclink": Way(codes.RECOVERY, "magiclink"),
    "email_change": Way(codes.CHANGE_NEW, "email_change"),
    "email_change_current": Way(codes.CHANGE_CURRENT, "email_change"),
}


async def code_for(
    connection: Connection, account: UUID, kind: str, to: str, challenge: Challenge | None = None
) -> Code:
    """A new code of a kind of letter; with a challenge, its link ends in a code for whoever asks."""
    way = WAYS[kind]
    if challenge is not None:
        await flows.begin(connection, account, way.code.name, challenge)
    return await codes.make(connection, account, way.code, to, pkce=challenge is not None)


async def letter(
    service: Service,
    connection: Connection,
    account: UUID,
    kind: str,
    to: str,
    wish: str | None,
    challenge: Challenge | None = None,
) -> Letter:
    """A letter of a kind to an account, whose link goes on to the page wished for, if that is one of ours."""
    code = await code_for(connection, account, kind, to, challenge)
    going = redirects.page(service.settings, redirects.allowed(service.settings, wish))
    link = confirm_address(service.settings.base_url, code.token, WAYS[kind].type, going)
    return Letter(kind, to, link, code.digits)
