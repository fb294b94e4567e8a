"""The files and processes of one PostgreSQL, in the folder that embedded.py draws.

Everything here is called by one process at a time: the one that holds the folder's lock.
"""

import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from specchem.db.unprivileged import (
    Account,
    EmbeddedError,
    account_for,
    closed_door,
    is_root,
    maker,
    programs_for,
    user_name,
)

Say = Callable[[str], None]

PORT = 5432  # only a part of the socket's name
ROLES = ("supabase_admin", "postgres", "supabase_auth_admin", "specchem_api")


@dataclass(frozen=True)
class Cluster:
    """A data folder, the programs for it, and whom to tell how it goes."""

    folder: Path
    bin_dir: Path
    say: Say

    @property
    def pgdata(self) -> Path:
        """PostgreSQL's own folder."""
        return self.folder / "pgdata"


def lock_file(path: Path) -> int:
    """Open a file to lock; its lock ends with the last process that has it open."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def locked(file: int) -> bool:
    """Take the lock for ourselves alone, if nobody holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def patiently(say: Say, doing: Callable[[], str]) -> Iterator[float]:
    """Come round again and again with the seconds gone by, and every few tell what we are waiting for."""
    begun = told = time.monotonic()
    while True:
        now = time.monotonic()
        yield now - begun
        if now - told >= 3:
            say(f"{doing()} ({now - begun:.0f} s)")
            told = now
        time.sleep(0.03)


def refuse_another_major(cluster: Cluster) -> None:
    """Leave alone what another major version wrote: it cannot be read, nor mended. EmbeddedError."""
    if not cluster.pgdata.exists():
        return
    theirs = cluster.pgdata / "PG_VERSION"
    if not theirs.exists():
        raise EmbeddedError(
            f"{cluster.pgdata} is damaged, it has no PG_VERSION: restore the folder from a backup."
        )
    old, ours = theirs.read_text().strip(), _version(cluster).split(".")[0]
    if old != ours:
        raise EmbeddedError(
            f"{cluster.folder} was written by PostgreSQL {old}, and this is PostgreSQL {ours}: dump it with"
            f" PostgreSQL {old}'s pg_dump and restore that elsewhere, or choose another SPECCHEM_DATA_DIR."
        )


def _version(cluster: Cluster) -> str:
    _, said = Account().run([cluster.bin_dir / "postgres", "--version"])
    found = re.search(r"\d+(\.\d+)*", said)
    if not found:
        raise EmbeddedError(f"The PostgreSQL in {cluster.bin_dir} does not run: {said.strip()}")
    return found[0]


def run(cluster: Cluster, lock: int) -> Path:
    """Bring the server to where it answers, whatever its state; its socket's folder. EmbeddedError."""
    launched = False
    logged = _log_sizes(cluster)
    running = lock_file(cluster.folder / "server")
    try:
        for waited in patiently(
            cluster.say, lambda: f"PostgreSQL is not ready yet: {_last_words(cluster, logged)}"
        ):
            socket_dir = _noted_socket_dir(cluster)
            if locked(running):
                if launched:
                    raise EmbeddedError(
                        f"PostgreSQL ended as it started: {_last_words(cluster, logged)}"
                        f" (its log: {cluster.folder / 'log'})"
                    )
                _launch(cluster, lock, running)
                launched = True
                os.close(running)  # the server has it now
                running = lock_file(cluster.folder / "server")
            elif _status(cluster) == "ready" and socket_dir and _answers(socket_dir):
                return socket_dir
            elif waited > 5:
                _mend(cluster, socket_dir)
        raise AssertionError  # the loop has no end of its own
    finally:
        os.close(running)


def _launch(cluster: Cluster, lock: int, running: int) -> None:
    """Start a server where none lives; its processes keep `running` locked until the last has ended."""
    _refuse_a_stranger(cluster)
    account = account_for(cluster.pgdata)
    programs = programs_for(account, cluster.bin_dir, cluster.folder)
    if not cluster.pgdata.exists():
        _create(cluster, account, programs, lock)
    (cluster.pgdata / "postmaster.pid").unlink(missing_ok=True)  # its number may be another's by now
    _prepare_log(cluster, account)
    conf = _restate_conf(cluster, account)
    socket_dir = str(_make_socket_dir(cluster, account)).replace('"', '""')
    cluster.say(f"Starting PostgreSQL {_version(cluster)} …")
    settings = {
        "config_file": conf / "postgresql.conf",
        "hba_file": conf / "pg_hba.conf",
        "ident_file": conf / "pg_ident.conf",
        "listen_addresses": "",
        "port": PORT,
        "unix_socket_directories": f'"{socket_dir}"',
    }
    command: list[str | Path] = [programs / "postgres", "-D", cluster.pgdata]
    said = os.open(cluster.folder / "start.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        child = account.popen(
            [*command, *(f"--{name}={value}" for name, value in settings.items())], said, [running]
        )
    finally:
        os.close(said)
    # Someone has to ask how it ended, or it would stay as a zombie for as long as we live.
    threading.Thread(target=child.wait, name="postgres", daemon=True).start()


