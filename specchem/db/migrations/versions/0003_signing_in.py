"""Signing in: counted tries, what is on record of it, invitations that can be revoked."""

from specchem.db.migrations import run_page

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_page(__file__)
