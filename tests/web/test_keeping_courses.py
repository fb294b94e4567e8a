"""Keeping courses by the pages: loading from a file, looking as a learner, publishing, withdrawing."""

import html
import re
from uuid import UUID

import httpx
import pytest

from tests.courses.test_archive import FILES, packed
from tests.web.served import Served
from tests.web.visiting import Tab, field, goes_to, is_page, visiting, words

LIST, LOAD = "/admin/courses", "/admin/courses/load"
SLUG = "function-specific-hazmat"
ANSWER = re.compile(r'<div class="notice good"><p>')


def another(version: str, **changed: bytes) -> dict[str, bytes]:
    """The course's files as another version of it."""
    about = FILES["course.yaml"].decode()
    about, times = re.subn(r'version: "[^"]*"', f'version: "{version}"', about)
    assert times == 1
    return FILES | {"course.yaml": about.encode()} | changed


async def load(tab: Tab, files: dict[str, bytes] | bytes) -> httpx.Response:
    content = files if isinstance(files, bytes) else packed(files).getvalue()
    token = field(await tab.get("/login?again=yes"), "_csrf_token")
    return await tab.client.post(
        LOAD, data={"_csrf_token": token}, files={"file": ("course.zip", content, "application/zip")}
    )


async def version_of(served: Served, version: str, slug: str = SLUG) -> UUID | None:
    found: UUID | None = await served.owner(
        "select id from courses where slug = $1 and version = $2", slug, version
    )
    return found


@pytest.mark.parametrize("who", ["ana", "max", "hugo", "mia"])
async def test_who_keeps_no_courses_has_no_door_to_them(served: Served, who: str) -> None:
    hazmat = served.world.course["hazmat"]
    async with visiting(served, who) as tab:
        assert LIST not in (await tab.get("/")).text
        for path in ("", "/load", f"/{hazmat}/preview", f"/{hazmat}/preview/marking", f"/{hazmat}/publish"):
            assert is_page(await tab.get(LIST + path), 403)
        for doing in ("publish", "withdraw"):
            assert is_page(await tab.send(f"{LIST}/{hazmat}/{doing}"), 403)
        assert is_page(await load(tab, another("9")), 403)


async def test_hr_looks_and_changes_nothing(served: Served) -> None:
    hazmat, draft = served.world.course["hazmat"], served.world.course["draft"]
    async with visiting(served, "hana") as tab:
        page = await tab.get(LIST)
        assert is_page(page, 200)
        assert LOAD not in page.text
        assert "/publish" not in page.text
        assert "/withdraw" not in page.text
        shown = await tab.get(f"{LIST}/{hazmat}/preview/marking")
        assert is_page(shown, 200)
        assert not ANSWER.search(shown.text)
        assert "checked" not in shown.text
        for path in ("/load", f"/{draft}/publish", f"/{hazmat}/withdraw"):
            assert is_page(await tab.get(LIST + path), 403)
        for path in (f"/{draft}/publish", f"/{hazmat}/withdraw"):
            assert is_page(await tab.send(LIST + path), 403)
        assert is_page(await load(tab, another("9")), 403)
    assert await served.owner("select count(*) from courses where is_published") == 2
    assert await version_of(served, "9") is None


