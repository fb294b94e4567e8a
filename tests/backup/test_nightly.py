"""The nightly backup: its clock is an argument here, everything else is real."""

import logging
import time as clock
from collections.abc import Callable
from datetime import datetime, time, timedelta
from pathlib import Path

import httpx
import pytest

from specchem.backup import file as files
from specchem.backup.nightly import Nightly
from specchem.db.database import Database
from specchem.errors import Stopped
from specchem.seed import PLANTS
from tests.backup.common import backup
from tests.program import Program, data_folder

NIGHT = datetime(2026, 3, 1, 2, 30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def nightly(fresh: Database, folder: Path) -> Nightly:
    return Nightly(fresh, folder, time(2, 30), timedelta(days=3), lambda _: None)


def there(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_once_a_night_and_what_was_missed_is_made_up_for(nightly: Nightly, folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    await nightly.look(NIGHT - timedelta(hours=14))  # switched on at noon: no backup since last night
    first = "specchem-20260228-123000.backup"
    assert there(folder) == [first]
    for minutes in range(-60, 0, 20):
        await nightly.look(NIGHT + timedelta(minutes=minutes))
    assert there(folder) == [first]
    for minutes in (0, 1, 30, 60, 600):
        await nightly.look(NIGHT + timedelta(minutes=minutes))
    assert there(folder) == [first, "specchem-20260301-023000.backup"]
    found = files.read(folder / first)
    assert (found.nightly, found.accounts, found.people) == (True, True, 12)
    # A clock that is put back an hour, as in autumn, makes no second one.
    await nightly.look(NIGHT + timedelta(minutes=5))
    assert len(there(folder)) == 2


async def test_only_its_own_old_ones_go_and_never_the_last(
    nightly: Nightly, folder: Path, fresh: Database
) -> None:
    for day in range(5):
        await nightly.look(NIGHT + timedelta(days=day))
    kept = [f"specchem-2026030{day}-023000.backup" for day in (2, 3, 4, 5)]
    assert there(folder) == kept
    # By hand, under a name like ours; somebody else's; half of one; one that is being made.
    by_hand, other = folder / "specchem-20200101-000000.backup", folder / "notes"
    assert (await backup(fresh.platform, by_hand)).returncode == 0
    other.write_text("x")
    (folder / "specchem-20200102-000000.backup.part").write_bytes(b"PGDMP")
    broken = folder / "specchem-20200103-000000.backup"
    broken.write_bytes(b"PGDMP")
    with files.half(folder / "specchem-20200104-000000.backup") as busy:
        await nightly.look(NIGHT + timedelta(days=30))
        assert there(folder) == sorted(
            [by_hand.name, other.name, broken.name, busy.name, "specchem-20260331-023000.backup"]
        )


async def test_a_failure_is_one_line_and_is_tried_again_in_an_hour(
    nightly: Nightly, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await nightly.look(NIGHT)
    (last,) = there(folder)
    tomorrow = NIGHT + timedelta(days=1)
    shelter = folder.with_name("shelter")
    folder.rename(shelter)
    folder.write_text("a file where the folder was")
    with caplog.at_level(logging.ERROR):
        for minutes in (0, 1, 59):
            await nightly.look(tomorrow + timedelta(minutes=minutes))
    (line,) = caplog.messages
    assert "failed" in line
    assert "again in an hour" in line
    assert caplog.records[0].exc_info is None
    folder.unlink()
    shelter.rename(folder)
    await nightly.look(tomorrow + timedelta(minutes=59))
    assert there(folder) == [last]
    await nightly.look(tomorrow + timedelta(minutes=60))
    assert there(folder) == [last, "specchem-20260302-033000.backup"]


async def test_a_backup_that_failed_takes_none_away(
    nightly: Nightly, folder: Path, fresh: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await nightly.look(NIGHT)
    before = there(folder)
    gone = Database(fresh.owner, fresh.api, fresh.auth, platform=f"{fresh.platform}0")
    later = Nightly(gone, folder, time(2, 30), timedelta(days=3), lambda _: None)
    for day in (30, 60):
        await later.look(NIGHT + timedelta(days=day))
    assert there(folder) == before


def test_a_folder_that_cannot_be_used_is_said_at_once(fresh: Database) -> None:
    with pytest.raises(Stopped, match="SPECCHEM_BACKUP_DIR /proc/nowhere"):
        Nightly(fresh, Path("/proc/nowhere"), time(2, 30), timedelta(days=3), lambda _: None)


def waited_for(done: Callable[[], bool], program: Program) -> bool:
    while not done():
        assert program.process.poll() is None, program.lines
        clock.sleep(0.05)
    return True


def test_a_server_makes_them_by_itself(tmp_path: Path) -> None:
    place = tmp_path / "nights"
    with data_folder() as folder:
        program = Program(folder, backup_dir=str(place), backup_at="00:00").wait_until_ready()
        assert waited_for(lambda: any("Nightly backup" in line for line in program.lines), program)
        assert httpx.get(f"{program.address}/healthz", timeout=60).status_code == 200
        assert program.end() == 0, program.lines
        (file,) = place.iterdir()
        found = files.read(file)
        assert (found.nightly, found.rows["public.plants"]) == (True, len(PLANTS))
