"""Lists and reports as CSV and XLSX: whole, harmless to open, and no larger in memory for being long."""

import asyncio
import csv
import io
import tempfile
from datetime import UTC
from pathlib import Path

import httpx
import psutil
import pytest
import python_calamine

from specchem.db.session import Asker
from specchem.export import Format, harmless, sent, written
from specchem.reporting import exports
from tests.web.served import Served
from tests.web.visiting import is_page, visiting

OF_COURSE = "plant={plant}&course_id={course}"
TABLES = {
    "people": "", "company": "", "months": "", "enrollments": "", "invitations": "", "audit": "",
    "learners": OF_COURSE, "questions": OF_COURSE, "weeks": OF_COURSE, "courses": "plant={plant}",
    "training": "person={person}", "missed": "person={person}", "timeline": "person={person}",
    "plants": "", "versions": "", "days": "",
}  # fmt: skip
# Of Columbus and of Ana; HR has them all.
THEIRS = {
    "max": "people company months enrollments invitations learners questions weeks courses training missed timeline",
    "mia": "people company months enrollments invitations", "ana": "training missed timeline",
    "dev": "plants versions days",
}  # fmt: skip
ROWS = 100_000
BOUND = 24 * 1024 * 1024  # bytes that the process may grow by


def address(served: Served, table: str, kind: str, plant: str = "Columbus, OH") -> str:
    world = served.world
    query = TABLES[table].format(
        plant=world.plant[plant], course=world.course["hazmat"], person=world.person["ana"]
    )
    return f"/export/{table}?{query}&format={kind}"


def lines(answer: httpx.Response) -> list[list[str]]:
    assert answer.status_code == 200, answer.text
    if "csv" in answer.headers["content-type"]:
        assert answer.content.startswith(b"\xef\xbb\xbf")  # by which Excel knows UTF-8
        return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(answer.content))
    return [[str(one) for one in row] for row in book.get_sheet_by_index(0).to_python()]


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
@pytest.mark.parametrize("table", TABLES)
async def test_every_table_is_there(served: Served, table: str, kind: str) -> None:
    async with visiting(served, "hana") as tab:
        answer = await tab.get(address(served, table, kind))
        found = lines(answer)
        assert len({len(line) for line in found}) == 1
        assert f'filename="{table}-' in answer.headers["content-disposition"]
        assert answer.headers["content-disposition"].endswith(f'.{kind}"')
        assert len(found) > 1 or table in ("questions", "invitations", "missed")
        if table == "people":
            assert found[0][:4] == ["Email", "First name", "Last name", "Job title"]
            assert len(found) == 13  # everybody with a profile


@pytest.mark.parametrize("who", THEIRS)
@pytest.mark.parametrize("table", TABLES)
async def test_nobody_gets_more_than_is_theirs(served: Served, table: str, who: str) -> None:
    async with visiting(served, who) as tab:
        answer = await tab.get(address(served, table, "csv"))
        if table not in THEIRS[who].split():
            assert is_page(answer, 404 if "person" in TABLES[table] else 403)
            return
        emails = {line[0] for line in lines(answer)[1:] if "@" in line[0]}
        ours = {"max": {"ana", "cal", "sue", "sam", "max", "hugo", "dev"}, "mia": {"bo", "mia"}}.get(
            who, set()
        )
        assert emails <= {f"{name}@example.com" for name in ours}


async def test_a_filter_is_kept_and_the_language_spoken(served: Served) -> None:
    async with visiting(served, "hana") as tab:
        answer = await tab.get("/export/people?search=ana@&status=active", **{"accept-language": "es"})
        assert [line[0] for line in lines(answer)] == ["Correo", "ana@example.com", "hana@example.com"]
        assert is_page(await tab.get("/export/secrets"), 404)
        learners = address(served, "learners", "csv").removeprefix("/export/")
        for query in (
            "learners", "learners?plant=x&course_id=y", f"{learners}&show=x", "timeline", "people?format=exe",
            "people?sort=x",
        ):  # fmt: skip
            assert is_page(await tab.get(f"/export/{query}"), 400)


