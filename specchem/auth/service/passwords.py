"""Passwords: which will do, what is kept of them, and whether one is right, which takes the same work for everybody."""

import asyncio
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from specchem.auth.errors import AuthError

PASSWORDS = PasswordHasher()  # argon2id with the library's present parameters (RFC 9106)
# Somebody's, for the time it takes: an unknown address answers no faster than a known one.
NOBODY = PASSWORDS.hash(secrets.token_urlsafe())

MIN_LENGTH = 8  # characters
MAX_BYTES = 72  # Supabase's rule


def check(password: str) -> None:
    """Raises AuthError 422 ``weak_password`` for one that is too short or too long."""
    if len(password) < MIN_LENGTH or len(password.encode()) > MAX_BYTES:
        raise AuthError(
            422,
            "weak_password",
            f"Password should be {MIN_LENGTH} characters to {MAX_BYTES} bytes.",
            reasons=("length",),
        )


async def keep(password: str) -> str:
    """What is kept of a new password. Raises AuthError as ``check`` does."""
    check(password)
    # Off the event loop: hashing takes tens of milliseconds on purpose.
    return await asyncio.to_thread(PASSWORDS.hash, password)


async def is_right(kept: str | None, password: str) -> bool:
    """Is this the password? Where none is kept, or nothing of ours, it takes as long and is wrong."""
    ours = kept if kept and kept.startswith("$argon2id$") else None
    return await asyncio.to_thread(_matches, ours or NOBODY, password) and ours is not None


def _matches(kept: str, password: str) -> bool:
    try:
        return PASSWORDS.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False
