"""``specchem report …`` and ``specchem answers …``: the record and what is counted from it."""

import sys
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import asyncpg
import msgspec
import typer
from rich.table import Table
from rich.text import Text

from specchem.cli.common import Url, on_database, out, say, show
from specchem.db.database import Database
from specchem.db.session import connected
from specchem.reporting.volume import Volume, get_volume

report_app = typer.Typer(help="Check the reports.", no_args_is_help=True)
answers_app = typer.Typer(help="Look after the answers that are kept.", no_args_is_help=True)
PIECE = 50_000  # answers removed in one transaction


@report_app.command("verify")
def report_verify(url: Url = None) -> None:
    """Recount what the reports read from the record itself; exit status 1 on any difference."""

    async def work(where: Database) -> list[asyncpg.Record]:
        async with connected(where.owner) as connection:
            return await connection.fetch(
                "select plant_id, course_id, section_key, question_key, counted, recounted"
                " from app.counter_differences union all"
                " select plant_id, course_id, null, null, counted, recounted from app.completion_differences"
                " order by 1, 2, 3, 4"
            )

    rows = on_database(url, work)
    if not rows:
        out.print("The counters agree with the record.")
        return
    for plant, course, section, question, counted, recounted in rows:
        about = f"plant {plant}, course {course}" + (
            f", question {question} of {section}" if question else ""
        )
        out.print(f"{about}: counted {counted}, recounted {recounted}", markup=False)
    raise typer.Exit(1)


class By(StrEnum):
    """What the volume is counted by."""

    week = "week"
    day = "day"


@report_app.command("volume")
def report_volume(
    weeks: Annotated[int, typer.Option("--weeks", min=1, max=520, help="So many, with the present one.")] = 8,
    by: Annotated[By, typer.Option("--by", help="A line for each week, or for each day.")] = By.week,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
    url: Url = None,
) -> None:
    """Say how much was recorded in each plant: answers, sections viewed, enrollments, starts, completions.

    By the plant's clock. Answers that were pruned are not in it.
    """

    async def work(where: Database) -> list[Volume]:
        async with connected(where.owner) as connection:
            return await get_volume(connection, by.value, weeks)

    found = on_database(url, work)
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return
    shown = Table(by.value, "plant", "answers", "sections viewed", "enrolled", "started", "completed")
    for one in found:
        numbers = (one.answers, one.viewed, one.enrolled, one.started, one.completed)
        shown.add_row(str(one.began), Text(one.plant), *(f"{number:,}" for number in numbers))
    show(shown)


@answers_app.command("prune")
def answers_prune(
    days: Annotated[
        int, typer.Option("--older-than", min=31, max=36_500, help="Days since the answer was given.")
    ],
    url: Url = None,
) -> None:
    """Remove single answers that nothing rests on any more; each person's last and last right one stay.

    Progress, completions and every count say the same afterwards. Can be broken off and repeated.
    """

    async def work(where: Database) -> int:
        total = 0
        async with connected(where.owner) as connection:
            before = datetime.now(UTC) - timedelta(days=days)
            # In pieces, each of its own transaction, so that nobody waits for the whole.
            while removed := await connection.fetchval("select app.prune_answers($1, $2)", before, PIECE):
                total += removed
                say(f"{total:,} answers removed …")
        return total

    out.print(f"{on_database(url, work):,} answers were removed.")
