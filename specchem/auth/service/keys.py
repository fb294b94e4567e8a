"""The keys of this installation: what signs tokens, what used to, and a standing secret for the rest.

    data folder/
      signing-key.pem    signs new access tokens; replaced whole by a rotation
      retired-keys.json  public halves of former ones, shown until no token of theirs can live
      secret             from which API keys and the pages' form tokens come; no rotation changes it

All are readable by this user alone and shared by its processes: one that runs looks at the files before each use.
"""

import fcntl
import logging
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from hmac import digest
from pathlib import Path
from typing import Any, TypeAlias

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from specchem.errors import Stopped

SIGNING, RETIRED, SECRET = "signing-key.pem", "retired-keys.json", "secret"
ALGORITHM = "ES256"
SHOWN_AFTER = 2 * 3600  # seconds a retired key is still shown: a token lives one hour

# Which files were read: each one's inode and time of change.
Stamps: TypeAlias = list[tuple[int, int] | None]

log = logging.getLogger("specchem")


@dataclass(frozen=True)
class SigningKey:
    """An ES256 key pair."""

    private: ec.EllipticCurvePrivateKey

    @cached_property
    def key_id(self) -> str:
        """A name that follows from the public key."""
        point = self.private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
        )
        return sha256(point).hexdigest()[:16]

    def jwk(self) -> dict[str, Any]:
        """The public key as ``/.well-known/jwks.json`` shows it."""
        public: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**public, "kid": self.key_id, "alg": ALGORITHM, "use": "sig", "key_ops": ["verify"]}


class Retired(msgspec.Struct, frozen=True):
    """A former key's public half, and when it ceased to sign (Unix seconds)."""

    jwk: dict[str, Any]
    at: float

    def is_shown(self) -> bool:
        """A token of it may still live."""
        return self.at + SHOWN_AFTER > time.time()


class KeyRing:
    """The keys in a data folder, made where they are missing. Raises Stopped where they cannot be used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with _in_words(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make(folder / SIGNING, _pem(new_key()))
            _make(folder / SECRET, secrets.token_hex(32).encode())
            self._secret = bytes.fromhex(_read(folder / SECRET).decode().strip())
            if len(self._secret) < 32:
                raise Stopped(f"{folder / SECRET} is cut short; bring it back from a copy, or remove it.")
        self._seen, self._current, self._retired = self._load()

    @property
    def current(self) -> SigningKey:
        """What signs now."""
        self._look()
        return self._current

    def jwks(self) -> dict[str, Any]:
        """The public keys as ``/.well-known/jwks.json`` shows them, the current one first."""
        return {"keys": list(self._public().values())}

    def find(self, key_id: object) -> jwt.PyJWK | None:
        """The public key of that name."""
        found = self._public().get(key_id) if isinstance(key_id, str) else None
        return None if found is None else jwt.PyJWK(found)

    def secret(self, purpose: str) -> str:
        """A secret of this installation for one purpose, hex; the same for good."""
        return digest(self._secret, purpose.encode(), "sha256").hex()

    @property
    def publishable_key(self) -> str:
        """What clients name themselves by; opens nothing."""
        return "sb_publishable_" + self.secret("publishable key")[:32]

    @property
    def secret_key(self) -> str:
        """Opens the admin routes; for servers alone."""
        return "sb_secret_" + self.secret("secret key")

    def rotate(self) -> SigningKey:
        """Sign with a new key from now on; tokens of the present one stay good. Servers that run notice."""
        with _in_words(self.folder), _alone(self.folder):
            _, before, retired = self._load()
            made, old = SigningKey(new_key()), Retired(before.jwk(), time.time())
            kept = [one for one in retired if one.is_shown() and one.jwk["kid"] != before.key_id]
            # The old one is on the list before it goes: at no moment is a token's key not to be found.
            _replace(self.folder / RETIRED, msgspec.json.encode([old, *kept]))
            _replace(self.folder / SIGNING, _pem(made.private))
        return made

    def _public(self) -> dict[str, dict[str, Any]]:
        self._look()
        shown = [self._current.jwk(), *(one.jwk for one in self._retired if one.is_shown())]
        return {one["kid"]: one for one in shown}

    def _look(self) -> None:
        if self._seen == _stamps(self.folder):
            return
        try:
            self._seen, self._current, self._retired = self._load()
        except Stopped as error:
            log.error("%s The keys read before are used.", error)
            self._seen = _stamps(self.folder)

    def _load(self) -> tuple[Stamps, SigningKey, list[Retired]]:
        with _in_words(self.folder):
            seen = _stamps(self.folder)
            retired = self.folder / RETIRED
            kept = msgspec.json.decode(_read(retired), type=list[Retired]) if retired.exists() else []
            private = serialization.load_pem_private_key(_read(self.folder / SIGNING), password=None)
            if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(
                private.curve, ec.SECP256R1
            ):
                raise Stopped(
                    f"The signing key {self.folder / SIGNING} is not an elliptic-curve key for"
                    f" {ALGORITHM} (P-256)."
                )
        return seen, SigningKey(private), kept


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key that nobody has."""
    return ec.generate_private_key(ec.SECP256R1())


@contextmanager
def _in_words(folder: Path) -> Iterator[None]:
    try:
        yield
    # TypeError: the key has a password.
    except (OSError, ValueError, TypeError, KeyError, UnsupportedAlgorithm, msgspec.MsgspecError) as error:
        names = ", ".join((SIGNING, RETIRED, SECRET))
        raise Stopped(f"The keys in {folder} ({names}) cannot be used: {type(error).__name__}.") from error


def _stamps(folder: Path) -> Stamps:
    found: Stamps = []
    for name in (SIGNING, RETIRED):
        try:
            told = (folder / name).stat()
            found.append((told.st_ino, told.st_mtime_ns))
        except OSError:
            found.append(None)
    return found


def _read(file: Path) -> bytes:
    if file.stat().st_mode & 0o077:
        raise Stopped(f"{file} can be read by others; run: chmod 600 '{file}'")
    return file.read_bytes()


def _pem(private: ec.EllipticCurvePrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@contextmanager
def _draft(file: Path, content: bytes) -> Iterator[Path]:
    descriptor, name = tempfile.mkstemp(dir=file.parent)  # 0600 from its first byte
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _make(file: Path, content: bytes) -> None:
    if file.exists():
        return
    # A link never replaces: of two processes at first start, the second takes the first one's.
    with _draft(file, content) as draft, suppress(FileExistsError):
        file.hardlink_to(draft)


def _replace(file: Path, content: bytes) -> None:
    with _draft(file, content) as draft:
        draft.replace(file)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
