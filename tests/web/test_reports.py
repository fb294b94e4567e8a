"""The reports' pages: what they lead to, what they say where there is nothing, and what they refuse."""

import html
import re
from uuid import uuid4

import asyncpg
import pytest

from tests.web.served import Served
from tests.web.visiting import is_page, visiting, words

COLUMBUS, HAZMAT = "Columbus, OH", "Function-Specific HazMat Training"


def training(served: Served, who: str) -> str:
    return f"/people/{served.world.person[who]}/training"


def of_course(served: Served, course: str = "hazmat", **more: str) -> str:
    asked = "".join(f"&{name}={value}" for name, value in more.items())
    return f"/plants/{served.world.plant[COLUMBUS]}?course_id={served.world.course[course]}{asked}"


@pytest.mark.parametrize(
    ("show", "said"),
    [("not_done", "Ana Test"), ("in_progress", "Nobody is on the way."), ("not_started", "Ana Test"),
     ("stuck", "Nobody is stuck."), ("done", "Nobody is done yet.")],
)  # fmt: skip
async def test_each_list_of_people_says_what_it_holds_or_that_it_is_empty(
    served: Served, show: str, said: str
) -> None:
    async with visiting(served, "max") as tab:
        page = await tab.get(of_course(served, show=show))
        assert is_page(page, 200)
        assert said in words(page)
        assert f'show={show}#people" aria-current="true"' in page.text
        assert "Sue Test" not in page.text  # who is suspended
        assert "No question has five answers yet" in words(page)


async def test_the_filters_lead_to_their_lists_and_count_them(own: Served) -> None:
    person, course = own.world.person["ana"], own.world.course["outside"]
    await own.owner(
        "update progress set progress_percent = 100 where user_id = $1 and course_id = $2", person, course
    )
    async with visiting(own, "max") as tab:
        page = await tab.get(of_course(own, "outside"))
        assert "Everybody who is enrolled is done." in words(page)
        found = re.findall(r'<a href="(\?[^"]+)"[^>]*>([^<]+) <b>(\d+)</b></a>', page.text)
        assert [(word, int(number)) for _, word, number in found] == [
            ("Not finished", 0), ("In progress", 0), ("Not started", 0), ("Stuck", 0), ("Done", 1),
        ]  # fmt: skip
        page = await tab.get(of_course(own, "outside").partition("?")[0] + html.unescape(found[-1][0]))
        assert f'href="/people/{person}/training">Ana Test</a>' in page.text
        # One completion this week, in the chart and in the table behind it.
        assert "<title>Completions</title>" in page.text
        assert "By week: 1 this week, at most 1." in words(page)


@pytest.mark.parametrize("show", ["x", "", "%00", "all", "stuck;", "STUCK"])
async def test_a_list_that_there_is_none_of(served: Served, show: str) -> None:
    async with visiting(served, "max") as tab:
        page = await tab.get(of_course(served, show=show))
        assert is_page(page, 400)
        assert "Please check show." in words(page)


async def test_nothing_happened_is_said(own: Served) -> None:
    platform = await asyncpg.connect(own.database.platform)
    await platform.execute("set session_replication_role = replica")  # past the rules
    await platform.execute("update enrollments set enrolled_at = now() - interval '100 days'")
    await platform.close()
    async with visiting(own, "max") as tab:
        page = await tab.get(of_course(own))
        assert "Nobody answered, finished or was enrolled in this course in the last 12 weeks." in words(page)
    async with visiting(own, "hana") as tab:
        page = await tab.get(f"/company?course_id={own.world.course['draft']}")
        assert "Nobody is enrolled yet, so there is nothing to compare." in words(page)
        assert "Nobody completed a course in the last 12 months." in words(page)


async def test_a_persons_page_before_anything_happened(served: Served) -> None:
    async with visiting(served, "max") as tab:
        page = await tab.get(training(served, "cal"))
        assert is_page(page, 200)
        for said in (
            "Cal Test is not enrolled",
            "No question was answered wrong.",
            "Nothing has happened yet.",
        ):
            assert said in words(page)
        assert f'href="/plants/{served.world.plant[COLUMBUS]}"' in page.text
        assert "Nothing further." in words(await tab.get(f"{training(served, 'ana')}?offset=1000"))
        assert "Suspended" in words(await tab.get(training(served, "sue")))
    async with visiting(served, "cal") as tab:
        page = await tab.get(training(served, "cal"))
        assert words(page).startswith("My courses Your training Columbus, OH")
        assert "You are not enrolled in any course yet." in words(page)
        assert "/plants/" not in page.text


@pytest.mark.parametrize(
    ("who", "whom"),
    [("ana", "bo"), ("ana", "cal"), ("bo", "ana"), ("mia", "ana"), ("max", "bo"), ("dev", "ana")],
)
async def test_whose_page_nobody_sees(served: Served, who: str, whom: str) -> None:
    async with visiting(served, who) as tab:
        page = await tab.get(training(served, whom))
        assert is_page(page, 404)
        assert "There is no such person." in words(page)
        assert is_page(await tab.get(f"/people/{uuid4()}/training"), 404)


async def test_the_time_line_comes_in_pages(own: Served) -> None:
    await own.owner(
        """
        with made as (
            insert into activity_events (user_id, course_id, event_type, meta, occurred_at)
            select $1, $2, 'view_section', jsonb_build_object('section_key', 'part-' || n),
                now() - n * interval '1 hour'
            from generate_series(1, 120) n returning 1)
        select count(*) from made""",
        own.world.person["ana"], own.world.course["outside"],
    )  # fmt: skip
    async with visiting(own, "ana") as tab:
        seen: list[str] = []
        at: str | None = training(own, "ana")
        while at:
            page = await tab.get(at)
            assert is_page(page, 200)
            seen += re.findall(r"Read (part-\d+)", page.text)
            more = re.search(r'href="(\?offset=\d+)#timeline">Earlier<', page.text)
            at = training(own, "ana") + more[1] if more else None
    assert seen == [f"part-{n}" for n in range(1, 121)]


async def test_the_company_in_one_course_leads_into_its_plants(served: Served) -> None:
    course, plants = served.world.course["outside"], served.world.plant
    async with visiting(served, "hana") as tab:
        page = await tab.get(f"/company?course_id={course}")
        assert is_page(page, 200)
        assert f'href="/plants/{plants[COLUMBUS]}?course_id={course}"' in page.text
        assert f'href="/plants/{plants["Phoenix, AZ"]}"' in page.text  # nobody takes it there
        assert "0% completed 0 of 1 enrollments done" in words(page)
        assert is_page(await tab.get(f"/company?course_id={uuid4()}"), 404)
        assert is_page(await tab.get("/company?course_id=x"), 400)
    async with visiting(served, "max") as tab:
        page = await tab.get("/company")
        assert words(page).startswith("My plants All courses")
        assert "1 plant Plants side by side" in words(page)
        assert is_page(await tab.get(f"/company?course_id={served.world.course['draft']}"), 404)
