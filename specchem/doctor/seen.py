"""What the checks of one examination share: the connection, and what was found out once for several lines."""

from dataclasses import dataclass, field

import asyncpg

from specchem.db import upgrade
from specchem.db.cluster import Say
from specchem.db.database import Database
from specchem.db.session import Connection
from specchem.db.unprivileged import EmbeddedError
from specchem.doctor import catalog, drift, reference
from specchem.doctor.findings import Line, Said, cannot_tell, wrong
from specchem.errors import Stopped
from specchem.isolation import matrix
from specchem.settings import Settings


@dataclass
class Seen:
    """One examination: ``connection`` is the owner's, in a transaction that is rolled back."""

    where: Database
    settings: Settings
    connection: Connection
    # A superuser's where we have one, for what the owner may not see.
    platform: Connection
    say: Say
    status: upgrade.Status
    # Why this release could not be made beside for comparison, or None.
    no_reference: str | None = None
    drift: list[tuple[Line, Said]] = field(default_factory=list)
    roles: list[Said] = field(default_factory=list)
    cells: list[matrix.Cell] = field(default_factory=list)
    # Why not one was tried, or None.
    not_tried: str | None = None
    # What the cast of people that the cells were tried with got from each report.
    reports: list[Said] = field(default_factory=list)
    # Is something wrong already that what comes after follows from?
    altered: bool = False
    # Does row security hold the owner?
    blind: bool = False

    async def compare(self) -> None:
        """Hold the schema against this release's, made beside."""
        try:
            release = await reference.of_this_release()
        except (EmbeddedError, Stopped, OSError, asyncpg.PostgresError) as error:
            self.no_reference = str(error) if isinstance(error, Stopped) else type(error).__name__
            return
        if self.status.current:
            found = await catalog.read(self.connection)
            self.drift = await drift.differences(self.connection, found, release)

    def of(self, line: Line) -> list[Said]:
        """Where the schema differs, as far as it belongs to one line."""
        return [said for its, said in self.drift if its is line]

    def unknown(self) -> list[Said]:
        """Why the schema cannot be compared, where it cannot."""
        if not self.status.current:
            return [cannot_tell("not looked at before the database is upgraded")]
        if self.no_reference is not None:
            return [
                cannot_tell(
                    f"this release could not be made beside for comparison: {self.no_reference}",
                    "Run doctor where SpecChem's embedded PostgreSQL can run.",
                )
            ]
        return []

    def unready(self) -> list[Said]:
        """Why rows cannot be looked at, where they cannot."""
        if not self.status.current:
            return self.unknown()
        if self.blind:
            return [
                cannot_tell(
                    "row security holds the owner, who sees no rows", "Put that right, then ask again."
                )
            ]
        return []

    def follows(self, found: str) -> Said:
        """Something does not work, as was to be expected after what was found before."""
        return cannot_tell(
            f"{found}; that follows from what is wrong elsewhere", "Put that right, then ask again."
        )

    def failed(self, found: str, todo: str) -> Said:
        """Something does not work: by itself, or as was to be expected after what was found before."""
        if self.altered:
            return self.follows(found)
        return wrong(found, todo)
