"""A secret in a log is found; that there is none, tests/conftest.py asks when all tests are done."""

import logging
import secrets
from collections.abc import Callable
from uuid import uuid4

import pytest

from specchem.auth.service.issuer import Issuer
from tests import logs
from tests.conftest import Cluster
from tests.web.served import PASSWORD, RING


@pytest.mark.parametrize(
    "kind", ["token", "refresh token", "code", "key", "password", "hash", "cookie", "link", "stack trace"]
)
def test_a_secret_in_a_log_is_found(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "lines", [])
    monkeypatch.setattr(logs, "folders", set())
    user = {"id": "x", "email": "", "phone": "", "app_metadata": {}, "user_metadata": {}}
    makers: dict[str, Callable[[], str]] = {
        "token": lambda: Issuer(RING, "http://test").issue(user, uuid4(), "aal1", []),
        "refresh token": lambda: secrets.token_urlsafe(24),
        "code": lambda: f"{secrets.randbelow(1_000_000):06}",
        "key": lambda: RING.secret_key,
        "password": lambda: PASSWORD,
        "hash": lambda: "$argon2id$v=19$m=8",
        "cookie": lambda: "sb-test-auth-token=base64-eyJhY2Nlc3NfdG9rZW4i",
        "link": lambda: "/auth/confirm?token_hash=abc&type=invite",
        "stack trace": lambda: RING.secret_key,
    }
    secret = makers[kind]()
    log = logging.getLogger("specchem.tests")
    if kind == "stack trace":
        try:
            raise ValueError(secret)
        except ValueError:
            log.exception("it broke")
    else:
        log.debug("somebody sent %s today", secret)
    found = list(logs.leaks())
    assert len(found) == 1
    assert secret not in found[0]


def test_postgresqls_own_log_is_listened_to(cluster: Cluster) -> None:
    folder = cluster.server.data_dir.parent / "log"
    assert folder in logs.folders
    assert any("database system is ready" in file.read_text() for file in folder.glob("*.log"))
