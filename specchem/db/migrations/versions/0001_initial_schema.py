"""The initial schema."""

from specchem.db.migrations import run_page

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_page(__file__)
