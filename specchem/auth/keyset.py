"""The auth service's public keys: kept for minutes, asked for anew when one is missing."""

import asyncio
import logging
from asyncio import sleep
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from specchem.errors import Unavailable

log = logging.getLogger("specchem")

SOON = 300  # seconds from which on they are asked for again, while nobody waits
KEPT = 600  # seconds that they are good for, unless the service does not answer
PAUSE = 2  # seconds between two askings, at least
# A key is for one algorithm, whatever a token says of itself.
ALGORITHMS = {("EC", "P-256"): "ES256", ("RSA", None): "RS256", ("OKP", "Ed25519"): "EdDSA"}
SHORTEST_RSA = 2048  # bits
UNKNOWN = (
    "Your session cannot be checked at the moment: the sign-in service does not answer. Try again shortly."
)


@dataclass(frozen=True)
class Key:
    """A public key and the one algorithm it is used with."""

    public: Any
    algorithm: str
    jwk: dict[str, Any]


class KeySet:
    """Keys by their id. ``changed`` is called when one has left or is another."""

    def __init__(
        self, fetch: Callable[[], Awaitable[list[dict[str, Any]]]], changed: Callable[[], None]
    ) -> None:
        self._fetch, self._changed = fetch, changed
        self._keys: dict[str, Key] = {}
        self._told = self._asked = float("-inf")
        self._begun, self._answers = 0, True
        self._flight: asyncio.Task[None] | None = None

    @property
    def is_fresh(self) -> bool:
        """Nothing need be asked."""
        return monotonic() - self._told < SOON

    async def freshen(self) -> None:
        """Ask anew when it is time; waits only for what can no longer be relied on and may be had."""
        if self.is_fresh:
            return
        if monotonic() - self._asked >= PAUSE:
            self._ask()
        if self._answers and monotonic() - self._told >= KEPT and self._flight is not None:
            await asyncio.shield(self._flight)

    async def find(self, key_id: str) -> Key | None:
        """A key, or None where the service has none of that id. Raises Unavailable where it cannot be asked."""
        before = self._begun
        await self.freshen()
        while key_id not in self._keys:
            if self._flight is not None:
                await asyncio.shield(self._flight)
                continue
            wait = PAUSE - (monotonic() - self._asked)
            if self._begun > before or (wait > 0 and not self._answers):
                break
            if wait > 0:
                await sleep(wait)  # a key made this moment is found, and made-up names cost little
            else:
                self._ask()
        if key_id not in self._keys and not self._answers:
            raise Unavailable(UNKNOWN)
        return self._keys.get(key_id)

    async def close(self) -> None:
        """Wait for nobody any more."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.wait([self._flight])

    def _ask(self) -> None:
        if self._flight is None:
            self._asked, self._begun = monotonic(), self._begun + 1
            self._flight = asyncio.create_task(self._fly())

    async def _fly(self) -> None:
        try:
            told = await self._fetch()
        except Exception as error:  # an outage, whatever it is: who is signed in stays so
            if self._answers:
                log.warning("the sign-in service's keys cannot be had: %s", type(error).__name__)
            self._answers = False
            return
        finally:
            self._flight = None
        before, self._keys = self._keys, _usable(told)
        self._told, self._answers = monotonic(), True
        if any(one.jwk != getattr(self._keys.get(name), "jwk", None) for name, one in before.items()):
            self._changed()


def _usable(told: list[dict[str, Any]]) -> dict[str, Key]:
    found = {}
    for jwk in told:
        algorithm = ALGORITHMS.get((str(jwk.get("kty")), jwk.get("crv")))
        named = isinstance(jwk.get("kid"), str) and jwk.get("alg", algorithm) == algorithm
        if algorithm is None or not named or jwk.get("use", "sig") != "sig":
            continue
        try:
            public = jwt.PyJWK(jwk, algorithm).key
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        if isinstance(public, RSAPublicKey) and public.key_size < SHORTEST_RSA:
            continue
        found[jwk["kid"]] = Key(public, algorithm, jwk)
    return found
