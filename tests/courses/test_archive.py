"""A course that comes as a .zip: what is taken, and what is refused before it is unpacked."""

import io
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from specchem.courses import archive
from specchem.courses.archive import read_archive
from specchem.courses.content import ContentError, content_hash, read_course
from specchem.errors import BadInput

HAZMAT = Path(__file__).parents[2] / "courses" / "function-specific-hazmat"
FILES = {
    path.relative_to(HAZMAT).as_posix(): path.read_bytes()
    for path in sorted(HAZMAT.rglob("*"))
    if path.is_file()
}


def packed(files: dict[str, bytes], *more: tuple[zipfile.ZipInfo, bytes]) -> io.BytesIO:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in files.items():
            out.writestr(name, content)
        for info, content in more:
            out.writestr(info, content)
    made.seek(0)
    return made


@pytest.mark.parametrize("folder", ["", "function-specific-hazmat/", "any name/"])
def test_a_course_is_read_as_from_its_folder(tmp_path: Path, folder: str) -> None:
    noise = {
        "__MACOSX/._course.yaml": b"x",
        f"{folder}.DS_Store": b"x",
        f"{folder}.git/config.md": b"x",
    }
    course = read_archive(packed({f"{folder}{name}": text for name, text in FILES.items()} | noise), tmp_path)
    whole = read_course(HAZMAT)
    assert course == whole
    assert content_hash(course) == content_hash(whole)
    assert [one.language for one in course.translations] == ["es"]


def test_faults_are_told_by_file_and_line_as_in_the_zip(tmp_path: Path) -> None:
    broken = FILES | {
        "marking.md": b"Marking\n", "es/labelling.yaml": b"questions: [\n", "stray.md": b"# Stray\n",
        "welcome.md": FILES["welcome.md"] + b"\n<script>x</script>\n",
    }  # fmt: skip
    with pytest.raises(ContentError) as told:
        read_archive(packed({f"hazmat/{name}": text for name, text in broken.items()}), tmp_path)
    said = [str(problem) for problem in told.value.problems]
    assert 'marking.md:1: the first line must be the title: "# Title"' in said
    assert "stray.md:1: belongs to no section that course.yaml lists" in said
    assert any(one.startswith("welcome.md:") and "raw HTML is not allowed" in one for one in said)
    assert not any(str(tmp_path) in one for one in said)


def link(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info, target.encode()


def named(name: str) -> io.BytesIO:
    return packed(FILES, (zipfile.ZipInfo(name), b"# Out"))


def squeezed(kind: int) -> io.BytesIO:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", kind) as out:
        out.writestr("course.yaml", FILES["course.yaml"])
    made.seek(0)
    return made


def bent(place: int, byte: int) -> io.BytesIO:
    """One with a byte of its first file's content turned."""
    raw = bytearray(packed({"course.yaml": FILES["course.yaml"]}).getvalue())
    raw[place] ^= byte
    return io.BytesIO(bytes(raw))


def encrypted() -> io.BytesIO:
    raw = bytearray(packed({"course.yaml": FILES["course.yaml"]}).getvalue())
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    return io.BytesIO(bytes(raw))


def twice() -> io.BytesIO:
    return packed(FILES, (zipfile.ZipInfo("welcome.md"), b"# Twice"))


REFUSED: dict[str, tuple[Callable[[], io.BytesIO], str]] = {
    "nothing": (lambda: io.BytesIO(b""), archive.NOT_A_ZIP),
    "no zip": (lambda: io.BytesIO(b"slug: x\n" * 1000), archive.NOT_A_ZIP),
    "broken off": (lambda: io.BytesIO(packed(FILES).getvalue()[:-100]), archive.NOT_A_ZIP),
    "content that was bent": (lambda: bent(60, 0xFF), archive.NOT_A_ZIP),
    "a password": (encrypted, archive.NOT_A_ZIP),
    "another way to squeeze": (lambda: squeezed(zipfile.ZIP_LZMA), archive.NOT_A_ZIP),
    "a way out": (lambda: named("../out.md"), archive.STRANGE),
    "a way out and back": (lambda: named("es/../../out.md"), archive.STRANGE),
    "from the root": (lambda: named("/tmp/out.md"), archive.STRANGE),
    "a way out as on Windows": (lambda: named("..\\out.md"), archive.STRANGE),
    "a drive": (lambda: named("C:out.md"), archive.STRANGE),
    "a long name": (lambda: named("a" * 300 + ".md"), archive.STRANGE),
    "deep folders": (lambda: named("a/b/c/d/e.md"), archive.STRANGE),
    "a link": (lambda: packed(FILES, link("notes.md", "/etc/passwd")), archive.STRANGE),
    "a link for a folder": (lambda: packed(FILES, link("fr", "/tmp")), archive.STRANGE),
    "too many files": (lambda: packed({f"{n}.md": b"" for n in range(501)}), archive.TOO_MANY),
    "a bomb": (lambda: packed({f"{n}.md": b"a" * 2**20 for n in range(21)}), archive.TOO_MUCH),
    "no course": (lambda: packed({"readme.md": b"# Hello"}), archive.NO_COURSE),
    "two courses": (lambda: packed({f"{n}/course.yaml": b"slug: x" for n in "ab"}), archive.NO_COURSE),
    "a file twice": (twice, 'The file "welcome.md" is there twice.'),
    "a file where a folder is": (
        lambda: packed(FILES, (zipfile.ZipInfo("welcome.md/x.md"), b"")), archive.NOT_A_ZIP,
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_course_is_refused_and_nothing_lands_outside(tmp_path: Path, what: str) -> None:
    make, sentence = REFUSED[what]
    inside = tmp_path / "deep" / "inside"
    inside.mkdir(parents=True)
    with pytest.raises(BadInput) as told:
        read_archive(make(), inside)
    assert str(told.value) == sentence
    assert not any(path.is_symlink() for path in inside.rglob("*"))
    shutil.rmtree(inside)
    assert [path.name for path in tmp_path.rglob("*")] == ["deep"]


def test_a_bomb_that_hides_its_size_is_refused_too(tmp_path: Path) -> None:
    raw = bytearray(packed({"a.md": b"a" * (archive.MOST_UNPACKED + 1)}).getvalue())
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = raw.index(mark) + at
        raw[place : place + 4] = (100).to_bytes(4, "little")
    with pytest.raises(BadInput):
        read_archive(io.BytesIO(bytes(raw)), tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= archive.MOST_UNPACKED
