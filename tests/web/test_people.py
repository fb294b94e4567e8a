"""Managers and HR look people up, change them, enroll them; what is not theirs is refused."""

import re

import pytest

from tests.web.served import Served
from tests.web.visiting import goes_to, is_page, visiting, words


@pytest.mark.parametrize(
    ("who", "query", "found", "missing"),
    [
        ("hana", "", "ana@ bo@ max@ ina@ sue@", ""),
        ("max", "", "ana@ cal@ sue@", "bo@ hana@ ina@"),
        ("hugo", "", "ana@ cal@", "bo@"),
        ("hana", "search=ANA@ex", "ana@ hana@", "bo@"),
        ("hana", "search=bo+test", "bo@", "ana@"),
        ("hana", "search=%25", "", "ana@ bo@"),  # a per cent sign, and not anything
        ("hana", "status=suspended", "sue@ sam@", "ana@"),
        ("hana", "role=plant_manager", "max@ mia@", "hana@ ana@"),
        ("hana", "role=none&plant=", "ana@ bo@", "max@ hana@"),
        ("max", "plant={Phoenix}", "", "bo@ ana@"),
    ],
)
async def test_who_finds_whom(served: Served, who: str, query: str, found: str, missing: str) -> None:
    query = query.format(Phoenix=served.world.plant["Phoenix, AZ"])
    async with visiting(served, who) as tab:
        page = await tab.get(f"/people?{query}")
        assert is_page(page, 200)
        said = words(page)
        assert [one for one in found.split() if f" {one}example.com" not in said] == []
        assert [one for one in missing.split() if f" {one}example.com" in said] == []
        assert bool(found) or "Nobody fits" in said


@pytest.mark.parametrize("who", ["ana", "dev"])
@pytest.mark.parametrize("path", ["/people", "/people/import", "/people/enroll?who=found", "/export/people"])
async def test_others_find_nobody(served: Served, who: str, path: str) -> None:
    async with visiting(served, who) as tab:
        assert is_page(await tab.get(path), 403)
        assert 'href="/people"' not in (await tab.get("/")).text


@pytest.mark.parametrize(
    "query", ["sort=password", "status=x", "plant=x", "offset=-1", "search=" + "x" * 300]
)
async def test_an_address_that_cannot_be_read_is_said(served: Served, query: str) -> None:
    async with visiting(served, "hana") as tab:
        assert is_page(await tab.get(f"/people?{query}"), 400)


async def test_pages_and_order(own: Served) -> None:
    await own.owner(
        "with made as (insert into auth.users (id, email, email_confirmed_at, raw_user_meta_data)"
        " select gen_random_uuid(), 'n' || n || '@example.com', now(),"
        " jsonb_build_object('first_name', 'N', 'last_name', 'Zz' || to_char(n, 'FM000'))"
        " from generate_series(1, 120) n returning 1) select count(*) from made"
    )
    async with visiting(own, "hana") as tab:
        seen = [
            words(await tab.get(f"/people?search=zz&sort=-name&offset={offset}")) for offset in (0, 50, 100)
        ]
        assert "120 people found" in seen[0]
        assert "1 to 50 of 120" in seen[0]
        assert "101 to 120 of 120" in seen[2]
        names = re.findall(r"Zz\d+(?=, N)", " ".join(seen))
        assert names == sorted(names, reverse=True)
        assert len(set(names)) == 120
        assert is_page(await tab.get("/people?search=zz&offset=500"), 200)


async def test_hr_changes_a_person(own: Served) -> None:
    ana = own.world.person["ana"]
    at = f"/people/{ana}"
    row = "select concat_ws('|', first_name, last_name, job_title) from profiles where id = $1"
    async with visiting(own, "hana") as tab, visiting(own, "ana") as theirs:
        page = await tab.send(at, ("first_name", " Anna "), ("last_name", "=Tester"), ("job_title", ""))
        assert goes_to(page, f"{at}?done=saved")
        assert await own.owner(row, ana) == "Anna|=Tester"
        page = await tab.send(at, ("first_name", ""), ("last_name", "Kept <typed>"))
        assert is_page(page, 400)
        assert 'value="Kept &lt;typed&gt;"' in page.text
        assert "First name" in words(page)
        phoenix = str(own.world.plant["Phoenix, AZ"])
        assert goes_to(await tab.send(f"{at}/plant", ("plant_id", phoenix)), f"{at}?done=moved")
        moved = "select bool_and(plant_id = $2) from enrollments where user_id = $1"
        assert await own.owner(moved, ana, own.world.plant["Phoenix, AZ"])
        closed = str(own.world.plant["Closed, NV"])
        assert is_page(await tab.send(f"{at}/plant", ("plant_id", closed)), 409)
        assert is_page(await tab.send(f"{at}/plant", ("plant_id", "")), 400)

        assert goes_to(await tab.send(f"{at}/roles", ("role", "plant_manager"), ("plant_id", phoenix)),
                       f"{at}?done=granted")  # fmt: skip
        assert "Manager of Phoenix, AZ" in words(await tab.get(at))
        assert is_page(await tab.send(f"{at}/roles", ("role", "plant_manager")), 400)
        assert is_page(await tab.send(f"{at}/roles", ("role", "dev_admin")), 403)
        fields = (("role", "plant_manager"), ("plant_id", phoenix))
        assert goes_to(await tab.send(f"{at}/roles/revoke", *fields), f"{at}?done=revoked")

        assert is_page(await theirs.get("/"), 200)
        assert goes_to(await tab.send(f"{at}/status", ("status", "suspended")), f"{at}?done=suspended")
        assert (await theirs.get("/")).status_code in (303, 403)
        assert "Reinstate" in words(await tab.get(at))
        assert is_page(await tab.send(f"{at}/roles", ("role", "hr_admin")), 409)
        assert goes_to(await tab.send(f"{at}/status", ("status", "active")), f"{at}?done=active")
        me = f"/people/{own.world.person['hana']}"
        assert is_page(await tab.send(f"{me}/status", ("status", "suspended")), 403)


