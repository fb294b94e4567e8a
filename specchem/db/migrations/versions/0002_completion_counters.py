"""Counters for the completion reports; what was pruned of the answers."""

from specchem.db.migrations import run_page

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_page(__file__)
