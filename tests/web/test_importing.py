"""HR imports a list of people: what it would change is shown first, and a second time it changes nothing."""

import csv
import gc
import io
import zipfile
from typing import Any

import httpx
import pytest
import xlsxwriter

from specchem.people.import_file import MOST_ROWS, read_people
from specchem.people.inviting import BATCH
from tests.auth.mailbox import Mailbox
from tests.web.served import Served
from tests.web.visiting import Tab, field, is_page, visiting, words

pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in.*SpooledTemporaryFile")
HEADINGS = "email,first_name,last_name,job_title,plant,status\n"


async def bring(tab: Tab, content: bytes | str, name: str = "people.csv") -> httpx.Response:
    """Upload a file; the page that it leads to."""
    token = field(await tab.get("/people/import"), "_csrf_token")
    sent = content.encode() if isinstance(content, str) else content
    answer = await tab.client.post(
        "/people/import", data={"_csrf_token": token}, files={"file": (name, sent)}
    )
    gc.collect()  # Litestar leaves the file to it
    return answer if answer.status_code != 303 else await tab.get(answer.headers["location"])


async def carry_out(tab: Tab, preview: httpx.Response) -> str:
    answer = await tab.send(preview.request.url.path)
    assert answer.status_code == 303, answer.text
    return words(await tab.get(answer.headers["location"]))


def sheet(rows: list[list[Any]]) -> bytes:
    content = io.BytesIO()
    book = xlsxwriter.Workbook(content)
    page = book.add_worksheet()
    for number, row in enumerate(rows):
        page.write_row(number, 0, row)
    book.close()
    return content.getvalue()


async def people(own: Served) -> Any:
    return await own.owner("select string_agg(p::text, '|' order by id) from profiles p")


async def test_a_list_is_looked_at_imported_and_then_changes_nothing(own: Served) -> None:
    mail = Mailbox()
    text = HEADINGS + (
        "ana@example.com,Anna,Test,Operator,\"Columbus, OH\",active\n"
        "BO@example.com,,,,\"columbus, oh\",suspended\n"
        "cal@example.com,Cal,,,,\n"
        "new@example.com,Née,Newman,=1+1,\"Denver, CO\",\n"
    )  # fmt: skip
    before = await people(own)
    async with visiting(own, "hana") as tab:
        page = await bring(tab, text)
        assert is_page(page, 200)
        assert "1 new, will be invited 2 changed 1 unchanged 0 with problems" in words(page)
        changed = words(await tab.get(f"{page.request.url.path}?show=changed"))
        assert "2 ana@example.com First name: Ana → Anna" in changed
        assert "Plant: Phoenix, AZ → columbus, oh Status: active → suspended" in changed
        assert await people(own) == before  # nothing yet
        done = await carry_out(tab, page)
        assert "1 new invitation. 2 changed. 1 unchanged." in done
        after = await people(own)
        assert after != before
        row = "select concat_ws('|', p.first_name, t.name, p.status) from profiles p join plants t on t.id = p.plant_id"
        assert await own.owner(f"{row} where email = 'bo@example.com'") == "Bo|Columbus, OH|suspended"
        invited = (
            "select concat_ws('|', first_name, job_title, sent_at is null) from invitations"
            " where email = 'new@example.com'"
        )
        assert await own.owner(invited) == "Née|=1+1|t"
        assert mail.new() == []

        assert "0 new invitations. 0 changed. 4 unchanged." in await carry_out(tab, page)  # sent twice
        page = await bring(tab, text)
        assert "There is nothing to import" in words(page)
        assert await people(own) == after

        # Another plant: the invitation that is open says something else, so there is another one.
        page = await bring(tab, 'correo;planta\nnew@example.com;"Dallas, TX"\n')
        assert "Plant: Denver, CO → Dallas, TX" in words(page)
        await carry_out(tab, page)
        both = (
            "select string_agg(concat_ws('|', first_name, t.name, revoked_at is null), ' ' order by revoked_at)"
            " from invitations i join plants t on t.id = i.plant_id where i.email = 'new@example.com'"
        )
        assert await own.owner(both) == "Née|Denver, CO|f Née|Dallas, TX|t"
    assert await own.owner("select count(*) from app.completion_differences") == 0


