"""The admin routes, and what the tokens of who is gone still open: nothing."""

import jwt
import pytest

from tests.auth.service.site import NEW, OTHER, Site, refresh, refused, session_of
from tests.web.served import is_problem

ADMIN = [
    ("POST", "invite"), ("POST", "admin/generate_link"), ("POST", "admin/users"), ("GET", "admin/users"),
    ("GET", "admin/users/{id}"), ("PUT", "admin/users/{id}"), ("DELETE", "admin/users/{id}"),
    ("GET", "admin/users/{id}/factors"), ("DELETE", "admin/users/{id}/factors/{id}"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ADMIN)
async def test_admin_routes_open_to_the_secret_key_alone(site: Site, method: str, path: str) -> None:
    address = path.format(id=site.world.person["ana"])
    hr = (await session_of(site, "hana@example.com"))["access_token"]
    claims = {**jwt.decode(hr, options={"verify_signature": False}), "role": "service_role"}
    forged = jwt.encode(claims, "x" * 32, algorithm="HS256")
    own = jwt.encode(
        claims, site.ring.current.private, algorithm="ES256", headers={"kid": site.ring.current.key_id}
    )
    for bearer, status, code in (
        (None, 401, "no_authorization"), (site.ring.publishable_key, 403, "not_admin"), (hr, 403, "not_admin"),
        (forged, 403, "bad_jwt"), (own, 403, "bad_jwt"), (site.ring.secret_key[:-1] + "x", 403, "bad_jwt"),
        ("x", 403, "bad_jwt"),
    ):  # fmt: skip
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        body = None if method == "GET" else {"email": NEW}
        answer = await site.http.request(method, address, headers=headers, json=body)
        assert refused(answer, status, code)
    # The key beside somebody's token: it asks as that person.
    headers = {"apikey": site.ring.secret_key, "Authorization": f"Bearer {hr}"}
    assert refused(await site.http.request(method, address, headers=headers), 403, "not_admin")
    assert await site.owner("select count(*) from auth.users where email = $1", NEW) == 0


@pytest.mark.parametrize(
    ("way", "code"),
    [("ban", "user_banned"), ("soft", "user_not_found"), ("suspend", "user_banned"), ("password", "session_not_found")],
)  # fmt: skip
async def test_the_token_of_who_is_gone_opens_nothing(site: Site, way: str, code: str) -> None:
    session = await session_of(site)
    ana = site.world.person["ana"]
    match way:
        case "ban":
            await site.ask("PUT", f"admin/users/{ana}", admin=True, json={"ban_duration": "1h"})
        case "soft":
            body = {"should_soft_delete": True}
            answer = await site.ask("DELETE", f"admin/users/{ana}", admin=True, json=body)
            assert answer.status_code == 200, answer.text
        case "suspend":
            await site.owner("update profiles set status = 'suspended' where id = $1", ana)
        case "password":
            await site.ask("PUT", f"admin/users/{ana}", admin=True, json={"password": OTHER})
    token = session["access_token"]
    for method, path in (("GET", "user"), ("PUT", "user"), ("POST", "logout"), ("POST", "factors")):
        assert refused(await site.ask(method, path, token=token), 403, code)
    headers = {"Authorization": f"Bearer {token}"}
    assert (await site.http.get(f"{site.url}/api/v1/me", headers=headers)).status_code in {401, 403}
    assert (await refresh(site, session["refresh_token"]))[0] == 400


async def test_who_has_a_record_cannot_be_deleted_without_trace(site: Site) -> None:
    await session_of(site)
    answer = await site.ask("DELETE", f"admin/users/{site.world.person['ana']}", admin=True)
    assert is_problem(answer, 409)
    await session_of(site)


@pytest.mark.parametrize("token", ["x", "a.b.c", "sb_publishable_x", "e30.e30.e30"])
async def test_what_is_no_token_opens_nothing(site: Site, token: str) -> None:
    answer = await site.http.get("user", headers={"Authorization": f"Bearer {token}"})
    assert refused(answer, 403, "bad_jwt")
    assert refused(await site.http.get("user"), 401, "no_authorization")
