"""The demo, as somebody sees it who has just run `make run`; its pictures are the README's."""

from playwright.async_api import Browser, expect

from specchem.demo import PASSWORD, make_demo
from tests.browser.conftest import PHONE, open_site, picture, sign_in
from tests.conftest import Cluster


async def test_what_each_account_of_the_demo_sees(cluster: Cluster, chromium: Browser) -> None:
    demo = await cluster.seeded()
    await make_demo(demo, lambda _: None)
    async with open_site(demo, chromium) as site:
        async with site.visit(size=PHONE) as page:
            await sign_in(page, "associate", PASSWORD)
            await page.get_by_role("button", name="Español").click()
            await expect(page.get_by_role("heading", name="Mis cursos")).to_be_visible()
            await picture(page, "phone-courses")
            await page.get_by_role("button", name="Continuar").click()
            await page.locator("#steps").scroll_into_view_if_needed()
            await picture(page, "phone-question")

        async with site.visit() as page:
            await sign_in(page, "associate", PASSWORD)
            await page.get_by_role("link", name="Function-Specific HazMat Training").first.click()
            await picture(page, "course")
            await page.get_by_role("button", name="Continue where you were").click()
            asked = page.locator("article.question").filter(has=page.get_by_role("button")).first
            card = page.locator(f"article#{await asked.get_attribute('id')}")
            await card.locator("input[name=choice]").first.check()
            await card.get_by_role("button").click()
            await expect(card.locator(".notice")).to_be_visible()
            await card.scroll_into_view_if_needed()
            await picture(page, "question")

        async with site.visit() as page:
            await sign_in(page, "manager", PASSWORD)
            await page.get_by_role("link", name="Columbus, OH").click()
            await expect(page.get_by_role("row", name="Alma Soto")).to_contain_text("In progress")
            await expect(
                page.get_by_role("region", name="Most missed questions").get_by_role("row")
            ).to_have_count(11)
            await picture(page, "plant")

        async with site.visit() as page:
            await sign_in(page, "hr", PASSWORD)
            await page.get_by_role("link", name="Company").click()
            await expect(page.get_by_role("region", name="Plants").get_by_role("row")).to_have_count(7)
            await picture(page, "company")

        async with site.visit() as page:
            await sign_in(page, "dev", PASSWORD)
            await expect(page.get_by_role("link", name="Company")).to_have_count(0)
            await page.get_by_role("link", name="System").click()
            await expect(page.get_by_role("heading", name="System")).to_be_visible()
            await picture(page, "system")

        async with site.visit() as page:
            await sign_in(page, "suspended", PASSWORD)
            await expect(page.get_by_text("This account is closed")).to_be_visible()
