"""Signing in, in a browser: the form, a forgotten password, an invitation, the second factor; on both sizes."""

import asyncio
import re
import time
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pyotp
import pytest
from playwright.async_api import Page, Route, expect

from specchem.db.database import Database
from tests.auth.mailbox import Mailbox
from tests.browser.conftest import DESK, PASSWORD, PHONE, Site, picture, sign_in
from tests.world import World

HAZMAT = "/courses/function-specific-hazmat"
NEW = "a quite new password"
SIZES = pytest.mark.parametrize(
    ("size", "scripts", "name"),
    [(DESK, True, "desk"), (PHONE, True, "phone"), (PHONE, False, None)],
    ids=["desk", "phone", "phone-without-scripts"],
)


async def seen(page: Page, name: str | None) -> None:
    """No wider than the screen; a picture, and no barriers, where there are scripts to look with."""
    if name is not None:
        await page.wait_for_load_state()
        wide = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1], f"{name} is {wide[0]} px wide"
        await picture(page, f"sign-in-{name}")


def named(name: str | None, what: str) -> str | None:
    return None if name is None else f"{name}-{what}"


async def early_in_a_step() -> None:
    """The authenticator shows another code every 30 seconds."""
    if (into := time.time() % 30) > 15:
        await asyncio.sleep(30 - into)


async def choose_password(page: Page, new: str) -> None:
    await page.get_by_label("New password", exact=False).first.fill(new)
    await page.get_by_label("New password once more").fill(new)
    await page.get_by_role("button", name=re.compile("the password")).click()


@SIZES
async def test_the_form_leads_to_where_one_was_going(
    site: Site, size: dict[str, int], scripts: bool, name: str | None
) -> None:
    async with site.visit(size=size, scripts=scripts) as page:
        await page.goto(HAZMAT)
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        await seen(page, named(name, "form"))
        await page.get_by_label("E-mail address").fill("ana@example.com")
        await page.get_by_label("Password").fill("wrong")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert").first).to_contain_text("do not go together")
        await expect(page.get_by_label("E-mail address")).to_have_value("ana@example.com")
        await seen(page, named(name, "refused"))
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url(site.address + HAZMAT)

        await page.goto("/login")
        await page.wait_for_url(site.address + "/")
        # Out of reach of whatever script a page might hold.
        cookies = {one["name"]: one for one in await page.context.cookies()}
        ours = [one for one in cookies if one.startswith("sb-127-auth-token")]
        assert ours
        assert all(cookies[one]["httpOnly"] and cookies[one]["sameSite"] == "Lax" for one in ours)

        await page.get_by_role("link", name="Account").click()
        await expect(page.get_by_role("heading", name="Your account")).to_be_visible()
        await seen(page, named(name, "account"))
        await page.get_by_role("button", name="Sign out everywhere").click()
        await expect(page.get_by_text("You are signed out everywhere.")).to_be_visible()
        assert not [one for one in await page.context.cookies() if one.get("name", "").startswith("sb-")]


@SIZES
async def test_a_forgotten_password_is_replaced(
    site: Site, size: dict[str, int], scripts: bool, name: str | None
) -> None:
    post = Mailbox()
    async with site.visit(size=size, scripts=scripts) as page:
        await page.goto("/login")
        await page.get_by_role("link", name="Forgot your password?").click()
        await seen(page, named(name, "forgot"))
        await page.get_by_label("E-mail address").fill("ana@example.com")
        await page.get_by_role("button", name="Send the link").click()
        await expect(page.get_by_role("heading", name="Look into your mail")).to_be_visible()
        await seen(page, named(name, "sent"))

        link = await post.link("ana@example.com")
        await page.goto(link)
        await seen(page, named(name, "recovery"))
        await page.get_by_role("button", name="Go on").click()
        await expect(page.get_by_role("heading", name="Choose your password")).to_be_visible()
        await seen(page, named(name, "password"))
        await choose_password(page, NEW)
        await expect(page.get_by_role("heading", name="My courses")).to_be_visible()

        await page.goto(link)
        await page.get_by_role("button", name="Go on").click()
        await expect(page.get_by_role("heading", name="This link does not work")).to_be_visible()
        await seen(page, named(name, "broken"))
    async with site.visit(size=size, scripts=scripts) as page:
        await sign_in(page, "ana", NEW)
        await expect(page.get_by_role("heading", name="My courses")).to_be_visible()
        await page.goto("/password")
        await page.get_by_label("Present password").fill("not it")
        await choose_password(page, PASSWORD)
        await expect(page.get_by_role("alert").first).to_contain_text("not your present password")
        await seen(page, named(name, "password-refused"))
        await page.get_by_label("Present password").fill(NEW)
        await choose_password(page, PASSWORD)
        await expect(page.get_by_text("Your password is changed.")).to_be_visible()


@SIZES
async def test_an_invitation_is_accepted(
    site: Site, people: World, fresh: Database, size: dict[str, int], scripts: bool, name: str | None
) -> None:
    owner = await asyncpg.connect(fresh.platform)
    await owner.execute(
        "insert into invitations (email, plant_id, first_name, last_name) values ('new@example.com', $1, 'Nea', 'W')",
        people.plant["Columbus, OH"],
    )  # fmt: skip
    await owner.close()
    post = Mailbox()
    await site.app.state.visits.client.invite("new@example.com", {})
    async with site.visit(size=size, scripts=scripts) as page:
        await page.goto(await post.link("new@example.com"))
        await expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
        await seen(page, named(name, "invitation"))
        await page.get_by_role("button", name="Accept the invitation").click()
        await expect(page.get_by_label("E-mail address")).to_have_value("new@example.com")
        await choose_password(page, NEW)
        await expect(page.get_by_role("heading", name="My courses")).to_be_visible()
        await expect(page.get_by_text("Nea W · Columbus, OH")).to_be_visible()


