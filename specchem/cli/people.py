"""``specchem people …``: make people, and review what they see."""

import logging
import secrets
import sys
from typing import Annotated
from uuid import UUID

import typer
from rich.table import Table

from specchem.auth.client import AuthClient, client_of_supabase
from specchem.auth.service.accounts import create_account
from specchem.cli.common import Url, in_words, on_database, out
from specchem.db.database import Database
from specchem.db.session import Connection, connected, looking
from specchem.people.creation import NewPerson
from specchem.settings import load

people_app = typer.Typer(help="Make people, and review what they see.", no_args_is_help=True)


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
