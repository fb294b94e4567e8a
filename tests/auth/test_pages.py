"""Signing in and out as pages: what each form does, what it says when it does not, and where it leads."""

import re
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

import httpx
import pyotp
import pytest

from specchem.auth import door as doors
from specchem.auth.door import Rate
from specchem.auth.sessions import Session
from tests.auth.mailbox import Mailbox
from tests.conftest import Cluster
from tests.web.conftest import own, served
from tests.web.served import PASSWORD, Served, serving
from tests.web.visiting import Tab, crumbs, field, goes_to, is_cleared, is_page, kept, visiting, words

__all__ = ["own", "served"]

HAZMAT = "/courses/function-specific-hazmat"
NEW = "a quite new password"
ELSEWHERE = [
    "//evil.example",
    "https://evil.example",
    "/\\evil.example",
    "javascript:alert(1)",
    "/login",
    "\0",
]


async def identity(served: Served, session: Session | None) -> tuple[UUID, str]:
    """Whose session it is, and of how many factors."""
    assert session is not None
    found = (await served.app.state.tokens.verify(session.access_token)).identity
    return found.user_id, found.aal


async def follow(tab: Tab, link: str, **more: str) -> httpx.Response:
    """Open a mailed link, and press its one button."""
    page = await tab.get(link)
    assert is_page(page, 200)
    assert page.text.partition("</main>")[0].count("<button") == 1
    sent = {**dict(parse_qsl(urlsplit(link).query)), **more}
    return await tab.send("/auth/confirm", *sent.items())


async def choose(tab: Tab, new: str, *fields: tuple[str, str], again: str | None = None) -> httpx.Response:
    return await tab.send("/password", ("password", new), ("again", new if again is None else again), *fields)


async def sessions(served: Served, who: str) -> int:
    found: int = await served.owner(
        "select count(*) from auth.sessions where user_id = $1", served.world.person[who]
    )
    return found


# ------------------------------------------------------------------------------------------------ signing in


@pytest.mark.parametrize("public_url", [None, "https://training.example"], ids=["plain", "https"])
async def test_cookies_stay_out_of_reach(cluster: Cluster, public_url: str | None) -> None:
    more: dict[str, Any] = {} if public_url is None else {"public_url": public_url}
    async with serving(await cluster.copy(), cluster.world, **more) as served, visiting(served) as tab:
        tab.client.base_url = httpx.URL(public_url or "http://test")
        form = await tab.get("/login")
        tab.csrf = field(form, "_csrf_token")
        for answer in (form, await tab.sign_in("ana"), await tab.send("/logout")):
            found = crumbs(answer)
            assert found
            for cookie in found.values():
                assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "lax", "/")
                assert cookie["domain"] == ""
                assert bool(cookie["secure"]) is (public_url is not None)


async def test_signing_out_ends_the_session_and_takes_the_cookies_back(own: Served) -> None:
    async with visiting(own) as tab:
        assert goes_to(await tab.sign_in("ana"), "/")
        held = tab.session
        assert held is not None
        assert await sessions(own, "ana") == 1
        answer = await tab.send("/logout")
        assert goes_to(answer, "/login")
        assert is_cleared(own, answer)
        assert await sessions(own, "ana") == 0
        assert goes_to(await tab.get("/"), "/login")
        assert goes_to(await tab.send("/logout"), "/login")  # once more does no harm
        tab.hold(held)  # whoever kept a copy has nothing
        answer = await tab.get(HAZMAT)
        assert goes_to(answer, f"/login?next={HAZMAT}")
        assert is_cleared(own, answer)


async def test_signing_out_here_leaves_other_devices_alone(own: Served) -> None:
    async with visiting(own) as here, visiting(own) as there:
        await here.sign_in("ana")
        await there.sign_in("ana")
        await here.send("/logout")
        assert is_page(await there.get("/"), 200)


