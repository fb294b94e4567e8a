"""Access tokens in Supabase Auth's shape, made and signed."""

import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt

from specchem.auth.service.keys import ALGORITHM, SigningKey

LIFETIME = 3600  # seconds, as Supabase's default


@dataclass(frozen=True)
class Issuer:
    """Signs with one key, as one issuer (``https://…/auth/v1``)."""

    key: SigningKey
    name: str

    def issue(self, user: dict[str, Any], session_id: UUID, aal: str, amr: list[dict[str, Any]]) -> str:
        """An access token for a user's session; ``user`` is Supabase Auth's User object."""
        now = int(time.time())
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
        return jwt.encode(claims, self.key.private, algorithm=ALGORITHM, headers={"kid": self.key.key_id})
