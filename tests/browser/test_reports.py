"""The reports on both sizes, in the dark, on paper and in Spanish; over the demo, where there is something to see."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from playwright.async_api import Page, expect

from specchem.demo import PASSWORD, make_demo
from tests.browser.conftest import DESK, PHONE, Site, open_site, picture, sign_in
from tests.conftest import Cluster


@pytest.fixture(scope="module")
async def demo(cluster: Cluster) -> AsyncIterator[Site]:
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
    async with open_site(where) as site:
        yield site


async def fits(page: Page) -> None:
    """Nothing is wider than the screen."""
    wide = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1], f"{page.url} is {wide[0]} px wide"


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_from_the_plant_to_who_is_stuck_and_why(demo: Site, size: dict[str, int], dark: bool) -> None:
    name = f"reports-{'phone' if size is PHONE else 'desk'}-{'dark' if dark else 'light'}"
    async with demo.visit(size=size, dark=dark) as page:
        await sign_in(page, "manager", PASSWORD)
        await page.get_by_role("link", name="Columbus, OH").click()
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
async def test_from_the_company_into_a_course_and_a_plant(demo: Site, size: dict[str, int], dark: bool) -> None:
    name = f"reports-{'phone' if size is PHONE else 'desk'}-{'dark' if dark else 'light'}"
    async with demo.visit(size=size, dark=dark) as page:
        await sign_in(page, "hr", PASSWORD)
        await page.get_by_role("link", name="Company").click()
        await expect(page.get_by_role("img", name="Completed, by plant")).to_be_visible()
        await fits(page)
        await picture(page, f"{name}-company", whole=True)
        await page.get_by_role("link", name="Function-Specific HazMat Training").click()
        await expect(page.get_by_role("link", name="Function-Specific")).to_have_attribute("aria-current", "true")
        await page.get_by_role("link", name="Denver, CO").click()
        await expect(page.get_by_role("heading", level=1, name="Denver, CO")).to_be_visible()
        await fits(page)