async def test_a_sign_in_is_a_new_session_whatever_was_in_the_cookies(own: Served) -> None:
    """Nobody can put a session into somebody's browser and wait for them to sign in to it."""
    async with visiting(own) as attacker, visiting(own) as tab:
        await attacker.sign_in("bo")
        planted = attacker.session
        assert planted is not None
        tab.hold(planted)
        assert goes_to(await tab.sign_in("ana"), "/")
        mine = tab.session
        assert mine is not None
        assert (await identity(own, mine))[0] == own.world.person["ana"]
        assert {mine.access_token, mine.refresh_token}.isdisjoint(
            {planted.access_token, planted.refresh_token}
        )
        assert "Bo Test" in (await attacker.get("/")).text
        again = await tab.sign_in("ana")
        fresh = kept(own, again)
        assert fresh is not None
        assert fresh.refresh_token != mine.refresh_token


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("banned_until = now() + interval '1 day'", "This account is closed. Ask your HR team."),
        (
            "email_confirmed_at = null",
            "This address is not confirmed yet; follow the link in the mail we sent.",
        ),
    ],
)
async def test_who_knows_the_password_is_told_why_not(own: Served, change: str, sentence: str) -> None:
    await own.owner(f"update auth.users set {change} where id = $1", own.world.person["ana"])
    async with visiting(own) as tab:
        answer = await tab.sign_in("ana")
        assert is_page(answer, 400)
        assert sentence in words(answer)
        assert tab.session is None
        assert "do not go together" in words(await tab.sign_in("ana", password="wrong"))


async def test_a_failed_sign_in_signs_nobody_out(own: Served) -> None:
    async with visiting(own) as tab:
        await tab.sign_in("ana")
        before = tab.session
        assert is_page(await tab.sign_in("bo", password="wrong"), 400)
        assert tab.session == before
        assert is_page(await tab.get("/"), 200)


async def test_sign_ins_and_failures_go_on_record_with_the_visitors_address(own: Served) -> None:
    async with visiting(own) as tab:
        transport: Any = tab.client._transport
        address = transport.client[0]
        await tab.sign_in("ana", password="wrong")
        await tab.sign_in("ana")
        for action in ("sign_in_failed", "sign_in"):
            found = await own.owner(
                "select array_agg(host(ip_address)) from audit_events where action = $1 and subject_id = $2",
                action, own.world.person["ana"],
            )  # fmt: skip
            assert found == [address], action
        await tab.sign_in("nobody-of-ours", password=PASSWORD)
        assert await own.owner("select count(*) from audit_events where action = 'sign_in_failed'") == 2


# ------------------------------------------------------------------------------------------------ too many tries

COUNTED: dict[str, tuple[doors.What, list[tuple[str, str]]]] = {
    "/login": ("password", [("email", "bo@example.com"), ("password", "wrong")]),
    "/forgot-password": ("mail", [("email", "bo@example.com")]),
    "/auth/confirm": ("code", [("type", "recovery"), ("token_hash", "0" * 56)]),
    "/password": ("user", [("current", "wrong"), ("password", NEW), ("again", NEW)]),
    "/account/sign-out-everywhere": ("user", []),
    "/two-factor/set-up": ("user", []),
    "/two-factor": ("factor", [("code", "000000")]),
    "/two-factor/remove": ("factor", [("code", "000000")]),
    "/two-factor/confirm": ("factor", [("code", "000000"), ("factor", str(UUID(int=1))),
                                       ("uri", f"otpauth://totp/x?secret={'A' * 32}")]),
}  # fmt: skip


