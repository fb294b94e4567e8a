"""``specchem db …``: look after the database."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from specchem.cli.common import Url, err, in_words, on_database, out, say, settings_with, show, write
from specchem.db import database, slow, upgrade
from specchem.db.database import Database
from specchem.db.session import connected
from specchem.seed import seed
from specchem.supabase import project

SHOWN = 200  # characters of a statement
db_app = typer.Typer(help="Look after the database.", no_args_is_help=True)


@db_app.command("upgrade")
def db_upgrade(
    restate: Annotated[
        bool,
        typer.Option("--restate", help="Put the rules back even if none is pending: a hand changed them."),
    ] = False,
    url: Url = None,
) -> None:
    """Bring the database to this release: revisions and rules, in one transaction."""

    async def work(where: Database) -> None:
        await database.ensure_ready(where)
        changed = await upgrade.upgrade(where.owner, say, restate=restate)
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
    since: Annotated[
        str | None, typer.Option("--from", help="Leave out the revisions up to this one.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--write",
            help="The folder `supabase` of a project: write a migration and, once, a config.toml there.",
        ),
    ] = None,
) -> None:
    """Write the upgrade as SQL, the very text that `db upgrade` runs."""
    with in_words():
        if folder is None:
            sys.stdout.write(project.whole(since))
            return
        missing = list(project.files(folder, settings_with(None).base_url, since))
        for file, text in missing:
            write(file, text)
        if not missing:
            out.print(f"Nothing to write: {folder} holds this release already.", markup=False)


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


@db_app.command("backup")
def db_backup(
    file: Annotated[Path, typer.Argument(help="Where to write it; readable for you alone.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    url: Url = None,
) -> None:
    """Write the database into one file, people's accounts with it (unless they are Supabase's)."""
    from specchem.backup.making import back_up

    async def work(where: Database) -> None:
        made = await back_up(where, file, force=force, supabase=_has_supabase(url), say=say)
        out.print(f"Wrote {file}: {made.sentence()}.", markup=False)

    on_database(url, work, ready=False)


@db_app.command("restore")
def db_restore(
    file: Annotated[Path, typer.Argument(help="What `specchem db backup` wrote.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Put it in the place of all that SpecChem keeps there now.")
    ] = False,
    url: Url = None,
) -> None:
    """Bring a backup into an empty database, all or nothing; exit status 1 when what came is not well."""
    from specchem.backup.restoring import restore  # it knows all our tables, as no other command here does

    async def work(where: Database) -> list[str]:
        made, wrong = await restore(where, file, replace=replace, supabase=_has_supabase(url), say=say)
        out.print(f"Restored: {made.sentence()}, as of {made.made_at:%Y-%m-%d %H:%M} UTC.", markup=False)
        return wrong

    wrong = on_database(url, work, ready=False)
    for line in wrong:
        err.print(line, style="red", markup=False)
    raise typer.Exit(1 if wrong else 0)


def _has_supabase(url: str | None) -> bool:
    """Whether people sign in at Supabase, whose accounts are its own to keep."""
    return settings_with(url).supabase_url is not None
