"""Somebody at a device: what they press and type, by hand or by the keyboard alone, in their language."""

from dataclasses import dataclass

from playwright.async_api import Locator, Page, expect

from specchem import i18n
from tests.browser.conftest import PASSWORD, picture


async def focused(page: Page) -> str:
    """What has the focus, as a person would name it; asserts that one can see it."""
    said: str = await page.evaluate("""() => {
        const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
        const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
        const seen = outlined || style.boxShadow !== "none" || one === document.body;
        if (!seen) throw Error("unseen focus: " + one.outerHTML);
        if (box.bottom < 0 || box.top > innerHeight) throw Error("focus out of sight: " + one.outerHTML);
        return [one.tagName.toLowerCase(), one.type || "", one.className || one.name || one.id].join(" ").trim();
    }""")
    return said


async def fits(page: Page) -> None:
    """The page is there, and nothing is wider than the screen."""
    await page.wait_for_load_state()  # a click leads on before the page is there
    wide = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1], f"{page.url} is {wide[0]} px wide"


@dataclass(frozen=True)
class Hands:
    """One person's way through the pages. ``keyboard``: every press is a key. ``scripts``: as the page has them."""

    page: Page
    name: str  # of the pictures
    language: str = "en"
    keyboard: bool = False
    scripts: bool = True

    def say(self, sentence: str, **put: str) -> str:
        """A sentence of the pages in this person's language."""
        told = i18n.translations(self.language).gettext(sentence)
        assert self.language == "en" or told != sentence, sentence
        return told % put if put else told

    def link(self, sentence: str, **put: str) -> Locator:
        """The link that says so."""
        return self.page.get_by_role("link", name=self.say(sentence, **put), exact=True)

    def button(self, sentence: str, **put: str) -> Locator:
        """The button that says so."""
        return self.page.get_by_role("button", name=self.say(sentence, **put), exact=True)

    def field(self, sentence: str) -> Locator:
        """The field under that label."""
        return self.page.get_by_label(self.say(sentence))

    async def reach(self, what: Locator) -> None:
        """Go on by Tab until it has the focus; every stop on the way can be seen."""
        await expect(what).to_be_visible()
        element = await what.element_handle()
        for _ in range(250):
            if await self.page.evaluate("one => one === document.activeElement", element):
                return
            await self.page.keyboard.press("Tab")
            await focused(self.page)
        raise AssertionError(f"the keyboard does not reach {what}")

    async def press(self, what: Locator) -> None:
        """A link, a button, something that unfolds."""
        if not self.keyboard:
            return await what.click()
        await self.reach(what)
        return await self.page.keyboard.press("Enter")

    async def tick(self, what: Locator) -> None:
        """A box, or one choice of several."""
        if not self.keyboard:
            return await what.check()
        if await what.get_attribute("type") == "checkbox":
            await self.reach(what)
        else:
            # Of a group the keyboard stops at the chosen one or the first, and the arrows go on from there.
            group = what.locator("xpath=ancestor::form[1]").locator("input[type=radio]")
            chosen = group.and_(self.page.locator(":checked"))
            await self.reach(chosen if await chosen.count() else group.first)
            element = await what.element_handle()
            while not await self.page.evaluate("one => one === document.activeElement", element):
                await self.page.keyboard.press("ArrowDown")
        if not await what.is_checked():
            await self.page.keyboard.press("Space")
        return await expect(what).to_be_checked()

    async def untick(self, what: Locator) -> None:
        """A box that is ticked."""
        if not self.keyboard:
            return await what.uncheck()
        await self.reach(what)
        return await self.page.keyboard.press("Space")

    async def type(self, what: Locator, text: str) -> None:
        """Into a field, instead of what is there."""
        if not self.keyboard:
            return await what.fill(text)
        await self.reach(what)
        await self.page.keyboard.press("Control+A")
        return await self.page.keyboard.type(text)

    async def choose(self, what: Locator, option: str) -> None:
        """From a list."""
        if not self.keyboard:
            await what.select_option(label=option)
        else:
            await self.reach(what)
            await self.page.keyboard.type(option)
        chosen = await what.evaluate("one => one.selectedOptions[0].label")
        assert chosen == option

    async def look(self, at: str) -> None:
        """Keep a picture; nothing is wider than the screen, and nothing a barrier."""
        await fits(self.page)
        if self.scripts:
            await picture(self.page, f"{self.name}-{at}", whole=True)

    async def heading(self, text: str) -> None:
        """Be on the page that is called so."""
        await expect(self.page.get_by_role("heading", level=1, name=text, exact=True)).to_be_visible()

    async def told(self, text: str) -> None:
        """Be told so."""
        await expect(self.page.get_by_role("status").filter(has_text=text).first).to_be_visible()

    async def sign_in(self, who: str, password: str = PASSWORD) -> None:
        """As that person of the tests' world."""
        await self.page.goto("/login")
        if await self.page.locator("html").get_attribute("lang") != self.language:
            await self.press(
                self.page.get_by_role("button", name={"en": "English", "es": "Español"}[self.language])
            )
            await expect(self.page.locator("html")).to_have_attribute("lang", self.language)
        await self.type(self.field("E-mail address"), f"{who}@example.com")
        await self.type(self.field("Password"), password)
        await self.press(self.button("Sign in"))
        await self.heading(self.say("My courses"))
