"""Access tokens in Supabase Auth's shape, checked without trusting what they say of themselves."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt

from specchem.auth.keyset import Key, KeySet
from specchem.db.session import Identity
from specchem.errors import NotSignedIn

LEEWAY = 30  # seconds, as PostgREST's
REMEMBERED = 10_000  # verified tokens kept, so that a signature is checked once
LEVELS = {"aal1", "aal2"}

SIGN_IN = "Sign in to go on."
ENDED = "Your session has ended; sign in again."


@dataclass(frozen=True)
class Verified:
    """What a good token says: who, in which session, until when, and how they signed in when (Unix seconds)."""

    identity: Identity
    expires_at: int
    methods: tuple[tuple[str, int], ...] = ()


class Tokens:
    """Checks tokens of one issuer (``https://…/auth/v1``) with its public keys.

    ``legacy`` is a Supabase project's shared secret; without it no HS256 token is believed.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[list[dict[str, Any]]]],
        issuer: str,
        legacy: str | None = None,
    ) -> None:
        self.issuer = issuer
        self._seen: dict[str, Verified] = {}
        self._keys = KeySet(fetch, self._seen.clear)
        self._legacy = None if legacy is None else Key(legacy, "HS256", {})

    async def verify(self, token: str) -> Verified:
        """Who a token is about. Raises NotSignedIn for one that is not ours, of another kind, or over.

        Raises Unavailable for one whose key is unknown while the auth service does not answer.
        """
        if not self._keys.is_fresh:
            await self._keys.freshen()
        known = self._seen.get(token)
        if known is None:
            known = await self._check(token)
        if known.expires_at + LEEWAY < time.time():
            raise NotSignedIn(ENDED)
        return known

    async def close(self) -> None:
        """At the end of the program."""
        await self._keys.close()

    async def _check(self, token: str) -> Verified:
        try:
            key = await self._key(jwt.get_unverified_header(token))
            if key is None:
                raise NotSignedIn(ENDED)
            found = self._read(token, key)
        except (
            jwt.PyJWTError,
            ValueError,
            TypeError,
            AttributeError,
            KeyError,
            OverflowError,
            RecursionError,
        ):
            raise NotSignedIn(ENDED) from None
        if len(self._seen) >= REMEMBERED:
            self._seen.clear()
        self._seen[token] = found
        return found

    async def _key(self, header: dict[str, Any]) -> Key | None:
        if header.get("alg") == "HS256":
            return self._legacy
        key_id = header.get("kid")
        return await self._keys.find(key_id) if isinstance(key_id, str) else None

    def _read(self, token: str, key: Key) -> Verified:
        claims = jwt.decode(
            token,
            key.public,
            algorithms=[key.algorithm],
            audience="authenticated",
            issuer=self.issuer,
            leeway=LEEWAY,
            options={"require": ["exp", "iat", "sub", "aud", "iss", "session_id"]},
        )
        if claims.get("role") != "authenticated" or claims.get("aal", "aal1") not in LEVELS:
            raise NotSignedIn(ENDED)
        who = Identity(UUID(claims["sub"]), UUID(claims["session_id"]), claims.get("aal", "aal1"))
        methods = tuple((str(one["method"]), int(one["timestamp"])) for one in claims.get("amr") or ())
        return Verified(who, int(claims["exp"]), methods)
