"""POST /auth/v1/token: Supabase Auth's Session for the right password, and one answer for everything else."""

import asyncio
import time
from typing import Any
from uuid import UUID

import jwt
import pytest

from specchem.auth.errors import AuthError
from specchem.auth.service.accounts import INVALID, Accounts, create_account
from specchem.auth.service.issuer import LIFETIME
from specchem.db.session import open_pool
from tests.web.served import KEY, PASSWORD, Served, is_problem


async def test_the_session_is_supabases(served: Served) -> None:
    before = int(time.time())
    answer = await served.sign_in("ana")
    session = answer.json()
    assert session.keys() == {
        "access_token",
        "token_type",
        "expires_in",
        "expires_at",
        "refresh_token",
        "user",
    }
    assert (session["token_type"], session["expires_in"]) == ("bearer", LIFETIME)
    assert before + LIFETIME <= session["expires_at"] <= time.time() + LIFETIME
    assert len(session["refresh_token"]) >= 20
    assert "no-store" in answer.headers["cache-control"]

    user = session["user"]
    assert user["id"] == str(served.world.person["ana"])
    assert (user["aud"], user["role"], user["email"], user["phone"]) == (
        "authenticated", "authenticated", "ana@example.com", ""
    )  # fmt: skip
    assert {"app_metadata", "user_metadata", "identities", "created_at", "updated_at", "email_confirmed_at",
            "confirmed_at", "last_sign_in_at", "is_anonymous"} <= user.keys()  # fmt: skip
    assert not {"encrypted_password", "confirmation_token", "recovery_token", "banned_until"} & user.keys()
    assert "argon2" not in answer.text


async def test_the_tokens_claims_are_supabases(served: Served) -> None:
    session = (await served.sign_in("ana")).json()
    header = jwt.get_unverified_header(session["access_token"])
    assert header == {"alg": "ES256", "typ": "JWT", "kid": KEY.key_id}
    claims = jwt.decode(session["access_token"], options={"verify_signature": False})
    assert claims.keys() == {
        "iss", "sub", "aud", "exp", "iat", "email", "phone", "app_metadata", "user_metadata", "role", "aal", "amr",
        "session_id", "is_anonymous",
    }  # fmt: skip
    assert claims["iss"].endswith("/auth/v1")
    assert (claims["aud"], claims["role"], claims["aal"], claims["sub"]) == (
        "authenticated", "authenticated", "aal1", session["user"]["id"],
    )  # fmt: skip
    assert claims["exp"] == session["expires_at"] == claims["iat"] + LIFETIME
    assert [(one["method"], type(one["timestamp"])) for one in claims["amr"]] == [("password", int)]
    UUID(claims["session_id"])


async def test_anybody_can_check_a_token_with_the_published_key(served: Served) -> None:
    token = await served.token("ana")
    answer = await served.client.get("/auth/v1/.well-known/jwks.json")
    assert answer.headers["cache-control"] == "public, max-age=600"
    (key,) = answer.json()["keys"]
    assert (key["kty"], key["crv"], key["alg"], key["use"], key["key_ops"]) == (
        "EC",
        "P-256",
        "ES256",
        "sig",
        ["verify"],
    )
    assert "d" not in key  # the private part
    found = jwt.PyJWKSet.from_dict(answer.json())[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, found.key, algorithms=["ES256"], audience="authenticated")
    assert claims["email"] == "ana@example.com"


async def test_a_sign_in_is_on_record(own: Served) -> None:
    await own.sign_in("ana", headers={"User-Agent": "a phone"})
    ana = own.world.person["ana"]
    assert await own.owner("select user_agent from auth.sessions where user_id = $1", ana) == "a phone"
    assert await own.owner("select count(*) from auth.refresh_tokens where user_id = $1", str(ana)) == 1
    assert await own.owner("select last_sign_in_at is not null from auth.users where id = $1", ana)


