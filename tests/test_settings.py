"""Settings, and the addresses and passwords that follow from them."""

import base64
import os
from datetime import time
from pathlib import Path

import pytest

from specchem import settings
from specchem.db.database import derived_password, login_url, scram_verifier, with_tls
from specchem.db.session import is_transaction_pooler
from specchem.errors import Stopped
from tests.world import World

SECRET = "hunter2-do-not-tell"
URL = f"postgresql://postgres:{SECRET}@db.example.com:5432/postgres"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.upper().startswith(settings.PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def refusal() -> str:
    with pytest.raises(Stopped) as caught:
        settings.load()
    return str(caught.value)


# guide-measured: .env.local (a missing variable silently meant localhost:5432)
def test_every_setting_has_a_default_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    unset = settings.load()
    assert (unset.database_url, unset.host, unset.port) == (None, "127.0.0.1", 8000)
    for name in settings.variables().values():
        monkeypatch.setenv(name, "")  # as `VARIABLE= specchem serve`
    assert settings.load() == unset


def test_what_is_set_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "DATABASE_URL": URL,
        "PORT": "9000",
        "POOL_SIZE": "3",
        "DATA_DIR": str(tmp_path),
    }.items():
        monkeypatch.setenv(f"SPECCHEM_{name}", value)
    found = settings.load()
    assert (str(found.database_url), found.port, found.pool_size, found.data_dir) == (URL, 9000, 3, tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("PORT", "80.5"),
        ("POOL_SIZE", "0"),
        ("POOL_SIZE", "101"),
        ("BACKUP_AT", "230"),
        ("BACKUP_AT", "24:00"),
        ("BACKUP_AT", "02:30Z"),
        ("BACKUP_KEEP", "0"),
        ("DATABASE_URL", "mysql://root@localhost/specchem"),
        ("DATABASE_URL", "localhost"),
        ("API_DATABASE_URL", "http://localhost"),
    ],
)
def test_a_wrong_setting_stops_with_its_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"SPECCHEM_{name}", value)
    assert f"SPECCHEM_{name} is wrong: " in refusal()


def test_nightly_backups_are_of_the_embedded_database(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPECCHEM_BACKUP_DIR", str(tmp_path))
    monkeypatch.setenv("SPECCHEM_BACKUP_AT", "23:05")
    found = settings.load()
    assert (found.backup_dir, found.backup_at, found.backup_keep) == (tmp_path, time(23, 5), 14)
    monkeypatch.setenv("SPECCHEM_DATABASE_URL", URL)
    assert "SPECCHEM_BACKUP_DIR is for the embedded database" in refusal()


@pytest.mark.parametrize("name", ["PORTS", "DATABASE_URI", "PASSWORD"])
def test_an_unknown_setting_stops_with_its_name_and_the_known(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"SPECCHEM_{name}", SECRET)
    sentence = refusal()
    assert sentence.startswith(f"SPECCHEM_{name} is not a setting of SpecChem")
    assert "SPECCHEM_DATABASE_URL" in sentence
    assert SECRET not in sentence


def test_every_wrong_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "POOL_SIZE", "DATABASE_URL", "TYPO"):
        monkeypatch.setenv(f"SPECCHEM_{name}", "wrong")
    lines = refusal().splitlines()
    assert sorted(line.split()[0] for line in lines) == [
        "SPECCHEM_DATABASE_URL", "SPECCHEM_POOL_SIZE", "SPECCHEM_PORT", "SPECCHEM_TYPO",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "url",
    [
        URL.replace("postgresql", "mysql"),
        f"postgresql//postgres:{SECRET}@localhost",
        f"{SECRET}@localhost",
        SECRET,
    ],
)
@pytest.mark.parametrize("name", ["DATABASE_URL", "API_DATABASE_URL"])
def test_a_password_is_never_repeated(monkeypatch: pytest.MonkeyPatch, name: str, url: str) -> None:
    monkeypatch.setenv(f"SPECCHEM_{name}", url)
    sentence = refusal()
    assert f"SPECCHEM_{name}" in sentence
    assert SECRET not in sentence


