"""Who may do what: everything in the catalog × every kind of person × every verb × rows of every standing."""

from collections.abc import AsyncIterator
from html import unescape

import asyncpg
import pytest
from rich.table import Table

from specchem.db.database import Database
from specchem.db.session import Connection, prepare
from specchem.isolation import lints, matrix, report
from specchem.isolation.cast import KINDS
from specchem.isolation.rights import TABLES, Rights
from tests.conftest import Cluster


@pytest.fixture(scope="module")
async def standing(cluster: Cluster) -> AsyncIterator[Database]:
    copy = await cluster.copy()
    yield copy
    await cluster.drop(copy)


@pytest.fixture(params=["owner", "platform"])
async def connection(standing: Database, request: pytest.FixtureRequest) -> AsyncIterator[Connection]:
    """The owner, as on Supabase, and a superuser; in a transaction that is rolled back."""
    opened = await asyncpg.connect(getattr(standing, request.param))
    await prepare(opened)
    transaction = opened.transaction()
    await transaction.start()
    yield opened
    await transaction.rollback()
    await opened.close()


# guide-measured: anon, associate, plant manager, scopeless manager, HR admin, dev admin, suspended user, suspended HR
async def test_the_database_does_what_is_written(
    connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    assert matrix.unexpected(await matrix.look(connection)) == []
    cells = await matrix.prove(connection)
    with capsys.disabled():
        print(f" {len(cells)} cells", end=" ")
    assert [str(cell) for cell in cells if cell.deviates] == []
    # Of every kind and verb something was allowed, and something was not.
    assert {(cell.kind, cell.found) for cell in cells} >= {(kind.name, "refused") for kind in KINDS}
    assert {cell.kind for cell in cells if cell.found == "allowed" and cell.verb == "select"} == {
        "associate", "manager", "manager of two", "HR", "HR of a plant", "dev admin", "service role"
    }  # fmt: skip
    assert len(cells) > 15_000


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("create table public.notes (id int)", "public.notes has no expectation"),
        ("create view public.notes as select 1 as one", "public.notes has no expectation"),
        ("create function app.jot(text) returns int language sql as 'select 1'", "app.jot(text) has no expectation"),
        ("create function public.touch() returns int language sql as 'select 1'", "public.touch() has no expectation"),
        ("drop view app.question_difficulty", "app.question_difficulty is missing"),
        ("alter function app.tidy(text) security definer", "app.tidy(text) runs with its owner's eyes"),
    ],
)  # fmt: skip
async def test_what_has_no_expectation_is_told(connection: Connection, made: str, told: str) -> None:
    await connection.execute(made)
    assert matrix.unexpected(await matrix.look(connection)) == [told]


# The proof itself ran as both above; what follows is how it looks and what it writes.
OWNER_ALONE = pytest.mark.parametrize("connection", ["owner"], indirect=True)


@OWNER_ALONE
async def test_a_new_column_is_tried_without_anybody_remembering_it(connection: Connection) -> None:
    await connection.execute("alter table public.progress add column bonus integer")
    await connection.execute("grant update (bonus) on public.progress to authenticated")
    deviating = [cell for cell in await matrix.prove(connection) if cell.deviates]
    assert {(cell.thing, cell.column) for cell in deviating} == {("public.progress", "bonus")}


@OWNER_ALONE
async def test_the_report_names_every_deviation(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told otherwise than it is: the text marks it, and so does the page."""
    monkeypatch.setitem(TABLES, "public.plants", Rights(service="siu"))
    cells = await matrix.prove(connection)
    deviating = [cell for cell in cells if cell.deviates]
    assert {cell.thing for cell in deviating} == {"public.plants"}
    page = report.as_html(cells, ["a rule: not kept"])
    assert all(str(cell) in unescape(page) for cell in deviating)
    assert "a rule: not kept" in page
    assert f"{len(cells):,} cells" in page
    assert page.count('class="bad"') > 10
    assert "http" not in page
    plants = next(
        part for part in report.as_text(cells) if isinstance(part, Table) and part.title == "public.plants"
    )
    assert "✓!" in "".join(str(mark) for column in plants.columns for mark in column.cells)


async def test_a_broken_rule_of_the_schema_is_a_sentence(connection: Connection) -> None:
    await connection.execute("alter table public.plants no force row level security")
    (told,) = await lints.broken(connection)
    assert told == "row security is on and forced on every table of the exposed schema: not plants"
