"""Access tokens in Supabase Auth's shape: made, and checked without trusting what they say of themselves."""

import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import jwt

from specchem.auth.service.keys import ALGORITHM, KeyRing
from specchem.db.session import Identity
from specchem.errors import NotSignedIn

LIFETIME = 3600  # seconds, as Supabase's default
LEEWAY = 30  # seconds, as PostgREST's
REMEMBERED = 10_000  # verified tokens kept, so that a signature is checked once

SIGN_IN = "Sign in to go on."
ENDED = "Your session has ended; sign in again."


@dataclass(frozen=True)
class Verified:
    """What a good token says: who, in which session, until when (Unix seconds)."""

    identity: Identity
    expires_at: int


@dataclass
class Tokens:
    """Signs and checks with one ring of keys, as one issuer (``https://…/auth/v1``)."""

    ring: KeyRing
    issuer: str
    _seen: dict[str, Verified] = field(default_factory=dict)

    def issue(self, user: dict[str, Any], session_id: UUID, aal: str, method: str, signed_in_at: int) -> str:
        """An access token for a user's session; ``user`` is Supabase Auth's User object."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": user["id"],
            "aud": "authenticated",
            "exp": now + LIFETIME,
            "iat": now,
            "email": user["email"],
            "phone": user["phone"],
            "app_metadata": user["app_metadata"],
            "user_metadata": user["user_metadata"],
            "role": "authenticated",
            "aal": aal,
            "amr": [{"method": method, "timestamp": signed_in_at}],
            "session_id": str(session_id),
            "is_anonymous": False,
        }
        key = self.ring.current
        return jwt.encode(claims, key.private, algorithm=ALGORITHM, headers={"kid": key.key_id})

    def verify(self, token: str) -> Verified:
        """Who a token is about. Raises NotSignedIn for one that is not ours, of another kind, or over."""
        known = self._seen.get(token)
        if known is None:
            known = self._check(token)
            if len(self._seen) >= REMEMBERED:
                self._seen.clear()
            self._seen[token] = known
        if known.expires_at + LEEWAY < time.time():
            raise NotSignedIn(ENDED)
        return known

    def _check(self, token: str) -> Verified:
        try:
            key = self.ring.find(jwt.get_unverified_header(token).get("kid"))
            if key is None:
                raise NotSignedIn(ENDED)
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience="authenticated",
                issuer=self.issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
            if claims.get("role") != "authenticated":
                raise NotSignedIn(ENDED)
            session = claims.get("session_id")
            identity = Identity(
                UUID(claims["sub"]), UUID(session) if session else None, str(claims.get("aal", "aal1"))
            )
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            raise NotSignedIn(ENDED) from None
        return Verified(identity, int(claims["exp"]))
