"""A backup: one file in pg_dump's custom format, with a last line that says what must be in it.

pg_restore by itself reads it too: it never looks behind the end of its own part.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import msgspec

from specchem.errors import Stopped

BEGINS = b"PGDMP"
MARK = b"\nspecchem-backup "
FORMAT = 1
TAIL = 1_000_000  # bytes at the end in which the last line is looked for


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds, taken in the same moment as its rows.

    ``rows`` counts them by table, ``public`` names what stood in that schema, ``accounts`` says whether schema auth is
    in it, ``rules`` is the hash of those in force, ``size`` (bytes) and ``sha256`` are of what pg_dump wrote.
    """

    release: str
    made_at: datetime
    server: int
    pg_dump: int
    revision: str
    rules: str | None
    owner: str
    accounts: bool
    nightly: bool
    rows: dict[str, int]
    public: list[str]
    size: int
    sha256: str
    format: int = FORMAT

    @property
    def people(self) -> int:
        """How many."""
        return self.rows.get("public.profiles", 0)

    @property
    def answers(self) -> int:
        """How many."""
        return self.rows.get("public.question_events", 0)

    def sentence(self) -> str:
        """What is in it, in words."""
        accounts = "with accounts" if self.accounts else "without accounts"
        people = "1 person" if self.people == 1 else f"{self.people:,} people"
        return f"{people} {accounts}, {self.answers:,} answers"


def read(file: Path) -> Manifest:
    """What a backup says of itself. Raises Stopped for what is none, not whole, or a newer release's."""
    try:
        with file.open("rb") as opened:
            begins = opened.read(len(BEGINS))
            opened.seek(max(0, opened.seek(0, os.SEEK_END) - TAIL))
            tail = opened.read()
    except OSError as error:
        raise Stopped(f"{file} cannot be read ({error.strerror}).") from None
    if begins != BEGINS:
        raise Stopped(f"{file} is not a backup of SpecChem.")
    _, mark, last = tail.rpartition(MARK)
    if not mark or not last.endswith(b"\n"):
        raise Stopped(f"{file} is not whole, or `specchem db backup` did not make it: take another one.")
    try:
        if msgspec.json.decode(last, type=dict).get("format", 0) > FORMAT:
            raise Stopped(f"{file} was made by a newer release of SpecChem: restore it with that one.")
        return msgspec.json.decode(last, type=Manifest)
    except (msgspec.MsgspecError, TypeError):
        raise Stopped(f"{file} is damaged: its last line cannot be read. Take another one.") from None


def check(file: Path, manifest: Manifest) -> None:
    """Raise Stopped where the file is not, byte for byte, what was written."""
    with file.open("rb") as opened:
        whole = os.fstat(opened.fileno()).st_size
        last = len(MARK + msgspec.json.encode(manifest) + b"\n")
        if manifest.size + last != whole or _digest(file, manifest.size) != manifest.sha256:
            raise Stopped(f"{file} is damaged: it is not what was written. Take another one.")


def seal(part: Path, **known: object) -> Manifest:
    """Write the last line, and have the disk keep it all."""
    size = part.stat().st_size
    manifest = Manifest(**known, size=size, sha256=_digest(part, size))  # type: ignore[arg-type]
    with part.open("ab") as opened:
        opened.write(MARK + msgspec.json.encode(manifest) + b"\n")
        opened.flush()
        os.fsync(opened.fileno())
    return manifest


def _digest(file: Path, size: int) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while size > 0 and (piece := opened.read(min(size, 1 << 20))):
            digest.update(piece)
            size -= len(piece)
    return digest.hexdigest()


def part_of(file: Path) -> Path:
    """Where a backup is written until it is whole."""
    return file.with_name(f"{file.name}.part")


@contextmanager
def half(file: Path) -> Iterator[Path]:
    """A place for the half-made file, ours alone; what is left there at the end is removed. Raises Stopped."""
    part = part_of(file)
    try:
        opened = _taken(part)
    except OSError as error:
        raise Stopped(f"{part} cannot be written ({error.strerror}).") from None
    try:
        yield part
    except OSError as error:
        raise Stopped(f"{part} cannot be written ({error.strerror}).") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        os.close(opened)


def _taken(part: Path) -> int:
    """Open the place, new, for us to read and write and nobody else; a lock says that somebody is at it."""
    with suppress(FileNotFoundError):
        if is_at_work(part):
            raise Stopped(f"Another backup is being written to {part}: wait for it.")
        part.unlink()
    opened = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    fcntl.flock(opened, fcntl.LOCK_EX)
    return opened


def is_at_work(part: Path) -> bool:
    """Whether a half-made file still has its maker. FileNotFoundError."""
    opened = os.open(part, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(opened)
    return False


def put(part: Path, file: Path) -> None:
    """Give the whole file its name, in one step and for good."""
    part.rename(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
