"""HR and a manager at their lists: on a phone and a desk, without scripts, by keyboard, in Spanish."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import DESK, PHONE, Site, picture
from tests.world import World

ROWS = (
    "email,first_name,last_name,job_title,plant,status\n"
    'ana@example.com,Anna,Test,,"Columbus, OH",\n'
    'zoe@example.com,Zoe,Zimmer,Loader,"Denver, CO",\n'
    "not-an-address,A,B,,Nowhere,\n"
)


async def look(page: Page, name: str) -> None:
    await page.wait_for_load_state()  # a click leads on before the page is there
    wide = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1], f"{name} is {wide[0]} px wide"
    await picture(page, name)


@pytest.mark.parametrize(("size", "where"), [(PHONE, "phone"), (DESK, "desk")])
async def test_hr_looks_somebody_up_changes_and_enrolls_them(
    site: Site, people: World, size: dict[str, int], where: str
) -> None:
    async with site.visit("hana", size=size) as page:
        await page.get_by_role("link", name="People").click()
        await look(page, f"{where}-people")
        await page.get_by_label("Search").fill("cal test")
        await page.get_by_role("button", name="Search").click()
        await expect(page.get_by_text("1 person found", exact=True)).to_be_visible()
        await page.get_by_role("link", name="Test, Cal").click()
        await look(page, f"{where}-person")
        await page.get_by_text("Move to another plant …").click()
        await page.get_by_label("New plant").select_option("Phoenix, AZ")
        await look(page, f"{where}-person-move")
        await page.get_by_role("button", name="Move").click()
        await expect(page.get_by_role("status")).to_contain_text("Moved")
        await page.get_by_role("link", name="Enroll in a course").click()
        await page.get_by_label("Function-Specific HazMat Training").check()
        await look(page, f"{where}-enroll")
        await page.get_by_role("button", name="Enroll").click()
        await expect(page.get_by_role("status").first).to_contain_text("1 person was enrolled.")


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_list_is_imported_and_its_mails_sent(site: Site, people: World, scripts: bool) -> None:
    async with site.visit("hana", size=PHONE, scripts=scripts) as page:
        await page.goto("/people/import")
        await page.locator("input[type=file]").set_input_files(
            {"name": "people.csv", "mimeType": "text/csv", "buffer": ROWS.encode()}
        )
        if scripts:
            await look(page, "phone-import")
        await page.get_by_role("button", name="Look at what it would change").click()
        await expect(page.get_by_role("heading", name="What the file would change")).to_be_visible()
        await expect(page.get_by_text("“not-an-address” is not an e-mail address.")).to_be_visible()
        if scripts:
            await look(page, "phone-import-preview")
        await page.get_by_role("link", name="Changed (1)").click()
        await expect(page.get_by_role("cell", name="Ana → Anna")).to_be_visible()
        if scripts:
            await page.set_viewport_size({"width": 1280, "height": 800})
            await look(page, "desk-import-preview")
        await page.get_by_role("button", name="Import the 2 good rows").click()
        await expect(page.get_by_role("status").first).to_contain_text("1 new invitation.")
        await page.get_by_role("link", name="Send the invitations").click()
        if scripts:
            await look(page, "desk-unsent")
        await page.get_by_role("button", name="Send them").click()
        await expect(page.get_by_text("All invitations are sent.")).to_be_visible()


async def test_a_manager_enrolls_by_keyboard_in_spanish(site: Site, people: World) -> None:
    async with site.visit("max", size=DESK, dark=True) as page:
        await expect(page.get_by_role("heading", name="My courses")).to_be_visible()
        await page.context.add_cookies([{"name": "specchem-language", "value": "es", "url": site.address}])
        await page.reload()
        await expect(page.locator("html")).to_have_attribute("lang", "es")
        await page.goto("/people?search=cal@example")
        await look(page, "spanish-people")
        box = page.get_by_role("checkbox", name="Elegir a Cal Test")
        for _ in range(60):
            await page.keyboard.press("Tab")
            if await box.evaluate("one => one === document.activeElement"):
                break
        await page.keyboard.press("Space")
        for _ in range(20):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.value === 'chosen'"):
                break
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Inscribir en un curso")).to_be_visible()
        await page.get_by_label("Outside Player").focus()
        await page.keyboard.press("Space")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status").first).to_contain_text("Se inscribió a 1 persona.")
