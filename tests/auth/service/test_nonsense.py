"""Whatever is sent, the answer is a refusal in words, and nothing secret is in any log."""

from uuid import uuid4

import pytest

from tests.auth.service.site import ANA, Site, refresh, session_of
from tests.web.served import PASSWORD, is_problem

ROUTES = [
    ("POST", "signup"), ("POST", "token?grant_type=password"), ("POST", "token?grant_type=refresh_token"),
    ("POST", "token?grant_type=pkce"), ("POST", "token?grant_type=x"), ("POST", "recover"), ("POST", "otp"),
    ("POST", "resend"), ("POST", "verify"), ("PUT", "user"), ("POST", "factors"), ("POST", "factors/{id}/verify"),
    ("POST", "invite"), ("POST", "admin/users"), ("PUT", "admin/users/{id}"), ("POST", "admin/generate_link"),
    ("DELETE", "admin/users/{id}"),
]  # fmt: skip
NONSENSE: list[bytes] = [
    b"", b"null", b"[]", b"1", b"{", b'"x"', b"\xff\xfe", b"[" * 20_000, b'{"email": ["a"]}', b'{"email": null}',
    b'{"email": {"$ne": ""}, "password": {"$ne": ""}}', b'{"email": "a\\u0000@b.c", "password": "\\u0000"}',
    b'{"data": "x"}', b'{"type": "sms", "phone": "+1"}', b'{"type": [], "token_hash": {}}', b'{"password": 1e999}',
    b'{"email": "a@b.co", "password": "x", "ban_duration": "1y", "type": "recovery", "token": "1"}',
    b'{"email": "ana@example.com", "ban_duration": "99999999999h", "factor_type": "phone", "code": 1}',
    b'{"challenge_id": "x", "code": "\\ud800"}', b'{"refresh_token": "\\ud800", "auth_code": "\\ud800"}',
    b'{"id": "x", "role": "service_role", "email": "role@example.com"}', b'{"password_hash": "plain"}',
    b'{"email": "x@example.com", "code_challenge": "short", "code_challenge_method": "s256"}',
    b'{"email": "x@example.com", "code_challenge_method": "none"}', b'{"app_metadata": {"role": "x"}}',
    b'{"user_metadata": "x", "app_metadata": [], "should_soft_delete": "maybe"}',
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_nonsense_is_refused_in_both_ages_of_words(site: Site, method: str, path: str) -> None:
    token = (await session_of(site))["access_token"]
    bearer = site.ring.secret_key if path.startswith(("admin", "invite")) else token
    address = path.format(id=uuid4())
    for body in NONSENSE:
        await site.owner("delete from specchem.tries")
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
        answer = await site.http.request(method, address, headers=headers, content=body)
        if answer.status_code < 300:
            continue
        assert is_problem(answer), (body, answer.text)
        assert 400 <= answer.status_code < 500, (body, answer.text)
        assert answer.json()["error_code"] == answer.headers["x-sb-error-code"], body
        assert answer.json()["msg"], body
        headers["X-Supabase-Api-Version"] = "2024-01-01"
        answer = await site.http.request(method, address, headers=headers, content=body)
        assert answer.json()["code"] == answer.headers["x-sb-error-code"], body
        assert answer.json()["message"], body
        assert answer.headers["x-supabase-api-version"] == "2024-01-01"
    assert await site.owner("select count(*) from auth.users where role = 'service_role'") == 0


async def test_no_secret_is_in_any_log_line(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    session = await session_of(site)
    await refresh(site, session["refresh_token"])
    await site.sign_in(ANA, "a wrong password")
    await site.post("recover", {"email": ANA})
    mail = await site.mail(ANA)
    await site.post("verify", {"type": "recovery", "email": ANA, "token": mail.digits})
    made = (await site.post("factors", {"factor_type": "totp"}, token=session["access_token"])).json()
    told = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("http"))
    for secret in (
        PASSWORD, "a wrong password", session["access_token"], session["refresh_token"], mail.token, mail.digits,
        made["totp"]["secret"], site.ring.secret_key,
    ):  # fmt: skip
        assert secret not in told