async def test_every_problem_is_said_at_once_and_the_good_rows_can_be_imported(own: Served) -> None:
    text = HEADINGS + (
        ",No,Address,,\"Dallas, TX\",\n"
        "x@,A,B,,Nowhere,gone\n"
        "good@example.com,Go,Od,,\"Dallas, TX\",\n"
        "twice@example.com,A,B,,\"Dallas, TX\",\n"
        "\n"
        "TWICE@example.com,A,B,,\"Dallas, TX\",\n"
        "n@example.com,A,B,,,suspended\n"
        "m@example.com,A,B,,\"Closed, NV\",\n"
        "hana@example.com,,,,,suspended\n"
    )  # fmt: skip
    async with visiting(own, "hana") as tab:
        page = await bring(tab, text)
        said = words(page)
        assert "1 new, will be invited 0 changed 0 unchanged 7 with problems" in said
        for sentence in (
            "2 – There is no e-mail address.",
            "3 x@ “x@” is not an e-mail address. The status is “gone”; write active or suspended."
            " There is no plant “Nowhere”.",
            "5 twice@example.com The same e-mail address is in row 7.",
            "7 twice@example.com The same e-mail address is in row 5.",
            "8 n@example.com A new person needs a plant. A new person cannot be suspended; leave the status empty.",
            "9 m@example.com The plant “Closed, NV” is not open.",
            "10 hana@example.com Nobody changes their own status; ask another HR admin.",
        ):
            assert sentence in said
        answer = await tab.get(f"{page.request.url.path}/problems")
        failed = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
        assert [one["row"] for one in failed] == ["2", "3", "5", "7", "8", "9", "10"]
        assert failed[0]["problem"] == "There is no e-mail address."
        assert await carry_out(tab, page)
        assert (
            await own.owner("select string_agg(email, ' ') from invitations where accepted_at is null")
            == "good@example.com"
        )
        # Put right, the same file is taken.
        right = [
            one | {"email": f"right{n}@example.com", "plant": "Dallas, TX", "status": ""}
            for n, one in enumerate(failed)
        ]
        out = io.StringIO()
        writer = csv.DictWriter(out, list(right[0]))
        writer.writeheader()
        writer.writerows(right)
        assert "7 new, will be invited" in words(await bring(tab, out.getvalue()))


@pytest.mark.parametrize(
    "content",
    [
        "Correo,Nombre,APELLIDO,Puesto,Planta,Estado\na@b.co,José,Núñez,Jefe,P,activo\n".encode("utf-8-sig"),
        "E-mail\tFirst Name\tlast_name\tJob Title\tPlant\tStatus\na@b.co\tJosé\tNúñez\tJefe\tP\tActive\n".encode("cp1252"),  # noqa: E501
        "email;first name;last name;job title;plant;status\r\na@b.co;José;Núñez;Jefe;P;active\r\n".encode(),
        "email\tfirst_name\tlast_name\tjob_title\tplant\tstatus\na@b.co\tJosé\tNúñez\tJefe\tP\tactive\n".encode("utf-16"),
        sheet([["Email", "First name", "Last name", "Job title", "Plant", "Status"], ["a@b.co", "José", "Núñez", "Jefe", "P", "active"]]),  # noqa: E501
    ],
    ids=["spanish", "windows", "semicolons", "utf-16", "xlsx"],
)  # fmt: skip
def test_files_as_programs_write_them(content: bytes) -> None:
    (row,) = read_people(content)
    assert (row.row, row.email, row.first_name, row.last_name, row.job_title, row.plant, row.status, row.problems) == (
        2, "a@b.co", "José", "Núñez", "Jefe", "P", "active", [],
    )  # fmt: skip


def far() -> bytes:
    """A sheet with one cell at its far end, which as a table would be 17 billion cells."""
    content = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(sheet([["email"], ["a@b.co"]]))) as made,
        zipfile.ZipFile(content, "w") as out,
    ):
        for part in made.infolist():
            data = made.read(part)
            if part.filename == "xl/worksheets/sheet1.xml":
                data = data.replace(
                    b"</sheetData>", b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
                )
            out.writestr(part.filename, data)
    return content.getvalue()


