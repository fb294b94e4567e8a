"""Second factors: each code once, and no way around them."""

import asyncio
import time
from typing import Any
from uuid import uuid4

import pyotp

from specchem.auth.door import OF_ACCOUNT
from specchem.auth.service.factors import STEP
from tests.auth.service.site import ANA, NEW, OTHER, Site, refused, session_of


async def enroll(site: Site, token: str) -> dict[str, Any]:
    made: dict[str, Any] = (await site.post("factors", {"factor_type": "totp"}, token=token)).json()
    return made


async def show(site: Site, token: str, factor: str, code: str) -> Any:
    waiting = (await site.post(f"factors/{factor}/challenge", {}, token=token)).json()
    return await site.post(
        f"factors/{factor}/verify", {"challenge_id": waiting["id"], "code": code}, token=token
    )


async def test_a_code_works_once(site: Site) -> None:
    token = (await session_of(site))["access_token"]
    made = await enroll(site, token)
    code = pyotp.TOTP(made["totp"]["secret"]).now()
    assert (await show(site, token, made["id"], code)).status_code == 200
    assert refused(await show(site, token, made["id"], code), 422, "mfa_verification_failed")
    other = (await session_of(site))["access_token"]
    assert refused(await show(site, other, made["id"], code), 422, "mfa_verification_failed")
    before = pyotp.TOTP(made["totp"]["secret"]).at(time.time() - STEP)  # nor one from before it
    assert refused(await show(site, other, made["id"], before), 422, "mfa_verification_failed")


async def test_one_code_from_many_sides_at_once_works_once(site: Site) -> None:
    token = (await session_of(site))["access_token"]
    made = await enroll(site, token)
    code = pyotp.TOTP(made["totp"]["secret"]).now()
    answers = await asyncio.gather(*(show(site, token, made["id"], code) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 422, 422, 422]


async def test_codes_cannot_be_guessed(site: Site) -> None:
    token = (await session_of(site))["access_token"]
    made = await enroll(site, token)
    right = pyotp.TOTP(made["totp"]["secret"]).now()
    for number in range(OF_ACCOUNT["factor"].burst):
        wrong = f"{(int(right) + number + 1) % 1_000_000:06}"
        assert refused(await show(site, token, made["id"], wrong), 422, "mfa_verification_failed")
    assert refused(await show(site, token, made["id"], right), 429, "over_request_rate_limit")


async def test_nobody_uses_anothers_factor_or_challenge(site: Site) -> None:
    ana, bo = [(await session_of(site, f"{who}@example.com"))["access_token"] for who in ("ana", "bo")]
    made, others = await enroll(site, ana), await enroll(site, bo)
    for path in (f"factors/{made['id']}/challenge", f"factors/{uuid4()}/challenge"):
        assert refused(await site.post(path, {}, token=bo), 404, "mfa_factor_not_found")
    answer = await site.ask("DELETE", f"factors/{made['id']}", token=bo)
    assert refused(answer, 404, "mfa_factor_not_found")
    waiting = (await site.post(f"factors/{others['id']}/challenge", {}, token=bo)).json()
    sent = {"challenge_id": waiting["id"], "code": pyotp.TOTP(made["totp"]["secret"]).now()}
    answer = await site.post(f"factors/{made['id']}/verify", sent, token=ana)
    assert refused(answer, 404, "mfa_factor_not_found")


async def test_a_challenge_waits_five_minutes(site: Site) -> None:
    token = (await session_of(site))["access_token"]
    made = await enroll(site, token)
    waiting = (await site.post(f"factors/{made['id']}/challenge", {}, token=token)).json()
    await site.owner("update auth.mfa_challenges set created_at = created_at - interval '301 seconds'")
    sent = {"challenge_id": waiting["id"], "code": pyotp.TOTP(made["totp"]["secret"]).now()}
    answer = await site.post(f"factors/{made['id']}/verify", sent, token=token)
    assert refused(answer, 422, "mfa_challenge_expired")


async def test_half_a_sign_in_gets_no_second_factor_of_its_own(site: Site) -> None:
    token = (await session_of(site))["access_token"]
    made = await enroll(site, token)
    both = await show(site, token, made["id"], pyotp.TOTP(made["totp"]["secret"]).now())
    half = (await session_of(site))["access_token"]
    assert refused(await site.post("factors", {"factor_type": "totp"}, token=half), 403, "insufficient_aal")
    for change in ({"password": OTHER}, {"email": NEW}):
        answer = await site.ask("PUT", "user", token=half, json=change)
        assert refused(answer, 401, "insufficient_aal")
    mailed = await site.post("recover", {"email": ANA})
    mail = await site.mail(ANA)
    assert mailed.status_code == 200
    by_mail = (await site.post("verify", {"type": "recovery", "token_hash": mail.token})).json()
    answer = await site.ask("PUT", "user", token=by_mail["access_token"], json={"password": OTHER})
    assert refused(answer, 401, "insufficient_aal")
    answer = await site.ask("PUT", "user", token=both.json()["access_token"], json={"password": OTHER})
    assert answer.status_code == 200


async def test_a_factors_secret_is_shown_once(site: Site) -> None:
    token = (await session_of(site))["access_token"]
    made = await enroll(site, token)
    secret = made["totp"]["secret"]
    await show(site, token, made["id"], pyotp.TOTP(secret).now())
    ana = site.world.person["ana"]
    for answer in (
        await site.ask("GET", "user", token=token), await site.ask("GET", f"admin/users/{ana}", admin=True),
        await site.ask("GET", f"admin/users/{ana}/factors", admin=True),
        await site.ask("GET", "admin/users", admin=True),
    ):  # fmt: skip
        assert answer.status_code == 200
        assert secret not in answer.text
        assert "argon2" not in answer.text
