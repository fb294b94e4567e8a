"""What people of each kind do most, from sign-in to the end: on a phone and a desk, without scripts, by the keyboard
alone, in both languages. Every page on the way fits the screen and is without barriers.

The dev admin's journeys are in test_keeping.py; reports over more than a handful of people in test_reports.py.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Locator, expect

from tests.browser.conftest import DESK, PHONE, Site
from tests.browser.hands import Hands
from tests.world import World

COURSE = "/courses/function-specific-hazmat"
TITLE = {
    "en": "Function-Specific HazMat Training",
    "es": "Capacitación en materiales peligrosos (HazMat) específica para su función",
}
# (size, language, scripts, keyboard); by the keyboard also in the dark
WAYS = {
    "phone": (PHONE, "en", True, False),
    "desk-spanish": (DESK, "es", True, False),
    "phone-spanish-without-scripts": (PHONE, "es", False, False),
    "desk-by-keyboard": (DESK, "en", True, True),
}
FILE = (
    "email,first_name,last_name,job_title,plant,status\n"
    'ana@example.com,Anna,Test,,"Columbus, OH",\n'
    'zoe@example.com,Zoe,Zimmer,Loader,"Denver, CO",\n'
    "not-an-address,A,B,,Nowhere,\n"
)

every_way = pytest.mark.parametrize("way", WAYS)


@asynccontextmanager
async def visiting(site: Site, who: str, kind: str, way: str) -> AsyncIterator[Hands]:
    """Signed in, in that way."""
    size, language, scripts, keyboard = WAYS[way]
    async with site.visit(size=size, scripts=scripts, dark=keyboard) as page:
        hands = Hands(page, f"{kind}-{way}", language, keyboard, scripts)
        await hands.sign_in(who)
        yield hands


async def answer(hands: Hands, card: Locator, choices: list[str]) -> None:
    """Choose these and no other, and send."""
    for box in await card.locator("input[type=checkbox]:checked").all():
        await hands.untick(box)
    for choice in choices:
        await hands.tick(card.locator(f"input[value={choice}]"))
    await hands.press(card.get_by_role("button"))


@every_way
async def test_an_associate(site: Site, people: World, way: str) -> None:
    section = "classification"
    questions = [(key, right) for (at, key), right in people.answers.items() if at == section]
    async with visiting(site, "ana", "associate", way) as hands:
        page = hands.page
        # 1. From the list into the course, and on to its next section.
        await hands.look("courses")
        await hands.press(page.get_by_role("button", name=f"{hands.say('Start')} {TITLE[hands.language]}"))
        await hands.heading(TITLE[hands.language])
        await hands.look("course")
        await hands.press(hands.button("Start"))
        await page.wait_for_url(f"**{COURSE}/welcome")
        await hands.look("reading")
        await hands.press(hands.button("Continue"))
        await page.wait_for_url(f"**{COURSE}/why-this-training")

        # 2. By the map to a section; a wrong answer, why it is wrong, and the right one.
        await hands.press(page.locator(f"#map a[href='{COURSE}/{section}']"))
        await page.wait_for_url(f"**{COURSE}/{section}")
        (first, right), (second, _) = questions[:2]
        if hands.scripts:
            await expect(page.locator(f"article#{second}")).to_be_hidden()  # one at a time
        card = page.locator(f"article#{first}")
        await answer(hands, card, ["a" if right != ["a"] else "b"])
        await expect(card.get_by_text(hands.say("Not right yet. Read why, then try again."))).to_be_visible()
        await expect(card.locator("small").filter(has_text="CFR")).to_be_visible()
        await hands.look("wrong")
        await answer(hands, card, right)
        await expect(card.get_by_text(hands.say("Right."), exact=True)).to_be_visible()
        await hands.look("right")
        await hands.press(card.locator("a.next"))
        await expect(page.locator(f"article#{second}")).to_be_in_viewport()

        # 3. Away and back to the very place.
        await page.goto("/")
        await hands.press(page.get_by_role("button", name=f"{hands.say('Continue')} {TITLE[hands.language]}"))
        await page.wait_for_url(f"**{COURSE}/{section}#{second}")
        await expect(page.locator(f"article#{second}")).to_be_in_viewport()

        # 4. What is on record, and in which language it was taken.
        await page.goto("/")
        await hands.press(hands.link("My record"))
        await hands.heading(hands.say("My record"))
        taken = {"en": "English", "es": "español"}[hands.language]
        await expect(page.get_by_text(taken, exact=True).first).to_be_visible()
        await expect(hands.button("Print")).to_have_count(1 if hands.scripts else 0)
        await hands.look("record")

        # 5. A new password; it is asked for at the next sign-in.
        await hands.press(hands.link("Account"))
        await hands.heading(hands.say("Your account"))
        await hands.look("account")
        await hands.press(hands.button("Change your password"))
        await hands.heading(hands.say("Change your password"))
        await hands.look("password")
        await hands.type(hands.field("Present password"), "correct horse battery")
        for field in await page.locator("input[autocomplete='new-password']").all():
            await hands.type(field, "a tank of clear water")
        await hands.press(hands.button("Change the password"))
        await hands.told(hands.say("Your password is changed. You are signed out everywhere else."))
        await hands.press(hands.button("Sign out"))
        await expect(hands.button("Sign in")).to_be_visible()
        await hands.look("signed-out")
        await hands.sign_in("ana", "a tank of clear water")


@every_way
async def test_a_plant_manager(site: Site, people: World, way: str) -> None:
    async with visiting(site, "max", "manager", way) as hands:
        page = hands.page
        # 1. The plant today, who has not begun, and one of them.
        await hands.press(page.get_by_role("link", name="Columbus, OH"))
        await hands.heading("Columbus, OH")
        await hands.look("plant")
        await hands.press(page.locator("nav.filters a[href*='show=not_started']"))
        await page.wait_for_url("**show=not_started**")
        await hands.press(page.get_by_role("region").get_by_role("link", name="Ana Test"))
        await hands.heading("Ana Test")
        await hands.look("training")

        # 2. Somebody looked up.
        await hands.press(hands.link("People"))
        await hands.type(hands.field("Search"), "nobody of that name")
        await hands.press(hands.button("Search"))
        await expect(page.get_by_text(hands.say("Nobody fits."))).to_be_visible()
        await hands.look("nobody")
        await hands.press(hands.link("Show everybody"))
        await expect(page.get_by_role("link", name="Test, Cal")).to_be_visible()
        await hands.look("people")
        await hands.press(page.get_by_role("link", name="Test, Cal"))
        await hands.heading("Cal Test")
        await hands.look("person")

        # 3. Enrolled: one, and then all that are found.
        await hands.press(hands.link("Enroll in a course …"))
        await hands.heading(hands.say("Enroll in a course"))
        await hands.tick(page.locator(f"input[value='{people.course['hazmat']}']"))
        await hands.look("enroll")
        await hands.press(hands.button("Enroll"))
        await hands.told(hands.say("%(num)s person was enrolled.", num="1"))
        await hands.press(page.locator("button[value=found]"))
        await hands.tick(page.locator(f"input[value='{people.course['outside']}']"))
        await hands.press(hands.button("Enroll"))
        await hands.heading(hands.say("People"))
        await hands.look("enrolled")

        # 4. Invited, and the invitation taken back.
        await hands.press(page.locator("nav").get_by_role("link", name=hands.say("Invitations")))
        await hands.type(hands.field("E-mail addresses"), "not an address")
        await hands.press(hands.button("Send the invitations"))
        await expect(page.get_by_role("alert").or_(page.get_by_role("status")).first).to_be_visible()
        await expect(
            page.get_by_text(hands.say("An email address must have an @-sign.")).first
        ).to_be_visible()
        await hands.look("invite-fault")
        await hands.type(hands.field("E-mail addresses"), "zoe@example.com")
        await hands.press(hands.button("Send the invitations"))
        row = page.get_by_role("row").filter(has_text="zoe@example.com")
        await expect(row).to_be_visible()
        await hands.look("invited")
        await hands.press(row.get_by_role("button").last)
        await expect(row).to_have_count(0)

        # 5. The list to take away.
        await hands.press(hands.link("People"))
        async with page.expect_download() as saved:
            await hands.press(page.locator("a[href*='format=csv'][download]").first)
        path = await (await saved.value).path()
        assert path.read_text().count("@example.com") >= 4
        assert "bo@example.com" not in path.read_text()  # of another plant


@every_way
async def test_hr(site: Site, people: World, way: str) -> None:
    async with visiting(site, "hana", "hr", way) as hands:
        page = hands.page
        # 1. The company, and from it into a plant.
        await hands.press(hands.link("Company"))
        await hands.heading(hands.say("Company"))
        await hands.look("company")
        await hands.press(page.get_by_role("region").get_by_role("link", name="Phoenix, AZ").first)
        await hands.heading("Phoenix, AZ")

        # 2. Somebody moves to another plant, with a new job.
        await hands.press(hands.link("People"))
        await hands.choose(page.locator("select[name=plant]"), "Columbus, OH")
        await hands.type(hands.field("Search"), "cal")
        await hands.press(hands.button("Search"))
        await hands.press(page.get_by_role("link", name="Test, Cal"))
        await hands.type(page.locator("input[name=job_title]"), "Tank-Truck Loader")
        await hands.press(hands.button("Save"))
        await expect(page.locator("dl.facts")).to_contain_text("Tank-Truck Loader")
        await hands.press(page.locator("summary").filter(has_text=hands.say("Move to another plant …")))
        await hands.choose(hands.field("New plant"), "Phoenix, AZ")
        await hands.look("move")
        await hands.press(hands.button("Move"))
        await expect(page.locator("dl.facts")).to_contain_text("Phoenix, AZ")
        await hands.told(hands.say("Moved, with open and done courses."))

        # 3. A role, and no more.
        await hands.press(page.locator("summary").filter(has_text=hands.say("Grant a role …")))
        await hands.choose(page.locator("select[name=role]"), hands.say("Manager of the plant"))
        await hands.choose(page.locator("form[action$='/roles'] select[name=plant_id]"), "Phoenix, AZ")
        await hands.look("grant")
        await hands.press(hands.button("Grant"))
        revoke = page.locator("form[action$='/roles/revoke'] button")
        await hands.press(revoke)
        await expect(revoke).to_have_count(0)

        # 4. Suspended after a second look, and back.
        await hands.press(page.locator("summary").filter(has_text=hands.say("Suspend …")))
        await hands.look("suspend")
        await hands.press(hands.button("Suspend %(name)s", name="Cal Test"))
        await expect(page.get_by_text(hands.say("Suspended: cannot sign in."))).to_be_visible()
        await hands.look("suspended")
        await hands.press(hands.button("Reinstate"))
        await expect(page.locator("summary").filter(has_text=hands.say("Suspend …"))).to_be_visible()

        # 5. A list of people: what it would change, done, and their mails.
        await page.goto("/people")
        await hands.press(hands.link("Import a list"))
        await page.locator("input[type=file]").set_input_files(  # the system's own window, not the page's
            {"name": "people.csv", "mimeType": "text/csv", "buffer": FILE.encode()}
        )
        await hands.look("import")
        await hands.press(hands.button("Look at what it would change"))
        await hands.heading(hands.say("What the file would change"))
        await expect(page.get_by_text("not-an-address").first).to_be_visible()
        await hands.look("problems")
        await hands.press(page.locator("nav.tabs a[href$='show=changed']"))
        await expect(page.locator("del")).to_have_text("Ana")
        await hands.look("changes")
        await hands.press(page.locator("form[action^='/people/import/'] button"))
        await hands.told("1")
        await hands.look("imported")
        await hands.press(hands.link("Send the invitations"))
        await hands.press(hands.button("Send them"))
        await expect(page.get_by_text(hands.say("All invitations are sent."))).to_be_visible()
        row = page.get_by_role("row").filter(has_text="zoe@example.com")
        await expect(row).not_to_contain_text(hands.say("not yet"))
        await hands.look("sent")
