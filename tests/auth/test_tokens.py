"""Tokens that are not ours, of another kind, or over: 401, whatever they say of themselves."""

import base64
import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from specchem.auth.guard import Ask, login_address, own_page
from specchem.auth.service.keys import SigningKey
from specchem.auth.tokens import LEEWAY, Tokens
from specchem.errors import NotSignedIn
from tests.web.served import KEY, Served, is_problem

STRANGER = SigningKey(ec.generate_private_key(ec.SECP256R1()))


def claims(served: Served, **other: Any) -> dict[str, Any]:
    tokens: Tokens = served.app.state.tokens
    now = int(time.time())
    whole = {
        "iss": tokens.issuer, "sub": str(served.world.person["ana"]), "aud": "authenticated", "role": "authenticated",
        "exp": now + 60, "iat": now, "aal": "aal1",
    }  # fmt: skip
    return {name: value for name, value in {**whole, **other}.items() if value is not None}


def signed(claims: dict[str, Any], key: Any = KEY.private, alg: str = "ES256", kid: Any = KEY.key_id) -> str:
    return jwt.encode(claims, key, algorithm=alg, headers={} if kid is None else {"kid": kid})


def raw(header: object, payload: object, signature: bytes = b"") -> str:
    parts = [json.dumps(one).encode() if not isinstance(one, bytes) else one for one in (header, payload)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (*parts, signature))


def public_pem() -> bytes:
    return KEY.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def confused(served: Served) -> str:
    """HS256, with our public key as if it were a secret: made by hand, for the library refuses to."""
    import hmac

    head = raw({"alg": "HS256", "typ": "JWT", "kid": KEY.key_id}, claims(served)).rpartition(".")[0]
    mac = hmac.digest(public_pem(), head.encode(), "sha256")
    return f"{head}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


FORGED: dict[str, Callable[[Served], str]] = {
    "alg none": lambda s: raw({"alg": "none", "typ": "JWT", "kid": KEY.key_id}, claims(s)),
    "alg None": lambda s: raw({"alg": "None", "kid": KEY.key_id}, claims(s)),
    "alg none, signed": lambda s: raw({"alg": "none", "kid": KEY.key_id}, claims(s), b"x" * 64),
    "HS256 with the public key": confused,
    "HS256": lambda s: signed(claims(s), "a" * 32, "HS256"),
    "another key": lambda s: signed(claims(s), STRANGER.private),
    "another key by its own name": lambda s: signed(claims(s), STRANGER.private, kid=STRANGER.key_id),
    "RSA": lambda s: signed(claims(s), rsa.generate_private_key(65537, 2048), "RS256"),
    "another curve": lambda s: signed(claims(s), ec.generate_private_key(ec.SECP384R1()), "ES384"),
    "no kid": lambda s: signed(claims(s), kid=None),
    "wrong kid": lambda s: signed(claims(s), kid="../../../dev/null"),
    "empty signature": lambda s: signed(claims(s)).rpartition(".")[0] + ".",
    "zero signature": lambda s: raw({"alg": "ES256", "kid": KEY.key_id}, claims(s), b"\0" * 64),
    "key in the header": lambda s: raw(
        {"alg": "ES256", "kid": KEY.key_id, "jwk": STRANGER.jwk()}, claims(s), b"x" * 64
    ),
    "changed payload": lambda s: ".".join(
        [(parts := signed(claims(s)).split("."))[0], raw({}, claims(s, sub=str(uuid4()))).split(".")[1], parts[2]]
    ),
    "wrong audience": lambda s: signed(claims(s, aud="anon")),
    "no audience": lambda s: signed(claims(s, aud=None)),
    "wrong issuer": lambda s: signed(claims(s, iss="https://elsewhere.example/auth/v1")),
    "no issuer": lambda s: signed(claims(s, iss=None)),
    "service_role": lambda s: signed(claims(s, role="service_role")),
    "no role": lambda s: signed(claims(s, role=None)),
    "expired": lambda s: signed(claims(s, exp=int(time.time()) - LEEWAY - 1)),
    "no expiry": lambda s: signed(claims(s, exp=None)),
    "expiry is a text": lambda s: signed(claims(s, exp="tomorrow")),
    "expiry beyond numbers": lambda s: raw({"alg": "ES256", "kid": KEY.key_id}, b'{"exp": 1e999}', b"x" * 64),
    "not yet": lambda s: signed(claims(s, nbf=int(time.time()) + 3600)),
    "issued in the future": lambda s: signed(claims(s, iat=int(time.time()) + 3600)),
    "no subject": lambda s: signed(claims(s, sub=None)),
    "subject is no uuid": lambda s: signed(claims(s, sub="ana")),
    "session is no uuid": lambda s: signed(claims(s, session_id="x")),
    "session is a number": lambda s: signed(claims(s, session_id=7)),
    "garbage": lambda s: "garbage",
    "dots": lambda s: "..",
    "many dots": lambda s: "." * 1000,
    "empty objects": lambda s: "e30.e30.e30",
    "header is a list": lambda s: raw([1], claims(s)),
    "header is deep": lambda s: raw(b"[" * 20_000, claims(s)),
    "payload is deep": lambda s: raw({"alg": "ES256", "kid": KEY.key_id}, b"[" * 20_000, b"x" * 64),
    "kid is an object": lambda s: raw({"alg": "ES256", "kid": {}}, claims(s)),
    "not base64": lambda s: "ä.ö.ü",
    "critical": lambda s: raw({"alg": "ES256", "kid": KEY.key_id, "crit": ["x"], "x": 1}, claims(s), b"x" * 64),
}  # fmt: skip


