"""``specchem doctor``."""

from pathlib import Path
from typing import Annotated

import typer

from specchem.cli.common import Url, in_words, on_database, out, say, show, write
from specchem.db.database import Database
from specchem.db.session import looking
from specchem.errors import Stopped


def doctor(
    isolation: Annotated[
        bool, typer.Option("--isolation", help="Try who may do what, in a transaction that is rolled back.")
    ] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write the report as a page, too.")] = None,
    url: Url = None,
) -> None:
    """Examine the database; exit status 1 when something is not as it should be."""
    from specchem.isolation import lints, matrix, report  # a cast of people that no other command needs

    if not isolation:
        with in_words():
            raise Stopped("Say what to examine; there is --isolation so far.")

    async def work(where: Database) -> tuple[list[matrix.Cell], list[str]]:
        async with looking(where.owner) as connection:
            missing = matrix.unexpected(await matrix.look(connection))
            broken = [*missing, *await lints.broken(connection)]
            say("Trying who may do what …")
            return await matrix.prove(connection), broken

    cells, broken = on_database(url, work)
    for part in (*report.as_text(cells), report.LEGEND):
        show(part)
    if html is not None:
        with in_words():
            write(html, report.as_html(cells, broken))
    deviations = [str(cell) for cell in cells if cell.deviates]
    for line in (*deviations, *broken):
        out.print(line, style="red", markup=False)
    out.print(
        f"{len(cells):,} cells, {len(deviations)} deviations; {len(broken)} broken rules of the schema."
    )
    raise typer.Exit(1 if deviations or broken else 0)
