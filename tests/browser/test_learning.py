"""The learner's device: a lost connection, a closed tab, a shared tablet, an old phone."""

import json
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import asyncpg
import pytest
from playwright.async_api import BrowserContext, Page, expect

from specchem.db.database import Database
from tests.browser.conftest import DESK, PHONE, Site, picture, sign_in
from tests.browser.hands import fits
from tests.browser.test_main_job import answer, turn_to
from tests.world import World

HAZMAT = "/courses/function-specific-hazmat"
FIRST, SECOND = "classification", "shipping-papers"
Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
KEPT = "kept on this device"


@pytest.fixture
async def owner(fresh: Database) -> AsyncIterator[Owner]:
    """The database's superuser, for what no page tells."""
    connection = await asyncpg.connect(fresh.platform)
    yield connection
    await connection.close()


async def recorded(owner: Owner, who: Any) -> list[tuple[str, list[str], bool, int]]:
    """A person's answers in the order they were given: question, choices, right or not, which try."""
    rows = await owner.fetch(
        "select question_key, response_meta, is_correct, attempt_index from question_events where user_id = $1"
        " order by answered_at",
        who,
    )
    return [
        (row["question_key"], json.loads(row["response_meta"])["choices"], row["is_correct"], row["attempt_index"])
        for row in rows
    ]  # fmt: skip


def following(world: World, section: str) -> str:
    """The section with questions behind another one."""
    sections = list(dict.fromkeys(at for at, _ in world.answers))
    return sections[sections.index(section) + 1]


def of_section(world: World, section: str) -> list[tuple[str, list[str]]]:
    return [(question, correct) for (at, question), correct in world.answers.items() if at == section]


async def keep_ten(page: Page, world: World) -> list[tuple[str, list[str], bool, int]]:
    """Lose the connection, and answer ten questions of two sections; every third one wrong."""
    await page.goto(f"{HAZMAT}/{FIRST}")
    await page.context.set_offline(True)
    given: list[tuple[str, list[str], bool, int]] = []
    for section in (FIRST, following(world, FIRST)):
        await page.wait_for_url(f"**/{section}*")
        for question, correct in of_section(world, section):
            if len(given) == 10:
                break
            wrong = len(given) % 3 == 1
            choices = (["a"] if correct != ["a"] else ["b"]) if wrong else correct
            await answer(page, question, choices)
            given.append((question, choices, not wrong, 1))
            await expect(
                page.locator(f"article#{question}").get_by_text("Kept on this device.")
            ).to_be_visible()
            said = "1 answer is" if len(given) == 1 else f"{len(given)} answers are"
            await expect(page.locator("#kept")).to_contain_text(f"{said} {KEPT}")
        if len(given) < 10:
            await page.get_by_role("button", name="Continue").click()
    assert len(given) == 10
    return given


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_ten_answers_without_a_connection_are_sent_once_and_graded_in_order(
    site: Site, people: World, owner: Owner, size: dict[str, int]
) -> None:
    async with site.visit("ana", size=size) as page:
        given = await keep_ten(page, people)
        assert await recorded(owner, people.person["ana"]) == []
        await picture(page, f"{'phone' if size is PHONE else 'desk'}-offline")

        await page.context.set_offline(False)
        await expect(page.locator("#sent")).to_contain_text(
            "10 answers were sent and graded, 7 of them right."
        )
        await expect(page.locator("#kept")).to_be_hidden()
        assert await recorded(owner, people.person["ana"]) == given

        # What was graded is shown, and what was missed can be tried again.
        last, _, right, _ = given[-1]
        assert right
        await expect(page.locator(f"article#{last}").get_by_text("Right.", exact=True)).to_be_visible()
        await picture(page, f"{'phone' if size is PHONE else 'desk'}-back-online")
        missed = [question for question, _, right, _ in given if not right]
        await page.goto(HAZMAT)
        await page.get_by_role("button", name="Try again what you missed (3 questions)").click()
        await expect(page.locator(f"article#{missed[0]}").get_by_text("Not right yet.")).to_be_visible()

        await page.evaluate("dispatchEvent(new Event('online'))")
        await page.reload()
        await expect(page.locator(f"article#{missed[0]}")).to_be_visible()
        assert await recorded(owner, people.person["ana"]) == given


async def again(context: BrowserContext, page: Page) -> Page:
    """The tab is closed and another one opened, as after a crash."""
    await page.close(run_before_unload=False)
    return await context.new_page()


async def test_a_tab_that_dies_loses_no_answer(site: Site, people: World, owner: Owner) -> None:
    async with site.visit("ana", size=PHONE) as page:
        given = await keep_ten(page, people)
        other = await again(page.context, page)
        await other.context.set_offline(False)
        await other.goto("/")
        await expect(other.locator("#sent")).to_contain_text("10 answers were sent")
        assert await recorded(owner, people.person["ana"]) == given


