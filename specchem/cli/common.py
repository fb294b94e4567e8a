"""What every command shares: where it speaks to, which settings it takes, how it opens a database."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import asyncpg
import typer
from rich.console import Console, RenderableType

from specchem.auth.errors import AuthError
from specchem.db import database
from specchem.db.database import Database
from specchem.db.refusals import FAULTS, translate
from specchem.errors import SpecChemError, Stopped
from specchem.ready import be_ready
from specchem.settings import Settings, load

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)
T = TypeVar("T")

Url = Annotated[
    str | None, typer.Option("--database-url", help="The owner's connection, instead of the setting.")
]


POOLED = (
    "The database's address leads through a transaction pooler, where the owner's work is not safe: give the direct"
    " one or the session pooler's (on Supabase port 5432). Requests may go through it: SPECCHEM_API_DATABASE_URL."
)


def say(line: str) -> None:
    """Progress goes to stderr: what a command prints stays usable."""
    err.print(line, style="dim", markup=False)


@contextmanager
def in_words() -> Iterator[None]:
    """What goes wrong is a sentence and exit status 1, never a stack trace."""
    try:
        yield
    except (SpecChemError, AuthError) as error:
        err.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from None
    except asyncpg.ClientConfigurationError:
        # Its own words may hold a piece of the address, and that a password.
        err.print("SPECCHEM_DATABASE_URL or --database-url has a part that cannot be used.", style="red")
        raise typer.Exit(1) from None
    except OSError:
        err.print(
            "Nothing answers at the database's address: is it running, and is the address right?", style="red"
        )
        raise typer.Exit(1) from None
    except (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError):
        err.print(POOLED, style="red", markup=False)
        raise typer.Exit(1) from None
    except FAULTS as error:
        known = translate(error)
        unknown = f"The database refused: {type(error).__name__}."
        err.print(str(known) if isinstance(known, SpecChemError) else unknown, style="red", markup=False)
        raise typer.Exit(1) from None


def show(what: RenderableType) -> None:
    """A table, with room for it also where there is no terminal to measure."""
    Console(highlight=False, width=max(out.width, 150)).print(what)


def settings_with(url: str | None) -> Settings:
    """The settings, with a command's own database."""
    settings = load()
    if url is None:
        return settings
    try:
        return Settings.model_validate({**settings.model_dump(), "database_url": url})
    except ValueError:
        raise Stopped("--database-url is not a PostgreSQL address.") from None


def on_database(
    url: str | None, work: Callable[[Database], Coroutine[Any, Any, T]], *, ready: bool = True
) -> T:
    """Run work against the database; ``ready``: one that is upgraded (the embedded one is, by itself)."""

    async def whole(where: Database) -> T:
        if ready:
            await be_ready(where, may_upgrade=where.is_embedded, say=say)
        return await work(where)

    with in_words(), database.opened(settings_with(url), say) as where:
        return asyncio.run(whole(where))


def write(file: Path, text: str) -> None:
    """Write a file that a command was asked for. Raises Stopped where it cannot."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Stopped(f"{file} cannot be written ({error.strerror}).") from None
    out.print(f"Wrote {file}", markup=False)
