"""The doorkeepers: whom they let in, where they send everybody else, and what an outage changes of that."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from urllib.parse import quote
from uuid import UUID

import httpx
import msgspec
import pytest
from litestar import Router, get
from litestar.routes import HTTPRoute

from specchem.auth import client as client_module
from specchem.auth.guard import PUBLIC, Guard, SignedIn, own_page
from specchem.auth.sessions import Session
from specchem.db.database import Database
from tests.auth.test_cookies import BAD
from tests.auth.test_cookies import OURS as SOMEBODYS
from tests.conftest import Cluster
from tests.web.conftest import own, served
from tests.web.second import Second
from tests.web.served import Served, is_problem, serving
from tests.web.visiting import crumbs, goes_to, is_cleared, is_page, kept, visiting, words
from tests.web.wire import Mode, Wire, http, wire

__all__ = ["own", "served"]

HAZMAT = "/courses/function-specific-hazmat"
NOT_NOW = "does not answer"


def ending(session: Session, seconds: float = 10) -> Session:
    """The same session, of which the cookie says that it ends soon."""
    return msgspec.structs.replace(session, expires_at=int(time.time() + seconds))


# ------------------------------------------------------------------------------------------------ who is let in

# The description of the API, files of the look, whether the server is well, and the metrics with their own door.
OPEN = {
    "/healthz",
    "/metrics",
    "/api",
    "/api/{path:str}",
    "/api/openapi.json",
    "/static/{file_path:path}",
    "/static",
}


async def test_every_route_has_a_doorkeeper_or_is_known_to_be_open(served: Served) -> None:
    for route in served.app.routes:
        if not isinstance(route, HTTPRoute):
            assert route.path in OPEN
            continue
        for handler in route.route_handlers:
            keepers = [one for one in handler.resolve_middleware() if isinstance(one, Guard | SignedIn)]
            if route.path.startswith("/api/v1/"):
                assert [type(one) for one in keepers] == [SignedIn], route.path
            elif route.path not in OPEN and not route.path.startswith("/auth/v1/"):
                assert [type(one) for one in keepers] == [Guard], route.path


async def test_without_a_session_exactly_the_public_pages_open(served: Served) -> None:
    pages = {
        route.path: route.methods
        for route in served.app.routes
        if isinstance(route, HTTPRoute)
        and not route.path.startswith(("/api", "/auth/v1", "/static", "/healthz", "/metrics"))
    }
    assert set(pages) > PUBLIC
    async with visiting(served) as tab:
        for path, methods in pages.items():
            if "GET" in methods:
                filled = re.sub(r"{\w+:uuid}", str(UUID(int=1)), re.sub(r"{\w+:str}", "x", path))
                answer = await tab.get(filled)
                if path in PUBLIC:
                    assert answer.status_code in {200, 400}
                else:
                    assert answer.status_code == 303, path
                    assert answer.headers["location"].startswith("/login"), path


@get([
    "/login-export", "/loginx", "/login/more", "/authority/admin", "/auth/confirm-all", "/auth/confirm/all",
    "/logout.csv", "/forgot-password/list", "/report.png", "/report.webp", "/plants/people.css", "/favicon.ico",
    "/staticx", "/healthz-all", "/api-x", "/_next/x",
])  # fmt: skip
async def hole() -> str:
    return "secret"


@get("/api/v1/report.png")
async def hole_of_the_api() -> str:
    return "secret"


async def test_an_address_that_begins_or_ends_like_a_public_one_is_guarded(cluster: Cluster) -> None:
    async with serving(await cluster.copy(), cluster.world) as served, visiting(served) as tab:
        served.app.register(Router("/", route_handlers=[hole], middleware=[Guard()]))
        served.app.register(Router("/", route_handlers=[hole_of_the_api], middleware=[SignedIn()]))
        for path in sorted(hole.paths):
            assert goes_to(await tab.get(path), f"/login?next={path}")
            for likewise in (f"{path}/", f"http://test/{path}", f"http://test{path.replace('/', '//')}"):
                answer = await tab.get(likewise)
                assert answer.status_code == 303
                assert answer.headers["location"].startswith("/login")
        assert is_problem(await tab.get("/api/v1/report.png"), 401)
        tab.hold(await served.session("ana"))
        assert (await tab.get("/report.png")).text == "secret"
        assert is_problem(await tab.get("/api/v1/report.png"), 401)


async def test_unknown_addresses_tell_nobody_anything(served: Served) -> None:
    async with visiting(served) as tab:
        for path in ("/login-export", "/authority/admin", "/report.png"):
            assert is_page(await tab.get(path), 404)
        assert is_problem(await tab.get("/api/report.png"), 404)


# ------------------------------------------------------------------------------------------------ where one goes


@pytest.mark.parametrize(
    "address",
    ["/", "/courses/function-specific-hazmat", "/plants/1?course=2", "/a#b", "/ä", "/a//b", "/%2F%2Fevil.example",
     "/x?next=https://evil.example", "/@evil.example", "/.evil.example", "/login-export"],
)  # fmt: skip
def test_a_page_of_ours_is_gone_back_to(address: str) -> None:
    assert own_page(address) == address


@pytest.mark.parametrize(
    "address",
    [None, "", " ", "//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example",
     "\\/evil.example", "https://evil.example", "HTTPS://evil.example", "http:evil.example", "javascript:alert(1)",
     "data:text/html,x", "//evil.example/%2e%2e", "/\t/evil.example", "/\n/evil.example", "/\r\nSet-Cookie: a=b",
     "\t//evil.example", " //evil.example", "\0/", "/a\\b", "evil.example", "@evil.example", "?x", "#x", ".", "../x",
     "//[::1]", "//[", "/\x00", "/\x1f/evil.example", "//evil.example:80", "ftp://evil.example", "//user@evil.example",
     "/login", "/login?next=/x", "/logout", "/auth/confirm?type=invite", "/forgot-password"],
)  # fmt: skip
def test_no_other_site_and_no_way_in_is_gone_to_after_sign_in(address: str | None) -> None:
    assert own_page(address) == "/"


@pytest.mark.parametrize(
    ("path", "back"),
    [("/", "/login"), ("/courses/x", "/login?next=/courses/x"),
     ("/courses/x?a=1&b=2", "/login?next=/courses/x%3Fa%3D1%26b%3D2"), ("/account", "/login?next=/account"),
     ("/company?n=//evil.example", "/login?next=/company%3Fn%3D//evil.example")],
)  # fmt: skip
async def test_the_sign_in_page_brings_one_back(served: Served, path: str, back: str) -> None:
    async with visiting(served) as tab:
        assert goes_to(await tab.get(path), back)
        answer = await tab.get(path, **{"hx-request": "true"})
        assert (answer.status_code, answer.headers["hx-redirect"]) == (200, back)
        for host in ("evil.example", "evil.example:80"):
            assert goes_to(await tab.get(path, host=host), back)


async def test_who_is_signed_in_goes_on_from_the_sign_in_page(served: Served) -> None:
    async with visiting(served, "ana") as tab:
        assert goes_to(await tab.get("/login"), "/")
        assert goes_to(await tab.get(f"/login?next={HAZMAT}"), HAZMAT)
        assert goes_to(await tab.get("/login?next=//evil.example"), "/")
        assert is_page(await tab.get("/login?again=yes"), 200)  # to be somebody else


# ------------------------------------------------------------------------------------------------ bad cookies


@pytest.mark.parametrize("kind", [kind for kind, cookies in BAD.items() if SOMEBODYS.present(cookies)])
async def test_cookies_that_are_no_session_are_taken_back(served: Served, kind: str) -> None:
    mine = {name.replace(SOMEBODYS.name, served.cookies.name): value for name, value in BAD[kind].items()}
    header = "; ".join(f"{name}={value}" for name, value in mine.items()).encode()
    async with httpx.AsyncClient(transport=served.transport(), base_url="http://test") as client:
        for path, status in ((HAZMAT, 303), ("/login", 200)):
            answer = await client.get(path, headers={b"cookie": header})
            assert answer.status_code == status
            assert is_cleared(served, answer)
        assert goes_to(await client.get(HAZMAT, headers={b"cookie": header}), f"/login?next={HAZMAT}")
        part = await client.get(HAZMAT, headers={b"cookie": header, b"hx-request": b"true"})
        assert is_cleared(served, part)


@pytest.mark.parametrize("kind", ["forged", "another's signature", "garbage"])
async def test_a_session_that_is_neither_good_nor_renewed_is_taken_back(served: Served, kind: str) -> None:
    good = await served.session("ana")
    head, body, signature = good.access_token.split(".")
    token = {"forged": f"{head}.{body}.{'A' * 86}", "another's signature": f"{head}.{body}.{signature[::-1]}",
             "garbage": "garbage"}[kind]  # fmt: skip
    async with visiting(served) as tab:
        tab.hold(msgspec.structs.replace(good, access_token=token, refresh_token="made-up"))
        answer = await tab.get(HAZMAT)
        assert goes_to(answer, f"/login?next={HAZMAT}")
        assert is_cleared(served, answer)


async def test_what_the_cookie_says_of_the_user_counts_for_nothing(served: Served) -> None:
    ana, hana = await served.session("ana"), await served.session("hana")
    async with visiting(served) as tab:
        tab.hold(msgspec.structs.replace(ana, user=hana.user))
        assert "Ana Test" in (await tab.get("/")).text
        assert is_page(await tab.get("/company"), 403)


# ------------------------------------------------------------------------------------------------ renewal


async def test_a_session_is_renewed_on_whatever_answer_comes(own: Served) -> None:
    plain = own.world.plain_sections[0]
    section, question = next(iter(own.world.answers))
    async with visiting(own) as tab:
        await tab.sign_in("ana")
        assert kept(own, await tab.get("/")) is None  # it is good for a while
        for status, method, path in (
            (200, "GET", "/"), (404, "GET", "/courses/nope"), (403, "GET", "/company"), (303, "GET", "/login"),
            (303, "POST", f"{HAZMAT}/{plain}/continue"), (400, "POST", f"{HAZMAT}/{section}/{question}"),
        ):  # fmt: skip
            before = tab.session
            assert before is not None
            tab.hold(ending(before))
            answer = await (tab.get(path) if method == "GET" else tab.send(path))
            assert answer.status_code == status
            after = kept(own, answer)
            assert after is not None, path
            assert after.refresh_token != before.refresh_token
            assert (
                await own.app.state.tokens.verify(after.access_token)
            ).identity.user_id == own.world.person["ana"]
            assert tab.session == after


async def test_whoever_comes_at_once_is_renewed_once(own: Served) -> None:
    async with visiting(own) as tab:
        await tab.sign_in("ana")
        assert tab.session is not None
        tab.hold(ending(tab.session))
        jar = "; ".join(f"{name}={value}" for name, value in tab.client.cookies.items())
        answers = await asyncio.gather(*(tab.get("/", cookie=jar) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        renewed = {found.refresh_token for answer in answers if (found := kept(own, answer))}
        assert len(renewed) == 1
        late = await tab.get("/", cookie=jar)  # sent with the old cookies, come after the new ones went out
        assert late.status_code == 200
        assert await own.owner("select count(*) from auth.refresh_tokens") == 2


async def test_whoever_gives_up_waiting_leaves_the_renewal_to_the_others(own: Served) -> None:
    async with visiting(own) as tab:
        await tab.sign_in("ana")
        assert tab.session is not None
        tab.hold(ending(tab.session))
        jar = "; ".join(f"{name}={value}" for name, value in tab.client.cookies.items())
        first, second = (asyncio.create_task(tab.get("/", cookie=jar)) for _ in range(2))
        await asyncio.sleep(0.001)
        first.cancel()
        answer = await second
        assert answer.status_code == 200
        assert kept(own, answer)


async def test_a_session_that_is_refused_its_renewal_is_over(own: Served) -> None:
    async with visiting(own) as tab:
        await tab.sign_in("ana")
        assert tab.session is not None
        tab.hold(ending(tab.session))
        await own.owner("delete from auth.sessions where user_id = $1", own.world.person["ana"])
        answer = await tab.get(HAZMAT)
        assert goes_to(answer, f"/login?next={HAZMAT}")
        assert is_cleared(own, answer)
        assert tab.session is None


async def test_a_token_that_is_over_is_renewed_whatever_the_cookie_says(own: Served) -> None:
    async with visiting(own) as tab:
        await tab.sign_in("ana")
        assert tab.session is not None
        over = (await own.forge("ana", exp=int(time.time()) - 3600, iat=int(time.time()) - 7200)).access_token
        tab.hold(msgspec.structs.replace(tab.session, access_token=over))
        answer = await tab.get("/")
        assert is_page(answer, 200)
        assert kept(own, answer)


# ------------------------------------------------------------------------------------------------ the database's word


async def test_a_session_that_was_ended_is_over_on_the_next_request(own: Served) -> None:
    async with visiting(own) as tab:
        await tab.sign_in("ana")
        session = tab.session
        assert session is not None
        await own.owner("delete from auth.sessions where user_id = $1", own.world.person["ana"])
        answer = await tab.get(HAZMAT)
        assert goes_to(answer, f"/login?next={HAZMAT}")
        assert is_cleared(own, answer)
        headers = {"Authorization": f"Bearer {session.access_token}"}
        assert is_problem(await own.client.get("/api/v1/me", headers=headers), 401)


async def test_a_second_factor_that_is_set_up_is_asked_for(own: Served) -> None:
    async with visiting(own) as tab:
        await tab.sign_in("ana")
        session = tab.session
        assert session is not None
        await add_factor(own, "ana")
        answer = await tab.get(f"{HAZMAT}?a=1")
        assert goes_to(answer, f"/two-factor?next={quote(f'{HAZMAT}?a=1')}")
        assert not own.cookies.present(crumbs(answer))
        part = await tab.get(HAZMAT, **{"hx-request": "true"})
        assert part.headers["hx-redirect"] == f"/two-factor?next={HAZMAT}"
        refused = await own.client.get(
            "/api/v1/me", headers={"Authorization": f"Bearer {session.access_token}"}
        )
        assert is_problem(refused, 401)
        assert "second factor" in refused.json()["detail"]
        assert "insufficient_user_authentication" in refused.headers["www-authenticate"]


async def add_factor(served: Served, who: str, secret: str = "A" * 32) -> None:
    await served.owner(
        "insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at, secret)"
        " values (gen_random_uuid(), $1, 'totp', 'verified', now(), now(), $2)",
        served.world.person[who], secret,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ other sites

FOREIGN: list[dict[str, str]] = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": ""},
    {"sec-fetch-site": "cross-site", "origin": "http://test"},
    {"origin": "https://evil.example"},
    {"origin": "http://test.evil.example"},
    {"origin": "http://test:81"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://["},
    {"origin": "http://test@evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_what_another_site_sends_does_nothing_even_with_the_forms_token(
    own: Served, headers: dict[str, str]
) -> None:
    async with visiting(own, "ana") as tab:
        section, question = next(iter(own.world.answers))
        for path in (f"{HAZMAT}/{section}/{question}", "/logout", "/login", "/password"):
            answer = await tab.send(path, ("choice", "a"), **headers)
            assert is_page(answer, 403)
            assert "This was sent from another site, so nothing was done." in words(answer)
        assert await own.owner("select count(*) from question_events") == 0
        assert (await tab.get("/", **headers)).status_code == 200  # a link from elsewhere is fine


@pytest.mark.parametrize(
    "headers",
    [{}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {"origin": "http://test"},
     {"origin": "http://127.0.0.1:8000"}, {"sec-fetch-site": "same-origin", "origin": "null"}],
    ids=str,
)  # fmt: skip
async def test_what_our_own_pages_send_is_done(own: Served, headers: dict[str, str]) -> None:
    async with visiting(own, "ana") as tab:
        plain = own.world.plain_sections[0]
        assert (await tab.send(f"{HAZMAT}/{plain}/continue", **headers)).status_code == 303


# ------------------------------------------------------------------------------------------------ outage

OUTAGES: dict[str, tuple[Mode, bytes]] = {
    "refused": ("refuse", b""),
    "cut": ("cut", b""),
    "silence": ("hang", b""),
    "500": ("answer", http(500, b'{"code": "unexpected_failure", "message": "x"}')),
    "a page of a proxy": ("answer", http(502, b"<html>", kind="text/html")),
    "a wall": ("answer", http(403, b"<html>", kind="text/html")),
    "another program": ("answer", http(404, b'{"detail": "Not Found"}')),
    "a captive portal": ("answer", http(200, b"<html>", kind="text/html")),
}


@pytest.fixture
async def wired(cluster: Cluster, fresh: Database, second: Second) -> AsyncIterator[tuple[Served, Wire]]:
    async with wire() as line, serving(fresh, cluster.world, second, line) as served:
        yield served, line


def untouched(served: Served, answer: httpx.Response) -> bool:
    return not served.cookies.present(crumbs(answer))


@pytest.mark.parametrize("kind", OUTAGES)
async def test_an_outage_signs_nobody_out(
    wired: tuple[Served, Wire], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, line = wired
    session, hanas = await served.session("ana"), await served.session("hana")
    stranger = await served.forge("bo", kid="unheard-of")
    over = await served.forge("bo", exp=int(time.time()) - 60, iat=int(time.time()) - 120)
    assert (await served.get("ana", "/api/v1/me")).status_code == 200  # the keys are known
    monkeypatch.setattr(client_module, "SECONDS", 0.3)
    await line.fail(*OUTAGES[kind])

    async with visiting(served) as tab:
        for held in (
            session,
            ending(session),
        ):  # good for an hour; and to be renewed, but good for this moment
            tab.hold(held)
            for path in ("/", HAZMAT):
                answer = await tab.get(path)
                assert is_page(answer, 200)
                assert untouched(served, answer)
        tab.hold(ending(over, -60))
        for answer in (await tab.get(HAZMAT), await tab.send(f"{HAZMAT}/classification/continue")):
            assert is_page(answer, 503)
            assert NOT_NOW in words(answer)
            assert untouched(served, answer)
        form = await tab.get("/login")
        assert is_page(form, 200)
        assert untouched(served, form)
        answer = await tab.sign_in("ana")
        assert is_page(answer, 503)
        assert NOT_NOW in words(answer)
        assert untouched(served, answer)

    assert (await served.get("hana", "/api/v1/me")).status_code == 200
    answer = await served.client.get(
        "/api/v1/me", headers={"Authorization": f"Bearer {stranger.access_token}"}
    )
    assert is_problem(answer, 503)
    assert is_problem(await served.client.get("/api/v1/me", headers={"Authorization": "Bearer x.y.z"}), 401)

    async with visiting(served) as tab:  # whoever leaves a shared tablet has left it
        tab.hold(hanas)
        answer = await tab.send("/logout")
        assert goes_to(answer, "/login")
        assert is_cleared(served, answer)

    await line.fail("forward")
    monkeypatch.setattr(client_module, "SECONDS", 30)
    async with visiting(served) as tab:
        tab.hold(ending(session))
        answer = await tab.get("/")
        assert is_page(answer, 200)
        assert kept(served, answer)


async def test_a_service_that_says_wait_signs_nobody_out(wired: tuple[Served, Wire]) -> None:
    served, line = wired
    session = await served.session("ana")
    over = await served.forge("ana", exp=int(time.time()) - 60, iat=int(time.time()) - 120)
    assert (await served.get("ana", "/api/v1/me")).status_code == 200
    for status, code in ((429, "over_request_rate_limit"), (409, "conflict")):
        await line.fail("answer", http(status, f'{{"code": "{code}", "message": "x"}}'.encode()))
        async with visiting(served) as tab:
            tab.hold(ending(session))
            answer = await tab.get("/")
            assert is_page(answer, 200)
            assert untouched(served, answer)
            tab.hold(ending(over, -60))
            answer = await tab.get("/")
            assert is_page(answer, 503)
            assert untouched(served, answer)


async def test_a_service_whose_tokens_are_not_for_us_sends_nobody_in_circles(
    cluster: Cluster, fresh: Database, second: Second, caplog: pytest.LogCaptureFixture
) -> None:
    async with wire() as line, second.serving(fresh, seen_at="http://somewhere.example") as address:
        line.to(address)
        async with (
            serving(fresh, cluster.world, supabase_url=line.address) as served,
            visiting(served) as tab,
        ):
            answer = await tab.sign_in("ana")
            assert is_page(answer, 503)
            assert untouched(served, answer)
    assert "is SUPABASE_URL the address in their `iss`?" in caplog.text
