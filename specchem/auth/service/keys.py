"""The key that signs our tokens: made at first start, readable by this user alone, shared by its processes."""

import os
import tempfile
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from hmac import digest
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from specchem.errors import Stopped

FILE = "signing-key.pem"
ALGORITHM = "ES256"


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

    def jwks(self) -> dict[str, Any]:
        """The public key as ``/.well-known/jwks.json`` shows it."""
        public: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {
            "keys": [
                {**public, "kid": self.key_id, "alg": ALGORITHM, "use": "sig", "key_ops": ["verify"]},
            ]
        }

    def secret(self, purpose: str) -> str:
        """A secret of this installation for another purpose, hex."""
        scalar = self.private.private_numbers().private_value.to_bytes(32)
        return digest(scalar, purpose.encode(), "sha256").hex()


def load_or_create(folder: Path) -> SigningKey:
    """The installation's key. Raises Stopped where the file cannot be used."""
    file = folder / FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            _create(file)
        if file.stat().st_mode & 0o077:
            raise Stopped(f"{file} can be read by others; run: chmod 600 '{file}'")
        private = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it has a password
        raise Stopped(f"The signing key {file} cannot be used: {type(error).__name__}.") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise Stopped(f"The signing key {file} is not an elliptic-curve key for {ALGORITHM} (P-256).")
    return SigningKey(private)


def _create(file: Path) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor, draft = tempfile.mkstemp(dir=file.parent)  # 0600 from its first byte
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(pem)
            out.flush()
            os.fsync(out.fileno())
        # A link never replaces: of two processes at first start, the second takes the first one's key.
        Path(file).hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()
