"""A real Chromium against a real server over a real database."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import uvicorn
from axe_playwright_python.async_playwright import Axe
from litestar import Litestar
from playwright.async_api import Browser, Page, async_playwright

from specchem.db.database import Database
from specchem.settings import Settings
from specchem.web.app import create_app
from tests.web.served import PASSWORD as PASSWORD  # the visitors', for the tests beside
from tests.web.served import RING, VERIFIER

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 800}
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
PICTURES = Path(__file__).parents[2] / ".cache" / "pictures"

if CHROMIUM is None:
    if os.environ.get("CI") == "true":
        raise RuntimeError("Chromium is missing; in CI that is a failure.")
    collect_ignore_glob = ["test_*.py"]  # tools/browser.sh has said so


@dataclass(frozen=True)
class Site:
    """A running server, and a browser to visit it with."""

    address: str
    browser: Browser
    app: Litestar

    @asynccontextmanager
    async def visit(
        self, who: str | None = None, *, size: dict[str, int] = DESK, scripts: bool = True, dark: bool = False
    ) -> AsyncIterator[Page]:
        """A page of a new visitor, signed in if named; fails on any console error or request to another host."""
        context = await self.browser.new_context(
            base_url=self.address,
            viewport={"width": size["width"], "height": size["height"]},
            java_script_enabled=scripts,
            color_scheme="dark" if dark else "light",
        )
        faults: list[str] = []
        page = await context.new_page()
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.on(
            "request",
            lambda asked: None if asked.url.startswith((self.address, "data:")) else faults.append(asked.url),
        )
        try:
            if who is not None:
                await sign_in(page, who)
            yield page
        finally:
            await context.close()
        # A refused form is a 400 on purpose, as is going offline, and Chromium reports each as an error.
        meant = (
            "status of 40", "ERR_INTERNET_DISCONNECTED", "ERR_CONNECTION_RESET", "htmx:error: Failed to fetch",
            "(Bad Gateway)", "(Service Unavailable)", "(Gateway Timeout)",
        )  # fmt: skip
        assert [fault for fault in faults if not any(one in fault for one in meant)] == []


async def sign_in(page: Page, who: str, password: str = PASSWORD) -> None:
    await page.goto("/login")
    await page.get_by_label("E-mail address").fill(f"{who}@example.com")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def picture(page: Page, name: str, *, whole: bool = False) -> None:
    """Keep a screenshot to look at (docs/pictures holds copies), of a page without barriers (WCAG 2.2 AA)."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=PICTURES / f"{name}.png", full_page=whole)
    found = await Axe().run(page, options={"runOnly": {"type": "tag", "values": WCAG}})
    assert found.violations_count == 0, found.generate_report()


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """One for all tests, for a visitor has a context, with cookies and a cache of their own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@asynccontextmanager
async def open_site(database: Database, browser: Browser) -> AsyncIterator[Site]:
    """Serve a database to the browser."""
    listening = socket.create_server(("127.0.0.1", 0))
    settings = Settings(port=listening.getsockname()[1])
    app = create_app(settings, database, RING)
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=3)
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield Site(settings.base_url, browser, app)
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
async def site(fresh: Database, chromium: Browser) -> AsyncIterator[Site]:
    """The world of the tests, all with one password."""
    auth = await asyncpg.connect(fresh.auth)
    await auth.execute("update auth.users set encrypted_password = $1", VERIFIER)
    await auth.close()
    async with open_site(fresh, chromium) as opened:
        yield opened
