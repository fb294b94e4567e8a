"""What anybody may say of themselves at sign-up, and what it is worth."""

import json
from typing import Any

import jwt
import pytest

from tests.auth.service.site import NEW, OTHER, Site, refused


async def test_what_is_said_at_sign_up_gives_nobody_anything(site: Site) -> None:
    boast = {
        "plant_id": str(site.world.plant["Phoenix, AZ"]), "role": "hr_admin", "is_admin": True,
        "app_metadata": {"role": "hr_admin"}, "email": "hana@example.com", "sub": str(site.world.person["hana"]),
        "first_name": "x" * 5000, "email_verified": True,
    }  # fmt: skip
    more = {"app_metadata": {"role": "dev_admin"}, "role": "service_role", "email_confirm": True, "aud": "x"}
    await site.post("signup", {"email": NEW, "password": OTHER, "data": boast, **more})
    mail = await site.mail(NEW)
    assert refused(await site.sign_in(NEW, OTHER), 400, "email_not_confirmed")
    session = (await site.post("verify", {"type": "signup", "token_hash": mail.token})).json()
    user, claims = session["user"], jwt.decode(session["access_token"], options={"verify_signature": False})
    assert user["app_metadata"] == {"provider": "email", "providers": ["email"]} == claims["app_metadata"]
    assert (user["role"], user["aud"], user["email"]) == ("authenticated", "authenticated", NEW)
    assert (claims["role"], claims["sub"]) == ("authenticated", user["id"])
    me = await site.http.get(
        f"{site.url}/api/v1/me", headers={"Authorization": f"Bearer {session['access_token']}"}
    )
    assert me.json()["is_admin"] is False
    assert me.json()["profile"]["plant_id"] == str(site.world.plant["Columbus, OH"])
    assert len(me.json()["profile"]["first_name"]) <= 100


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ({"first_name": "x" * 9000}, 400), ({"first_name": "x" * 10_000_000}, 413), ({"a": "\0"}, 400),
        ([1], 400), ("text", 400), ({"a": "\ud800"}, 400),
    ],
)  # fmt: skip
async def test_too_much_or_what_cannot_be_kept_is_refused(site: Site, data: Any, status: int) -> None:
    body = json.dumps({"email": NEW, "password": OTHER, "data": data}).encode()
    answer = await site.ask("POST", "signup", content=body, headers={"Content-Type": "application/json"})
    assert refused(answer, status, "validation_failed")
    await site.service.later.drain()
    assert await site.owner("select count(*) from auth.users where email = $1", NEW) == 0


async def test_one_who_signs_up_with_anothers_address_gains_nothing(site: Site) -> None:
    await site.post(
        "signup", {"email": NEW, "password": "the attacker's own", "data": {"first_name": "Evil"}}
    )
    first = await site.mail(NEW)
    await site.post("signup", {"email": NEW, "password": OTHER})
    second = await site.mail(NEW)
    assert refused(
        await site.post("verify", {"type": "signup", "token_hash": first.token}), 403, "otp_expired"
    )
    done = await site.post("verify", {"type": "signup", "token_hash": second.token})
    assert done.json()["user"]["user_metadata"] == {"email_verified": True}
    for password in ("the attacker's own", OTHER):
        assert refused(await site.sign_in(NEW, password), 400, "invalid_credentials")


@pytest.mark.parametrize("way", ["recover", "otp", "invite"])
async def test_a_password_from_before_the_address_was_confirmed_is_none(site: Site, way: str) -> None:
    await site.post(
        "signup", {"email": NEW, "password": "the attacker's own", "data": {"first_name": "Evil"}}
    )
    await site.service.later.drain()
    kind = {"recover": "recovery", "otp": "magiclink", "invite": "invite"}[way]
    await site.post(way, {"email": NEW}, admin=way == "invite")
    mail = await site.mail(NEW)
    assert f"type={kind}" in mail.link
    assert (await site.post("verify", {"type": kind, "token_hash": mail.token})).status_code == 200
    assert refused(await site.sign_in(NEW, "the attacker's own"), 400, "invalid_credentials")


async def test_whoever_signs_up_where_somebody_is_invited_changes_nothing(site: Site) -> None:
    await site.post("invite", {"email": NEW, "data": {"first_name": "Nia"}}, admin=True)
    mail = await site.mail(NEW)
    await site.post(
        "signup", {"email": NEW, "password": "the attacker's own", "data": {"first_name": "Evil"}}
    )
    assert (await site.mail(NEW)).token == mail.token
    done = await site.post("verify", {"type": "invite", "token_hash": mail.token})
    assert done.json()["user"]["user_metadata"]["first_name"] == "Nia"
    assert refused(await site.sign_in(NEW, "the attacker's own"), 400, "invalid_credentials")