REFUSED = {
    "unknown": ("update auth.users set email = 'elsewhere@example.com' where id = $1", PASSWORD),
    "wrong password": ("select $1::uuid", PASSWORD + "!"),
    "nearly right": ("select $1::uuid", PASSWORD.upper()),
    "no password": ("update auth.users set encrypted_password = null where id = $1", PASSWORD),
    "empty password": ("update auth.users set encrypted_password = '' where id = $1", PASSWORD),
    "another kind of hash": ("update auth.users set encrypted_password = '$2a$10$x' where id = $1", PASSWORD),
    "plain text": (f"update auth.users set encrypted_password = '{PASSWORD}' where id = $1", PASSWORD),
    "deleted": ("update auth.users set deleted_at = now() where id = $1", PASSWORD),
    "single sign-on": ("update auth.users set is_sso_user = true where id = $1", PASSWORD),
    "much too long": ("select $1::uuid", "é" * 1000),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_whoever_may_not_gets_one_and_the_same_answer(own: Served, case: str) -> None:
    statement, password = REFUSED[case]
    await own.owner(statement, own.world.person["ana"])
    answer = await own.sign_in("ana", password)
    never = await own.sign_in("never-was", "whatever")
    assert is_problem(answer, 400)
    assert answer.json() == never.json()
    assert answer.json()["error_code"] == "invalid_credentials"
    assert answer.json()["msg"] == "Invalid login credentials"
    assert answer.headers["x-sb-error-code"] == "invalid_credentials"
    assert await own.owner("select count(*) from auth.sessions") == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("banned_until = now() + interval '1 day'", "user_banned"),
        ("email_confirmed_at = null", "email_not_confirmed"),
    ],
)
async def test_who_knows_the_password_is_told_why_not(own: Served, change: str, code: str) -> None:
    await own.owner(f"update auth.users set {change} where id = $1", own.world.person["ana"])
    answer = await own.sign_in("ana")
    assert is_problem(answer, 400)
    assert answer.json()["error_code"] == code
    # Who does not, is not.
    assert (await own.sign_in("ana", "wrong")).json()["error_code"] == "invalid_credentials"


async def test_a_ban_that_is_over_is_over(own: Served) -> None:
    await own.owner(
        "update auth.users set banned_until = now() - interval '1 s' where id = $1", own.world.person["ana"]
    )
    assert (await own.sign_in("ana")).status_code == 200


async def test_refusals_speak_to_both_ages_of_supabases_clients(served: Served) -> None:
    dated = {"X-Supabase-Api-Version": "2024-01-01"}
    answer = await served.sign_in("ana", "wrong", headers=dated)
    assert (answer.json()["code"], answer.json()["message"]) == (
        "invalid_credentials",
        "Invalid login credentials",
    )
    assert answer.headers["x-supabase-api-version"] == "2024-01-01"
    bad = await served.client.post("/auth/v1/token?grant_type=password", headers=dated, json={})
    assert is_problem(bad, 400)
    assert bad.json()["code"] == "validation_failed"
    plain = await served.client.post("/auth/v1/token?grant_type=password", json={})
    assert (plain.json()["code"], plain.json()["error_code"]) == (400, "validation_failed")


@pytest.mark.parametrize("email", ["ANA@Example.COM", "  ana@example.com ", "ana@example.com\n"])
async def test_an_address_is_found_however_it_is_typed(served: Served, email: str) -> None:
    body = {"email": email, "password": PASSWORD}
    assert (await served.client.post("/auth/v1/token?grant_type=password", json=body)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [{"email": "a\0b", "password": "x"}, {"email": "a", "password": "x\0"}, {"email": "", "password": "x"},
     {"email": "a", "password": ""}, {"email": "a" * 255, "password": "x"}, {"email": "a", "password": "x" * 1001},
     {"email": ["a"], "password": {"$ne": ""}}, {"email": "' or 1=1 --"}, {"password": "x"}],
)  # fmt: skip
async def test_what_no_form_sends(served: Served, body: dict[str, Any]) -> None:
    assert is_problem(await served.client.post("/auth/v1/token?grant_type=password", json=body), 400)


async def test_what_supabases_clients_send_besides_is_left_aside(served: Served) -> None:
    body = {"email": "ana@example.com", "password": PASSWORD, "gotrue_meta_security": {"captcha_token": None}}
    answer = await served.client.post(
        "/auth/v1/token?grant_type=password", json=body, headers={"apikey": "x"}
    )
    assert answer.status_code == 200