@pytest.mark.parametrize("who", ["max", "hugo", "mia", "ana", "dev"])
async def test_who_may_not_changes_nothing(own: Served, who: str) -> None:
    cal = own.world.person["cal"]
    before = await own.owner("select p::text from profiles p where id = $1", cal)
    async with visiting(own, who) as tab:
        page = await tab.get(f"/people/{cal}")
        sees = who in ("max", "hugo")
        assert is_page(page, 200 if sees else 404)
        assert "Suspend" not in page.text
        assert "Move" not in page.text
        for path, fields in {
            "": [("first_name", "X"), ("last_name", "Y")],
            "/plant": [("plant_id", str(own.world.plant["Phoenix, AZ"]))],
            "/status": [("status", "suspended")],
            "/roles": [("role", "hr_admin")],
        }.items():
            answer = await tab.send(f"/people/{cal}{path}", *fields)
            assert is_page(answer, answer.status_code)
            assert answer.status_code in ((403,) if sees else (403, 404))
        own_page = await tab.get(f"/people/{own.world.person[who]}")
        assert is_page(own_page, 200)
    assert await own.owner("select p::text from profiles p where id = $1", cal) == before
    assert await own.owner("select count(*) from admin_roles where user_id = $1", cal) == 0


# ---------------------------------------------------------------- enrolling
async def enrolled(own: Served, course: str) -> int:
    found: int = await own.owner(
        "select count(*) from enrollments where course_id = $1", own.world.course[course]
    )
    return found


async def test_a_manager_enrolls_everybody_found_and_nobody_else(own: Served) -> None:
    hazmat = str(own.world.course["hazmat"])
    async with visiting(own, "max") as tab:
        page = await tab.get("/people/enroll?who=found")
        assert is_page(page, 200)
        # of Columbus: cal, max, hugo and dev are not enrolled, ana and suspended sue are, suspended sam cannot be
        assert "4 will be enrolled; 2 are already; 1 cannot be" in words(page)
        assert "Draft Course" not in words(page)
        answer = await tab.send("/people/enroll", ("who", "found"), ("course_id", hazmat))
        assert goes_to(answer, "/people?enrolled=4&already=1")
        assert "4 people were enrolled. 1 was enrolled already." in words(
            await tab.get("/people?enrolled=4&already=1")
        )
        assert await enrolled(own, "hazmat") == 7
        answer = await tab.send("/people/enroll", ("who", "found"), ("course_id", hazmat))
        assert goes_to(answer, "/people?enrolled=0&already=5")
        # Another plant's person among those chosen is not there for this manager.
        chosen = [("person", str(own.world.person[name])) for name in ("cal", "hana")]
        outside = str(own.world.course["outside"])
        answer = await tab.send("/people/enroll", *chosen, ("course_id", outside))
        assert goes_to(answer, "/people?enrolled=1&already=0")
        assert is_page(await tab.send("/people/enroll", ("course_id", outside)), 400)
        assert is_page(await tab.send("/people/enroll", *chosen), 400)
        draft = str(own.world.course["draft"])
        assert (await tab.send("/people/enroll", *chosen, ("course_id", draft))).status_code in (404, 409)
    assert await own.owner("select count(*) from app.completion_differences") == 0


@pytest.mark.parametrize("who", ["ana", "dev"])
async def test_who_may_not_enrolls_nobody(own: Served, who: str) -> None:
    before = await enrolled(own, "hazmat")
    async with visiting(own, who) as tab:
        fields = [("person", str(own.world.person["cal"])), ("course_id", str(own.world.course["hazmat"]))]
        assert is_page(await tab.send("/people/enroll", *fields), 403)
    assert await enrolled(own, "hazmat") == before
