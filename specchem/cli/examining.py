"""``specchem doctor``."""

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from specchem.cli.common import Url, err, in_words, on_database, out, say, settings_with, show, write
from specchem.db.database import Database
from specchem.db.session import looking
from specchem.doctor.findings import Finding
from specchem.errors import Stopped

MARKS = {"ok": ("ok", "green"), "wrong": ("wrong", "bold red"), "cannot tell": ("cannot tell", "yellow")}


def doctor(
    isolation: Annotated[
        bool, typer.Option("--isolation", help="Only who may do what, with the whole matrix of it.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="With --isolation: write the report as a page, too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The findings as one JSON object.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the result for the page System; the only thing it writes.")
    ] = False,
    url: Url = None,
) -> None:
    """Examine the database, and leave it as it was; exit status 1 when something is not as it should be."""
    if isolation and not (as_json or keep):
        _isolation(html, url)
        return
    with in_words():
        if isolation or html is not None:
            raise Stopped("--html is for --isolation, --json and --keep are for the examination without it.")
        settings = settings_with(url)

    async def work(where: Database) -> tuple[list[Finding], Stopped | None]:
        from specchem.doctor import keeping
        from specchem.doctor.examination import examine

        told: list[Finding] = []
        async for finding in examine(where, settings, say):
            if not as_json:
                _tell(finding, None if not told else told[-1])
            told.append(finding)
        try:
            if keep:
                await keeping.keep(where, told)
        except Stopped as error:  # told below what was found all the same
            return told, error
        return told, None

    # Not one that is made ready first: whether it is, we are to say.
    findings, not_kept = on_database(url, work, ready=False)
    count = Counter(finding.state for finding in findings)
    if as_json:
        summary = {"ok": count["wrong"] == 0, "wrong": count["wrong"], "cannot_tell": count["cannot tell"]}
        sys.stdout.write(msgspec.json.encode({**summary, "findings": findings}).decode() + "\n")
    else:
        out.print(
            f"\n{count['ok']} ok, {count['wrong']} wrong, {count['cannot tell']} cannot be told from here."
        )
    if not_kept is not None:
        err.print(str(not_kept), style="red", markup=False)
    raise typer.Exit(1 if count["wrong"] or not_kept else 0)


def _tell(finding: Finding, before: Finding | None) -> None:
    """One finding, below its section and line where they are new."""
    if before is None or before.section != finding.section:
        out.print(f"\n{finding.section}", style="bold", markup=False)
    if before is None or before.line != finding.line:
        out.print(f"  {finding.line}", markup=False)
    word, style = MARKS[finding.state]
    out.print(f"    [{style}]{word}[/]  {escape(finding.found)}")
    if finding.todo:
        out.print(f"        → {finding.todo}", style="dim" if finding.state == "ok" else None, markup=False)


def _isolation(html: Path | None, url: str | None) -> None:
    from specchem.isolation import lints, matrix, report  # a cast of people that no other command needs

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