async def test_an_answer_whose_receipt_is_lost_is_recorded_once(
    site: Site, people: World, owner: Owner
) -> None:
    """The server has it, the device does not know: the tab dies between the two."""
    question, correct = of_section(people, FIRST)[0]
    async with site.visit("ana") as page:
        await page.goto(f"{HAZMAT}/{FIRST}")

        async def swallow(route: Any) -> None:
            await route.fetch()
            await route.abort("connectionreset")

        await page.route(f"**/{FIRST}/{question}", swallow)
        await answer(page, question, correct)
        await expect(page.locator("#kept, #sent")).not_to_have_count(0)
        await expect(page.locator(f"article#{question}").get_by_text("Kept on this device.")).to_be_visible()
        other = await again(page.context, page)
        await other.goto(f"{HAZMAT}/{FIRST}")
        await expect(other.locator("#sent")).to_contain_text("your answer was sent and graded")
        await expect(other.locator(f"article#{question}.right")).to_have_count(1)
        assert await recorded(owner, people.person["ana"]) == [(question, correct, True, 1)]


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_server_that_is_away_is_a_lost_connection(
    site: Site, people: World, owner: Owner, status: int
) -> None:
    question, correct = of_section(people, FIRST)[0]
    async with site.visit("ana") as page:
        await page.goto(f"{HAZMAT}/{FIRST}")

        async def away(route: Any) -> None:
            await route.fulfill(status=status, body="<html><article>Bad gateway</article></html>")

        await page.route(f"**/{FIRST}/{question}", away)
        await answer(page, question, correct)
        await expect(page.locator("#kept")).to_contain_text("1 answer is kept")
        await page.evaluate("dispatchEvent(new Event('online'))")
        await expect(page.locator("#sent")).to_be_visible()
        assert await recorded(owner, people.person["ana"]) == [(question, correct, True, 1)]


async def test_nobody_sends_another_persons_answers(site: Site, people: World, owner: Owner) -> None:
    async with site.visit("ana", size=PHONE) as page:
        given = await keep_ten(page, people)
        page = await again(page.context, page)
        # Her session is over when the connection comes back, and Bo takes the tablet.
        await page.context.clear_cookies()
        await page.context.set_offline(False)
        await sign_in(page, "bo")
        await expect(page.get_by_role("heading", name="My courses")).to_be_visible()
        async with page.expect_response(lambda got: "/static/learn.js" in got.url):
            await page.goto(f"{HAZMAT}/{FIRST}")
        await expect(page.locator("#steps .open")).to_have_count(len(of_section(people, FIRST)))
        await expect(page.locator("#kept")).to_be_hidden()
        question, correct = of_section(people, FIRST)[0]
        await answer(page, question, correct)
        await expect(page.locator(f"article#{question}").get_by_text("Right.", exact=True)).to_be_visible()
        assert await recorded(owner, people.person["ana"]) == []
        assert await recorded(owner, people.person["bo"]) == [(question, correct, True, 1)]

        await page.get_by_role("button", name="Sign out").click()
        await sign_in(page, "ana")
        await expect(page.locator("#sent")).to_contain_text("10 answers were sent")
        assert await recorded(owner, people.person["ana"]) == given


async def test_a_page_of_somebody_who_left_records_nothing_for_who_came(
    site: Site, people: World, owner: Owner
) -> None:
    """Two tabs of one tablet: Ana's is still open when Bo signs in in the other."""
    question, correct = of_section(people, FIRST)[0]
    async with site.visit("ana") as page:
        await page.goto(f"{HAZMAT}/{FIRST}")
        other = await page.context.new_page()
        await page.context.clear_cookies(name="sb-127-auth-token")
        await other.goto("/login")
        await sign_in(other, "bo")
        await expect(other.get_by_role("heading", name="My courses")).to_be_visible()
        await answer(page, question, correct)
        await expect(page.locator("#refused")).to_contain_text(
            "Somebody else is signed in on this device now."
        )
        assert await owner.fetchval("select count(*) from question_events") == 0


async def test_a_session_that_ended_keeps_the_answer_until_the_next(
    site: Site, people: World, owner: Owner
) -> None:
    question, correct = of_section(people, FIRST)[0]
    async with site.visit("ana") as page:
        await page.goto(f"{HAZMAT}/{FIRST}")
        await owner.execute("delete from auth.sessions")
        await answer(page, question, correct)
        await expect(page.locator("#ended")).to_contain_text("You are not signed in any more.")
        await page.locator("#ended").get_by_role("link", name="Sign in").click()
        await sign_in(page, "ana")
        await expect(page.locator("#sent")).to_be_visible()
        assert await recorded(owner, people.person["ana"]) == [(question, correct, True, 1)]


