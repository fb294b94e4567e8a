"""The disk is full: nothing is half saved, everybody is told, and all goes on when there is room again.

The disk is a small file system in memory, which takes the right to mount one.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from specchem.db.refusals import BUSY, FULL, UNCERTAIN
from tests import logs
from tests.bad_days.load import alone, company, load
from tests.bad_days.postgres import Postgres
from tests.conftest import Cluster
from tests.program import processes_in


class Disk:
    """A small disk that can be filled to the last byte, and cleared."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.filler = place / "filler"

    def fill(self) -> None:
        with suppress(OSError), self.filler.open("ab", buffering=0) as filler:
            while filler.write(bytes(4096)):
                pass

    def clear(self) -> None:
        self.filler.unlink(missing_ok=True)


@contextmanager
def small_disk(megabytes: int) -> Iterator[Disk]:
    with tempfile.TemporaryDirectory(prefix="specchem-test-") as name:
        Path(name).chmod(0o711)
        place = Path(name) / "disk"
        place.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0711", "tmpfs", str(place)]
        if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("this machine lets us mount no small file system")
        try:
            yield Disk(place)
        finally:
            subprocess.run(["umount", "-l", str(place)], check=True)


async def test_the_disk_of_the_tables_is_full(outside: Cluster, postgres: Postgres, folder: Path) -> None:
    with small_disk(64) as disk:
        tables = disk.place / "tables"
        tables.mkdir()
        postgres.account.give(tables)
        await postgres.run(f"create tablespace small location '{tables}'")
        database = await outside.copy()
        name = urlsplit(database.api).path[1:]
        await postgres.run(f"alter database {name} set tablespace small")
        async with company(outside, folder, learners=8, database=database) as served:
            async with load(served, 16) as people:
                disk.fill()
                await people.until(lambda: people.statuses[503] > 100)
                disk.clear()
                assert {answer.json()["detail"] for answer in people.refusals} == {FULL}
            await served.well()
        await outside.drop(database)
        await postgres.run("drop tablespace small")


async def test_the_disk_of_everything_is_full() -> None:
    """PostgreSQL ends where its log of changes finds no room; the program brings it back when there is some."""
    with small_disk(160) as disk:
        folder = disk.place / "data"
        async with alone(folder, learners=8) as served:
            async with load(served, 16) as people:
                before = served.program.postmaster()
                disk.fill()
                with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    while True:  # until it needs another file of it
                        await served.owner(
                            "select count(pg_switch_wal()) from pg_logical_emit_message(true, '', 'more')"
                        )
                await people.until(lambda: not (folder / "pgdata" / "postmaster.pid").exists())
                await people.until(lambda: people.statuses[503] > 100)
                disk.clear()
            said = {answer.json()["detail"] for answer in people.refusals}
            assert said <= {FULL, BUSY, UNCERTAIN}, said
            await served.well()
            assert served.program.postmaster() != before
        logs.keep_folder(folder / "log")
        assert not processes_in(disk.place)