async def test_a_version_is_loaded_looked_at_and_published(own: Served) -> None:
    world = own.world
    old = await own.owner("select version from courses where id = $1", world.course["hazmat"])
    async with visiting(own, "dev") as tab:
        answer = await load(tab, another("9.0", **{"welcome.md": b"# Welcome again\n\nNew words.\n"}))
        made = await version_of(own, "9.0")
        assert goes_to(answer, f"{LIST}/{made}/preview?outcome=draft")
        assert await own.owner("select not is_published from courses where id = $1", made)
        page = await tab.get(answer.headers["location"])
        assert is_page(page, 200)
        assert "Version 9.0 Draft" in words(page)
        assert "Loaded." in words(page)

        # Loaded again with other words, it is replaced; the same once more changes nothing.
        files = another("9.0", **{"welcome.md": b"# Welcome again\n\nNewer words.\n"})
        assert goes_to(await load(tab, files), f"{LIST}/{made}/preview?outcome=draft")
        assert goes_to(await load(tab, files), f"{LIST}/{made}/preview?outcome=same")
        assert "Newer words." in words(await tab.get(f"{LIST}/{made}/preview/welcome"))

        section = await tab.get(f"{LIST}/{made}/preview/marking")
        explained = await own.owner(
            "select explanation from answer_keys where course_id = $1 and section_key = 'marking'", made
        )
        assert explained in html.unescape(section.text)
        assert len(ANSWER.findall(section.text)) == sum(at == "marking" for at, _ in world.answers)
        right = [len(correct) for (at, _), correct in world.answers.items() if at == "marking"]
        assert section.text.count(" checked>") == sum(right)
        in_spanish = await tab.get(f"{LIST}/{made}/preview/marking?lang=es")
        assert explained not in html.unescape(in_spanish.text)
        assert '<div class="previewed" lang="es">' in in_spanish.text
        assert is_page(await tab.get(f"{LIST}/{made}/preview/nothing"), 404)

        asked = await tab.get(f"{LIST}/{made}/publish")
        assert is_page(asked, 200)
        assert f"It takes the place of version {old}. 2 people are on the way" in words(asked)
        assert goes_to(await tab.send(f"{LIST}/{made}/publish"), f"{LIST}?done=published")
        assert goes_to(
            await tab.send(f"{LIST}/{made}/publish"), f"{LIST}?done=published"
        )  # once more, and nothing is lost
        page = await tab.get(f"{LIST}?done=published")
        assert "Published. Whoever is enrolled from now on" in words(page)
        assert "9.0 Offered" in words(page)
        assert f"{old} Replaced" in words(page)

        # From now on it stays; whoever is in the old one goes on there.
        again = await load(tab, another("9.0", **{"welcome.md": b"# Other\n\nWords.\n"}))
        assert is_page(again, 400)
        assert "a published version never changes: raise the version in course.yaml" in words(again)
    async with visiting(own, "ana") as learner:
        assert "New words" not in words(await learner.get(f"/courses/{SLUG}/welcome"))
    assert await own.owner("select count(*) from enrollments where course_id = $1", made) == 0


async def test_a_withdrawn_version_is_closed_to_its_people_until_it_is_published_again(own: Served) -> None:
    hazmat = own.world.course["hazmat"]
    async with visiting(own, "dora") as tab, visiting(own, "ana") as learner:
        asked = await tab.get(f"{LIST}/{hazmat}/withdraw")
        assert "2 people are on the way in it, and cannot go on" in words(asked)
        assert is_page(await learner.get(f"/courses/{SLUG}"), 200)
        assert goes_to(await tab.send(f"{LIST}/{hazmat}/withdraw"), f"{LIST}?done=withdrawn")
        assert is_page(await learner.get(f"/courses/{SLUG}"), 404)
        assert "Withdrawn" in words(await tab.get(f"{LIST}/{hazmat}/preview"))
        asked = await tab.get(f"{LIST}/{hazmat}/publish")
        assert "2 people were in this version, and can open it again" in words(asked)
        assert goes_to(await tab.send(f"{LIST}/{hazmat}/publish"), f"{LIST}?done=published")
        assert is_page(await learner.get(f"/courses/{SLUG}"), 200)


async def test_a_language_is_added_to_a_version_that_is_published(own: Served) -> None:
    files = {name: text for name, text in another("9.0").items() if not name.startswith("es/")}
    async with visiting(own, "dev") as tab:
        await load(tab, files)
        made = await version_of(own, "9.0")
        await tab.send(f"{LIST}/{made}/publish")
        assert goes_to(await load(tab, another("9.0")), f"{LIST}/{made}/preview?outcome=language")
        assert "Español" in words(await tab.get(f"{LIST}/{made}/preview"))
    assert await own.owner("select translations ? 'es' from courses where id = $1", made)


@pytest.mark.filterwarnings("ignore:Exception ignored in.*SpooledTemporaryFile")
async def test_what_cannot_be_loaded_is_told_and_leaves_nothing(own: Served) -> None:
    before = await own.owner("select count(*) from courses")
    async with visiting(own, "dev") as tab:
        page = await load(
            tab, another("9.0", **{"marking.md": b"Marking\n", "labelling.yaml": b"questions: [\n"})
        )
        assert is_page(page, 400)
        assert "marking.md 1 the first line must be the title" in words(page)
        assert "labelling.yaml 2 YAML:" in words(page)
        assert "things are to be put right; nothing was loaded." in words(page)
        page = await load(tab, b"no zip")
        assert is_page(page, 400)
        assert "This is not a .zip file that can be read." in words(page)
        page = await load(tab, b"a" * (5 * 1024 * 1024 + 1))
        assert is_page(page, 400)
        assert "The file is larger than 5 MB" in words(page)
        page = await tab.send(LOAD, ("file", "course.zip"))
        assert is_page(page, 400)
        assert "Choose the .zip file of a course." in words(page)
        token = field(page, "_csrf_token")
        page = await tab.client.post(
            LOAD, data={"_csrf_token": token}, files={"file": ("", b"", "application/zip")}
        )
        assert is_page(page, 400)
    assert await own.owner("select count(*) from courses") == before
