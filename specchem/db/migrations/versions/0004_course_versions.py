"""Versions of a course side by side, its words in other languages; and lists of people to import."""

from specchem.db.migrations import run_page

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_page(__file__)
