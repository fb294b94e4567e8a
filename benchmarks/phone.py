"""``make bench-phone``: the learner's pages on an old phone and a slow line, as a ratio to two seconds.

The line and the processor are Chromium's own throttles: WebPageTest's "3G slow" (400 kbit/s each way, 400 ms before
an answer begins) and a processor four times slower. Usable is when what the page is for can be seen and pressed:
from the address to the first drawing, and to the end of the page's scripts.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Browser, Page, async_playwright
from rich.console import Console
from rich.table import Table

from benchmarks.results import RESULTS
from specchem.demo import PASSWORD

LIMIT = 2.0  # seconds
LINE = {
    "offline": False, "latency": 400,
    "downloadThroughput": 400_000 / 8, "uploadThroughput": 400_000 / 8,
}  # fmt: skip
SLOWER = 4
ROUNDS = 5
COURSE = "/courses/function-specific-hazmat"
PAGES = ["/", COURSE, f"{COURSE}/resume", f"{COURSE}/done", "/record"]
TIMES = """async () => {
    const drawn = await new Promise(found => new PerformanceObserver(list => {
        const first = list.getEntriesByName("first-contentful-paint")[0];
        if (first) found(first);
    }).observe({type: "paint", buffered: true}));
    const [page] = performance.getEntriesByType("navigation");
    return [drawn.startTime / 1000, page.domContentLoadedEventEnd / 1000];
}"""


@contextmanager
def demo() -> Iterator[str]:
    """The product with its demo people, in a folder of its own; its address."""
    folder = Path(tempfile.mkdtemp(prefix="specchem-bench-"))
    folder.chmod(0o711)  # PostgreSQL's own user passes through
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = dict(
        os.environ,
        SPECCHEM_DATA_DIR=str(folder / "data"),
        SPECCHEM_PORT=str(port),
        SPECCHEM_LOG_LEVEL="warning",
    )
    process = subprocess.Popen([sys.executable, "-m", "specchem", "serve", "--demo"], env=env)
    address = f"http://127.0.0.1:{port}"
    try:
        while process.poll() is None:
            with suppress(httpx.TransportError):
                httpx.get(f"{address}/healthz").raise_for_status()
                break
            time.sleep(0.5)
        else:
            raise RuntimeError("specchem serve --demo ended before it was ready.")
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def phone(browser: Browser, address: str) -> AsyncIterator[tuple[Page, Any]]:
    """A signed-in learner's phone, still on a fast line; and what throttles it."""
    context = await browser.new_context(base_url=address, viewport={"width": 360, "height": 740})
    page = await context.new_page()
    await page.goto("/login")
    await page.locator("[name=email]").fill("associate@example.com")
    await page.locator("[name=password]").fill(PASSWORD)
    await page.locator("main button[type=submit]").click()
    await page.wait_for_url("**/")
    devtools = await context.new_cdp_session(page)
    await devtools.send("Network.enable")
    await devtools.send("Network.emulateNetworkConditions", LINE)
    await devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    try:
        yield page, devtools
    finally:
        await context.close()


async def measure(address: str) -> dict[str, dict[str, list[float]]]:
    """Seconds until each page is drawn and ready, the first time (nothing kept) and later."""
    found: dict[str, dict[str, list[float]]] = {}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        async with phone(browser, address) as (page, devtools):
            for at in PAGES:
                kept = found[at] = {
                    "first_drawn": [],
                    "first_ready": [],
                    "later_drawn": [],
                    "later_ready": [],
                }
                for _ in range(ROUNDS):
                    for when in ("first", "later"):
                        if when == "first":
                            await devtools.send("Network.clearBrowserCache")
                        await page.goto(at, wait_until="load")
                        drawn, ready = await page.evaluate(TIMES)
                        kept[f"{when}_drawn"].append(drawn)
                        kept[f"{when}_ready"].append(ready)
        await browser.close()
    return found


def main() -> None:
    """Measure, print the table, keep it."""
    with demo() as address:
        found = asyncio.run(measure(address))
    table = Table("page", *next(iter(found.values())), title=f"seconds, and as a ratio to {LIMIT:.0f} s")
    kept: dict[str, dict[str, float]] = {}
    for at, times in found.items():
        middle = {name: statistics.median(all_) for name, all_ in times.items()}
        kept[at] = {name: round(value / LIMIT, 3) for name, value in middle.items()}
        table.add_row(at, *(f"{value:.2f}  ({value / LIMIT:.2f})" for value in middle.values()))
    Console().print(table)
    (RESULTS / "phone.json").write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
