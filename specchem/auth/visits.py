"""Who visits the pages: the session in their cookies, renewed in time and checked."""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from litestar import Request
from litestar.datastructures import MutableScopeHeaders, State
from litestar.types import Message
from litestar.types import Scope as ASGIScope

from specchem.auth.client import NO_ANSWER, AuthClient
from specchem.auth.cookies import UNCACHED, SessionCookies
from specchem.auth.door import Door
from specchem.auth.errors import AuthError
from specchem.auth.sessions import Session
from specchem.auth.tokens import ENDED, SIGN_IN, Tokens, Verified
from specchem.errors import NotSignedIn, Unavailable

log = logging.getLogger("specchem")

Ask: TypeAlias = Request[Any, Any, State]

SOON = 90  # seconds before its end that a session is renewed
SHARED = (
    10  # seconds that a renewal answers whoever still asks with the old token, as long as the service does
)
COOKIES = "session_cookies"  # in a request's state: what goes out with the answer
BUSY = "Too many sessions are being renewed at the moment. Wait a little and try again."
NOT_OURS = "the sign-in service's tokens are not good here; is SUPABASE_URL the address in their `iss`?"


@dataclass(frozen=True)
class Visit:
    """Somebody's session, and what its token proves."""

    session: Session
    verified: Verified


@dataclass(frozen=True)
class Visits:
    """Opens visits. One of an app, so that a session is renewed once, however many requests come at once."""

    client: AuthClient
    tokens: Tokens
    cookies: SessionCookies
    door: Door
    _flights: "dict[str, asyncio.Task[Session]]" = field(default_factory=dict)

    async def open(self, request: Ask) -> Visit:
        """The visit of a request; a renewed session goes out with whatever answer it gets.

        Raises NotSignedIn and takes the cookies back where there is no session; Unavailable where that cannot be
        told, which signs nobody out.
        """
        try:
            return await self._open(request)
        except NotSignedIn:
            self.drop(request)
            raise

    async def begin(self, request: Ask, session: Session) -> Visit:
        """A new session takes the place of whatever was in the cookies."""
        visit = Visit(session, await self._checked(session))
        self.keep(request, session)
        return visit

    def keep(self, request: Ask, session: Session) -> None:
        """Send the session to the browser with the answer."""
        request.scope["state"][COOKIES] = self.cookies.write(session, request.cookies)

    def drop(self, request: Ask) -> None:
        """Take the cookies back with the answer."""
        request.scope["state"][COOKIES] = self.cookies.clear(request.cookies)

    def asking(self, request: Ask) -> AuthClient:
        """The client on behalf of a request's browser."""
        return self.client.behalf_of(address_of(request), request.headers.get("user-agent"))

    async def _open(self, request: Ask) -> Visit:
        session = self.cookies.read(request.cookies)
        if session is None:
            raise NotSignedIn(SIGN_IN)
        outage: Unavailable | None = None
        if session.expires_at - time.time() < SOON:
            try:
                return await self._renewed(request, session)
            except Unavailable as error:
                outage = error  # the token may be good for some moments yet
        try:
            return Visit(session, await self.tokens.verify(session.access_token))
        except NotSignedIn:
            if outage is not None:
                raise outage from None
        # Its end was told wrongly, or its key is gone; the session itself may stand.
        return await self._renewed(request, session)

    async def _renewed(self, request: Ask, session: Session) -> Visit:
        return await self.begin(request, await self._flight(request, session.refresh_token))

    async def _checked(self, session: Session) -> Verified:
        try:
            return await self.tokens.verify(session.access_token)
        except NotSignedIn:
            log.error(NOT_OURS)
            raise Unavailable(NO_ANSWER) from None

    async def _flight(self, request: Ask, token: str) -> Session:
        flight = self._flights.get(token)
        if flight is None:
            flight = self._flights[token] = asyncio.create_task(self._renew(request, token))
            flight.add_done_callback(lambda done: self._landed(token, done))
        # Shielded: whoever gives up waiting leaves the others, and the new token, unharmed.
        return await asyncio.shield(flight)

    async def _renew(self, request: Ask, token: str) -> Session:
        try:
            await self.door.ask("refresh", address_of(request))
            return await self.asking(request).refresh(token)
        except AuthError as error:
            if error.status in {409, 429}:
                raise Unavailable(BUSY) from None
            raise NotSignedIn(ENDED) from None

    def _landed(self, token: str, flight: "asyncio.Task[Session]") -> None:
        if flight.cancelled() or flight.exception() is not None:
            self._flights.pop(token, None)
        else:
            asyncio.get_running_loop().call_later(SHARED, self._flights.pop, token, None)


def address_of(request: Ask) -> str | None:
    """Where a request comes from."""
    return request.client.host if request.client else None


async def carry(message: Message, scope: ASGIScope) -> None:
    """What became of a session goes to the browser with the answer, whichever that is."""
    if message["type"] != "http.response.start":
        return
    cookies = scope["state"].get(COOKIES)
    if cookies:
        headers = MutableScopeHeaders.from_message(message)
        for cookie in cookies:
            headers.add("Set-Cookie", cookie.to_header(header=""))
        for name, value in UNCACHED.items():
            headers[name] = value