def _refuse_a_stranger(cluster: Cluster) -> None:
    if _postmaster(cluster):
        raise EmbeddedError(
            f"A PostgreSQL that SpecChem did not start runs in {cluster.pgdata}:"
            f" stop it with `pg_ctl stop -D {cluster.pgdata}` as {user_name(cluster.pgdata.stat().st_uid)}."
        )


def _create(cluster: Cluster, account: Account, programs: Path, lock: int) -> None:
    """Create the database beside its place and move it there when whole: half of one is never used."""
    cluster.say(f"Creating a PostgreSQL database in {cluster.folder} …")
    nursery = cluster.folder / "pgdata.new"
    if nursery.exists():
        shutil.rmtree(nursery)
    nursery.mkdir(mode=0o700)
    fresh = nursery / "pgdata"
    fresh.mkdir(mode=0o700)
    named = maker(account)
    named.give(fresh)
    if account.gid is not None:  # other processes of nobody's are not in our group and stay out
        os.chown(nursery, 0, account.gid)
        nursery.chmod(0o710)
    # Whoever kills us does not kill initdb: it keeps the lock, and the next start waits until it is done.
    code, said = named.run([programs / "initdb", "-D", fresh, *_initdb_options(cluster)], [lock])
    if code:
        reasons = [
            line for line in said.splitlines() if "rror" in line or "FATAL" in line
        ] or said.splitlines()
        raise EmbeddedError(f"PostgreSQL could not create its files in {cluster.folder}: {' '.join(reasons)}")
    for path in (fresh, *fresh.rglob("*")):
        account.give(path)
    fresh.rename(cluster.pgdata)
    _sync(
        cluster.folder
    )  # or a power cut could take the move back, and the next start all that was written since
    nursery.rmdir()


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _initdb_options(cluster: Cluster) -> list[str]:
    if int(_version(cluster).split(".")[0]) >= 17:  # knows Unicode by itself, the same on every machine
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    else:
        locale = ["--locale=C.UTF-8", "--lc-messages=C"]
    who = ["--username=supabase_admin", "--auth-local=peer", "--auth-host=reject"]
    return [*who, "--encoding=UTF8", "--data-checksums", *locale]


def _prepare_log(cluster: Cluster, account: Account) -> None:
    log = cluster.folder / "log"
    log.mkdir(mode=0o700, exist_ok=True)
    account.give(log)
    for old in log.iterdir():  # by weekday, and PostgreSQL empties only those whose midnight it lives through
        if old.lstat().st_mtime < time.time() - 6 * 86400:
            old.unlink()


def _restate_conf(cluster: Cluster, account: Account) -> Path:
    """Write the settings; the files are ours, so that a server gone astray cannot lead root astray."""
    folder = cluster.folder / "conf"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    us = {user_name(os.geteuid()), *([] if account.uid is None else [user_name(account.uid)])}
    pages = {
        "postgresql.conf": Path(__file__)
        .with_name("postgresql.conf")
        .read_text(encoding="utf-8")
        .format(**_shares(_memory())),
        "pg_hba.conf": "local all all peer map=specchem\n",
        "pg_ident.conf": "".join(f'specchem "{name}" {role}\n' for name in sorted(us) for role in ROLES),
    }
    for name, text in pages.items():
        page = folder / f"{name}.new"
        page.write_text(text, encoding="utf-8")
        page.chmod(0o644)
        page.rename(folder / name)
    return folder