@pytest.mark.parametrize("kind", FORGED)
async def test_a_token_that_is_not_good_opens_nothing(served: Served, kind: str) -> None:
    token = FORGED[kind](served)
    header = f"Bearer {token}".encode()
    for _ in range(2):  # nor the second time, when it may be remembered
        assert is_problem(await served.client.get("/api/v1/me", headers={b"Authorization": header}), 401)
    with pytest.raises(NotSignedIn):
        served.app.state.tokens.verify(token)


async def test_the_token_that_the_forged_ones_are_made_of_is_good(served: Served) -> None:
    headers = {"Authorization": f"bearer  {signed(claims(served))} "}
    assert (await served.client.get("/api/v1/me", headers=headers)).status_code == 200


async def test_roles_in_a_token_count_for_nothing(served: Served) -> None:
    """They are read from the tables."""
    boast = {
        "app_metadata": {"role": "hr_admin", "roles": ["dev_admin"]},
        "user_role": "hr_admin",
        "is_admin": True,
    }
    headers = {"Authorization": f"Bearer {signed(claims(served, **boast))}"}
    assert (await served.client.get("/api/v1/me", headers=headers)).json()["is_admin"] is False
    assert is_problem(await served.client.get("/api/v1/reports/org-completion", headers=headers), 403)


async def test_a_token_for_nobody_sees_nothing(served: Served) -> None:
    headers = {"Authorization": f"Bearer {signed(claims(served, sub=str(uuid4())))}"}
    assert is_problem(await served.client.get("/api/v1/me", headers=headers), 403)


async def test_a_remembered_token_still_expires(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens: Tokens = served.app.state.tokens
    token = signed(claims(served))
    tokens.verify(token)
    monkeypatch.setattr(
        "specchem.auth.tokens.time", SimpleNamespace(time=lambda: time.time() + 60 + LEEWAY + 1)
    )
    with pytest.raises(NotSignedIn):
        tokens.verify(token)


# ------------------------------------------------------------------------------------------------ the guard


@pytest.mark.parametrize(
    "address",
    ["/", "/courses/function-specific-hazmat", "/plants/1?course=2", "/a#b", "/ä", "/a//b", "/%2F%2Fevil.example",
     "/x?next=https://evil.example", "/@evil.example", "/.evil.example"],
)  # fmt: skip
def test_a_page_of_ours_is_gone_back_to(address: str) -> None:
    assert own_page(address) == address


@pytest.mark.parametrize(
    "address",
    [None, "", " ", "//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example",
     "\\/evil.example", "https://evil.example", "HTTPS://evil.example", "http:evil.example", "javascript:alert(1)",
     "data:text/html,x", "//evil.example/%2e%2e", "/\t/evil.example", "/\n/evil.example", "/\r\nSet-Cookie: a=b",
     "\t//evil.example", " //evil.example", "\0/", "/a\\b", "evil.example", "@evil.example", "?x", "#x", ".", "../x",
     "//[::1]", "//[", "/\x00", "/\x1f/evil.example", "//evil.example:80", "ftp://evil.example", "//user@evil.example"],
)  # fmt: skip
def test_no_other_site_is_gone_to_after_sign_in(address: str | None) -> None:
    assert own_page(address) == "/"


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/", "", "/login"),
        ("GET", "/login", "next=/x", "/login"),
        ("POST", "/courses/x", "", "/login"),
        ("GET", "/courses/x", "", "/login?next=/courses/x"),
        ("GET", "/courses/x", "a=1&b=2", "/login?next=/courses/x%3Fa%3D1%26b%3D2"),
    ],
)
def test_the_sign_in_page_brings_one_back(method: str, path: str, query: str, expected: str) -> None:
    request = SimpleNamespace(method=method, url=SimpleNamespace(path=path, query=query))
    assert login_address(cast(Ask, request)) == expected
