"""Keeping plants, and the system's page."""

import html
import json
import re

import pytest

from specchem.errors import Forbidden
from specchem.reporting.days import get_examination
from tests.web.served import Served, is_problem
from tests.web.visiting import goes_to, is_page, visiting, words
from tests.world import World

LIST = "/admin/plants"


@pytest.mark.parametrize("who", ["ana", "max", "hugo", "mia"])
async def test_who_keeps_no_plants_has_no_door_to_them(served: Served, who: str) -> None:
    denver = served.world.plant["Denver, CO"]
    new = [("name", "New"), ("timezone", "UTC")]
    async with visiting(served, who) as tab:
        home = (await tab.get("/")).text
        for path in (LIST, f"{LIST}/{denver}", f"{LIST}/{denver}/close", "/admin/system"):
            assert f'href="{path}"' not in home
            assert is_page(await tab.get(path), 403)
        assert is_page(await tab.send(LIST, *new), 403)
        for path in ("", "/close", "/open"):
            assert is_page(await tab.send(f"{LIST}/{denver}{path}", *new), 403)
    assert is_problem(await served.post(who, "/api/v1/plants", {"name": "New"}), 403)
    answer = await served.ask(who, "PATCH", f"/api/v1/plants/{denver}", json={"is_active": False})
    assert is_problem(answer, 403)
    assert await served.owner("select is_active from plants where name = 'Denver, CO'")
    assert not await served.owner("select count(*) from plants where name = 'New'")


@pytest.mark.parametrize("who", ["hana", "dev"])
async def test_a_plant_is_added_renamed_closed_and_opened(own: Served, who: str) -> None:
    phoenix = own.world.plant["Phoenix, AZ"]
    async with visiting(own, who) as tab:
        page = await tab.get(LIST)
        assert is_page(page, 200)
        assert "Phoenix, AZ Open 2 America/Phoenix" in words(page)
        assert (
            f"{LIST}/{own.world.plant['Seattle, WA' if who == 'hana' else 'Columbus, OH']}/close"
            not in page.text
        )
        assert goes_to(
            await tab.send(LIST, ("name", "Reno, NV"), ("timezone", "America/Los_Angeles")),
            f"{LIST}?done=added",
        )
        assert "Reno, NV Open 0 America/Los_Angeles" in words(await tab.get(LIST))

        changed = [("name", "Phoenix West, AZ"), ("timezone", "America/Denver")]
        assert goes_to(await tab.send(f"{LIST}/{phoenix}", *changed), f"{LIST}?done=saved")
        assert "Phoenix West, AZ Open 2 America/Denver" in words(await tab.get(LIST))

        asked = await tab.get(f"{LIST}/{phoenix}/close")
        assert is_page(asked, 200)
        assert "2 active people of it can do nothing any more" in words(asked)
        async with visiting(own, "bo") as learner:
            assert is_page(await learner.get("/"), 200)
            assert goes_to(await tab.send(f"{LIST}/{phoenix}/close"), f"{LIST}?done=closed")
            assert is_page(await learner.get("/"), 403)
            assert "Phoenix West, AZ Closed 2" in words(await tab.get(LIST))
            assert goes_to(await tab.send(f"{LIST}/{phoenix}/open"), f"{LIST}?done=opened")
            assert is_page(await learner.get("/"), 200)


@pytest.mark.parametrize(
    ("name", "zone", "sentence"),
    [
        ("Phoenix, AZ", "America/Phoenix", "There is a plant of this name already."),
        ("", "America/Phoenix", "A plant needs a name"),
        ("x" * 101, "America/Phoenix", "A plant needs a name"),
        ("New", "", "Choose the plant's time zone from the list."),
        ("New", "EDT", "Choose the plant's time zone from the list."),
        ("New", "Mars/Olympus", "Choose the plant's time zone from the list."),
    ],
)
async def test_a_form_that_is_refused_keeps_what_was_typed(
    served: Served, name: str, zone: str, sentence: str
) -> None:
    before = await served.owner("select jsonb_agg(t order by name)::text from plants t")
    async with visiting(served, "dev") as tab:
        for path in (LIST, f"{LIST}/{served.world.plant['Denver, CO']}"):
            page = await tab.send(path, ("name", name), ("timezone", zone))
            assert is_page(page, 400)
            assert sentence in words(page)
            assert f'name="name" value="{name}"' in page.text
            assert f'name="timezone" value="{zone}"' in page.text
    assert await served.owner("select jsonb_agg(t order by name)::text from plants t") == before


