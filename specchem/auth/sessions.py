"""Supabase Auth's Session and User, as far as the product reads them."""

from typing import Any
from uuid import UUID

import msgspec


class Factor(msgspec.Struct, frozen=True):
    """A second factor of a user; only a verified one counts."""

    id: UUID
    status: str = ""
    factor_type: str = ""
    friendly_name: str | None = None

    @property
    def counts(self) -> bool:
        """It is an authenticator app whose code was shown once."""
        return self.status == "verified" and self.factor_type == "totp"


class User(msgspec.Struct, frozen=True):
    """An account."""

    id: UUID
    email: str = ""
    factors: tuple[Factor, ...] | None = None

    @property
    def authenticator(self) -> Factor | None:
        """The second factor to be asked for, if there is one."""
        return next((one for one in self.factors or () if one.counts), None)


class Session(msgspec.Struct, frozen=True):
    """Two tokens and whose they are; what is not read here goes into the cookie as it came."""

    access_token: str
    refresh_token: str
    expires_at: int = 0  # Unix seconds; as told, so only good for asking in time
    expires_in: int = 0
    token_type: str = "bearer"  # noqa: S105  a kind, not a token
    user: dict[str, Any] = {}

    @property
    def owner(self) -> User:
        """Whose it is. Only of a session that the service has just given: a cookie may say anything."""
        return msgspec.convert(self.user, User)


class Enrollment(msgspec.Struct, frozen=True):
    """A factor that is being set up: what the authenticator app is to be told."""

    class Totp(msgspec.Struct, frozen=True):
        """The secret, and the address that holds it for the camera."""

        secret: str
        uri: str

    id: UUID
    totp: Totp


class Challenge(msgspec.Struct, frozen=True):
    """A code is being waited for."""

    id: UUID
