"""A visitor's browser as far as httpx goes, and what to expect of pages."""

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from urllib.parse import urlencode

import httpx

from specchem.auth.cookies import MAX_AGE, UNCACHED
from specchem.auth.sessions import Session
from specchem.web.headers import HEADERS
from tests.web.served import PASSWORD, Served

INSIDE = (
    "Traceback",
    "asyncpg",
    "select ",
    "insert into",
    "SQLSTATE",
    'File "',
    "litestar",
    "pydantic",
    "jinja",
)


@dataclass
class Tab:
    """One visitor's browser: a cookie jar of its own."""

    served: Served
    client: httpx.AsyncClient
    csrf: str = ""

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    async def send(self, path: str, *fields: tuple[str, str], **headers: str) -> httpx.Response:
        """A form of ours, with its token."""
        if not self.csrf:
            self.csrf = field(await self.get("/login?again=yes"), "_csrf_token")
        return await self.raw(path, ("_csrf_token", self.csrf), *fields, **headers)

    async def raw(self, path: str, *fields: tuple[str, str], **headers: str) -> httpx.Response:
        """A form as anybody can make one."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self.client.post(path, content=urlencode(fields), headers=kind | headers)

    def hold(self, session: Session) -> None:
        """Have a session in the cookies."""
        self.drop()
        for cookie in self.served.cookies.write(session, {}):
            self.client.cookies.set(cookie.key, cookie.value or "", domain="test.local")

    def drop(self) -> None:
        """Lose the session's cookies, and no others."""
        for name in self.served.cookies.present(dict(self.client.cookies)):
            self.client.cookies.delete(name)

    @property
    def session(self) -> Session | None:
        """The one in the cookies."""
        return self.served.cookies.read(dict(self.client.cookies))

    async def sign_in(self, who: str, *fields: tuple[str, str], password: str = PASSWORD) -> httpx.Response:
        return await self.send(
            "/login", ("email", f"{who}@example.com"), ("password", password), *fields
        )  # fmt: skip


@asynccontextmanager
async def visiting(served: Served, who: str | None = None) -> AsyncIterator[Tab]:
    async with httpx.AsyncClient(transport=served.transport(), base_url="http://test") as client:
        tab = Tab(served, client)
        if who is not None:
            tab.hold(await served.session(who))
        yield tab


def field(page: httpx.Response | str, name: str) -> str:
    text = page if isinstance(page, str) else page.text
    found = re.search(rf'name="{name}" value="([^"]+)"', text)
    assert found, f"no {name} in {text[:2000]}"
    return found[1]


def words(page: httpx.Response) -> str:
    """What a person reads of the page's middle."""
    middle = page.text.partition('<main id="main"')[2].partition(">")[2].partition("</main>")[0]
    middle = re.sub(r'<div class="alerts">.*?</div>|<template.*?</template>', "", middle, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", middle)).split())


def is_page(answer: httpx.Response, status: int) -> bool:
    """Assert a whole page with a heading and a sentence, that tells nothing of the inside."""
    said = f"{answer.request.method} {answer.request.url}: {answer.status_code} {words(answer)[:400]}"
    assert answer.status_code == status, said
    assert answer.headers["content-type"] == "text/html; charset=utf-8", said
    assert re.sub(r"<template.*?</template>", "", answer.text, flags=re.DOTALL).count("<h1") == 1, said
    assert answer.text.count("<!doctype html>") == 1, said
    assert len(words(answer)) > 20, said
    assert "{{" not in answer.text, said
    assert not re.search(r">None</(h1|p|td|th|strong|small)|None %", answer.text), said
    for word in INSIDE:
        assert word not in answer.text.replace("<select ", ""), f"{word} in {said}"
    for name, value in HEADERS.items():
        # An answer that brings a session is kept from caches in more words.
        assert answer.headers[name] == value or (name, "set-cookie" in answer.headers) == (
            "Cache-Control",
            True,
        ), said
    assert "no-store" in answer.headers["cache-control"], said
    return True


def goes_to(answer: httpx.Response, address: str) -> bool:
    assert (answer.status_code, answer.headers.get("location")) == (303, address), answer.text[:400]
    return True


def crumbs(answer: httpx.Response) -> "SimpleCookie":
    jar = SimpleCookie()
    for one in answer.headers.get_list("set-cookie"):
        jar.load(one)
    return jar


def kept(served: Served, answer: httpx.Response) -> Session | None:
    """The session that an answer brings; asserts that its cookies are out of reach and in no cache."""
    mine = {name: one for name, one in crumbs(answer).items() if served.cookies.present({name: ""})}
    for one in mine.values():
        assert (one["httponly"], one["samesite"], one["path"], one["domain"]) == (True, "lax", "/", "")
        assert one["max-age"] == (str(MAX_AGE) if one.value else "0")
    if mine:
        assert {name: answer.headers[name] for name in UNCACHED} == UNCACHED
    return served.cookies.read({name: one.value for name, one in mine.items()})


def is_cleared(served: Served, answer: httpx.Response) -> bool:
    """Assert that the answer takes every cookie of a session back that was sent."""
    sent = answer.request.headers.get("cookie", "").split("; ")
    ours = served.cookies.present(one.partition("=")[0] for one in sent)
    assert ours
    taken = crumbs(answer)
    for name in ours:
        assert (taken[name].value, taken[name]["max-age"], taken[name]["path"]) == ("", "0", "/")
    assert kept(served, answer) is None
    return True
