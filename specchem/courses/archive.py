"""Unpacks a course that came as a .zip: what could lead out of its folder, or fill the disk, is refused."""

import re
import stat
import zipfile
import zlib
from pathlib import Path
from typing import IO

from specchem.courses.content import ContentError, Course, Problem, read_course
from specchem.errors import BadInput
from specchem.i18n import N_

MOST_SENT = 5 * 1024 * 1024  # bytes of the file
MOST_UNPACKED = 20 * 1024 * 1024  # bytes of all that is in it
MOST_FILES = 500
# What every disk takes as a name, and no way out of the folder.
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,99}")
_MACOS = "__MACOSX"

NOT_A_ZIP = N_("This is not a .zip file that can be read. Pack the course's folder again.")
TOO_LARGE = N_("The file is larger than 5 MB; a course needs its texts alone.")
TOO_MANY = N_("There are more than 500 files in it; pack the course's folder alone.")
TOO_MUCH = N_("Unpacked it is larger than 20 MB; a course needs its texts alone.")
STRANGE = N_("It holds a link, or a name that no file of a course has; pack the course's folder alone.")
NO_COURSE = N_("There is no course.yaml in it, neither at the top nor in its one folder.")


def read_archive(file: IO[bytes], folder: Path) -> Course:
    """The course in a .zip, unpacked into this empty folder.

    Raises BadInput for what is no course at all, and ContentError, with files named as in the .zip, for faults.
    """
    _unpack(file, folder)
    root = folder if (folder / "course.yaml").is_file() else None
    if root is None:
        inner = [path for path in folder.iterdir() if (path / "course.yaml").is_file()]
        if len(inner) != 1:
            raise BadInput(NO_COURSE)
        root = inner[0]
    try:
        return read_course(root, by_name=False)
    except ContentError as error:
        raise ContentError(
            Problem(problem.file.relative_to(root), problem.line, problem.message)
            for problem in error.problems
        ) from None


def _unpack(file: IO[bytes], folder: Path) -> None:
    try:
        with zipfile.ZipFile(file) as packed:
            wanted = [one for one in packed.infolist() if not _is_noise(one)]
            if len(wanted) > MOST_FILES:
                raise BadInput(TOO_MANY)
            left = MOST_UNPACKED
            for one in wanted:
                path = folder.joinpath(*_parts(one))
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.exists():
                    raise BadInput(f'The file "{path.name}" is there twice.')
                with packed.open(one) as inside:
                    # Not what the .zip says of itself: a bomb says little.
                    content = inside.read(left + 1)
                left -= len(content)
                if left < 0:
                    raise BadInput(TOO_MUCH)
                path.write_bytes(content)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        OSError,
    ) as error:
        raise BadInput(NOT_A_ZIP) from error


def _is_noise(one: zipfile.ZipInfo) -> bool:
    """A folder, or what a desktop leaves beside the files: nothing of it is unpacked."""
    parts = one.filename.split("/")
    hidden = any(part.startswith(".") and _PART.fullmatch(part[1:]) for part in parts)
    return one.is_dir() or hidden or parts[0] == _MACOS


def _parts(one: zipfile.ZipInfo) -> list[str]:
    """Where a file goes, by folders. Raises BadInput for a way out, and for what is no plain file."""
    kind = stat.S_IFMT(one.external_attr >> 16)
    parts = one.filename.split("/")
    packed = one.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if kind not in (0, stat.S_IFREG) or len(parts) > 4 or not all(_PART.fullmatch(part) for part in parts):
        raise BadInput(STRANGE)
    if not packed or one.flag_bits & 1:  # encrypted
        raise BadInput(NOT_A_ZIP)
    return parts