FILES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "heading"),
    "no heading": (b"name,plant\nx,y\n", "needs a heading"),
    "no rows": (b"email\n\n", "no rows"),
    "two of a heading": (b"email,correo\nx@y.zz,x@y.zz\n", "Two columns"),
    "a picture": (b"\x89PNG\r\n\0\0", "neither"),
    "a broken workbook": (b"PK\x03\x04 nothing", "neither"),
    "a zip": (b"", "neither"),
    "too many rows": (b"email\n" + b"x@y.zz\n" * (MOST_ROWS + 2), "20,000 rows"),
    "too large": (b"email\n" + b"x" * (5 * 1024 * 1024), "5 MB"),
    "a cell far out": (far(), "20,000 rows"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
async def test_a_file_that_is_none_says_why(served: Served, kind: str) -> None:
    content, sentence = FILES[kind]
    if kind == "a zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as out:
            out.writestr("a.txt", "a")
        content = packed.getvalue()
    async with visiting(served, "hana") as tab:
        page = await bring(tab, content)
        assert is_page(page, 400)
        assert sentence in words(page)


async def test_an_import_is_hrs_and_its_owners_alone(own: Served) -> None:
    async with visiting(own, "hana") as tab:
        page = await bring(tab, HEADINGS + 'x@example.com,,,,"Dallas, TX",\n')
        at = page.request.url.path
    await own.owner(
        "with made as (insert into admin_roles (user_id, role) values ($1, 'hr_admin') returning 1)"
        " select count(*) from made", own.world.person["bo"],
    )  # fmt: skip
    for who, status in {"bo": 404, "max": 403, "ana": 403, "dev": 403}.items():
        async with visiting(own, who) as tab:
            assert is_page(await tab.get(at), status)
            assert is_page(await tab.get(f"{at}/problems"), status)
            assert is_page(await tab.send(at), status)
            assert is_page(await tab.get("/people/import"), 200 if who == "bo" else 403)
            token = field(await tab.get("/account"), "_csrf_token")
            sent = {"file": ("a.csv", b'email,plant\nx@example.com,"Dallas, TX"\n')}
            answer = await tab.client.post("/people/import", data={"_csrf_token": token}, files=sent)
            gc.collect()
            assert answer.status_code == (303 if who == "bo" else 403)
    assert await own.owner("select count(*) from invitations where accepted_at is null") == 0
    old = await own.owner(
        "with old as (update specchem.imports set kept_at = now() - interval '25 hours' returning 1)"
        " select count(*) from old"
    )
    assert old == 2
    async with visiting(own, "hana") as tab:
        assert is_page(await tab.get(at), 404)
        await bring(tab, HEADINGS + 'x@example.com,,,,"Dallas, TX",\n')
    assert await own.owner("select count(*) from specchem.imports") == 1


async def test_five_thousand_rows(own: Served) -> None:
    """Fifty of them bad; set by set, so that nobody waits."""
    rows = [f'p{n}@example.com,First{n},Last{n},Operator,"Dallas, TX",' for n in range(4950)]
    rows[100:100] = [f"bad{n},A,B,,Nowhere," for n in range(50)]
    async with visiting(own, "hana") as tab:
        page = await bring(tab, HEADINGS + "\n".join(rows))
        assert "4,950 new, will be invited 0 changed 0 unchanged 50 with problems" in words(page)
        assert "4,950 new invitations." in await carry_out(tab, page)
        page = await bring(tab, HEADINGS + "\n".join(rows))
        assert "0 new, will be invited 0 changed 4,950 unchanged 50" in words(page)
    assert await own.owner("select count(*) from invitations where sent_at is null") == 4950


async def test_mails_that_wait_are_sent_some_at_a_time(own: Served) -> None:
    mail = Mailbox()
    many = BATCH + 3
    rows = "".join(f'p{n}@example.com,,,,"Dallas, TX",\n' for n in range(many))
    async with visiting(own, "hana") as tab, visiting(own, "mia") as manager, visiting(own, "max") as other:
        await carry_out(tab, await bring(tab, HEADINGS + rows))
        assert f"{many} invitations are not sent yet." in words(await tab.get("/invitations"))
        assert "not sent yet" not in words(await other.get("/invitations"))  # not of their plant
        page = await manager.send("/invitations/send-waiting")
        assert f"{BATCH} mails are on their way." in words(page)
        assert "3 invitations are not sent yet. Go on" in words(page)
        assert 'hx-trigger="load, submit"' in page.text  # it goes on by itself
        page = await manager.send("/invitations/send-waiting", ("gone", str(BATCH)))
        assert f"{many} mails are on their way. All invitations are sent." in words(page)
        assert len(mail.new()) == many
        await tab.send("/invitations/send-waiting")
        assert len(mail.new()) == many
    assert (
        await own.owner("select count(*) from invitations where sent_at is null and accepted_at is null") == 0
    )


async def test_a_mail_that_fails_waits_on(own: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    mail = Mailbox()
    async with visiting(own, "hana") as tab:
        await carry_out(tab, await bring(tab, HEADINGS + 'p@example.com,,,,"Dallas, TX",\n'))
        # An account that confirmed its address since: the auth service invites it no more.
        await own.owner(
            "with made as (insert into auth.users (id, email, email_confirmed_at)"
            " values (gen_random_uuid(), 'waits@example.com', now()) returning 1) select count(*) from made"
        )
        await own.owner("update invitations set email = 'waits@example.com' where email = 'p@example.com'")
        page = await tab.send("/invitations/send-waiting")
        assert "could not be sent" in words(page)
        assert "1 invitation is not sent yet." in words(page)
        assert 'hx-trigger="load' not in page.text  # it does not try for ever
        assert mail.new() == []
