"""The reports on both sizes, in the dark, on paper and in Spanish; over the demo, where there is something to see."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from playwright.async_api import Browser, expect

from specchem.demo import PASSWORD, make_demo
from tests.browser.conftest import DESK, PHONE, Site, open_site, picture, sign_in
from tests.browser.hands import fits
from tests.conftest import Cluster


@pytest.fixture(scope="module")
async def demo(cluster: Cluster, chromium: Browser) -> AsyncIterator[Site]:
    """The demo, with one who is stuck twice over: Alma Soto, three weeks away and three times wrong."""
    where = await cluster.seeded()
    await make_demo(where, lambda _: None)
    owner = await asyncpg.connect(where.platform)
    await owner.execute(
        """
        set session_replication_role = replica;
        update progress set last_active_at = now() - interval '21 days'
        where user_id = (select id from profiles where email = 'associate@example.com');
        insert into question_events (user_id, course_id, plant_id, section_key, question_key, is_correct,
            attempt_index, evidence, answered_at)
        select p.id, q.course_id, p.plant_id, q.section_key, q.key, false, n, 'server_graded',
            now() - interval '22 days' + n * interval '1 minute'
        from profiles p, generate_series(1, 3) n,
            (select * from questions q order by (select position from sections s where s.course_id = q.course_id
                and s.key = q.section_key) desc, position desc limit 1) q
        where p.email = 'associate@example.com'"""
    )
    await owner.close()
    async with open_site(where, chromium) as site:
        yield site


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_from_the_plant_to_who_is_stuck_and_why(demo: Site, size: dict[str, int], dark: bool) -> None:
    name = f"reports-{'phone' if size is PHONE else 'desk'}-{'dark' if dark else 'light'}"
    async with demo.visit(size=size, dark=dark) as page:
        await sign_in(page, "manager", PASSWORD)
        await page.get_by_role("link", name="Columbus, OH").click()
        await expect(page.get_by_role("heading", level=1, name="Columbus, OH")).to_be_visible()
        await fits(page)
        await picture(page, f"{name}-plant", whole=True)
        await page.get_by_role("link", name="Stuck").click()
        await expect(page.get_by_text("Stuck means in progress")).to_be_in_viewport()
        row = page.get_by_role("row", name="Alma Soto")
        await expect(row).to_contain_text("Nothing done for 14 days or more.")
        await expect(row).to_contain_text("Again and again wrong:")
        await fits(page)
        await picture(page, f"{name}-stuck")
        await page.get_by_role("link", name="Alma Soto").click()
        await expect(page.get_by_role("heading", level=1, name="Alma Soto")).to_be_visible()
        await expect(page.get_by_role("row").filter(has_text="Not yet")).to_be_visible()
        await fits(page)
        await picture(page, f"{name}-person", whole=True)


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_from_the_company_into_a_course_and_a_plant(
    demo: Site, size: dict[str, int], dark: bool
) -> None:
    name = f"reports-{'phone' if size is PHONE else 'desk'}-{'dark' if dark else 'light'}"
    async with demo.visit(size=size, dark=dark) as page:
        await sign_in(page, "hr", PASSWORD)
        await page.get_by_role("link", name="Company").click()
        await expect(page.get_by_role("img", name="Completed, by plant")).to_be_visible()
        await fits(page)
        await picture(page, f"{name}-company", whole=True)
        await page.get_by_role("link", name="Function-Specific HazMat Training").click()
        await expect(page.get_by_role("link", name="Function-Specific")).to_have_attribute(
            "aria-current", "true"
        )
        await page.get_by_role("link", name="Denver, CO").click()
        await expect(page.get_by_role("heading", level=1, name="Denver, CO")).to_be_visible()
        await fits(page)


async def test_without_scripts_and_by_the_keyboard_alone(demo: Site) -> None:
    async with demo.visit(size=PHONE, scripts=False) as page:
        await sign_in(page, "manager", PASSWORD)
        await page.get_by_role("link", name="Columbus, OH").press("Enter")
        await page.get_by_role("link", name="Not started").focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url("**show=not_started**")
        await expect(page.get_by_role("region", name="People").get_by_text("Not started")).not_to_have_count(
            0
        )
        await expect(page.get_by_role("region", name="People").get_by_text("In progress")).to_have_count(0)
        table = page.get_by_role("region", name="The last 12 weeks")
        await expect(table).to_be_hidden()
        await page.get_by_text("Show as a table").press("Enter")
        await expect(table.get_by_role("row")).to_have_count(13)
        # From the list the next Tab stops at its people.
        await page.goto(f"{page.url.partition('#')[0]}#people")
        await page.keyboard.press("Tab")
        assert await page.evaluate("!!document.activeElement.closest('.filters')")


async def test_in_spanish(demo: Site) -> None:
    async with demo.visit(size=PHONE) as page:
        await sign_in(page, "hr", PASSWORD)
        await page.wait_for_url("**/")
        await page.get_by_role("button", name="Español").click()
        await page.get_by_role("link", name="Empresa").click()
        await expect(page.get_by_role("img", name="Completado, por planta")).to_be_visible()
        await fits(page)
        await page.get_by_role("link", name="Denver, CO").click()
        await page.get_by_role("link", name="Atascados").click()
        await expect(page.get_by_text("Atascado significa en curso")).to_be_visible()
        # What is asked is said in the reader's language as well.
        missed = page.get_by_role("region", name="Preguntas con más fallos").get_by_role("row")
        await expect(missed.filter(has_text="¿")).to_have_count(10)
        await fits(page)
        await picture(page, "reports-phone-spanish", whole=True)


async def test_on_paper_the_folded_tables_are_open_and_the_buttons_gone(demo: Site) -> None:
    async with demo.visit() as page:
        await sign_in(page, "manager", PASSWORD)
        await page.get_by_role("link", name="Columbus, OH").click()
        row = page.get_by_role("region", name="The last 12 weeks").get_by_role("row").last
        await expect(row).to_be_hidden()
        await page.emulate_media(media="print")
        await expect(row).to_be_visible()
        await expect(page.get_by_role("navigation", name="Which people")).to_be_hidden()
        await picture(page, "reports-paper", whole=True)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_what_charts_draw_stands_out(demo: Site, dark: bool) -> None:
    """At least 3 to 1 against the page (WCAG 1.4.11)."""
    async with demo.visit(dark=dark) as page:
        await sign_in(page, "manager", PASSWORD)
        await page.get_by_role("link", name="Columbus, OH").click()
        await expect(page.get_by_role("heading", level=1, name="Columbus, OH")).to_be_visible()
        for part in (".chart .bar", ".interval .span", ".interval .dot", ".chart .axis"):
            ratio = await page.evaluate(CONTRAST, part)
            assert ratio >= 3, f"{part}: {ratio:.2f}"


CONTRAST = """part => {
    const shown = getComputedStyle(document.querySelector(part));
    const light = color => {
        const [r, g, b] = color.match(/[0-9.]+/g).map(one => one / 255)
            .map(one => one <= .04045 ? one / 12.92 : ((one + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b + .05;
    };
    const drawn = light(part.endsWith("axis") ? shown.stroke : shown.fill);
    const ground = light(getComputedStyle(document.documentElement).backgroundColor);
    return Math.max(drawn, ground) / Math.min(drawn, ground);
}"""
