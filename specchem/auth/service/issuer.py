"""Access tokens in Supabase Auth's shape: made and signed, and read again when they come back here."""

import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt

from specchem.auth.errors import AuthError
from specchem.auth.service.keys import ALGORITHM, KeyRing

LIFETIME = 3600  # seconds, as Supabase's default
LEEWAY = 30  # seconds, as PostgREST's
BAD = (403, "bad_jwt", "invalid JWT: unable to parse or verify signature")


@dataclass(frozen=True)
class Issuer:
    """Signs with the ring's current key, as one issuer (``https://…/auth/v1``)."""

    ring: KeyRing
    name: str

    def issue(
        self,
        user: dict[str, Any],
        session_id: UUID,
        aal: str,
        amr: list[dict[str, Any]],
        *,
        now: int | None = None,
    ) -> str:
        """An access token for a user's session; ``user`` is Supabase Auth's User object, ``now`` Unix seconds."""
        now = int(time.time()) if now is None else now
        claims = {
            "iss": self.name,
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
            "amr": amr,
            "session_id": str(session_id),
            "is_anonymous": False,
        }
        key = self.ring.current
        return jwt.encode(claims, key.private, algorithm=ALGORITHM, headers={"kid": key.key_id})

    def read(self, token: str) -> tuple[UUID, UUID]:
        """The account and the session that a token of ours is of. Raises AuthError 403 ``bad_jwt``."""
        try:
            key = self.ring.find(jwt.get_unverified_header(token).get("kid"))
            if key is None:
                raise AuthError(*BAD)
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience="authenticated",
                issuer=self.name,
                leeway=LEEWAY,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
            if claims.get("role") != "authenticated":
                raise AuthError(*BAD)
            return UUID(claims["sub"]), UUID(claims["session_id"])
        # Whatever a token says of itself, it is not more than bad.
        except (
            jwt.PyJWTError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            OverflowError,
            RecursionError,
        ):
            raise AuthError(*BAD) from None
