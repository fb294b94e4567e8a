"""A dev admin at courses, plants and the system: on a phone and a desk, without scripts, by keyboard, in Spanish."""

import json

import asyncpg
import pytest
from playwright.async_api import Page, expect

from specchem.db.database import Database
from tests.browser.conftest import DESK, PHONE, Site, picture
from tests.browser.hands import Hands, fits
from tests.courses.test_archive import packed
from tests.web.test_keeping_courses import another

BAD = another("9.0", **{"marking.md": b"Marking\n", "labelling.yaml": b"questions: [\n"})
GOOD = another("9.0")
FOUND = [
    ("ok", "Run migrations against production database", "revision 0004; tables and triggers are this release's", ""),
    ("wrong", "Enable RLS policies", "grant of DELETE on public.plants to anon was added",
     "`specchem db upgrade --restate` puts it back."),
    ("wrong", "Track user enrollment patterns",
     "the counters of completion are wrong for plant 00000000-0000-4000-8000-00000000000a, course"
     " 00000000-0000-4000-8000-00000000000b: enrolled counted 9, recounted 2",
     "Count them anew: docs/operating.md, Doctor. `specchem report verify` lists them all."),
    ("cannot tell", "Set up query performance monitoring",
     "pg_stat_statements is not installed, so nobody counts what statements take",
     "`alter system set shared_preload_libraries = 'pg_stat_statements'`, restart the server, then"
     " `create schema monitoring; create extension pg_stat_statements schema monitoring`"
     " (on Supabase: Database, Extensions)."),
]  # fmt: skip


async def look(page: Page, name: str) -> None:
    await fits(page)
    scrolled = await page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth)"
        ".map(one => `${one.getAttribute('aria-label')} ${one.scrollWidth} px`)"
    )
    assert scrolled == [], f"{name} has tables that scroll sideways"
    await picture(page, f"keeping-{name}", whole=True)


async def choose(page: Page, files: dict[str, bytes]) -> None:
    await page.locator("input[type=file]").set_input_files(
        {"name": "course.zip", "mimeType": "application/zip", "buffer": packed(files).getvalue()}
    )


async def examine(database: Database) -> None:
    """As `specchem doctor --keep` leaves it, with more faults than one would like."""
    owner = await asyncpg.connect(database.owner)
    names = ("state", "line", "found", "todo")
    found = [{"section": "Monitoring", **dict(zip(names, one, strict=True))} for one in FOUND]
    await owner.execute(
        "insert into specchem.examinations (release, findings) values ('0.1.0', $1)", json.dumps(found)
    )
    await owner.close()


@pytest.mark.parametrize(("size", "where"), [(PHONE, "phone"), (DESK, "desk")])
async def test_a_course_is_loaded_looked_at_published_and_withdrawn(
    site: Site, size: dict[str, int], where: str
) -> None:
    async with site.visit("dev", size=size) as page:
        await page.get_by_role("link", name="Courses", exact=True).click()
        await expect(page.get_by_role("heading", name="Courses", exact=True)).to_be_visible()
        await look(page, f"{where}-courses")
        await page.get_by_role("button", name="Load a course from a file").click()
        await expect(page.get_by_role("heading", name="Load a course")).to_be_visible()
        await look(page, f"{where}-load")
        await choose(page, BAD)
        await page.get_by_role("button", name="Load it as a draft").click()
        await expect(page.get_by_role("alert").filter(has_text="nothing was loaded")).to_be_visible()
        row = page.get_by_role("row", name="marking.md")
        await expect(row).to_contain_text("the first line must be the title")
        await look(page, f"{where}-faults")
        await choose(page, GOOD)
        await page.get_by_role("button", name="Load it as a draft").click()
        await expect(page.get_by_role("status")).to_contain_text("Loaded.")
        await look(page, f"{where}-draft")

        # As a learner sees it, section by section, in each language.
        await page.locator(".map a").nth(1).click()
        await expect(page.locator(".question").first).to_be_visible()
        await look(page, f"{where}-draft-section")
        await page.get_by_role("link", name="Next section").click()
        await page.get_by_role("link", name="Español").click()
        await expect(page.locator(".previewed")).to_have_attribute("lang", "es")
        await page.locator(".crumb").get_by_role("link").click()
        await page.get_by_role("button", name="Publish").click()
        await expect(page.get_by_text("It takes the place of version 1.0.")).to_be_visible()
        await look(page, f"{where}-publish")
        await page.get_by_role("button", name="Publish").click()
        await expect(page.get_by_role("status")).to_contain_text("Published.")
        await expect(page.get_by_role("row", name="9.0")).to_contain_text("Offered")
        await expect(page.get_by_role("row", name="Replaced")).to_contain_text("1.0")
        await look(page, f"{where}-published")

        await page.get_by_role("row", name="9.0").get_by_role("link", name="Withdraw").click()
        await expect(page.get_by_text("Nobody is enrolled in this course until")).to_be_visible()
        await expect(
            page.get_by_text("Nobody was ever enrolled in it, so it is a draft again")
        ).to_be_visible()
        await look(page, f"{where}-withdraw")
        await page.get_by_role("button", name="Withdraw").click()
        await expect(page.get_by_role("status")).to_contain_text("Withdrawn.")
        await expect(page.get_by_role("row", name="9.0")).to_contain_text("Draft")


