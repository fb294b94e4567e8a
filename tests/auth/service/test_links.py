"""Mailed links: good once, for a while, and never to another site; one address is one address."""

import asyncio

import pytest

from tests.auth.service.site import ANA, NEW, OTHER, Site, refused, session_of


@pytest.mark.parametrize("when", ["used", "too old", "replaced", "deleted", "other type", "changed password"])
async def test_a_link_that_is_not_good_any_more(site: Site, when: str) -> None:
    await site.post("recover", {"email": ANA})
    mail = await site.mail(ANA)
    sent = {"type": "recovery", "token_hash": mail.token}
    by_digits = {"type": "recovery", "email": ANA, "token": mail.digits}
    match when:
        case "used":
            assert (await site.post("verify", by_digits)).status_code == 200
        case "too old":
            await site.owner(
                "update auth.one_time_tokens set created_at = created_at - interval '61 minutes'"
            )
        case "replaced":
            await site.post("recover", {"email": ANA})
            await site.service.later.drain()
        case "deleted":
            await site.owner(
                "update auth.users set deleted_at = now() where id = $1", site.world.person["ana"]
            )
        case "other type":
            sent["type"] = by_digits["type"] = "signup"
        case "changed password":
            token = (await session_of(site))["access_token"]
            answer = await site.ask("PUT", "user", token=token, json={"password": OTHER})
            assert answer.status_code == 200
    for one in (sent, by_digits):
        assert refused(await site.post("verify", one), 403, "otp_expired")
    answer = await site.ask("GET", "verify", params={"token": mail.token, "type": sent["type"]})
    assert "error_code=otp_expired" in answer.headers["location"]


async def test_an_invitations_link_waits_a_week_and_its_digits_an_hour(site: Site) -> None:
    await site.post("invite", {"email": NEW}, admin=True)
    mail = await site.mail(NEW)
    await site.owner("update auth.one_time_tokens set created_at = created_at - interval '6 days 23 hours'")
    answer = await site.post("verify", {"type": "invite", "email": NEW, "token": mail.digits})
    assert refused(answer, 403, "otp_expired")
    await site.owner("update auth.one_time_tokens set created_at = created_at - interval '2 hours'")
    sent = {"type": "invite", "token_hash": mail.token}
    assert refused(await site.post("verify", sent), 403, "otp_expired")
    await site.owner("update auth.one_time_tokens set created_at = created_at + interval '2 hours'")
    assert (await site.post("verify", sent)).status_code == 200


async def test_one_link_followed_by_many_at_once_lets_one_in(site: Site) -> None:
    await site.post("recover", {"email": ANA})
    mail = await site.mail(ANA)
    ways = [{"token_hash": mail.token}, {"email": ANA, "token": mail.digits}] * 2
    answers = await asyncio.gather(*(site.post("verify", {"type": "recovery", **way}) for way in ways))
    assert sorted(answer.status_code for answer in answers) == [200, 403, 403, 403]


async def test_a_revoked_invitations_link_is_dead(site: Site) -> None:
    await site.post("invite", {"email": NEW}, admin=True)
    mail = await site.mail(NEW)
    account = await site.owner("select id from auth.users where email = $1", NEW)
    assert (await site.ask("DELETE", f"admin/users/{account}", admin=True)).status_code == 200
    answer = await site.post("verify", {"type": "invite", "token_hash": mail.token})
    assert refused(answer, 403, "otp_expired")


async def test_what_is_kept_of_a_link_opens_nothing(site: Site) -> None:
    await site.post("recover", {"email": ANA})
    await site.service.later.drain()
    kept = await site.owner("select token_hash from auth.one_time_tokens")
    answer = await site.post("verify", {"type": "recovery", "token_hash": kept})
    assert refused(answer, 403, "otp_expired")


async def test_a_code_is_worth_nothing_without_its_verifier(site: Site) -> None:
    verifier = "v" * 43
    body = {"email": ANA, "code_challenge": verifier, "code_challenge_method": "plain"}
    await site.post("recover", body)
    mail = await site.mail(ANA)
    answer = await site.ask("GET", "verify", params={"token": mail.token, "type": "recovery"})
    code = answer.headers["location"].partition("?code=")[2]
    assert "access_token" not in answer.headers["location"]
    wrong = await site.post("token?grant_type=pkce", {"auth_code": code, "code_verifier": "w" * 43})
    assert refused(wrong, 400, "bad_code_verifier")
    good = {"auth_code": code, "code_verifier": verifier}
    assert (await site.post("token?grant_type=pkce", good)).status_code == 200
    assert refused(await site.post("token?grant_type=pkce", good), 404, "flow_state_not_found")


HOSTILE = [
    "https://evil.example", "//evil.example", "https://evil.example/auth/confirm", "javascript:alert(1)",
    "https://user@evil.example", "http://127.0.0.1.evil.example", "http://127.0.0.1:1", "{url}@evil.example",
    "{url}\\@evil.example", "{url}/../x", "{url}\r\nX: y", "{url}//evil.example", "data:text/html,x",
    "https://app.example/other", "https://app.example/training/../other", "https://app.example/trainings",
    "https://app.example.evil.example/training", "http://app.example/training", "https://app.example:444/training",
]  # fmt: skip


@pytest.mark.parametrize("wish", HOSTILE)
async def test_a_link_leads_nowhere_else(site: Site, wish: str) -> None:
    wish = wish.replace("{url}", site.url)
    link = await site.post(
        "admin/generate_link", {"type": "recovery", "email": ANA, "redirect_to": wish}, admin=True
    )
    assert link.json()["redirect_to"] == site.url
    answer = await site.ask("GET", "verify", params={"token": "x", "type": "recovery", "redirect_to": wish})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{site.url}#error=")
    await site.post("recover", {"email": ANA}, params={"redirect_to": wish})
    assert "next=" not in (await site.mail(ANA)).link


@pytest.mark.parametrize("wish", ["https://app.example/training", "https://app.example/training/x?a=1"])
async def test_a_link_may_lead_where_the_settings_say(site: Site, wish: str) -> None:
    link = await site.post(
        "admin/generate_link", {"type": "recovery", "email": ANA, "redirect_to": wish}, admin=True
    )
    assert link.json()["redirect_to"] == wish


@pytest.mark.parametrize("name", ["Host", "X-Forwarded-Host", "Forwarded", "Origin", "Referer"])
async def test_no_header_decides_where_a_mails_link_leads(site: Site, name: str) -> None:
    await site.post("recover", {"email": ANA}, headers={name: "evil.example"})
    mail = await site.mail(ANA)
    assert mail.link.startswith(f"{site.url}/auth/confirm?")
    assert b"evil" not in mail.message.as_bytes()


@pytest.mark.parametrize(
    "email",
    [
        "ana@example.com\r\nBcc: evil@evil.example", "ana@example.com\nSubject: x",
        "ana@example.com, evil@evil.example",
        "ana@example.com;evil@evil.example", "Ana <ana@example.com>", "<ana@example.com>",
        "ana@example.com evil@evil.example", "ana@example.com%0aBcc:evil@evil.example", "ana@exam\nple.com",
        '"a\r\nBcc: x"@example.com', "ana@example.com\0",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["recover", "otp", "signup", "invite", "resend"])
async def test_an_address_is_one_address(site: Site, path: str, email: str) -> None:
    sent = {"email": email, "password": OTHER, "type": "signup"}
    answer = await site.post(path, sent, admin=path == "invite")
    assert refused(answer, 400, "validation_failed")
    await site.service.later.drain()
    assert not site.outbox.exists()
