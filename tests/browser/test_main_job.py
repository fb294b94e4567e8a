"""The main job, in a browser: take the course to its end, and be seen by those who should see it."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import DESK, PHONE, Site, picture
from tests.world import World

TITLE = "Function-Specific HazMat Training"


async def turn_to(page: Page, question: str) -> None:
    """Have a question before one; without scripts all are there, and the link only leads to it."""
    await page.locator(f"#steps a[href='#{question}']").click()
    await expect(page.locator(f"article#{question}")).to_be_visible()


async def answer(page: Page, question: str, choices: list[str]) -> None:
    card = page.locator(f"article#{question}")
    await turn_to(page, question)
    for box in await card.locator("input[name=choice]:checked").all():
        if await box.get_attribute("type") == "checkbox":
            await box.uncheck()
    for choice in choices:
        await card.locator(f"input[value={choice}]").check()
    await card.get_by_role("button").click()


async def take_the_course(page: Page, world: World, *, pictures: str | None = None) -> None:
    """From the first page to the last, with one wrong answer on the way."""
    await expect(page.get_by_role("heading", name="My courses")).to_be_visible()
    await page.get_by_role("button", name=f"Start {TITLE}").click()
    await page.get_by_role("button", name="Start").click()
    erred = False
    while "/done" not in page.url:
        section = page.url.rpartition("/")[2].partition("#")[0]
        for (at, question), correct in world.answers.items():
            if at != section:
                continue
            card = page.locator(f"article#{question}")
            if not erred and len(correct) == 1:
                await answer(page, question, ["a" if correct != ["a"] else "b"])
                await expect(card.get_by_text("Not right yet")).to_be_visible()
                if pictures:
                    await card.scroll_into_view_if_needed()
                    await picture(page, f"{pictures}-wrong")
                erred = True
            await answer(page, question, correct)
            await expect(card.get_by_text("Right.", exact=True)).to_be_visible()
        if pictures:
            await picture(page, f"{pictures}-section")
        await page.locator("#onward").get_by_role("button", name="Continue").click()
        await page.wait_for_url(re.compile(rf"/(?!{section}(#|$))[^/]+$"))
    assert erred
    await expect(page.get_by_role("heading", name="Completed")).to_be_visible()


async def find_the_done(page: Page) -> None:
    """On a plant's page, who has completed the course; it opens with who has not."""
    await page.get_by_role("link", name=TITLE).click()
    await page.locator("nav.filters a[href*='show=done']").click()


@pytest.mark.parametrize(
    ("size", "scripts", "name"),
    [(DESK, True, "desk"), (PHONE, False, None)],
    ids=["desk", "phone-without-scripts"],
)
async def test_the_main_job(
    site: Site, people: World, size: dict[str, int], scripts: bool, name: str | None
) -> None:
    async with site.visit("ana", size=size, scripts=scripts) as page:
        if name:
            await picture(page, f"{name}-my-courses")
        await take_the_course(page, people, pictures=name)
        if name:
            await picture(page, f"{name}-completed")
        await expect(
            page.locator("#main").get_by_text("English", exact=True)
        ).to_be_visible()  # the language taken
        await page.goto("/")
        await expect(page.get_by_text("Completed", exact=False).first).to_be_visible()

    async with site.visit("max", size=size, scripts=scripts) as page:
        await page.get_by_role("link", name="Columbus, OH").click()
        await find_the_done(page)
        row = page.get_by_role("row", name="Ana Test")
        await expect(row).to_contain_text("Done")
        if name:
            await picture(page, f"{name}-plant")

    async with site.visit("hana", size=size, scripts=scripts) as page:
        await page.get_by_role("link", name="Company").click()
        await expect(page.get_by_role("row", name="Columbus, OH")).to_contain_text("1")
        if name:
            await picture(page, f"{name}-company")
        await page.get_by_role("link", name="Columbus, OH").click()
        await find_the_done(page)
        await expect(page.get_by_role("row", name="Ana Test")).to_contain_text("Done")

    async with site.visit("mia", size=size, scripts=scripts) as page:
        await page.get_by_role("link", name="Phoenix, AZ").click()
        await expect(page.get_by_role("row", name="Bo Test")).to_be_visible()
        await expect(page.get_by_text("Ana Test")).to_have_count(0)
        answer_ = await page.goto(f"/plants/{people.plant['Columbus, OH']}")
        assert answer_ is not None
        assert answer_.status == 403
        await expect(page.get_by_text("Ana Test")).to_have_count(0)
