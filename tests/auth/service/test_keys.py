"""The keys of an installation: made once, shared by its processes, rotated without signing anybody out."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from specchem.auth.errors import AuthError
from specchem.auth.service.issuer import LIFETIME, Issuer
from specchem.auth.service.keys import SHOWN_AFTER, KeyRing
from specchem.db.database import Database
from specchem.errors import Stopped
from tests.auth.test_tokens import public_pem
from tests.conftest import Cluster
from tests.program import command, data_folder, specchem
from tests.web.served import KEY, serving

FILES = {"signing-key.pem", "secret"}

MAKE = """
import sys
from pathlib import Path
from specchem.auth.service.keys import KeyRing
sys.stdin.readline()
print(KeyRing(Path(sys.argv[1])).current.key_id)
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
    assert names == {KeyRing(folder).current.key_id + "\n"}
    assert {file.name for file in folder.iterdir()} == FILES
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_key_is_readable_by_its_owner_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        key = KeyRing(tmp_path).current
    finally:
        os.umask(before)
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}
    assert KeyRing(tmp_path).current.key_id == key.key_id


@pytest.mark.parametrize("name", ["signing-key.pem", "secret", "retired-keys.json"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_what_others_can_read_is_refused_with_the_way_out(tmp_path: Path, name: str, mode: int) -> None:
    KeyRing(tmp_path).rotate()
    (tmp_path / name).chmod(mode)
    with pytest.raises(Stopped, match="chmod 600"):
        KeyRing(tmp_path)


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
        KeyRing(tmp_path)
    assert file.read_bytes() == content


@pytest.mark.parametrize("content", ["", "abcd", "nonsense", "\xff"])
def test_a_secret_that_is_none_is_refused_with_a_sentence(tmp_path: Path, content: str) -> None:
    KeyRing(tmp_path)
    (tmp_path / "secret").write_text(content)
    with pytest.raises(Stopped, match="secret"):
        KeyRing(tmp_path)


def test_an_older_data_folder_keeps_its_key(tmp_path: Path) -> None:
    file = tmp_path / "signing-key.pem"
    file.write_bytes(pem(KEY.private))
    file.chmod(0o600)
    ring = KeyRing(tmp_path)
    assert ring.current.key_id == KEY.key_id
    assert KeyRing(tmp_path).secret_key == ring.secret_key


def test_other_secrets_are_each_their_own(tmp_path: Path) -> None:
    ring, other = KeyRing(tmp_path / "one"), KeyRing(tmp_path / "other")
    assert ring.secret("csrf") == KeyRing(ring.folder).secret("csrf")
    told = {
        ring.secret("csrf"),
        ring.secret("other"),
        other.secret("csrf"),
        ring.publishable_key,
        ring.secret_key,
    }
    assert len(told) == 5
    assert ring.publishable_key.startswith("sb_publishable_")
    assert ring.secret_key.startswith("sb_secret_")
    assert ring.secret_key[10:20] not in ring.publishable_key


# ------------------------------------------------------------------------------------------------ rotation

SESSION = uuid4()
USER = {"id": "a" * 32, "email": "", "phone": "", "app_metadata": {}, "user_metadata": {}}


def token_of(ring: KeyRing) -> tuple[Issuer, str]:
    issuer = Issuer(ring, "http://test/auth/v1")
    return issuer, issuer.issue(USER, SESSION, "aal1", [])


def key_ids(ring: KeyRing) -> list[str]:
    return [one["kid"] for one in ring.jwks()["keys"]]


def test_a_running_server_notices_and_keeps_the_tokens_of_before(tmp_path: Path) -> None:
    running, other = KeyRing(tmp_path), KeyRing(tmp_path)
    issuer, before = token_of(running)
    secrets = (running.secret_key, running.publishable_key, running.secret("csrf"))
    old = running.current.key_id
    new = other.rotate().key_id
    assert new != old
    assert key_ids(running) == [new, old]
    assert issuer.read(before)
    _, after = token_of(running)
    assert jwt.get_unverified_header(after)["kid"] == new
    assert issuer.read(after)
    assert (running.secret_key, running.publishable_key, running.secret("csrf")) == secrets
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


def test_a_retired_key_is_shown_until_no_token_of_it_can_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SHOWN_AFTER > LIFETIME + 60
    ring = KeyRing(tmp_path)
    issuer, before = token_of(ring)
    old, new = ring.current.key_id, ring.rotate().key_id
    assert key_ids(ring) == [new, old]
    later = time.time() + SHOWN_AFTER + 1
    monkeypatch.setattr("specchem.auth.service.keys.time", SimpleNamespace(time=lambda: later))
    assert key_ids(ring) == [new]
    with pytest.raises(AuthError):
        issuer.read(before)
    ring.rotate()
    assert old not in (tmp_path / "retired-keys.json").read_text()  # nor kept


def test_only_public_halves_are_kept_and_shown(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    for _ in range(3):
        ring.rotate()
    assert len(ring.jwks()["keys"]) == 4
    assert all("d" not in key and key["alg"] == "ES256" for key in ring.jwks()["keys"])
    assert '"d"' not in (tmp_path / "retired-keys.json").read_text()


def test_a_rotation_that_broke_off_between_the_two_files_does_no_harm(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    issuer, before = token_of(ring)
    present = (tmp_path / "signing-key.pem").read_bytes()
    ring.rotate()
    (tmp_path / "signing-key.pem").write_bytes(present)  # as if the second file had never been written
    assert len(ring.jwks()["keys"]) == 1
    assert issuer.read(before)
    new = KeyRing(tmp_path).rotate().key_id
    assert key_ids(ring)[0] == new
    assert issuer.read(before)


def test_a_running_server_goes_on_with_the_keys_it_has_when_the_new_ones_cannot_be_read(
    tmp_path: Path,
) -> None:
    ring = KeyRing(tmp_path)
    old = ring.current.key_id
    (tmp_path / "signing-key.pem").write_text("nonsense")
    assert ring.current.key_id == old
    (tmp_path / "signing-key.pem").write_bytes(pem(KEY.private))
    assert ring.current.key_id == KEY.key_id


def test_rotations_at_once_lose_no_key(tmp_path: Path) -> None:
    first = KeyRing(tmp_path).current.key_id
    turn = "import sys; from pathlib import Path; from specchem.auth.service.keys import KeyRing; "
    turn += "print(KeyRing(Path(sys.argv[1])).rotate().key_id)"
    racers = [
        subprocess.Popen([sys.executable, "-c", turn, tmp_path], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    made = {racer.communicate()[0].strip() for racer in racers}
    assert set(key_ids(KeyRing(tmp_path))) == {first, *made}


async def test_nobody_is_signed_out_by_a_rotation(
    cluster: Cluster, fresh: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = KeyRing(tmp_path)
    monkeypatch.setattr("tests.web.served.RING", ring)
    async with serving(fresh, cluster.world) as served:
        session = (await served.sign_in("ana")).json()
        before = {"Authorization": f"Bearer {session['access_token']}"}
        KeyRing(tmp_path).rotate()
        assert (await served.client.get("/api/v1/me", headers=before)).status_code == 200
        assert (await served.client.get("/auth/v1/user", headers=before)).status_code == 200
        body = {"refresh_token": session["refresh_token"]}
        renewed = (await served.client.post("/auth/v1/token?grant_type=refresh_token", json=body)).json()
        assert jwt.get_unverified_header(renewed["access_token"])["kid"] == ring.current.key_id
        after = {"Authorization": f"Bearer {renewed['access_token']}"}
        assert (await served.client.get("/api/v1/me", headers=after)).status_code == 200


# ------------------------------------------------------------------------------------------------ command line


def test_the_keys_are_told_and_rotated_from_the_command_line() -> None:
    with data_folder() as folder:
        told = specchem(folder, "auth", "keys")
        ring = KeyRing(folder)
        assert told.returncode == 0, told.stderr
        assert {"http://127.0.0.1:8000", ring.publishable_key, ring.secret_key} <= set(told.stdout.split())
        old = ring.current.key_id
        turned = specchem(folder, "auth", "rotate-key")
        assert turned.returncode == 0, turned.stderr
        assert ring.current.key_id != old
        assert specchem(folder, "auth", "keys").stdout == told.stdout


@pytest.mark.parametrize("words", ["keys", "rotate-key"])
def test_with_supabase_there_are_no_keys_of_ours(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", "https://ref.supabase.co")
    done = command("auth", words)
    assert done.returncode == 1
    assert "SUPABASE_URL" in done.stderr
