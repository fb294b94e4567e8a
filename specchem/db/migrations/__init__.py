"""Alembic revisions: each a Python file that names its predecessor and an SQL page of the same name."""

from pathlib import Path

from alembic import op


def run_page(revision_file: str) -> None:
    """Run the SQL page that stands beside a revision."""
    # Written out as it stands: SQLAlchemy would read a colon in it as a parameter.
    op.get_context().impl.static_output(Path(revision_file).with_suffix(".sql").read_text())