@pytest.mark.parametrize(("size", "where"), [(PHONE, "phone"), (DESK, "desk")])
async def test_a_plant_is_added_renamed_closed_and_opened_and_the_system_read(
    site: Site, fresh: Database, size: dict[str, int], where: str
) -> None:
    async with site.visit("dev", size=size) as page:
        await page.get_by_role("link", name="Plants", exact=True).click()
        await expect(page.get_by_role("heading", name="Plants", exact=True)).to_be_visible()
        await look(page, f"{where}-plants")
        await page.get_by_label("Name").fill("Reno, NV")
        await page.get_by_label("Time zone").fill("Pacific")
        await page.get_by_role("button", name="Add the plant").click()
        # Below a long list, and yet in sight.
        refused = page.get_by_role("alert").filter(has_text="Choose the plant's time zone")
        await expect(refused).to_be_in_viewport()
        await look(page, f"{where}-plants-refused")
        await page.get_by_label("Time zone").fill("America/Los_Angeles")
        await page.get_by_role("button", name="Add the plant").click()
        await page.get_by_role("link", name="Reno, NV", exact=True).click()
        await expect(page.get_by_role("heading", name="Reno, NV")).to_be_visible()
        await look(page, f"{where}-plant")
        await page.get_by_label("Name").fill("Sparks, NV")
        await page.get_by_label("Time zone").fill("America/Denver")
        await page.get_by_role("button", name="Save").click()
        row = page.get_by_role("row", name="Sparks, NV")
        await expect(row).to_contain_text("America/Denver")
        await row.get_by_role("link", name="Close").click()
        await expect(page.get_by_text("Nobody can be invited or moved into it.")).to_be_visible()
        await look(page, f"{where}-close")
        await page.get_by_role("button", name="Close the plant").click()
        await expect(row).to_contain_text("Closed")
        await row.get_by_role("button", name="Open again").click()
        await expect(page.get_by_role("status")).to_contain_text("Open again.")
        await expect(row).not_to_contain_text("Closed")

        await page.get_by_role("link", name="System", exact=True).click()
        await expect(page.get_by_text("Nobody has examined the database yet.")).to_be_visible()
        await look(page, f"{where}-system-unexamined")
        await examine(fresh)
        await page.reload()
        await expect(page.get_by_role("row", name="Enable RLS policies")).to_contain_text("puts it back.")
        await page.get_by_text("Every day in a table", exact=True).click()
        await look(page, f"{where}-system")


async def test_all_of_it_works_without_scripts(site: Site, fresh: Database) -> None:
    async with site.visit("dev", size=PHONE, scripts=False) as page:
        await page.goto("/admin/courses/load")
        await choose(page, BAD)
        await page.get_by_role("button", name="Load it as a draft").click()
        await expect(page.get_by_role("row", name="labelling.yaml")).to_contain_text("YAML:")
        await choose(page, GOOD)
        await page.get_by_role("button", name="Load it as a draft").click()
        await page.locator(".map a").nth(1).click()
        await expect(page.locator(".notice.good").first).to_be_visible()  # an answer explained
        await page.locator(".crumb").get_by_role("link").click()
        for doing, state in (("Publish", "Offered"), ("Withdraw", "Draft")):
            await page.get_by_role("button", name=doing).click()
            await page.get_by_role("button", name=doing).click()
            await expect(page.get_by_role("row", name="9.0")).to_contain_text(state)
            await page.get_by_role("link", name="9.0", exact=True).click()

        await page.goto("/admin/plants")
        await page.get_by_label("Name").fill("Reno, NV")
        await page.get_by_label("Time zone").fill("America/Los_Angeles")
        await page.get_by_role("button", name="Add the plant").click()
        row = page.get_by_role("row", name="Reno, NV")
        await row.get_by_role("link", name="Close").click()
        await page.get_by_role("button", name="Close the plant").click()
        await row.get_by_role("button", name="Open again").click()
        await expect(row.get_by_role("link", name="Close")).to_be_visible()
        await examine(fresh)
        await page.get_by_role("link", name="System", exact=True).click()
        await expect(page.get_by_role("row", name="Enable RLS policies")).to_be_visible()


