"""What only a browser shows: the keyboard, a lost connection, contrast in the dark, small screens."""

from collections.abc import AsyncIterator
from typing import TypeAlias

import asyncpg
import pytest
from playwright.async_api import Page, expect

from specchem.db.database import Database
from tests.browser.conftest import PASSWORD, PHONE, Site, picture, sign_in
from tests.browser.hands import fits, focused
from tests.world import World

HAZMAT = "/courses/function-specific-hazmat"
Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture
async def owner(fresh: Database) -> AsyncIterator[Owner]:
    """The database's superuser, for what no page does."""
    connection = await asyncpg.connect(fresh.platform)
    yield connection
    await connection.close()


async def tab_to(page: Page, selector: str, *, most: int = 60) -> None:
    """Go on by Tab to what the selector finds; every stop on the way can be seen."""
    for _ in range(most):
        await page.keyboard.press("Tab")
        await focused(page)
        if await page.evaluate("which => document.activeElement.matches(which)", selector):
            return
    raise AssertionError(f"the keyboard does not reach {selector}")


async def test_the_keyboard_alone_answers_a_question(site: Site, people: World) -> None:
    questions = [one for one in people.answers.items() if one[0][0] == "classification" and len(one[1]) == 1]
    (_, question), correct = questions[0]
    keys = [chr(ord("a") + n) for n in range(4)]
    async with site.visit() as page:
        await page.goto("/login")
        await page.keyboard.type("ana@example.com")  # the first field has the focus
        await page.keyboard.press("Tab")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="My courses")).to_be_visible()

        await page.keyboard.press("Tab")
        assert "skip" in await focused(page)
        await page.keyboard.press("Enter")
        await tab_to(page, f"a[href='{HAZMAT}'][role=button]")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**{HAZMAT}")
        await tab_to(page, f"#map a[href='{HAZMAT}/classification']")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**{HAZMAT}/classification")
        await tab_to(page, f"#steps a[href='#{question}']")
        await page.keyboard.press("Enter")

        card = page.locator(f"article#{question}")
        for choice, said in (
            (next(key for key in keys if [key] != correct), "Not right yet"),
            (correct[0], "Right."),
        ):
            await tab_to(page, f"article#{question} input")
            for _ in keys:
                if await page.evaluate("document.activeElement.value") == choice:
                    break
                await page.keyboard.press("ArrowDown")
            await page.keyboard.press("Space")
            await page.keyboard.press("Tab")
            assert await focused(page) == "button submit"
            await page.keyboard.press("Enter")
            await expect(card.get_by_text(said)).to_be_visible()
            # The focus is where the news is, and the next Tab goes on from there.
            await expect(card.locator(".feedback")).to_be_focused()
            assert "feedback" in await focused(page)
            if said == "Not right yet":
                await page.keyboard.press("Tab")
                assert await focused(page) == "button submit"
                await page.keyboard.press("Shift+Tab")
                assert "choice" in await focused(page)
                await page.keyboard.press("Shift+Tab")
        await page.keyboard.press("Tab")
        assert "next" in await focused(page)
        await page.keyboard.press("Enter")
        assert not await card.is_visible()
        assert await page.evaluate("!!document.activeElement.closest('article.question')")


async def test_an_answer_that_the_server_cannot_take_stays_and_says_why(
    site: Site, people: World, owner: Owner
) -> None:
    section, question = next(iter(people.answers))
    async with site.visit("ana") as page:
        await page.goto(f"{HAZMAT}/{section}")
        card = page.locator(f"article#{question}")
        await owner.execute("update courses set is_published = false")
        await card.locator("input[name=choice]").first.check()
        await card.get_by_role("button", name="Answer").click()
        refused = page.get_by_text("There is no such course.")
        await expect(refused).to_be_in_viewport()
        await expect(card.locator("input[name=choice]").first).to_be_checked()
        await expect(page.locator("header")).to_have_count(1)

        await owner.execute("update courses set is_published = true where slug <> 'draft'")
        await card.get_by_role("button", name="Answer").click()
        await expect(card.locator(".feedback .notice")).to_be_visible()
        await expect(refused).to_be_hidden()


async def test_nothing_chosen_is_said_at_the_question(site: Site, people: World) -> None:
    section, question = next(at for at, correct in people.answers.items() if len(correct) > 1)
    async with site.visit("ana") as page:
        await page.goto(f"{HAZMAT}/{section}#{question}")
        card = page.locator(f"article#{question}")
        await card.get_by_role("button", name="Answer").click()
        await expect(card.get_by_text("Choose an answer first.")).to_be_visible()
        await expect(card.locator(".feedback")).to_be_focused()


LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"


async def test_a_small_dark_screen_has_no_barriers_and_no_second_scroll_bar(
    site: Site, people: World, owner: Owner
) -> None:
    """Every page at 360 px, with names longer than the screen; in the light the main job looks."""
    await owner.execute("update profiles set last_name = $1, job_title = $1 where email like 'ana@%'", LONG)
    await owner.execute("update courses set title = $1 where slug = 'outside'", LONG)
    await owner.execute("update plants set name = $1 where name = 'Columbus, OH'", LONG)
    section, question = next(iter(people.answers))

    async def look(page: Page, name: str) -> None:
        await fits(page)
        await picture(page, f"dark-{name}")

    async with site.visit(size=PHONE, dark=True) as page:
        await page.goto(f"/login?next={HAZMAT}")
        await fits(page)
        await sign_in(page, "ana", "wrong password")
        await expect(page.get_by_role("alert").first).to_contain_text("do not go together")
        await look(page, "login-error")
        await sign_in(page, "ana")
        await page.wait_for_url("**/")
        for at in ("/", "/courses/outside", "/courses/outside/done", HAZMAT):
            await page.goto(at)
            await fits(page)
        await page.goto(f"{HAZMAT}/done")
        await look(page, "done")
        for other in dict.fromkeys([*people.plain_sections, *(at for at, _ in people.answers)]):
            await page.goto(f"{HAZMAT}/{other}")
            await fits(page)
        await page.goto("/nope")
        await look(page, "error")
        await page.goto(f"{HAZMAT}/{section}")
        card = page.locator(f"article#{question}")
        correct = people.answers[section, question]
        await card.locator(f"input[value={'a' if correct != ['a'] else 'b'}]").check()
        await card.get_by_role("button").click()
        await expect(card.get_by_text("Not right yet")).to_be_visible()
        await look(page, "wrong")
        for _ in range(5):
            await owner.execute(
                "insert into question_events (user_id, course_id, section_key, question_key, response_meta)"
                " values ($1, $2, $3, $4, $5)",
                people.person["ana"], people.course["hazmat"], section, question,
                f'{{"choices": ["{"a" if correct != ["a"] else "b"}"]}}',
            )  # fmt: skip
    async with site.visit("max", size=PHONE, dark=True) as page:
        await page.goto(f"/plants/{people.plant['Columbus, OH']}?course_id={people.course['hazmat']}")
        await look(page, "plant")
    async with site.visit("hana", size=PHONE, dark=True) as page:
        await page.goto("/company")
        await look(page, "company")
        await page.goto(f"/plants/{people.plant['Dallas, TX']}")
        await look(page, "empty-plant")
