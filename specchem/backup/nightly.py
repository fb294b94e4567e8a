"""The nightly backup of the embedded database: made by the server itself, and the oldest removed."""

import asyncio
import logging
import re
from collections.abc import Callable
from datetime import datetime, time, timedelta
from pathlib import Path

from specchem.backup import file as files
from specchem.backup.making import back_up
from specchem.db.database import Database
from specchem.errors import SpecChemError, Stopped

log = logging.getLogger(__name__)
NAME = re.compile(r"specchem-(\d{8}-\d{6})\.backup(\.part)?")
STAMP = "%Y%m%d-%H%M%S"
LOOK_SECONDS = 60
AGAIN = timedelta(hours=1)


class Nightly:
    """Looks whether a backup is due; times are this machine's, without a zone."""

    def __init__(
        self, where: Database, folder: Path, at: time, keep: timedelta, say: Callable[[str], None]
    ) -> None:
        self.folder = folder
        self._where, self._at, self._keep, self._say = where, at, keep, say
        self._not_before = datetime.min
        prepare(folder)

    async def tend(self) -> None:
        """Look every minute, until cancelled."""
        while True:
            await self.look(datetime.now())
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self, now: datetime) -> None:
        """Make a backup if one is due, and remove what is older than wanted. A failure is logged, and tried again."""
        if now < self._not_before:
            return
        try:
            if await asyncio.to_thread(self._is_due, now):
                await self._make(now)
        except Exception as error:  # whatever it is, the server goes on
            self._not_before = now + AGAIN
            why = str(error) if isinstance(error, SpecChemError) else type(error).__name__
            log.error("The nightly backup failed, and is tried again in an hour: %s", why)

    async def _make(self, now: datetime) -> None:
        prepare(self.folder)  # again: it may be a disk that was changed
        file = self.folder / f"specchem-{now:{STAMP}}.backup"
        made = await back_up(self._where, file, nightly=True, say=lambda _: None)
        self._say(f"Nightly backup {file}: {made.sentence()}.")
        await asyncio.to_thread(self._rotate, now)

    def _is_due(self, now: datetime) -> bool:
        """Whether the last time of day that was set has passed without a backup; so one missed is made up for."""
        last = datetime.combine(now, self._at)
        if last > now:
            last -= timedelta(days=1)
        return not any(made >= last and _is_nightly(path) for made, path in self._named(half=False))

    def _made(self) -> list[tuple[datetime, Path]]:
        """The whole backups that a nightly run made, oldest first."""
        return sorted((made, path) for made, path in self._named(half=False) if _is_nightly(path))

    def _named(self, *, half: bool) -> list[tuple[datetime, Path]]:
        found = []
        for path in self.folder.iterdir():
            name = NAME.fullmatch(path.name)
            if name and bool(name[2]) == half and path.is_file() and not path.is_symlink():
                found.append((datetime.strptime(name[1], STAMP), path))
        return found

    def _rotate(self, now: datetime) -> None:
        """Remove our own backups that are too old, but for the last good one, and what a killed run left half-made."""
        for made, path in self._made()[:-1]:
            if made < now - self._keep:
                path.unlink(missing_ok=True)
        for _, path in self._named(half=True):
            if not files.is_at_work(path):
                path.unlink(missing_ok=True)


def prepare(folder: Path) -> None:
    """Make the folder, for ourselves alone, and see that we can write there. Raises Stopped."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / ".specchem-writes"
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        raise Stopped(f"SPECCHEM_BACKUP_DIR {folder} cannot be used ({error.strerror}).") from None


def _is_nightly(path: Path) -> bool:
    try:
        return files.read(path).nightly
    except Stopped:
        return False
