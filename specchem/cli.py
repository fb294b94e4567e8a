"""``specchem …``: serve, look after the database, make the first people, check the reports."""

import asyncio
import logging
import secrets
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import UUID

import asyncpg
import typer
from alembic.util import CommandError
from rich.console import Console
from rich.table import Table

from specchem.auth.client import AuthClient, client_of_supabase
from specchem.auth.errors import AuthError
from specchem.auth.service.accounts import create_account
from specchem.auth.service.keys import KeyRing
from specchem.db import database, embedded, upgrade
from specchem.db.database import Database
from specchem.db.refusals import FAULTS, translate
from specchem.db.session import Connection, connected, looking
from specchem.errors import SpecChemError, Stopped
from specchem.people.creation import NewPerson
from specchem.ready import be_ready
from specchem.seed import seed
from specchem.settings import Settings, is_loopback, load, variables

app = typer.Typer(
    help="SpecChem Safety Training.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
db_app = typer.Typer(help="Look after the database.", no_args_is_help=True)
people_app = typer.Typer(help="Make people, and review what they see.", no_args_is_help=True)
report_app = typer.Typer(help="Check the reports.", no_args_is_help=True)
app.add_typer(db_app, name="db")
app.add_typer(people_app, name="people")
app.add_typer(report_app, name="report")
auth_app = typer.Typer(help="Look after the local auth service's keys.", no_args_is_help=True)
app.add_typer(auth_app, name="auth")
answers_app = typer.Typer(help="Look after the answers that are kept.", no_args_is_help=True)
app.add_typer(answers_app, name="answers")
PIECE = 50_000  # answers removed in one transaction

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)
T = TypeVar("T")

Url = Annotated[
    str | None, typer.Option("--database-url", help="The owner's connection, instead of the setting.")
]


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
    except FAULTS as error:
        known = translate(error)
        unknown = f"The database refused: {type(error).__name__}."
        err.print(str(known) if isinstance(known, SpecChemError) else unknown, style="red", markup=False)
        raise typer.Exit(1) from None


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


@app.command()
def serve(
    demo: Annotated[
        bool, typer.Option("--demo", help="With six plants of invented people; loopback only.")
    ] = False,
    upgrade_first: Annotated[
        bool,
        typer.Option("--upgrade", help="Upgrade an external database first (the embedded one always is)."),
    ] = False,
) -> None:
    """Start the server (SPECCHEM_HOST, SPECCHEM_PORT; Ctrl-C stops it, and the embedded PostgreSQL)."""
    from specchem.serve import run  # the other commands start faster without a web server

    # A polite kill ends like Ctrl-C: through the finally clauses, which put PostgreSQL away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with in_words(), suppress(KeyboardInterrupt):
        settings = load()
        if demo and not is_loopback(settings.host):
            raise Stopped(
                f"--demo shows known passwords, so it serves loopback only, not SPECCHEM_HOST={settings.host}."
            )
        if demo and settings.supabase_url is not None:
            raise Stopped("--demo makes accounts of its own, so it goes without SUPABASE_URL.")
        with database.opened(settings, say) as where:
            run(settings, where, may_upgrade=upgrade_first or where.is_embedded, demo=demo, say=say)


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
        _write(folder / f"{upgrade.head()}_specchem.sql", text)


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Stopped(f"{file} cannot be written ({error.strerror}).") from None
    out.print(f"Wrote {file}", markup=False)


@db_app.command("seed")
def db_seed(url: Url = None) -> None:
    """Make the six plants and the course where they are missing; what is there stays."""

    async def work(where: Database) -> None:
        await seed(where.owner, say)
        out.print("Plants and courses are in place.")

    on_database(url, work)


def _ring() -> tuple[Settings, KeyRing]:
    settings = load()
    if settings.supabase_url is not None:
        raise Stopped("People sign in with Supabase (SUPABASE_URL is set), whose keys are on its dashboard.")
    folder = embedded.default_folder(settings.data_dir)
    embedded.claim(folder)
    return settings, KeyRing(folder)


@auth_app.command("keys")
def auth_keys() -> None:
    """Print what Supabase's clients are made with: the URL, the publishable key and the secret one."""
    with in_words():
        settings, ring = _ring()
    told = {"URL": settings.base_url, "publishable key": ring.publishable_key, "secret key": ring.secret_key}
    for name, value in told.items():
        sys.stdout.write(f"{name:<17}{value}\n")


