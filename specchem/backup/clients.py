"""PostgreSQL's own programs, which write and read a backup: which ones, and how they are started.

They run as ourselves: unlike the server they do not mind root.
"""

import asyncio
import os
import re
import shutil
import subprocess
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from specchem.db import embedded
from specchem.errors import Stopped

NAMES = ("pg_dump", "pg_restore", "psql")
# Where Debian's and PostgreSQL's own packages put them, several majors side by side.
PLACES = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin")


@dataclass(frozen=True)
class Clients:
    """A folder with the three programs, all of one major."""

    bin_dir: Path
    major: int

    @asynccontextmanager
    async def started(
        self, name: str, *words: str, server: str | None = None, **streams: Any
    ) -> AsyncIterator[Process]:
        """A program at work, on a server's database if one is named; ended when the `with` is left."""
        environment = {
            **os.environ,
            "LC_ALL": "C",
            "PGCLIENTENCODING": "UTF8",
            "PGAPPNAME": f"specchem {name}",
        }
        place: list[str] = []
        if server is not None:
            address, password = without_password(server)
            place = ["--no-password", "--dbname", address]
            if password is not None:
                environment["PGPASSWORD"] = password
        process = await asyncio.create_subprocess_exec(
            self.bin_dir / name, *place, *words, env=environment, stderr=subprocess.PIPE, **streams
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


async def said(process: Process, told: Callable[[str], None]) -> None:
    """Read what a program says of itself to its end, line by line."""
    assert process.stderr is not None  # noqa: S101  `started` asks for it
    while True:
        try:
            line = await process.stderr.readline()
        except ValueError:  # longer than anything that is meant for a person
            continue
        if not line:
            return
        told(line.decode(errors="replace").rstrip())


def without_password(address: str) -> tuple[str, str | None]:
    """An address that everybody may see, in `ps` too, and its password apart."""
    parts = urlsplit(address)
    login, at, place = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    asked = parse_qsl(parts.query, keep_blank_values=True)
    passwords = [value for name, value in asked if name == "password"]
    rest = urlencode([(name, value) for name, value in asked if "password" not in name], safe="/:")
    bare = urlunsplit(parts._replace(netloc=f"{user}{at}{place}", query=rest))
    return bare, next(iter([*passwords, *([unquote(password)] if password else [])]), None)


def find(least: int, purpose: str) -> Clients:
    """The programs of a major, or of the next newer one. Raises Stopped where there are none.

    A pg_dump reads servers of its own major and older ones, a pg_restore files likewise.
    """
    found = sorted((clients for clients in _all() if clients.major >= least), key=lambda one: one.major)
    if found:
        return found[0]
    raise Stopped(
        f"{purpose} takes pg_dump, pg_restore and psql of PostgreSQL {least} or newer, and they are not on this"
        f" machine: install PostgreSQL's client programs (on Debian: postgresql-client-{least}), or put theirs"
        " on the PATH."
    )


def _all() -> Iterator[Clients]:
    folders = [folder for place in PLACES for folder in sorted(Path("/").glob(place))]
    with suppress(embedded.EmbeddedError):
        folders.append(embedded.programs())
    if on_path := shutil.which("pg_dump"):
        folders.append(Path(on_path).parent)
    for folder in folders:
        majors = {_major(folder / name) for name in NAMES}
        if len(majors) == 1 and (major := majors.pop()):
            yield Clients(folder, major)


def _major(program: Path) -> int:
    """A program's major; 0 where it does not run."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    version = re.search(r"\) (\d+)", done.stdout)
    return int(version[1]) if version else 0