def _memory() -> int:
    """What this machine, or the container's limit, gives us (MB)."""
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # no limit, or no such file
        found = min(found, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return found // 2**20


def _shares(memory: int) -> dict[str, int]:
    """PostgreSQL's part of the memory (MB): a quarter for its pages, and no more than starts quickly."""
    return {
        "shared": min(max(memory // 4, 64), 1024),
        "cache": max(memory // 2, 128),
        "maintenance": min(max(memory // 32, 32), 512),
    }


def _make_socket_dir(cluster: Cluster, account: Account) -> Path:
    """A folder that only the server's user may enter: beside the data, or where the path is short enough."""
    beside = cluster.folder / "socket"
    path = beside if _fits(beside) else _noted_socket_dir(cluster)
    if not (path and _fits(path) and _made_private(path, account)):
        place = Path(tempfile.gettempdir()).resolve()
        if not _fits(place / "specchem-12345678") or (is_root() and closed_door(place)):
            place = Path("/tmp")  # noqa: S108 - the folder made in it is private
        path = Path(tempfile.mkdtemp(prefix="specchem-", dir=place))
        account.give(path)
    for stale in path.iterdir():  # of a server that was killed; its number may be another's by now
        stale.unlink()
    note = cluster.folder / "socket-dir.new"
    note.write_bytes(os.fsencode(path))
    note.rename(cluster.folder / "socket-dir")
    return path


def _fits(path: Path) -> bool:
    """Whether a socket's path may be that long (103 bytes at the least), and a DSN can name it everywhere."""
    return len(os.fsencode(path / f".s.PGSQL.{PORT}")) <= 103 and not set(str(path)) & set(",\"'\\%? ")


def _made_private(path: Path, account: Account) -> bool:
    with suppress(OSError):
        path.mkdir(mode=0o700)
        account.give(path)
    if path.is_symlink() or not path.is_dir():
        return False
    found = path.stat()
    return (
        found.st_uid == (os.geteuid() if account.uid is None else account.uid) and not found.st_mode & 0o077
    )


def _noted_socket_dir(cluster: Cluster) -> Path | None:
    try:
        return Path(os.fsdecode((cluster.folder / "socket-dir").read_bytes()))
    except FileNotFoundError:
        return None


def _pid_file(cluster: Cluster) -> list[str]:
    """What the server notes of itself: its number on the first line, how far it is on the eighth."""
    try:
        return (cluster.pgdata / "postmaster.pid").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _status(cluster: Cluster) -> str:
    return "".join(_pid_file(cluster)[7:8]).strip()


def _answers(socket_dir: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(socket_dir / f".s.PGSQL.{PORT}"))
            # A server that is being killed still takes a connection, but says nothing on it. We ask for TLS, as
            # a client may at its start: every server answers that with a letter.
            probe.sendall(struct.pack("!ii", 8, 80877103))
            return probe.recv(1) in {b"N", b"S"}
        except OSError:
            return False


def _postmaster(cluster: Cluster) -> int | None:
    """The number of the server's first process, if it lives and is ours to see."""
    number = "".join(_pid_file(cluster)[:1]).strip()
    return int(number) if number.isdigit() and _is_postgres(int(number), cluster) else None


def _is_postgres(pid: int, cluster: Cluster) -> bool:
    """Whether a process is a PostgreSQL at work in our folder; its number alone may have gone to another."""
    process = Path("/proc", str(pid))
    try:
        if not process.parent.joinpath("self").exists():  # no Linux: the number has to do
            os.kill(pid, 0)
            return True
        name, state = re.findall(r"\((.*)\) (\w)", (process / "stat").read_text())[0]
        if name != "postgres" or state == "Z":
            return False
        try:
            return (process / "cwd").samefile(cluster.pgdata)
        except (
            PermissionError
        ):  # root in a container may not look; but the server's user is this folder's alone
            return process.stat().st_uid == cluster.pgdata.stat().st_uid
    except OSError:
        return False


def _mend(cluster: Cluster, socket_dir: Path | None) -> None:
    """Help a server that cannot come up by itself."""
    postmaster = _postmaster(cluster)
    if postmaster is None:
        _end_orphans(cluster)
    elif _status(cluster) == "ready" and not (socket_dir and (socket_dir / f".s.PGSQL.{PORT}").exists()):
        cluster.say("PostgreSQL's socket has been removed: starting it again …")
        stop(cluster)


def _end_orphans(cluster: Cluster) -> None:
    """End server processes whose first has been killed: what they had committed is safe, the rest is lost."""
    for process in Path("/proc").glob("[0-9]*"):
        if _is_postgres(int(process.name), cluster):
            with suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)


def stop(cluster: Cluster) -> None:
    """Stop the server and wait for its last process; after a minute firmly. EmbeddedError after three."""
    sent: tuple[int, int] | None = None
    running = lock_file(cluster.folder / "server")
    try:
        for waited in patiently(cluster.say, lambda: "Waiting for PostgreSQL to stop"):
            if locked(running):
                break
            if waited > 180:
                raise EmbeddedError(
                    f"The PostgreSQL in {cluster.folder} does not stop (its log: {cluster.folder / 'log'})."
                )
            postmaster = _postmaster(cluster)
            how = signal.SIGINT if waited < 60 else signal.SIGQUIT  # PostgreSQL's "fast" and "immediate"
            if postmaster and (postmaster, how) != sent:
                sent = postmaster, how
                with suppress(ProcessLookupError):
                    os.kill(postmaster, how)
            elif not postmaster and waited > 5:
                _end_orphans(cluster)
    finally:
        os.close(running)
    socket_dir = _noted_socket_dir(cluster)
    if socket_dir and socket_dir.parent != cluster.folder:
        with suppress(OSError):
            socket_dir.rmdir()


def _logs(cluster: Cluster) -> list[Path]:
    """The server's logs, oldest first; no links, for root follows none that the server's user laid."""
    found = [path for path in (cluster.folder / "log").glob("*.log") if not path.is_symlink()]
    return sorted(found, key=lambda path: path.stat().st_mtime)


def _log_sizes(cluster: Cluster) -> dict[Path, int]:
    return {path: path.stat().st_size for path in _logs(cluster)}


def _last_words(cluster: Cluster, before: dict[Path, int]) -> str:
    """The latest fatal line of the log since its size was `before`, or else the latest line."""
    lines: list[str] = []
    for path in (cluster.folder / "start.log", *_logs(cluster)):
        if path.exists():
            with path.open(errors="replace") as log:
                log.seek(before.get(path, 0))
                lines += log.read().splitlines()
    fatal = [line for line in lines if "FATAL" in line or "PANIC" in line]
    return next(reversed(fatal or lines), "its log is empty").strip()
