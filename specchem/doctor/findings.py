"""What an examination says: for each line of the guide's lists, how it stands, what was found, and what to do."""

from enum import StrEnum
from typing import Literal

import msgspec

State = Literal["ok", "wrong", "cannot tell"]


class Line(StrEnum):
    """The guide's lines, in its words and order, and at the end what it leaves out and every server needs."""

    MIGRATIONS_TRIED = "All migrations tested in staging"
    POLICIES_VALIDATED = "RLS policies validated"
    SEED_PREPARED = "Seed data prepared"
    ENVIRONMENT = "Environment variables configured"
    BACKUPS = "Database backups enabled"
    MIGRATIONS = "Run migrations against production database"
    SEED = "Execute seed data scripts"
    POLICIES = "Enable RLS policies"
    AUTH_TRIGGERS = "Create auth triggers"
    CONNECTION = "Verify connection from application"
    SIGN_UP = "Test user creation flow"
    PLANTS = "Validate plant-scoped data access"
    QUERIES = "Monitor query performance"
    LOGS = "Check error logs"
    AUTH = "Verify auth integration"
    ROLES = "Test all user roles"
    REPORTS = "Validate reporting queries"
    STATEMENTS = "Set up query performance monitoring"
    EFFECTIVENESS = "Monitor RLS policy effectiveness"
    ENROLLMENTS = "Track user enrollment patterns"
    EVENTS = "Monitor question event volume"
    SERVER = "The server itself"


SECTIONS: dict[str, tuple[Line, ...]] = {
    "Pre-Deployment": (
        Line.MIGRATIONS_TRIED, Line.POLICIES_VALIDATED, Line.SEED_PREPARED, Line.ENVIRONMENT, Line.BACKUPS,
    ),
    "Deployment Steps": (
        Line.MIGRATIONS, Line.SEED, Line.POLICIES, Line.AUTH_TRIGGERS, Line.CONNECTION, Line.SIGN_UP, Line.PLANTS,
    ),
    "Post-Deployment": (Line.QUERIES, Line.LOGS, Line.AUTH, Line.ROLES, Line.REPORTS),
    "Monitoring": (Line.STATEMENTS, Line.EFFECTIVENESS, Line.ENROLLMENTS, Line.EVENTS),
    "Besides": (Line.SERVER,),
}  # fmt: skip
SECTION_OF = {line: section for section, lines in SECTIONS.items() for line in lines}


class Said(msgspec.Struct, frozen=True):
    """What one check came to; ``todo`` is empty where nothing is to be done."""

    state: State
    found: str
    todo: str = ""


class Finding(msgspec.Struct, frozen=True):
    """The same, with the line it answers; this is one object of ``--json``."""

    section: str
    line: str
    state: State
    found: str
    todo: str


def ok(found: str) -> Said:
    """As it should be."""
    return Said("ok", found)


def wrong(found: str, todo: str) -> Said:
    """Not as it should be."""
    return Said("wrong", found, todo)


def cannot_tell(why: str, todo: str = "") -> Said:
    """Out of sight from here, or not to be judged before something else is put right."""
    return Said("cannot tell", why, todo)