async def test_an_answer_that_is_refused_holds_up_no_other_and_is_told(
    site: Site, people: World, owner: Owner
) -> None:
    (gone, _), (stays, correct) = of_section(people, FIRST)[:2]
    async with site.visit("ana") as page:
        await page.goto(f"{HAZMAT}/{FIRST}")
        await page.context.set_offline(True)
        await answer(page, gone, ["a"])
        await answer(page, stays, correct)
        await expect(page.locator("#kept")).to_contain_text("2 answers")
        await page.evaluate("""gone => {
            const key = Object.keys(localStorage).find(one => localStorage.getItem(one).includes(`"${gone}"`));
            const answer = JSON.parse(localStorage.getItem(key));
            localStorage.setItem(key, JSON.stringify({...answer, question_key: "withdrawn"}));
        }""", gone)  # fmt: skip
        await page.context.set_offline(False)
        await expect(page.locator("#undelivered li")).to_contain_text("withdrawn")
        await page.reload()
        await expect(page.locator("#undelivered")).to_be_visible()  # until it was read
        await page.get_by_role("button", name="I have read this").click()
        await expect(page.locator("#undelivered")).to_be_hidden()
        await page.reload()
        await expect(page.locator("#undelivered")).to_be_hidden()
        assert await recorded(owner, people.person["ana"]) == [(stays, correct, True, 1)]


async def test_a_tablet_that_nobody_touches_signs_out_and_keeps_what_was_chosen(
    site: Site, people: World, owner: Owner
) -> None:
    question, correct = of_section(people, FIRST)[1]
    async with site.visit(size=PHONE) as page:
        await page.clock.install()
        await sign_in(page, "ana")
        await page.goto(f"{HAZMAT}/{FIRST}")
        await turn_to(page, question)
        for choice in correct:
            await page.locator(f"article#{question} input[value={choice}]").check()
        await page.clock.fast_forward("29:05")
        await expect(page.locator("#idle")).to_be_in_viewport()
        await picture(page, "phone-idle")
        await page.get_by_role("button", name="Stay signed in").click()
        await expect(page.locator("#idle")).to_be_hidden()
        await page.clock.fast_forward("20:00")
        assert page.url.endswith(f"{FIRST}#{question}")
        await page.clock.fast_forward("10:30")
        await page.wait_for_url("**/login")
        assert await owner.fetchval("select count(*) from auth.sessions") == 0

        await sign_in(page, "ana")
        await expect(page.get_by_role("heading", name="My courses")).to_be_visible()
        await page.goto(f"{HAZMAT}/{FIRST}#{question}")
        chosen = page.locator(f"article#{question} input:checked")
        await expect(chosen).to_have_count(len(correct))
        await page.locator(f"article#{question}").get_by_role("button").click()
        await expect(page.locator(f"article#{question}").get_by_text("Right.", exact=True)).to_be_visible()


async def test_a_tab_closed_and_opened_after_the_limit_is_signed_out(site: Site) -> None:
    async with site.visit("ana") as page:
        await expect(page.get_by_role("heading", name="My courses")).to_be_visible()
        await page.evaluate("localStorage.setItem('specchem-seen', Date.now() - 31 * 60_000)")
        other = await again(page.context, page)
        await other.goto("/")
        await other.wait_for_url("**/login")


PAGES = ["/", HAZMAT, f"{HAZMAT}/{FIRST}", f"{HAZMAT}/{SECOND}", f"{HAZMAT}/done", "/record"]


@pytest.mark.parametrize("language", ["en", "es"])
async def test_a_learners_page_weighs_little(site: Site, language: str) -> None:
    """At most 60 KiB as sent and 6 requests, with nothing in the browser's cache."""
    async with site.visit("ana", size=PHONE) as page:
        await expect(page.get_by_role("heading", name="My courses")).to_be_visible()
        await page.get_by_role("button", name={"en": "English", "es": "Español"}[language]).click()
        await expect(page.locator("html")).to_have_attribute("lang", language)
        devtools = await page.context.new_cdp_session(page)
        await devtools.send("Network.enable")
        await devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
        asked: dict[str, str] = {}
        sent: dict[str, float] = {}
        devtools.on(
            "Network.requestWillBeSent", lambda got: asked.update({got["requestId"]: got["request"]["url"]})
        )
        devtools.on(
            "Network.loadingFinished", lambda got: sent.update({got["requestId"]: got["encodedDataLength"]})
        )
        for at in PAGES:
            asked.clear()
            sent.clear()
            await page.goto(at, wait_until="networkidle")
            # A picture within the style sheet is no request.
            weights = {url: sent[key] for key, url in asked.items() if not url.startswith("data:")}
            assert 5 <= len(weights) <= 6, weights
            assert 20 * 1024 < sum(weights.values()) <= 60 * 1024, weights
            await expect(page.locator("html")).to_have_attribute("lang", language)
            await picture(page, f"phone-{language}-{at.strip('/').rpartition('/')[2] or 'home'}")
            await fits(page)
