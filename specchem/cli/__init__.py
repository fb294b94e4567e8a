"""``specchem …``: serve, look after the database, make the first people, check the reports."""

import typer
from rich.table import Table

from specchem.cli.auth import auth_app
from specchem.cli.common import in_words, out
from specchem.cli.db import db_app
from specchem.cli.examining import doctor
from specchem.cli.people import people_app
from specchem.cli.record import answers_app, report_app
from specchem.cli.serving import serve
from specchem.db import embedded
from specchem.settings import load, rows

app = typer.Typer(
    help="SpecChem Safety Training.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(doctor)
app.add_typer(db_app, name="db")
app.add_typer(people_app, name="people")
app.add_typer(report_app, name="report")
app.add_typer(auth_app, name="auth")
app.add_typer(answers_app, name="answers")


@app.command("settings")
def show_settings() -> None:
    """List the settings, what each means and its default."""
    with in_words():
        folder = embedded.default_folder(load().data_dir)
    table = Table("variable", "meaning", "default")
    for row in rows():
        table.add_row(*row)
    out.print(table)
    out.print(f"Data folder: {folder}", markup=False)
