"""The local auth service: what all of its routes work with."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from specchem.auth.door import Door, What
from specchem.auth.service.callers import Caller
from specchem.auth.service.issuer import Issuer
from specchem.auth.service.keys import KeyRing
from specchem.auth.service.later import Later
from specchem.auth.service.mail import Mailer, open_mailer
from specchem.db.session import Connection, Pool, by_itself
from specchem.settings import Settings

DRAIN_SECONDS = 2  # for mail under way when the server stops


@dataclass(frozen=True)
class Service:
    """Accounts over one pool, the keys and the mail; ``door`` counts tries."""

    settings: Settings
    pool: Pool
    ring: KeyRing
    door: Door
    mailer: Mailer
    later: Later = field(default_factory=Later)

    @property
    def issuer(self) -> Issuer:
        """Signs access tokens."""
        return Issuer(self.ring, self.settings.auth_url)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """As role supabase_auth_admin: commits at the end, rolls back on any error."""
        async with by_itself(self.pool) as connection:
            yield connection

    async def count(self, caller: Caller, what: What, account: str | None = None) -> None:
        """Count a try, unless a server of ours asks, which has counted already. Raises AuthError 429."""
        if not caller.is_trusted:
            await self.door.ask(what, caller.asked.address, account)

    async def note_failure(self, caller: Caller, account: str) -> None:
        """Put it on record; a server of ours does so itself."""
        if not caller.is_trusted:
            await self.door.note_failure(account, caller.asked.address)

    async def welcome(self, caller: Caller, account: str) -> None:
        """Somebody showed who they are; a server of ours says so itself."""
        if not caller.is_trusted:
            await self.door.welcome(account, caller.asked.address)


@asynccontextmanager
async def opened(
    settings: Settings, pool: Pool, door: Door, ring: KeyRing, say: Callable[[str], None]
) -> AsyncIterator[Service]:
    """The service over a pool, until the server stops; mail under way is sent before."""
    service = Service(settings, pool, ring, door, open_mailer(settings, ring.folder, say))
    try:
        yield service
    finally:
        await service.later.drain(DRAIN_SECONDS)
