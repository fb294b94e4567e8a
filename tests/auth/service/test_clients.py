"""Supabase's own clients against the local service over HTTP: each line in Python, and in JavaScript.

The JavaScript is in tests/clients/lines.mjs, under the same names.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp
import pytest
from supabase import AsyncClient, AsyncClientOptions, acreate_client
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError

from tests.auth.service.site import Site
from tests.web.served import PASSWORD

ANA, NEW = "ana@example.com", "new@example.com"
OTHER = "another good one"


@asynccontextmanager
async def client(site: Site, key: str | None = None) -> AsyncIterator[AsyncClient]:
    """A client that keeps its session to itself."""
    async with httpx.AsyncClient(timeout=60) as http:
        options = AsyncClientOptions(auto_refresh_token=False, persist_session=False, httpx_client=http)
        yield await acreate_client(site.url, key or site.ring.publishable_key, options)


@asynccontextmanager
async def refused(code: str, status: int | None = None) -> AsyncIterator[None]:
    with pytest.raises((AuthApiError, AuthWeakPasswordError)) as caught:
        yield
    assert caught.value.code == code
    assert status in {None, caught.value.status}


async def ana(mine: AsyncClient, password: str = PASSWORD) -> Any:
    return (await mine.auth.sign_in_with_password({"email": ANA, "password": password})).session


async def sign_up(site: Site) -> None:
    async with client(site) as mine:
        made = await mine.auth.sign_up(
            {"email": NEW, "password": OTHER, "options": {"data": {"first_name": "Nia"}}}
        )
        assert made.session is None
        assert made.user is not None
        assert (made.user.email, made.user.user_metadata["first_name"]) == (NEW, "Nia")
        async with refused("email_not_confirmed", 400):
            await mine.auth.sign_in_with_password({"email": NEW, "password": OTHER})
        mail = await site.mail(NEW)
        done = await mine.auth.verify_otp({"token_hash": mail.token, "type": "signup"})
        assert done.session is not None
        assert done.user is not None
        assert done.user.email_confirmed_at is not None
        again = await mine.auth.sign_in_with_password({"email": NEW, "password": OTHER})
        assert again.user is not None
        assert again.user.id == done.user.id


async def weak_password(site: Site) -> None:
    async with client(site) as mine, refused("weak_password", 422):
        await mine.auth.sign_up({"email": NEW, "password": "short"})


async def sign_in(site: Site) -> None:
    async with client(site) as mine:
        session = await ana(mine)
        assert session.user.email == ANA
        assert session.token_type == "bearer"
        assert session.expires_in == 3600


async def wrong_password(site: Site) -> None:
    async with client(site) as mine:
        for email, password in ((ANA, "wrong"), ("never@example.com", PASSWORD)):
            async with refused("invalid_credentials", 400):
                await mine.auth.sign_in_with_password({"email": email, "password": password})


async def refresh(site: Site) -> None:
    async with client(site) as mine:
        first = await ana(mine)
        second = (await mine.auth.refresh_session()).session
        assert second is not None
        assert second.refresh_token != first.refresh_token
        assert second.user is not None
        assert second.user.id == first.user.id
        # Whoever could not keep the answer asks once more.
        again = (await mine.auth.refresh_session(first.refresh_token)).session
        assert again is not None
        assert again.refresh_token == second.refresh_token


async def refresh_reuse(site: Site) -> None:
    async with client(site) as mine:
        first = await ana(mine)
        for _ in range(2):
            await mine.auth.refresh_session()
        last = await mine.auth.get_session()
        assert last is not None
        async with refused("refresh_token_already_used", 400):
            await mine.auth.refresh_session(first.refresh_token)
        # It is in two hands, so the session is over for both.
        async with refused("refresh_token_not_found", 400):
            await mine.auth.refresh_session(last.refresh_token)
        async with refused("session_not_found", 403):
            await mine.auth.get_user(last.access_token)


async def user(site: Site) -> None:
    async with client(site) as mine, client(site) as elsewhere:
        await ana(mine)
        other = await ana(elsewhere)
        found = await mine.auth.get_user()
        assert found is not None
        assert found.user.email == ANA
        changed = await mine.auth.update_user({"data": {"color": "green", "size": 3}})
        assert changed.user.user_metadata["color"] == "green"
        changed = await mine.auth.update_user({"data": {"size": None}})
        assert changed.user.user_metadata["color"] == "green"
        assert "size" not in changed.user.user_metadata
        async with refused("same_password", 422):
            await mine.auth.update_user({"password": PASSWORD})
        async with refused("weak_password", 422):
            await mine.auth.update_user({"password": "short"})
        await mine.auth.update_user({"password": OTHER})
        async with refused("session_not_found", 403):
            await elsewhere.auth.get_user(other.access_token)
        assert await mine.auth.get_user() is not None
        await ana(elsewhere, OTHER)


async def sign_out(site: Site) -> None:
    async with client(site) as one, client(site) as two, client(site) as three:
        tokens = [(await ana(mine)).access_token for mine in (one, two, three)]

        async def standing() -> list[bool]:
            answers = [await site.ask("GET", "user", token=token) for token in tokens]
            return [answer.status_code == 200 for answer in answers]

        await one.auth.sign_out({"scope": "local"})
        assert await standing() == [False, True, True]
        await two.auth.sign_out({"scope": "others"})
        assert await standing() == [False, True, False]
        tokens.append((await ana(one)).access_token)
        await two.auth.sign_out({"scope": "global"})
        assert await standing() == [False] * 4


async def recover(site: Site) -> None:
    async with client(site) as mine:
        await mine.auth.reset_password_for_email(ANA)
        mail = await site.mail(ANA)
        done = await mine.auth.verify_otp({"token_hash": mail.token, "type": "recovery"})
        assert done.session is not None
        await mine.auth.update_user({"password": OTHER})
        await ana(mine, OTHER)
        async with refused("otp_expired", 403):
            await mine.auth.verify_otp({"token_hash": mail.token, "type": "recovery"})
        await mine.auth.reset_password_for_email(ANA)
        digits = (await site.mail(ANA)).digits
        done = await mine.auth.verify_otp({"email": ANA, "token": digits, "type": "recovery"})
        assert done.session is not None


async def otp(site: Site) -> None:
    async with client(site) as mine:
        await mine.auth.sign_in_with_otp({"email": ANA})
        digits = (await site.mail(ANA)).digits
        done = await mine.auth.verify_otp({"email": ANA, "token": digits, "type": "email"})
        assert done.user is not None
        assert done.user.email == ANA
        await mine.auth.sign_in_with_otp({"email": NEW})  # sign-up is on
        done = await mine.auth.verify_otp(
            {"email": NEW, "token": (await site.mail(NEW)).digits, "type": "email"}
        )
        assert done.user is not None
        assert done.user.email == NEW


async def resend(site: Site) -> None:
    async with client(site) as mine:
        await mine.auth.sign_up({"email": NEW, "password": OTHER})
        first = await site.mail(NEW)
        await mine.auth.resend({"type": "signup", "email": NEW})
        second = await site.mail(NEW)
        assert second.token != first.token
        async with refused("otp_expired", 403):
            await mine.auth.verify_otp({"token_hash": first.token, "type": "signup"})
        await mine.auth.verify_otp({"token_hash": second.token, "type": "signup"})


async def pkce(site: Site) -> None:
    async with client(site) as mine:
        await mine.auth.reset_password_for_email(ANA, {"redirect_to": f"{site.url}/account"})
        mail = await site.mail(ANA)
        assert mail.link.endswith("&next=/account")
        query = {"token": mail.token, "type": "recovery", "redirect_to": f"{site.url}/account"}
        answer = await site.ask("GET", "verify", params=query)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith(f"{site.url}/account?code=")
        code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
        done = await mine.auth.exchange_code_for_session({"auth_code": code})  # type: ignore[typeddict-item]
        assert done.user is not None
        assert done.user.email == ANA
        async with refused("flow_state_not_found", 404):
            await mine.auth.exchange_code_for_session({"auth_code": code, "code_verifier": "x" * 50})  # type: ignore[typeddict-item]


async def invite(site: Site) -> None:
    async with client(site, site.ring.secret_key) as admin, client(site) as mine:
        made = await admin.auth.admin.invite_user_by_email(NEW, {"data": {"first_name": "Nia"}})
        assert made.user.invited_at is not None
        assert made.user.email_confirmed_at is None
        mail = await site.mail(NEW)
        assert mail.link.startswith(f"{site.url}/auth/confirm?token_hash=")
        assert mail.link.endswith("&type=invite")
        done = await mine.auth.verify_otp({"token_hash": mail.token, "type": "invite"})
        assert done.user is not None
        assert (done.user.id, done.user.user_metadata["first_name"]) == (made.user.id, "Nia")
        await mine.auth.update_user({"password": OTHER})
        await mine.auth.sign_in_with_password({"email": NEW, "password": OTHER})
        async with refused("email_exists", 422):
            await admin.auth.admin.invite_user_by_email(NEW)


async def admin(site: Site) -> None:
    async with client(site, site.ring.secret_key) as server, client(site) as mine:
        made = await server.auth.admin.create_user(
            {"email": NEW, "password": OTHER, "email_confirm": True, "user_metadata": {"a": 1},
             "app_metadata": {"b": 2}}
        )  # fmt: skip
        account = made.user.id
        assert made.user.app_metadata == {"provider": "email", "providers": ["email"], "b": 2}
        async with refused("email_exists", 422):
            await server.auth.admin.create_user({"email": NEW, "password": OTHER})
        found = await server.auth.admin.list_users(page=1, per_page=3)
        assert len(found) == 3
        assert found[0].id == account
        assert (await server.auth.admin.get_user_by_id(account)).user.email == NEW
        changed = await server.auth.admin.update_user_by_id(
            account, {"app_metadata": {"b": None, "c": 3}, "email": "newer@example.com"}
        )
        assert changed.user.app_metadata == {"provider": "email", "providers": ["email"], "c": 3}
        newer = {"email": "newer@example.com", "password": OTHER}
        session = (await mine.auth.sign_in_with_password(newer)).session  # type: ignore[arg-type]
        assert session is not None
        await server.auth.admin.update_user_by_id(account, {"ban_duration": "24h"})
        async with refused("user_banned", 403):
            await mine.auth.get_user(session.access_token)
        async with refused("user_banned", 400):
            await mine.auth.sign_in_with_password(newer)  # type: ignore[arg-type]
        await server.auth.admin.update_user_by_id(account, {"ban_duration": "none"})
        await mine.auth.sign_in_with_password(newer)  # type: ignore[arg-type]
        await server.auth.admin.delete_user(account, should_soft_delete=True)
        async with refused("invalid_credentials", 400):
            await mine.auth.sign_in_with_password(newer)  # type: ignore[arg-type]
        await server.auth.admin.delete_user(account)
        async with refused("user_not_found", 404):
            await server.auth.admin.get_user_by_id(account)
        async with refused("not_admin", 403):
            await mine.auth.admin.list_users()


async def generate_link(site: Site) -> None:
    async with client(site, site.ring.secret_key) as server, client(site) as mine:
        made = await server.auth.admin.generate_link({"type": "magiclink", "email": ANA})
        assert made.properties.verification_type == "magiclink"
        assert made.user.email == ANA
        done = await mine.auth.verify_otp({"token_hash": made.properties.hashed_token, "type": "magiclink"})
        assert done.session is not None
        made = await server.auth.admin.generate_link({"type": "recovery", "email": ANA})
        answer = await site.http.get(made.properties.action_link)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith(f"{site.url}#access_token=")
        assert await site.mails(ANA) == []


async def change_email(site: Site) -> None:
    async with client(site) as mine:
        await ana(mine)
        waiting = await mine.auth.update_user({"email": "ana.b@example.com"})
        assert (waiting.user.email, waiting.user.new_email) == (ANA, "ana.b@example.com")
        old, new = await site.mail(ANA), await site.mail("ana.b@example.com")
        half = await mine.auth.verify_otp({"token_hash": new.token, "type": "email_change"})
        assert half.session is None
        await ana(mine)  # as yet, the present one counts
        done = await mine.auth.verify_otp({"token_hash": old.token, "type": "email_change"})
        assert done.user is not None
        assert done.user.email == "ana.b@example.com"
        async with refused("email_exists", 422):
            await mine.auth.update_user({"email": "bo@example.com"})


async def reauthenticate(site: Site) -> None:
    async with client(site) as mine:
        await ana(mine)
        await mine.auth.reauthenticate()
        digits = (await site.mail(ANA)).digits
        async with refused("reauthentication_not_valid", 422):
            await mine.auth.update_user({"password": OTHER, "nonce": f"{(int(digits) + 1) % 1_000_000:06}"})
        await mine.auth.update_user({"password": OTHER, "nonce": digits})
        await ana(mine, OTHER)


async def totp(site: Site) -> None:
    async with client(site) as mine, client(site) as elsewhere:
        await ana(mine)
        other = await ana(elsewhere)
        made = await mine.auth.mfa.enroll({"factor_type": "totp", "friendly_name": "phone", "issuer": "Us"})
        assert made.totp is not None
        assert made.totp.qr_code.startswith("data:image/svg+xml;utf-8,<svg ")
        assert "#" not in made.totp.qr_code
        assert made.totp.uri.startswith("otpauth://totp/")
        code = pyotp.TOTP(made.totp.secret).now()
        waiting = await mine.auth.mfa.challenge({"factor_id": made.id})
        wrong = f"{(int(code) + 1) % 1_000_000:06}"
        async with refused("mfa_verification_failed", 422):
            await mine.auth.mfa.verify({"factor_id": made.id, "challenge_id": waiting.id, "code": wrong})
        await mine.auth.mfa.verify({"factor_id": made.id, "challenge_id": waiting.id, "code": code})
        level = await mine.auth.mfa.get_authenticator_assurance_level()
        assert (level.current_level, level.next_level) == ("aal2", "aal2")
        assert {one.method for one in level.current_authentication_methods} == {"password", "totp"}
        listed = await mine.auth.mfa.list_factors()
        assert [one.id for one in listed.totp] == [made.id]
        # What was begun with one factor before is over; and one alone is not enough any more.
        async with refused("session_not_found", 403):
            await elsewhere.auth.get_user(other.access_token)
        await ana(elsewhere)
        level = await elsewhere.auth.mfa.get_authenticator_assurance_level()
        assert (level.current_level, level.next_level) == ("aal1", "aal2")
        async with refused("insufficient_aal", 401):
            await elsewhere.auth.update_user({"password": OTHER})
        async with refused("insufficient_aal", 422):
            await elsewhere.auth.mfa.unenroll({"factor_id": made.id})
        await mine.auth.mfa.unenroll({"factor_id": made.id})
        renewed = (await mine.auth.refresh_session()).session
        assert renewed is not None
        level = await mine.auth.mfa.get_authenticator_assurance_level()
        assert (level.current_level, level.next_level) == ("aal1", "aal1")


async def admin_factors(site: Site) -> None:
    async with client(site, site.ring.secret_key) as server, client(site) as mine:
        session = await ana(mine)
        made = await mine.auth.mfa.enroll({"factor_type": "totp", "friendly_name": "phone"})
        about = {"user_id": session.user.id}
        listed = await server.auth.admin.mfa.list_factors(about)  # type: ignore[arg-type]
        assert [one.id for one in listed] == [made.id]
        await server.auth.admin.mfa.delete_factor({**about, "id": made.id})  # type: ignore[typeddict-item]
        assert (await server.auth.admin.mfa.list_factors(about)) == []  # type: ignore[arg-type]


async def get_claims(site: Site) -> None:
    async with client(site) as mine:
        session = await ana(mine)
        said = await mine.auth.get_claims()
        assert said is not None
        assert said["headers"]["alg"] == "ES256"
        assert said["claims"]["sub"] == session.user.id
        assert said["claims"]["aal"] == "aal1"


LINES: list[Callable[[Site], Awaitable[None]]] = [
    sign_up, weak_password, sign_in, wrong_password, refresh, refresh_reuse, user, sign_out, recover, otp, resend,
    pkce, invite, admin, generate_link, change_email, reauthenticate, totp, admin_factors, get_claims,
]  # fmt: skip


@pytest.fixture(autouse=True)
def no_grace(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refresh token that was used is one at once, not after ten seconds."""
    if "refresh_reuse" in request.node.name:
        monkeypatch.setattr("specchem.auth.service.sessions.REUSE", timedelta(0))


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.__name__)
async def test_the_python_client(site: Site, line: Callable[[Site], Awaitable[None]]) -> None:
    await line(site)


@pytest.mark.parametrize("line", [line.__name__ for line in LINES])
async def test_the_javascript_client(site: Site, line: str) -> None:
    await site.javascript(line)