async def test_a_proxys_word_about_the_address_stops_nobody(own: Served) -> None:
    accounts: Accounts = own.app.state.accounts
    for address in (
        "203.0.113.7",
        "2001:db8::1",
        "unknown",
        "",
        None,
        "testclient",
        "1.2.3.4:80",
        "::1%eth0",
    ):
        await accounts.sign_in("ana@example.com", PASSWORD, "agent\0", address)
    kept = await own.owner("select array_agg(distinct host(ip)) from auth.sessions where ip is not null")
    assert {"203.0.113.7", "2001:db8::1"} <= set(kept)


async def test_a_refusal_keeps_nothing_of_the_one_before(own: Served) -> None:
    """An exception raised twice would drag along every frame it ever passed."""
    seen: list[AuthError] = []
    for _ in range(2):
        with pytest.raises(AuthError) as caught:
            await own.app.state.accounts.sign_in("ana@example.com", "wrong", None, None)
        seen.append(caught.value)
    assert seen[0] is not seen[1]
    assert (seen[0].status, seen[0].code, seen[0].message) == INVALID


async def test_many_sign_ins_at_once(own: Served) -> None:
    answers = await asyncio.gather(*(own.sign_in(who) for who in ("ana", "bo", "max", "hana") * 8))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 32


# ---------------------------------------------------------------------------------------------- accounts, sessions


@pytest.mark.parametrize("password", ["short", "1234567", "x" * 73, "é" * 37, ""])
async def test_a_password_has_8_characters_and_at_most_72_bytes(own: Served, password: str) -> None:
    pool = await open_pool(own.database.auth, 1)
    async with pool.acquire() as connection:
        with pytest.raises(AuthError, match="8 characters to 72 bytes") as caught:
            await create_account(connection, "new@example.com", password)
    await pool.close()
    assert (caught.value.status, caught.value.code) == (422, "weak_password")


@pytest.mark.parametrize("password", ["12345678", "x" * 72, "é" * 36, "pass word ", "密码密码密码密码"])
async def test_an_account_that_was_made_signs_in(own: Served, password: str) -> None:
    pool = await open_pool(own.database.auth, 1)
    async with pool.acquire() as connection, connection.transaction():
        await create_account(connection, " New@Example.com ", password)
    await pool.close()
    session = (await own.sign_in("new", password)).json()
    assert session["user"]["email"] == "new@example.com"
    assert session["user"]["app_metadata"] == {"provider": "email", "providers": ["email"]}
    (identity,) = session["user"]["identities"]
    assert (identity["provider"], identity["email"]) == ("email", "new@example.com")
    assert is_problem(await own.sign_in("new", password + "x"), 400)
    stored = await own.owner("select encrypted_password from auth.users where email = 'new@example.com'")
    assert stored.startswith("$argon2id$")


def _session(token: str) -> UUID:
    return UUID(jwt.decode(token, options={"verify_signature": False})["session_id"])


async def test_a_session_is_renewed_while_it_stands(own: Served) -> None:
    accounts: Accounts = own.app.state.accounts
    token = (await own.sign_in("ana")).json()["access_token"]
    renewed = await accounts.renew(_session(token))
    assert renewed is not None
    old, new = (jwt.decode(one, options={"verify_signature": False}) for one in (token, renewed))
    assert old["amr"][0]["method"] == new["amr"][0]["method"]
    assert abs(old["amr"][0]["timestamp"] - new["amr"][0]["timestamp"]) <= 1  # signed in then, not now


@pytest.mark.parametrize(
    "end",
    ["delete from auth.sessions where user_id = $1", "update auth.users set deleted_at = now() where id = $1",
     "update auth.users set banned_until = now() + interval '1 hour' where id = $1",
     "update auth.sessions set not_after = now() - interval '1 s' where user_id = $1"],
)  # fmt: skip
async def test_a_session_that_has_ended_is_not_renewed(own: Served, end: str) -> None:
    session = _session((await own.sign_in("ana")).json()["access_token"])
    await own.owner(end, own.world.person["ana"])
    assert await own.app.state.accounts.renew(session) is None


async def test_signing_out_ends_one_session_and_does_no_harm_twice(own: Served) -> None:
    accounts: Accounts = own.app.state.accounts
    here, there = [_session((await own.sign_in("ana")).json()["access_token"]) for _ in range(2)]
    for _ in range(2):
        await accounts.sign_out(here)
    assert await accounts.renew(here) is None
    assert await accounts.renew(there) is not None
    assert await own.owner("select count(*) from auth.refresh_tokens where session_id = $1", here) == 0
