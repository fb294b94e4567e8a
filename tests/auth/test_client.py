"""The client's side of the auth service's language, over a real wire: refusals, outages, and what stays untold."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from specchem.auth import client as module
from specchem.auth.client import AuthClient, open_client
from specchem.auth.errors import AuthError
from specchem.errors import Unavailable
from tests.web.wire import Mode, Wire, http, wire

ID = UUID(int=7)
USER = {"id": str(ID), "email": "ana@example.com", "aud": "authenticated", "more": 1}
SESSION = {"access_token": "access-s3cret", "refresh_token": "refresh-s3cret", "expires_at": 5, "expires_in": 3600,
           "token_type": "bearer", "user": USER}  # fmt: skip
SECRETS = ["hunter2", "access-s3cret", "refresh-s3cret", "sb_secret", "111222", "hash-s3cret"]


@pytest.fixture
async def there() -> AsyncIterator[Wire]:
    async with wire() as made:
        yield made


@pytest.fixture
async def client(there: Wire) -> AsyncIterator[AuthClient]:
    made = open_client(f"{there.address}/auth/v1", "sb_publishable_x", "sb_" + "secret_x")
    yield made
    await made.http.aclose()


async def answering(there: Wire, status: int, body: object, *headers: str) -> None:
    await there.fail("answer", http(status, json.dumps(body).encode(), *headers))


def asked(there: Wire) -> tuple[str, dict[str, str], Any]:
    """The last request: its first line, headers and body."""
    head, _, body = b"".join(there.said).decode().rpartition("\r\n\r\n")
    line, *headers = head.rpartition("HTTP/1.1 X")[2].split("\r\n")
    named = {name.lower(): value for name, _, value in (one.partition(": ") for one in headers)}
    return line, named, json.loads(body) if body else None


VERBS: dict[str, tuple[Any, str, str, object]] = {
    "sign in": (lambda c: c.sign_in("a@b.c", "hunter2"), "POST /auth/v1/token?grant_type=password", "sb_p", SESSION),
    "refresh": (lambda c: c.refresh("refresh-s3cret"), "POST /auth/v1/token?grant_type=refresh_token", "sb_p", SESSION),
    "exchange": (lambda c: c.exchange("111222", "hunter2"), "POST /auth/v1/token?grant_type=pkce", "sb_p", SESSION),
    "verify": (lambda c: c.verify("invite", "hash-s3cret"), "POST /auth/v1/verify", "sb_p", SESSION),
    "user": (lambda c: c.get_user("access-s3cret"), "GET /auth/v1/user", "sb_p", USER),
    "change": (lambda c: c.update_user("access-s3cret", password="hunter2"), "PUT /auth/v1/user", "sb_p", USER),
    "leave": (lambda c: c.sign_out("access-s3cret", "others"), "POST /auth/v1/logout?scope=others", "sb_p", {}),
    "recover": (lambda c: c.recover("a@b.c"), "POST /auth/v1/recover", "sb_p", {}),
    "invite": (lambda c: c.invite("a@b.c", {}), "POST /auth/v1/invite", "sb_s", USER),
    "create": (lambda c: c.create_user(email="a@b.c"), "POST /auth/v1/admin/users", "sb_s", USER),
    "enroll": (lambda c: c.enroll("access-s3cret", "App", "Us"), "POST /auth/v1/factors", "sb_p",
              {"id": str(ID), "totp": {"secret": "AB", "uri": "otpauth://x", "qr_code": ""}}),
    "challenge": (lambda c: c.challenge("access-s3cret", ID), f"POST /auth/v1/factors/{ID}/challenge", "sb_p",
                  {"id": str(ID), "expires_at": 5}),
    "answer": (lambda c: c.answer("access-s3cret", ID, ID, "111222"), f"POST /auth/v1/factors/{ID}/verify", "sb_p",
               SESSION),
    "unenroll": (lambda c: c.unenroll("access-s3cret", ID), f"DELETE /auth/v1/factors/{ID}", "sb_p", {"id": str(ID)}),
    "keys": (lambda c: c.jwks(), "GET /auth/v1/.well-known/jwks.json", "sb_p", {"keys": []}),
}  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
async def test_each_verb_is_one_request_in_supabases_language(
    there: Wire, client: AuthClient, verb: str
) -> None:
    call, line, key, good = VERBS[verb]
    await answering(there, 200, good)
    await call(client)
    first, headers, _ = asked(there)
    assert first == f"{line} HTTP/1.1"
    assert headers["apikey"].startswith("sb_publishable")
    assert headers["x-supabase-api-version"] == "2024-01-01"
    assert ("sb_secret" in headers.get("authorization", "")) is (key == "sb_s")
    assert "sb-forwarded-for" not in headers


async def test_on_behalf_of_a_browser_its_address_goes_along_with_the_secret_key(
    there: Wire, client: AuthClient
) -> None:
    await answering(there, 200, SESSION)
    await client.behalf_of("203.0.113.7", "a phone \N{SNOWMAN}\r\nX: y").sign_in("a@b.c", "hunter2")
    _, headers, body = asked(there)
    assert headers["sb-forwarded-for"] == "203.0.113.7"
    assert headers["apikey"].startswith("sb_secret")
    assert headers["user-agent"].startswith("a phone")
    assert "x" not in headers
    assert body == {"email": "a@b.c", "password": "hunter2"}
    alone = open_client(f"{there.address}/auth/v1", "sb_publishable_x", None)
    there.said.clear()
    await alone.behalf_of("203.0.113.7", None).sign_in("a@b.c", "hunter2")
    assert "sb-forwarded-for" not in asked(there)[1]
    await alone.http.aclose()


@pytest.mark.parametrize(
    ("body", "headers", "code", "message"),
    [
        ({"code": "invalid_credentials", "message": "Invalid"}, [], "invalid_credentials", "Invalid"),
        ({"code": 400, "error_code": "otp_expired", "msg": "Expired"}, [], "otp_expired", "Expired"),
        ({"error": "invalid_grant", "error_description": "Empty"}, [], "invalid_grant", "Empty"),
        (
            {"msg": "Only told in a header"},
            ["x-sb-error-code: user_banned"],
            "user_banned",
            "Only told in a header",
        ),
        ({"code": "same_password"}, [], "same_password", "same_password"),
    ],
)
async def test_a_refusal_is_understood_in_either_age_of_its_words(
    there: Wire, client: AuthClient, body: object, headers: list[str], code: str, message: str
) -> None:
    await answering(there, 422, body, *headers)
    with pytest.raises(AuthError) as caught:
        await client.sign_in("a@b.c", "hunter2")
    assert (caught.value.status, caught.value.code, caught.value.message) == (422, code, message)
    assert (caught.value.wait, caught.value.reasons) == (None, ())


async def test_a_refusal_says_how_long_to_wait_and_why_a_password_is_weak(
    there: Wire, client: AuthClient
) -> None:
    weak = {"code": "weak_password", "message": "Weak", "weak_password": {"reasons": ["length", "pwned"]}}
    for said, wait in (
        ("7", 7),
        ("soon", None),
        ("99999999999999", None),
        ("-1", None),
        ("Wed, 21 Oct", None),
    ):
        await answering(there, 429, weak, f"Retry-After: {said}")
        with pytest.raises(AuthError) as caught:
            await client.sign_in("a@b.c", "hunter2")
        assert (caught.value.wait, caught.value.reasons) == (wait, ("length", "pwned"))


UNUSABLE: dict[str, bytes] = {
    "500": http(500, b'{"code": "unexpected_failure", "message": "x"}'),
    "502": http(502, b"<html>", kind="text/html"),
    "503": http(503),
    "504": http(504),
    "a redirect": http(302, b"", "Location: /auth/v1/elsewhere"),
    "moved for good": http(308, b"", "Location: http://127.0.0.1:1/"),
    "a wall's 403": http(403, b"<html>blocked</html>", kind="text/html"),
    "a gateway's 401": http(401, b'{"message": "Invalid API key", "hint": "x"}'),
    "a stranger's 404": http(404, b"Not here", kind="text/plain"),
    "no JSON": http(200, b"<html>", kind="text/html"),
    "nothing": http(200),
    "204": http(204),
    "a list": http(200, b"[]"),
    "another shape": http(200, b'{"access_token": 7, "refresh_token": "x", "user": {}}'),
    "no user": http(200, b'{"access_token": "x", "refresh_token": "x"}'),
    "no user's id": http(200, b'{"access_token": "x", "refresh_token": "x", "user": {"id": "x"}}'),
    "no text": http(200, b"\xff\xfe"),
    "deep": http(200, b'{"user":' * 50_000),
    "deep refusal": http(400, b'{"user":' * 50_000),
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
}


@pytest.mark.parametrize("kind", UNUSABLE)
async def test_whatever_cannot_be_understood_is_an_outage(there: Wire, client: AuthClient, kind: str) -> None:
    await there.fail("answer", UNUSABLE[kind])
    with pytest.raises(Unavailable, match="sign-in service does not answer"):
        await client.sign_in("a@b.c", "hunter2")
    assert sum(b"HTTP/1.1" in one for one in there.said) == 1  # and no redirect was followed


@pytest.mark.parametrize("mode", ["refuse", "cut", "hang"])
async def test_no_answer_is_an_outage(
    there: Wire, client: AuthClient, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.2)
    await there.fail(mode)
    with pytest.raises(Unavailable, match="sign-in service does not answer"):
        await client.sign_in("a@b.c", "hunter2")


async def test_an_answer_that_trickles_in_is_not_waited_for(
    there: Wire, client: AuthClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.2)
    await there.fail("answer", http(200, b"{}" + b" " * 1000)[:-900])
    with pytest.raises(Unavailable):
        await client.sign_in("a@b.c", "hunter2")


async def test_no_cookie_of_the_service_is_kept(there: Wire, client: AuthClient) -> None:
    await answering(there, 200, SESSION, "Set-Cookie: sb=1; Path=/")
    await client.sign_in("a@b.c", "hunter2")
    await client.sign_in("a@b.c", "hunter2")
    assert b"cookie" not in b"".join(there.said).lower()


async def test_one_address_of_two_is_confirmed(there: Wire, client: AuthClient) -> None:
    await answering(there, 200, {"msg": "Confirmation link accepted", "code": 200})
    assert await client.verify("email_change", "hash-s3cret") is None


async def test_without_the_secret_key_nobody_is_invited(there: Wire) -> None:
    client = open_client(f"{there.address}/auth/v1", "sb_publishable_x", None)
    with pytest.raises(Unavailable, match="SUPABASE_SECRET_KEY"):
        await client.invite("a@b.c", {})
    assert there.said == []
    await client.http.aclose()


def everything(error: BaseException | None) -> str:
    """What an error, and all that led to it, says, and what can be reached from it."""
    seen = []
    while error is not None:
        seen.append(
            f"{error!r} {error} {vars(error)} {error.__notes__ if hasattr(error, '__notes__') else ''}"
        )
        error = error.__cause__ or error.__context__
    return "\n".join(seen)


@pytest.mark.parametrize("verb", VERBS)
async def test_nothing_secret_is_told_in_logs_or_errors(
    there: Wire, client: AuthClient, verb: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    call, _, _, good = VERBS[verb]
    fine, leaking, refused = (json.dumps(one).encode() for one in (good, [SESSION], {**SESSION, "code": "x"}))
    answers = [http(200, fine), http(400, refused), http(500, leaking), http(200, leaking), b"none\r\n\r\n"]
    told = repr(client) + repr(client.behalf_of("203.0.113.7", "x"))
    for one in answers:
        await there.fail("answer", one)
        try:
            told += repr(type(await call(client.behalf_of("203.0.113.7", "x"))))
        except (AuthError, Unavailable) as error:
            told += everything(error)
    await there.fail("refuse")
    with pytest.raises(Unavailable) as caught:
        await call(client)
    told += everything(caught.value) + caplog.text
    assert not [one for one in SECRETS if one in told]
    assert "HTTP Request" not in caplog.text


async def test_many_at_once_are_answered_each_by_its_own(there: Wire, client: AuthClient) -> None:
    await answering(there, 200, SESSION)
    found = await asyncio.gather(*(client.refresh("refresh-s3cret") for _ in range(30)))
    assert {one.owner.id for one in found} == {ID}