@auth_app.command("rotate-key")
def auth_rotate_key() -> None:
    """Sign access tokens with a new key from now on; nobody is signed out, and no server is restarted."""
    with in_words():
        made = _ring()[1].rotate()
    out.print(f"Tokens are signed with key {made.key_id} from now on; those of the former key stay good.")


@people_app.command("create")
def people_create(
    email: Annotated[str, typer.Argument(help="The person's address.")],
    plant: Annotated[str, typer.Option(help="The plant they work in, by name.")],
    first_name: Annotated[str | None, typer.Option()] = None,
    last_name: Annotated[str | None, typer.Option()] = None,
    job_title: Annotated[str | None, typer.Option()] = None,
    role: Annotated[str | None, typer.Option(help="hr_admin, plant_manager or dev_admin.")] = None,
    role_plant: Annotated[
        str | None, typer.Option(help="The role's plant; absent: a manager's own, HR's whole company.")
    ] = None,
    url: Url = None,
) -> None:
    """Make an account and print its one-time password; this is how the first admin comes."""
    password = secrets.token_urlsafe(12)
    with in_words():
        settings = load()
        supabase = client_of_supabase(settings) if settings.supabase_url else None

    async def work(where: Database) -> None:
        from specchem.demo import refuse_demo
        from specchem.people.creation import create_person

        async with connected(where.owner) as connection:
            await refuse_demo(connection)
            person = NewPerson.checked(
                email=email, plant=plant, first_name=first_name, last_name=last_name, job_title=job_title,
                role=role, role_plant=role_plant or (plant if role == "plant_manager" else None),
            )  # fmt: skip
            if supabase is None:
                async with connection.transaction():
                    await create_person(
                        connection, person, lambda: create_account(connection, person.email, password)
                    )
            else:
                await _create_at_supabase(connection, person, password, supabase)
        out.print(f"{person.email} can sign in with the one-time password", end=" ")
        sys.stdout.write(password + "\n")

    on_database(url, work)


async def _create_at_supabase(
    connection: Connection, person: NewPerson, password: str, client: AuthClient
) -> None:
    """The account is made by another process, which must find the invitation; it goes again if that fails."""
    from specchem.people.creation import create_person

    logging.getLogger("specchem").setLevel(logging.ERROR)  # what goes wrong is told in words

    async def account() -> UUID:
        made = await client.create_user(email=person.email, password=password, email_confirm=True)
        return made.id

    try:
        async with client.http:
            await create_person(connection, person, account)
    except BaseException:
        await connection.execute(
            "delete from invitations where lower(email) = $1 and accepted_at is null", person.email
        )
        raise


@people_app.command("can-see")
def people_can_see(
    email: Annotated[str, typer.Argument(help="The person's address.")],
    tables: Annotated[list[str] | None, typer.Option("--table", help="Of this table alone.")] = None,
    url: Url = None,
) -> None:
    """Say what a person sees, how many rows, and by which rule."""
    from specchem.isolation import explorer

    async def work(where: Database) -> tuple[explorer.Person, list[explorer.Sight]]:
        async with looking(where.owner) as connection:
            person = await explorer.find(connection, email)
            return person, await explorer.can_see(connection, person, tables or [])

    person, sights = on_database(url, work)
    out.print(person.in_words(), markup=False)
    shown = Table("table", "rows", "by which rule")
    for sight in sights:
        shown.add_row(sight.table, f"{sight.rows:,}", sight.rule)
    out.print(shown)


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


@app.command()
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
    wide = Console(highlight=False, width=max(out.width, 150))  # fourteen kinds of people side by side
    for part in (*report.as_text(cells), report.LEGEND):
        wide.print(part)
    if html is not None:
        with in_words():
            _write(html, report.as_html(cells, broken))
    deviations = [str(cell) for cell in cells if cell.deviates]
    for line in (*deviations, *broken):
        out.print(line, style="red", markup=False)
    out.print(
        f"{len(cells):,} cells, {len(deviations)} deviations; {len(broken)} broken rules of the schema."
    )
    raise typer.Exit(1 if deviations or broken else 0)


@app.command("settings")
def show_settings() -> None:
    """List the settings, what each means and its default."""
    with in_words():
        folder = embedded.default_folder(load().data_dir)
    table, names = Table("variable", "meaning", "default"), variables()
    for name, field in Settings.model_fields.items():
        table.add_row(names[name], field.description or "", str(field.default or "—"))
    out.print(table)
    out.print(f"Data folder: {folder}", markup=False)