@pytest.mark.parametrize(
    ("show", "names"),
    [("not_done", ["Ana"]), ("not_started", ["Ana"]), ("in_progress", []), ("done", []), ("stuck", [])],
)
async def test_a_list_of_a_plants_page_is_that_list(served: Served, show: str, names: list[str]) -> None:
    async with visiting(served, "max") as tab:
        answer = await tab.get(f"{address(served, 'learners', 'csv')}&show={show}")
        assert [name for line in lines(answer)[1:] for name in line if name == "Ana"] == names


async def test_one_course_or_plant_of_all(served: Served) -> None:
    phoenix, outside = served.world.plant["Phoenix, AZ"], served.world.course["outside"]
    async with visiting(served, "max") as tab:
        assert [line[2] for line in lines(await tab.get("/export/company"))[1:]] == ["2"]
        assert [line[2] for line in lines(await tab.get(f"/export/company?course_id={outside}"))[1:]] == ["1"]
        assert len(lines(await tab.get(f"/export/enrollments?course_id={outside}"))) == 2
        assert is_page(await tab.get(f"/export/enrollments?plant={phoenix}"), 403)
    async with visiting(served, "hana") as tab:
        assert len(lines(await tab.get(f"/export/enrollments?plant={phoenix}"))) == 2


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
async def test_nothing_stays_on_the_disk(
    served: Served, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with visiting(served, "max") as tab:
        assert lines(await tab.get(address(served, "learners", kind)))
        # Refused by the database, when the sheet was begun.
        assert is_page(await tab.get(address(served, "learners", kind, "Phoenix, AZ")), 403)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_formula_is_text(start: str) -> None:
    assert harmless(f"{start}1+1") == f"'{start}1+1"
    assert harmless(f"a{start}1") == f"a{start}1"
    assert harmless("") == ""


async def test_a_hostile_name_runs_nowhere(own: Served) -> None:
    name = '=HYPERLINK("http://evil","x")'
    await own.owner("update profiles set last_name = $1 where email = 'ana@example.com'", name)
    async with visiting(own, "hana") as tab:
        answer = await tab.get("/export/people?search=ana@example&sort=-name")
        assert f"'{name}" in [line[2] for line in lines(answer)]
        answer = await tab.get("/export/people?search=ana@example&format=xlsx")
        assert name in [line[2] for line in lines(answer)]  # a cell of text, and no formula
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(answer.content))
        assert not any(one for row in book.get_sheet_by_index(0).to_python() for one in row if one == "x")


@pytest.mark.parametrize("own", ["local"], indirect=True)  # nobody signs in
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
async def test_a_hundred_thousand_rows_do_not_grow_the_process(own: Served, kind: Format) -> None:
    """From the database to the file: a cursor, as the person who asks. Whole, the rows would be 100 MB."""
    await own.owner(
        "with made as (insert into audit_events (action, subject_id) select 'sign_in', $1"
        f" from generate_series(1, {ROWS}) returning 1) select count(*) from made",
        own.world.person["ana"],
    )
    asker = Asker(own.app.state.pool, own.world.identity("hana"))
    wanted = exports.audit()

    async def take(sql: str) -> int:
        async with asker.acting() as db:
            file = await written(kind, wanted.headings, db.batches(sql), UTC)
        return sum([len(chunk) async for chunk in sent(file)])

    await take(f"{wanted.sql} limit 5000")
    process = psutil.Process()
    before = most = process.memory_info().rss
    taking = asyncio.create_task(take(wanted.sql))
    while not taking.done():
        await asyncio.sleep(0.02)
        most = max(most, process.memory_info().rss)
    assert await taking > ROWS * 5
    assert most - before < BOUND