async def test_all_of_it_by_the_keyboard_alone(site: Site, fresh: Database) -> None:
    async with site.visit(size=DESK, dark=True) as page:
        hands = Hands(page, "keeping-dark", keyboard=True)
        await hands.sign_in("dev")
        await hands.press(hands.link("Courses"))
        await hands.press(page.get_by_role("link", name="Function-Specific HazMat Training 1.0"))
        await hands.heading("Withdraw version 1.0?")
        await look(page, "dark-withdraw")
        await hands.press(hands.button("Withdraw"))
        await expect(page.get_by_role("row", name="Withdrawn")).to_be_visible()
        await look(page, "dark-courses")

        await hands.press(hands.button("Load a course from a file"))
        await hands.heading("Load a course")
        await choose(page, GOOD)  # the system's own window, not the page's
        await hands.press(hands.button("Load it as a draft"))
        await hands.press(page.locator(".map a").nth(1))
        await hands.press(page.locator(".crumb").get_by_role("link"))
        await hands.press(hands.button("Publish"))
        await hands.heading("Publish version 9.0?")
        await hands.press(hands.button("Publish"))
        await expect(page.get_by_role("row", name="9.0")).to_contain_text("Offered")

        await hands.press(hands.link("Plants"))
        await hands.heading("Plants")
        await hands.press(page.get_by_role("link", name="Denver, CO", exact=True))
        await hands.heading("Denver, CO")
        await hands.type(hands.field("Name"), "Boulder, CO")
        await page.keyboard.press("Enter")
        row = page.get_by_role("row", name="Boulder, CO")
        await hands.press(row.get_by_role("link", name="Close"))
        await hands.press(hands.button("Close the plant"))
        await hands.press(row.get_by_role("button", name="Open again"))
        await expect(row.get_by_role("link", name="Close")).to_be_visible()

        await examine(fresh)
        await hands.press(hands.link("System"))
        await hands.press(page.get_by_text("Every day in a table", exact=True))
        await expect(page.get_by_role("columnheader", name="Sections read")).to_be_visible()
        await look(page, "dark-system")


async def test_it_speaks_spanish(site: Site, fresh: Database) -> None:
    async with site.visit("dev", size=PHONE) as page:
        await expect(page.get_by_role("heading", name="My courses")).to_be_visible()
        await page.context.add_cookies([{"name": "specchem-language", "value": "es", "url": site.address}])
        await page.goto("/admin/courses/load")
        await choose(page, BAD)
        await page.get_by_role("button", name="Cargarlo como borrador").click()
        await expect(page.get_by_role("row", name="marking.md")).to_contain_text("la primera línea")
        await look(page, "spanish-faults")
        await choose(page, GOOD)
        await page.get_by_role("button", name="Cargarlo como borrador").click()
        await expect(page.get_by_role("status").first).to_be_visible()
        await look(page, "spanish-draft")
        await page.get_by_role("button", name="Publicar").click()
        await expect(page.get_by_role("heading", name="¿Publicar")).to_be_visible()
        await page.get_by_role("button", name="Publicar").click()
        await expect(page.get_by_role("status")).to_contain_text("Publicad")
        await look(page, "spanish-courses")
        await page.goto("/admin/plants")
        await look(page, "spanish-plants")
        await page.get_by_role("row", name="Denver, CO").get_by_role("link", name="Cerrar").click()
        await expect(page.get_by_role("heading", name="¿Cerrar")).to_be_visible()
        await look(page, "spanish-close")
        await examine(fresh)
        await page.goto("/admin/system")
        await page.get_by_text("Cada día en una tabla", exact=True).click()
        await look(page, "spanish-system")