async def test_nobody_closes_the_plant_they_are_in(served: Served) -> None:
    own = served.world.plant["Seattle, WA"]
    async with visiting(served, "hana") as tab:
        assert "You are in this plant yourself" in words(await tab.get(f"{LIST}/{own}/close"))
        page = await tab.send(f"{LIST}/{own}/close")
        assert is_page(page, 400)
        assert "You are in this plant yourself; ask an admin of another plant to close it." in words(page)
    assert await served.owner("select is_active from plants where id = $1", own)


async def test_a_program_keeps_plants_too(own: Served) -> None:
    made = (await own.post("dev", "/api/v1/plants", {"name": "Reno, NV"})).json()
    assert (made["timezone"], made["is_active"]) == ("America/New_York", True)
    path = f"/api/v1/plants/{made['id']}"
    closed = await own.ask("hana", "PATCH", path, json={"is_active": False})
    assert (closed.json()["is_active"], closed.json()["name"]) == (False, "Reno, NV")
    assert is_problem(await own.ask("dev", "PATCH", path, json={}), 400)
    assert is_problem(await own.post("dev", "/api/v1/plants", {"name": "Reno, NV"}), 409)
    unknown = f"/api/v1/plants/{own.world.person['ana']}"
    assert is_problem(await own.ask("dev", "PATCH", unknown, json={"name": "X"}), 404)


async def test_the_system_tells_its_health_and_counts_days(own: Served) -> None:
    await own.owner(
        """
        insert into question_events (user_id, course_id, plant_id, section_key, question_key, is_correct, attempt_index,
            evidence, answered_at)
        select e.user_id, e.course_id, e.plant_id, 's', 'q', true, n, 'client_asserted',
            now() - n * interval '1 day' + interval '1 minute'
        from generate_series(0, 29) n cross join enrollments e join courses c on c.id = e.course_id
        where c.slug = 'outside'"""
    )
    async with visiting(own, "dev") as tab:
        page = await tab.get("/admin/system")
        assert is_page(page, 200)
        assert "The database answers, and its schema and rules are this release's." in words(page)
        assert page.text.count("<title>") == 1 + 56  # the page's, and each day's
        assert 29 <= len(re.findall('<td class="n"[^>]*>1</td>', page.text)) <= 31
        for name in ("Ana", "ana@"):
            assert name not in page.text
    await own.owner("update specchem.rules set hash = 'other'")
    async with visiting(own, "dev") as tab:
        assert "run specchem db upgrade" in words(await tab.get("/admin/system"))


def said(state: str, found: str, todo: str = "") -> dict[str, str]:
    return {"section": "Besides", "line": "The server itself", "state": state, "found": found, "todo": todo}


async def kept(own: Served, days_ago: int, *findings: dict[str, str]) -> None:
    await own.owner(
        "insert into specchem.examinations (examined_at, release, findings)"
        " values (now() - $1 * interval '1 day', '0.0.7', $2::text::jsonb)",
        days_ago, json.dumps(findings),
    )  # fmt: skip


async def test_the_system_shows_the_latest_examination_to_whoever_can_mend(own: Served) -> None:
    async with visiting(own, "dev") as tab, visiting(own, "hana") as hr:
        assert "Nobody has examined the database yet. Run specchem doctor --keep on the server" in words(
            await tab.get("/admin/system")
        )
        await kept(own, 4, said("wrong", "an old fault", "Nothing."), said("ok", "its clock"))
        page = await tab.get("/admin/system")
        assert "by release 0.0.7. That is more than two days ago." in words(page)
        assert "The server itself wrong an old fault" in words(page)

        await kept(
            own, 0, said("ok", "all's well"), said("cannot tell", "no <b>archive</b>"),
            said("wrong", "role anon has LOGIN", "As a superuser: `alter role anon nologin`."),
        )  # fmt: skip
        page = await tab.get("/admin/system")
        assert is_page(page, 200)
        assert "1 in order 1 wrong 1 cannot be told from there" in words(page)
        assert "more than two days" not in words(page)
        assert "old fault" not in page.text
        assert "all's well" not in html.unescape(page.text)
        assert (
            "wrong role anon has LOGIN As a superuser: alter role anon nologin . The server itself"
            in words(page)
        )
        assert "no &lt;b&gt;archive&lt;/b&gt;" in page.text
        assert "<code>alter role anon nologin</code>" in page.text

        page = await hr.get("/admin/system")
        assert is_page(page, 200)
        assert "anon" not in page.text
        assert "Nobody has examined" not in page.text

        await kept(own, 0, said("ok", "all's well"))
        assert "Everything is as it should be." in words(await tab.get("/admin/system"))


@pytest.mark.parametrize("who", ["ana", "max", "hana"])
async def test_an_examination_is_not_for_who_mends_nothing(people: World, who: str) -> None:
    with pytest.raises(Forbidden, match="Only dev admins"):
        async with people.acting(who) as db:
            await get_examination(db)
