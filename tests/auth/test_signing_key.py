"""The file of the signing key: one for all processes, readable by its owner alone."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from specchem.auth.service.keys import SigningKey, load_or_create
from specchem.errors import Stopped
from tests.web.served import KEY

STRANGER = SigningKey(ec.generate_private_key(ec.SECP256R1()))


def public_pem() -> bytes:
    return KEY.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


MAKE = """
import sys
from pathlib import Path
from specchem.auth.service.keys import load_or_create
sys.stdin.readline()
print(load_or_create(Path(sys.argv[1])).key_id)
"""


def test_processes_that_start_together_share_one_key(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    names = {racer.communicate()[0] for racer in racers}
    assert len(names) == 1
    assert names == {load_or_create(folder).key_id + "\n"}
    assert [file.name for file in folder.iterdir()] == ["signing-key.pem"]
    assert stat.S_IMODE((folder / "signing-key.pem").stat().st_mode) == 0o600


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_key_is_readable_by_its_owner_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        key = load_or_create(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "signing-key.pem").stat().st_mode) == 0o600
    assert load_or_create(tmp_path).key_id == key.key_id


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused_with_the_way_out(tmp_path: Path, mode: int) -> None:
    load_or_create(tmp_path)
    (tmp_path / "signing-key.pem").chmod(mode)
    with pytest.raises(Stopped, match="chmod 600"):
        load_or_create(tmp_path)


def pem(key: Any, password: bytes | None = None) -> bytes:
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    made: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
    return made


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense", public_pem(), pem(KEY.private)[:80], pem(rsa.generate_private_key(65537, 2048)),
     pem(ec.generate_private_key(ec.SECP384R1())), pem(KEY.private, b"a password")],
    ids=["empty", "nonsense", "public", "cut", "RSA", "P-384", "locked"],
)  # fmt: skip
def test_a_key_that_cannot_sign_is_refused_with_a_sentence(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "signing-key.pem"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(Stopped, match=r"signing-key\.pem"):
        load_or_create(tmp_path)
    assert file.read_bytes() == content


def test_other_secrets_follow_from_the_key_and_tell_nothing_of_each_other() -> None:
    assert KEY.secret("csrf") == KEY.secret("csrf")
    assert len({KEY.secret("csrf"), KEY.secret("other"), STRANGER.secret("csrf")}) == 3