@SIZES
async def test_a_second_factor_is_set_up_and_asked_for(
    site: Site, size: dict[str, int], scripts: bool, name: str | None
) -> None:
    async with site.visit("ana", size=size, scripts=scripts) as page:
        await page.get_by_role("link", name="Account").click()
        await page.get_by_role("button", name="Set it up").click()
        await seen(page, named(name, "factor-offer"))
        await page.get_by_role("button", name="Begin").click()
        await expect(page.get_by_role("img", name="The secret as a picture")).to_be_visible()
        picture_of = await page.get_by_role("img", name="The secret as a picture").bounding_box()
        assert picture_of is not None
        assert min(picture_of["width"], picture_of["height"]) > 150  # large enough for a camera
        await seen(page, named(name, "factor-set-up"))
        uri = await page.locator("input[name=uri]").input_value()
        secret = parse_qs(urlsplit(uri).query)["secret"][0]
        shown = (await page.locator(".secret").inner_text()).replace(" ", "")
        assert shown == secret
        app = pyotp.TOTP(secret)

        await page.get_by_label("Code").fill("000000")
        await page.get_by_role("button", name="Turn it on").click()
        await expect(page.get_by_role("alert").first).to_contain_text("The code is not right.")
        await seen(page, named(name, "factor-refused"))
        await early_in_a_step()  # the code before this one is good for as long as this one is
        await page.get_by_label("Code").fill(app.at(int(time.time()) - 30))
        await page.get_by_role("button", name="Turn it on").click()
        await expect(page.get_by_text("takes a code from your app as well")).to_be_visible()
        await seen(page, named(name, "factor-on"))

    async with site.visit(size=size, scripts=scripts) as page:
        await page.goto(HAZMAT)
        await page.get_by_label("E-mail address").fill("ana@example.com")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
        await seen(page, named(name, "factor-asked"))
        await page.get_by_label("Code").fill(app.now())
        await page.keyboard.press("Enter")
        await page.wait_for_url(site.address + HAZMAT)

        await page.goto("/account")
        await page.get_by_role("button", name="Remove it").click()
        await seen(page, named(name, "factor-remove"))
        await page.get_by_label("Code").fill(app.at(int(time.time()) + 30))
        await page.get_by_role("button", name="Remove it").click()
        await expect(page.get_by_text("takes your password alone again")).to_be_visible()


async def test_by_keyboard_alone_and_in_the_dark(site: Site) -> None:
    async with site.visit("ana", size=PHONE, dark=True) as page:
        await page.goto("/two-factor/set-up")
        for _ in range(30):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.innerText") == "Begin":
                break
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("img", name="The secret as a picture")).to_be_visible()
        await seen(page, "dark-factor-set-up")
        for path, what in (("/account", "account"), ("/password", "password"), ("/login?again=yes", "form")):
            await page.goto(path)
            await seen(page, f"dark-{what}")


async def test_a_form_of_another_site_does_nothing(site: Site) -> None:
    """A real browser says where a form was sent from."""
    async with site.visit("ana") as page:
        await page.goto("/account")
        token = await page.locator("input[name=_csrf_token]").first.input_value()
        foreign = site.address.replace("127.0.0.1", "localhost")  # another site to the browser
        html = (
            f'<form method="post" action="{site.address}/account/sign-out-everywhere">'
            f'<input name="_csrf_token" value="{token}"><button>Win a prize</button></form>'
        )

        async def lure(route: Route) -> None:
            await route.fulfill(body=html, content_type="text/html")

        await page.context.route(f"{foreign}/lure", lure)
        elsewhere = await page.context.new_page()
        await elsewhere.goto(f"{foreign}/lure")
        await elsewhere.get_by_role("button").click()
        await expect(elsewhere.get_by_role("heading")).to_have_text("Not allowed")
        await page.goto("/account")
        await expect(page.get_by_role("heading", name="Your account")).to_be_visible()


@SIZES
async def test_a_manager_invites(site: Site, size: dict[str, int], scripts: bool, name: str | None) -> None:
    async with site.visit("max", size=size, scripts=scripts) as page:
        await page.get_by_role("link", name="Invitations").click()
        await expect(page.get_by_text("Nobody is waiting.")).to_be_visible()
        await seen(page, named(name, "no-invitations"))
        await page.get_by_label("E-mail addresses").fill("one@example.com\nana@example.com")
        await page.get_by_role("button", name="Send the invitations").click()
        await expect(page.get_by_text("the mail is on its way.")).to_be_visible()
        await expect(page.get_by_text("There is a person with this e-mail address already.")).to_be_visible()
        await expect(page.get_by_label("E-mail addresses")).to_have_value("ana@example.com")
        await seen(page, named(name, "invitations"))
        await page.get_by_role("button", name="Send again to one@example.com").click()
        await expect(page.get_by_text("the mail is on its way.")).to_be_visible()
        await page.get_by_role("button", name="Revoke the invitation of one@example.com").click()
        await expect(page.get_by_text("Nobody is waiting.")).to_be_visible()