@pytest.mark.parametrize("path", COUNTED)
async def test_too_many_tries_are_told_on_the_form(
    own: Served, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    what, fields = COUNTED[path]
    async with visiting(own) as tab:
        await tab.sign_in("ana")
        if path in {"/two-factor", "/two-factor/remove"}:
            await turn_on(tab)
        monkeypatch.setitem(doors.OF_ADDRESS, what, Rate(1, 600))
        await own.owner("with gone as (delete from specchem.tries returning 1) select count(*) from gone")
        session = tab.session
        await tab.send(path, *fields)
        if session is not None:
            tab.hold(session)  # had it been a success
        if path == "/account/sign-out-everywhere":
            await tab.sign_in("ana")
        answer = await tab.send(path, *fields)
        assert is_page(answer, 429)
        assert re.search(r"Too many tries\. Wait \d+ minutes and try again\.", words(answer))
        # Whoever counts, waits.
        assert path == "/account/sign-out-everywhere" or int(answer.headers["retry-after"]) > 100


async def test_guesses_are_counted_by_account_wherever_they_come_from(own: Served) -> None:
    for number in range(12):
        async with visiting(own) as tab:  # each from an address of its own
            answer = await tab.sign_in("ana", password=f"guess {number}")
            assert answer.status_code == (400 if number < 10 else 429)
    async with visiting(own) as tab:
        assert is_page(await tab.sign_in("ana"), 429)
        assert goes_to(await tab.sign_in("bo"), "/")
    assert await own.owner("select count(*) from audit_events where action = 'sign_in_failed'") == 10


# ------------------------------------------------------------------------------------------------ forgotten


async def test_every_address_gets_the_same_answer(own: Served) -> None:
    post, asked = Mailbox(), ("ana@example.com", "nobody@example.com", "sue@example.com", "ANA@Example.com")
    seen = set()
    for who in asked:
        async with visiting(own) as tab:
            answer = await tab.send("/forgot-password", ("email", who))
            assert is_page(answer, 200)
            seen.add(words(answer).replace(who, "…"))
            assert len(crumbs(answer)) == 0
    assert len(seen) == 1
    assert "a mail with a link is on its way" in seen.pop()
    await post.link("ana@example.com")
    assert not [mail for _, mail in post.new() if "nobody@" in str(mail["To"])]


@pytest.mark.parametrize("typed", ["", "ana", "a@" + "b" * 300, "a@b\0", '"><script>@x'])
async def test_what_is_no_address_is_asked_for_again_or_answered_alike(served: Served, typed: str) -> None:
    async with visiting(served) as tab:
        answer = await tab.send("/forgot-password", ("email", typed))
        assert answer.status_code in {200, 400}
        assert "<script>@" not in answer.text
        assert answer.status_code == 400 or "is on its way" in words(answer)


async def test_a_forgotten_password_is_replaced_by_the_mails_link(own: Served) -> None:
    post = Mailbox()
    async with visiting(own) as elsewhere, visiting(own) as tab:
        await elsewhere.sign_in("ana")
        await tab.send("/forgot-password", ("email", "ana@example.com"))
        link = await post.link("ana@example.com")
        for _ in range(3):  # by programs that look through mail
            assert is_page(await tab.get(link), 200)
            assert (await tab.client.head(link)).status_code in {200, 405}
        assert tab.session is None
        assert goes_to(await follow(tab, link), "/password")
        assert (await identity(own, tab.session))[0] == own.world.person["ana"]

        form = await tab.get("/password")
        assert is_page(form, 200)
        assert 'name="current"' not in form.text
        assert goes_to(await choose(tab, NEW), "/")
        assert is_page(await tab.get("/"), 200)

        # Whoever was signed in by the old password is not any more.
        assert (await elsewhere.get("/")).status_code == 303
    async with visiting(own) as tab:
        assert is_page(await tab.sign_in("ana"), 400)
        assert goes_to(await tab.sign_in("ana", password=NEW), "/")
        # And the link has done its work.
        tab.drop()
        answer = await follow(tab, link)
        assert is_page(answer, 400)
        assert "It was used before, it is too old, or a part of it is missing." in words(answer)
        assert 'href="/forgot-password"' in answer.text
        assert tab.session is None


@pytest.mark.parametrize(
    "kind", ["recovery", "invite", "signup", "magiclink", "email_change", "nonsense", ""]
)
async def test_a_link_that_does_not_work_says_so_and_how_to_get_another(served: Served, kind: str) -> None:
    async with visiting(served) as tab:
        for token in ("0" * 56, "", "x", "' or 1=1 --", "é" * 56, "0" * 900):
            answer = await tab.send("/auth/confirm", ("type", kind), ("token_hash", token))
            assert is_page(answer, 400)
            assert "This link does not work" in words(answer)
            assert re.search(r'href="/(login|forgot-password)"', answer.text)
            assert tab.session is None
            form = await tab.get(f"/auth/confirm?{urlencode({'type': kind, 'token_hash': token})}")
            assert form.status_code in {200, 400}
        assert is_page(await tab.get("/auth/confirm"), 400)


async def test_an_expired_link_does_not_work(own: Served) -> None:
    post = Mailbox()
    async with visiting(own) as tab:
        await tab.send("/forgot-password", ("email", "ana@example.com"))
        link = await post.link("ana@example.com")
        await own.owner("update auth.users set recovery_sent_at = now() - interval '2 hours' where id = $1",
                        own.world.person["ana"])  # fmt: skip
        await own.owner("update auth.one_time_tokens set created_at = now() - interval '2 hours'")
        assert is_page(await follow(tab, link), 400)


@pytest.mark.parametrize("next_", ELSEWHERE)
async def test_a_link_leads_to_no_other_site(own: Served, next_: str) -> None:
    post = Mailbox()
    async with visiting(own) as tab:
        await tab.send("/forgot-password", ("email", "ana@example.com"))
        link = await post.link("ana@example.com")
        page = await tab.get(f"{link}&{urlencode({'next': next_})}")
        assert field(page, "next") == "/"
        assert goes_to(await follow(tab, link, next=next_), "/password")
        assert goes_to(await choose(tab, NEW, ("next", next_)), "/")


# ------------------------------------------------------------------------------------------------ other links


async def test_an_invitation_is_accepted(own: Served) -> None:
    post = Mailbox()
    await own.owner(
        "insert into invitations (email, plant_id, first_name, last_name) values ('new@example.com', $1, 'Nea', 'W')",
        own.world.plant["Columbus, OH"],
    )  # fmt: skip
    await own.app.state.visits.client.invite("new@example.com", {})
    link = await post.link("new@example.com")
    async with visiting(own) as tab:
        assert "You are invited" in words(await tab.get(link))
        assert goes_to(await follow(tab, link, next=HAZMAT), f"/password?next={HAZMAT}")
        form = await tab.get(f"/password?next={HAZMAT}")
        assert 'value="new@example.com"' in form.text
        assert goes_to(await choose(tab, NEW, ("next", field(form, "next"))), HAZMAT)
        assert "Nea W" in (await tab.get("/")).text
        assert "ask whoever invited you" in words(await follow(tab, link))
    async with visiting(own) as tab:
        assert goes_to(await tab.sign_in("new", password=NEW), "/")


async def test_a_link_instead_of_a_password_signs_in(own: Served) -> None:
    post = Mailbox()
    await own.auth.post("/auth/v1/otp", json={"email": "ana@example.com", "create_user": False})
    link = await post.link("ana@example.com")
    async with visiting(own) as tab:
        assert goes_to(await follow(tab, link, next=HAZMAT), HAZMAT)
        assert is_page(await tab.get(HAZMAT), 200)


async def test_a_change_of_address_takes_both_mails(own: Served) -> None:
    post = Mailbox()
    token = await own.token("ana")
    await own.app.state.visits.client.update_user(token, email="anna@example.com")
    old, new = await post.link("ana@example.com"), await post.link("anna@example.com")
    async with visiting(own) as tab:
        half = await follow(tab, old)
        assert is_page(half, 200)
        assert "One more link" in words(half)
        assert tab.session is None
        assert goes_to(await follow(tab, new), "/")
        assert "anna@example.com" in (await tab.get("/account")).text


# ------------------------------------------------------------------------------------------------ the password


@pytest.mark.parametrize(
    ("new", "again", "sentence"),
    [
        ("1234567", None, "Choose a password of 8 characters or more."),
        ("", None, "Choose a password of 8 characters or more."),
        ("x" * 73, None, "at most 72"),
        ("é" * 37, None, "at most 72"),
        ("x" * 5000, None, "Choose a password of 8 characters or more."),
        (NEW, NEW + "!", "The two passwords are not the same."),
        (NEW, "", "The two passwords are not the same."),
        (PASSWORD, None, "This is your password already."),
    ],
)
async def test_a_password_that_will_not_do_is_refused_in_words(
    own: Served, new: str, again: str | None, sentence: str
) -> None:
    async with visiting(own) as tab:
        await tab.sign_in("ana")
        answer = await choose(tab, new, ("current", PASSWORD), again=again)
        assert is_page(answer, 400)
        assert sentence in words(answer)
        assert not new or f'value="{new}"' not in answer.text
        assert is_page(await tab.get("/"), 200)
        assert await sessions(own, "ana") == 1
    async with visiting(own) as tab:
        assert goes_to(await tab.sign_in("ana"), "/")


@pytest.mark.parametrize("new", ["12345678", "x" * 72, "é" * 36, " spaces count ", "密码密码密码密码"])
async def test_who_is_signed_in_changes_the_password_by_showing_the_present_one(
    own: Served, new: str
) -> None:
    async with visiting(own) as elsewhere, visiting(own) as tab:
        await elsewhere.sign_in("ana")
        await tab.sign_in("ana")
        for wrong in ("", "wrong", PASSWORD.upper()):
            answer = await choose(tab, new, ("current", wrong))
            assert is_page(answer, 400)
            assert "This is not your present password." in words(answer)
        assert is_page(await elsewhere.get("/"), 200)
        answer = await choose(tab, new, ("current", PASSWORD))
        assert goes_to(answer, "/account?said=password")
        assert "Your password is changed." in words(await tab.get("/account?said=password"))
        assert (await elsewhere.get("/")).status_code == 303
        assert await sessions(own, "ana") == 1
    async with visiting(own) as tab:
        assert is_page(await tab.sign_in("ana"), 400)
        assert goes_to(await tab.sign_in("ana", password=new), "/")


async def test_a_link_followed_long_ago_is_no_password(own: Served) -> None:
    async with visiting(own) as tab:
        for method, ago, asked in (("otp", 60, False), ("otp", 3600, True), ("password", 60, True)):
            amr = [{"method": method, "timestamp": int(time.time()) - ago}]
            tab.hold(await own.forge("ana", amr=amr))
            assert ('name="current"' in (await tab.get("/password")).text) is asked
            if asked:
                assert is_page(await choose(tab, NEW), 400)


async def test_guesses_of_the_present_password_are_counted_and_on_record(own: Served) -> None:
    async with visiting(own) as tab:
        await tab.sign_in("ana")
        answers = [await choose(tab, NEW, ("current", f"guess {number}")) for number in range(11)]
        assert [answer.status_code for answer in answers] == [400] * 10 + [429]
    assert await own.owner("select count(*) from audit_events where action = 'sign_in_failed'") == 10


async def test_fields_tell_the_browser_what_they_are_for(own: Served) -> None:
    async with visiting(own) as tab:
        assert 'autocomplete="username"' in (await tab.get("/login")).text
        assert 'autocomplete="current-password"' in (await tab.get("/login")).text
        await tab.sign_in("ana")
        form = (await tab.get("/password")).text
        for what in ("username", "current-password", "new-password"):
            assert f'autocomplete="{what}"' in form


# ------------------------------------------------------------------------------------------------ the second factor


def secret_of(page: httpx.Response) -> str:
    return dict(parse_qsl(urlsplit(field(page, "uri").replace("&amp;", "&")).query))["secret"]


def code(secret: str, *, step: int = 0) -> str:
    """What the app shows; each code is good once, so a later use takes the next one."""
    return pyotp.TOTP(secret).at(int(time.time()) + 30 * step)


async def turn_on(tab: Tab, *fields: tuple[str, str]) -> str:
    """Set a second factor up; its secret."""
    page = await tab.send("/two-factor/set-up", *fields)
    assert is_page(page, 200)
    secret = secret_of(page)
    assert secret in words(page).replace(" ", "")
    assert 'src="data:image/svg+xml' in page.text
    same = (("factor", field(page, "factor")), ("uri", field(page, "uri").replace("&amp;", "&")))
    wrong = await tab.send("/two-factor/confirm", *same, ("code", "000000"), *fields)
    assert is_page(wrong, 400)
    assert "The code is not right." in words(wrong)
    assert secret_of(wrong) == secret
    answer = await tab.send("/two-factor/confirm", *same, ("code", f" {code(secret, step=-1)} "), *fields)
    assert answer.status_code == 303, words(answer)
    return secret


async def test_a_second_factor_is_set_up_asked_for_and_taken_away(own: Served) -> None:
    ana = own.world.person["ana"]
    async with visiting(own) as elsewhere, visiting(own) as tab:
        await elsewhere.sign_in("ana")
        await tab.sign_in("ana")
        assert is_page(await tab.get("/two-factor/set-up"), 200)
        secret = await turn_on(tab)
        assert await identity(own, tab.session) == (ana, "aal2")
        assert "takes a code from your app" in words(await tab.get("/account?said=two-factor"))
        assert is_page(await tab.get(HAZMAT), 200)
        # Whoever is signed in by password alone is so no more.
        assert (await elsewhere.get(HAZMAT)).status_code == 303

    async with visiting(own) as tab:
        assert goes_to(await tab.sign_in("ana", ("next", HAZMAT)), f"/two-factor?next={HAZMAT}")
        assert await identity(own, tab.session) == (ana, "aal1")
        assert goes_to(await tab.get("/company"), "/two-factor?next=/company")
        form = await tab.get(f"/two-factor?next={HAZMAT}")
        assert is_page(form, 200)
        for wrong in ("000000", "", "12345", "1234567", "abcdef", "１２３４５６", "0" * 500):
            answer = await tab.send("/two-factor", ("code", wrong), ("next", HAZMAT))
            if answer.status_code == 429:
                break
            assert is_page(answer, 400)
            assert "The code is not right." in words(answer)
            assert field(answer, "next") == HAZMAT
        assert await identity(own, tab.session) == (ana, "aal1")
        await own.owner("with gone as (delete from specchem.tries returning 1) select count(*) from gone")
        assert goes_to(await tab.send("/two-factor", ("code", code(secret)), ("next", HAZMAT)), HAZMAT)
        assert await identity(own, tab.session) == (ana, "aal2")
        assert is_page(await tab.get(HAZMAT), 200)
        assert goes_to(await tab.get(f"/two-factor?next={HAZMAT}"), HAZMAT)  # shown already

        assert is_page(await tab.get("/two-factor/remove"), 200)
        assert is_page(await tab.send("/two-factor/remove", ("code", "000000")), 400)
        assert goes_to(
            await tab.send("/two-factor/remove", ("code", code(secret, step=1))), "/account?said=removed"
        )
        assert await identity(own, tab.session) == (ana, "aal1")
        assert is_page(await tab.get("/"), 200)
    async with visiting(own) as tab:
        assert goes_to(await tab.sign_in("ana"), "/")
        assert is_page(await tab.get("/"), 200)


async def test_half_signed_in_nobody_gets_round_the_second_factor(own: Served) -> None:
    async with visiting(own) as tab:
        await tab.sign_in("ana")
        await turn_on(tab)
    async with visiting(own) as tab:
        await tab.sign_in("ana")
        assert goes_to(await tab.get("/account"), "/two-factor?next=/account")
        for path, fields in (
            ("/two-factor/set-up", []),
            ("/password", [("current", PASSWORD), ("password", NEW), ("again", NEW)]),
        ):
            answer = await tab.send(path, *fields)
            assert answer.status_code == 303
            assert answer.headers["location"] in {"/account", "/two-factor"}
        factor = await own.owner("select id from auth.mfa_factors")
        uri = f"otpauth://totp/x?secret={'A' * 32}"
        answer = await tab.send(
            "/two-factor/confirm", ("factor", str(factor)), ("uri", uri), ("code", code("A" * 32))
        )
        assert is_page(answer, 400)
        assert (await identity(own, tab.session))[1] == "aal1"
    async with visiting(own) as tab:
        assert is_page(await tab.sign_in("ana", password=NEW), 400)


async def test_after_a_forgotten_password_the_second_factor_is_asked_for_first(own: Served) -> None:
    post = Mailbox()
    async with visiting(own) as tab:
        await tab.sign_in("ana")
        secret = await turn_on(tab)
    async with visiting(own) as tab:
        await tab.send("/forgot-password", ("email", "ana@example.com"))
        assert goes_to(await follow(tab, await post.link("ana@example.com")), "/two-factor?next=/password")
        assert goes_to(await choose(tab, NEW), "/two-factor")
        assert goes_to(
            await tab.send("/two-factor", ("code", code(secret)), ("next", "/password")), "/password"
        )
        assert goes_to(await choose(tab, NEW), "/")


async def test_an_admin_who_needs_a_second_factor_sets_it_up_on_the_way(own: Served) -> None:
    await own.owner("update specchem.settings set admins_need_second_factor = true")
    async with visiting(own) as tab:
        assert goes_to(await tab.sign_in("max", ("next", "/company")), "/company")
        assert goes_to(await tab.get("/company"), "/two-factor?next=/company")
        assert goes_to(await tab.get("/two-factor?next=/company"), "/two-factor/set-up?next=/company")
        offer = await tab.get("/two-factor/set-up?next=/company")
        assert is_page(offer, 200)
        await turn_on(tab, ("next", field(offer, "next")))
        assert is_page(await tab.get("/company"), 200)
    async with visiting(own, "ana") as tab:
        assert is_page(await tab.get("/"), 200)  # who is none does not


async def test_a_set_up_begun_twice_leaves_nothing_behind(own: Served) -> None:
    async with visiting(own) as tab:
        await tab.sign_in("ana")
        first, second = [await tab.send("/two-factor/set-up") for _ in range(2)]
        assert secret_of(first) != secret_of(second)
        assert await own.owner("select count(*) from auth.mfa_factors") == 1
        await turn_on(tab)
        assert await own.owner("select count(*) from auth.mfa_factors") == 1
        assert goes_to(await tab.send("/two-factor/set-up"), "/account")
        assert goes_to(await tab.get("/two-factor/set-up"), "/account")


@pytest.mark.parametrize(
    ("factor", "uri"),
    [("x", f"otpauth://totp/x?secret={'A' * 32}"), (str(UUID(int=1)), "javascript:alert(1)"), (str(UUID(int=1)), ""),
     (str(UUID(int=1)), "otpauth://totp/x?secret=%3Cscript%3E"), ("", ""), (str(UUID(int=1)), "https://evil.example")],
)  # fmt: skip
async def test_what_no_set_up_sends_begins_anew(served: Served, factor: str, uri: str) -> None:
    async with visiting(served, "ana") as tab:
        answer = await tab.send("/two-factor/confirm", ("factor", factor), ("uri", uri), ("code", "123456"))
        assert goes_to(answer, "/two-factor/set-up")


async def test_without_a_factor_there_is_none_to_show_or_take_away(served: Served) -> None:
    async with visiting(served, "ana") as tab:
        assert goes_to(await tab.send("/two-factor", ("code", "123456")), "/two-factor/set-up")
        assert goes_to(await tab.get("/two-factor/remove"), "/account")
        assert goes_to(await tab.send("/two-factor/remove", ("code", "123456")), "/account")


@pytest.mark.parametrize("next_", ELSEWHERE)
async def test_the_second_factor_leads_to_no_other_site(own: Served, next_: str) -> None:
    async with visiting(own) as tab:
        await tab.sign_in("ana")
        secret = await turn_on(tab)
    async with visiting(own) as tab:
        assert goes_to(await tab.sign_in("ana", ("next", next_)), "/two-factor")
        assert field(await tab.get(f"/two-factor?{urlencode({'next': next_})}"), "next") == "/"
        assert goes_to(await tab.send("/two-factor", ("code", code(secret)), ("next", next_)), "/")


# ------------------------------------------------------------------------------------------------ the account


async def test_signing_out_everywhere_ends_every_session(own: Served) -> None:
    async with visiting(own) as elsewhere, visiting(own) as other, visiting(own) as tab:
        await elsewhere.sign_in("ana")
        await other.sign_in("bo")
        await tab.sign_in("ana")
        answer = await tab.send("/account/sign-out-everywhere")
        assert goes_to(answer, "/login?said=everywhere")
        assert is_cleared(own, answer)
        assert "You are signed out everywhere." in words(await tab.get("/login?said=everywhere"))
        answer = await elsewhere.get("/")
        assert goes_to(answer, "/login")
        assert is_cleared(own, answer)
        assert is_page(await other.get("/"), 200)
        assert await sessions(own, "ana") == 0


async def test_the_account_page_says_who_one_is_and_nothing_that_was_made_up(own: Served) -> None:
    async with visiting(own) as tab:
        await tab.sign_in("ana")
        page = await tab.get("/account?said=<script>")
        assert is_page(page, 200)
        assert "ana@example.com" in page.text
        assert "<script>" not in page.text.partition("<main")[2]
        await own.owner("delete from auth.sessions where user_id = $1", own.world.person["ana"])
        answer = await tab.get("/password")
        assert goes_to(answer, "/login?next=/password")
        assert is_cleared(own, answer)


async def test_who_is_suspended_is_told_so_and_can_come_back_as_somebody_else(own: Served) -> None:
    async with visiting(own) as tab:
        await tab.sign_in("ana")
        await own.owner("update profiles set status = 'suspended' where id = $1", own.world.person["ana"])
        answer = await tab.get("/")
        assert is_page(answer, 403)
        assert 'href="/login?again=yes"' in answer.text
        assert is_page(await tab.get("/login?again=yes"), 200)
        assert goes_to(await tab.sign_in("bo"), "/")
        assert "Bo Test" in (await tab.get("/")).text
