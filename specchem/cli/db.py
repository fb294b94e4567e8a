"""``specchem db …``: look after the database."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from alembic.util import CommandError
from rich.table import Table
from rich.text import Text

from specchem.cli.common import Url, in_words, on_database, out, say, show, write
from specchem.db import database, slow, upgrade
from specchem.db.database import Database
from specchem.db.session import connected
from specchem.errors import Stopped
from specchem.seed import seed

SHOWN = 200  # characters of a statement
db_app = typer.Typer(help="Look after the database.", no_args_is_help=True)


@db_app.command("upgrade")
def db_upgrade(url: Url = None) -> None:
    """Bring the database to this release: revisions and rules, in one transaction."""

    async def work(where: Database) -> None:
        await database.ensure_ready(where)
        changed = await upgrade.upgrade(where.owner, say)
        await database.ensure_logins(where)
        out.print(
            "The database is upgraded." if changed else "The database is up to date; nothing was touched."
        )

    on_database(url, work, ready=False)


@db_app.command("status")
def db_status(url: Url = None) -> None:
    """Say where the database stands; exit status 1 when something is pending."""

    async def work(where: Database) -> upgrade.Status:
        # Not as the owner, who is still to be made where nothing stands yet.
        async with connected(where.platform) as connection:
            return await upgrade.status(connection)

    found = on_database(url, work, ready=False)
    out.print(found.sentence())
    raise typer.Exit(0 if found.current else 1)


@db_app.command("sql")
def db_sql(
    since: Annotated[str | None, typer.Option("--from", help="A revision; absent: from nothing.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--write", help="A folder such as supabase/migrations, instead of stdout.")
    ] = None,
) -> None:
    """Write the upgrade as SQL, the very text that `db upgrade` runs."""
    with in_words():
        try:
            text = f"begin;\n{upgrade.script(since)}commit;\n"
        except CommandError:
            raise Stopped(f"There is no revision {since}.") from None
        if folder is None:
            sys.stdout.write(text)
            return
        write(folder / f"{upgrade.head()}_specchem.sql", text)


@db_app.command("slow")
def db_slow(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Statements, at most.")] = 10,
    url: Url = None,
) -> None:
    """Say which statements took the database the most time since it began to count."""

    async def work(where: Database) -> tuple[list[slow.Statement], bool]:
        return await slow.slowest(where, limit)

    found, hidden = on_database(url, work)
    if hidden:
        say(slow.HIDDEN)
    shown = Table("total ms", "calls", "mean ms", "rows", "statement")
    for one in found:
        shown.add_row(
            f"{one.total:,.0f}", f"{one.calls:,}", f"{one.mean:,.2f}", f"{one.rows:,}", Text(one.text[:SHOWN])
        )
    show(shown)


@db_app.command("seed")
def db_seed(url: Url = None) -> None:
    """Make the six plants and the course where they are missing; what is there stays."""

    async def work(where: Database) -> None:
        await seed(where.owner, say)
        out.print("Plants and courses are in place.")

    on_database(url, work)