# ---------------------------------------------------------------- the login roles


@pytest.mark.parametrize(
    ("owner", "login"),
    [
        ("postgresql://postgres:secret@db:5432/app", "postgresql://specchem_api:{}@db:5432/app"),
        (
            "postgresql://postgres.abcdef:secret@pooler:6543/postgres?sslmode=require",
            "postgresql://specchem_api.abcdef:{}@pooler:6543/postgres?sslmode=require",
        ),
        ("postgresql://postgres:secret@[::1]:5432/app", "postgresql://specchem_api:{}@[::1]:5432/app"),
        ("postgresql://postgres:secret@a:1,b:2/app", "postgresql://specchem_api:{}@a:1,b:2/app"),
        ("postgresql://postgres:s%65cret@db/app", "postgresql://specchem_api:{}@db/app"),
        ("postgresql://me:secret@/app?host=/run/pg", "postgresql://specchem_api:{}@/app?host=/run/pg"),
    ],
)
def test_a_login_has_the_owners_address_and_a_password_of_its_own(owner: str, login: str) -> None:
    assert login_url(owner, "specchem_api") == login.format(derived_password("secret", "specchem_api"))
    assert "secret" not in login_url(owner, "specchem_api")


def test_a_login_without_password_has_none() -> None:
    assert login_url("postgresql://postgres@db/app", "specchem_api") == "postgresql://specchem_api@db/app"


def test_each_role_and_each_owner_has_another_password() -> None:
    passwords = {derived_password(owner, role) for owner in ("a", "b") for role in ("specchem_api", "other")}
    assert len(passwords) == 4


@pytest.mark.parametrize("password", ["secret", derived_password("secret", "specchem_api")])
async def test_our_verifier_is_the_one_that_postgres_makes(
    people: World, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    stored = "select rolpassword from pg_authid where rolname = 'probe'"
    assert people.connection is not None
    await people.connection.execute(f"create role probe login password '{password}'")
    made = await people.connection.fetchval(stored)

    salt = base64.b64decode(made.split("$")[1].partition(":")[2])
    monkeypatch.setattr(os, "urandom", lambda _: salt)
    assert scram_verifier(password) == made
    # PostgreSQL takes it for a verifier rather than for a password that happens to look like one.
    await people.connection.execute(f"alter role probe password '{scram_verifier(password)}'")
    assert await people.connection.fetchval(stored) == made


def test_two_verifiers_of_a_password_differ() -> None:
    assert scram_verifier("secret") != scram_verifier("secret")


@pytest.mark.parametrize(
    ("address", "asks"),
    [
        ("postgresql://me:pw@db.example.com/x", True),
        ("postgresql://me:pw@10.0.0.5:5432/x?application_name=a", True),
        ("postgresql://me:pw@db.example.com/x?sslmode=verify-full", False),
        ("postgresql://me:pw@localhost/x", False),
        ("postgresql://me:pw@127.0.0.1/x", False),
        ("postgresql://me@/x?host=/run/postgresql", False),
    ],
)
def test_tls_is_asked_for_where_the_address_leaves_the_machine(address: str, asks: bool) -> None:
    # guide-measured: connection index.ts
    asked = with_tls(address)
    assert asked == (f"{address}{'&' if '?' in address else '?'}sslmode=require" if asks else address)


@pytest.mark.parametrize(
    ("url", "is_one"),
    [
        ("postgresql://postgres.abcdef:secret@pooler:6543/postgres?sslmode=require", True),
        ("postgresql://me@/app?host=/run/pooler&port=6543", True),
        ("postgresql://me:x:6543@db:5432/app", False),
        ("postgresql://me@db/app", False),
    ],
)
def test_supabases_transaction_pooler_is_known_by_its_port(url: str, is_one: bool) -> None:
    assert is_transaction_pooler(url) is is_one
