"""Reading a list of people: CSV or XLSX into rows, each with everything that is wrong with it by itself."""

import csv
import io
import re
import unicodedata
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import python_calamine
from pydantic import TypeAdapter, ValidationError

from specchem.errors import BadInput
from specchem.vocabulary import Email, Name, Text

MOST_BYTES, MOST_ROWS, MOST_COLUMNS = 5 * 1024 * 1024, 20_000, 100
UNPACKED = 80 * 1024 * 1024  # bytes of an XLSX, which is a zip
FIELDS = ("email", "first_name", "last_name", "job_title", "plant", "status")
# As headings are written, without case, accents and marks; in English and Spanish.
HEADINGS = {
    **{name: name for name in FIELDS},
    "e_mail": "email", "email_address": "email", "e_mail_address": "email", "correo": "email",
    "correo_electronico": "email", "firstname": "first_name", "nombre": "first_name", "nombres": "first_name",
    "lastname": "last_name", "apellido": "last_name", "apellidos": "last_name", "job": "job_title",
    "puesto": "job_title", "planta": "plant", "estado": "status", "estatus": "status",
}  # fmt: skip
STATUSES = {
    "active": "active", "suspended": "suspended", "activo": "active", "activa": "active",
    "suspendido": "suspended", "suspendida": "suspended",
}  # fmt: skip
TOO_LARGE = "A file of people is at most 5 MB."
TOO_MANY = "A file of people has at most 20,000 rows and 100 columns."
NOT_READ = "This is neither a CSV file nor an XLSX workbook that can be read."
EMPTY = "The file has no rows below its headings."
NO_EMAIL = "The file needs a heading “email” in its first row."
CELL = re.compile(rb"<(?:\w+:)?c\s[^>]*?\br=\"([A-Z]{1,3})(\d{1,7})\"")
CHECKS: dict[str, Callable[[Any], Any]] = {
    "email": TypeAdapter(Email).validate_python,
    "plant": TypeAdapter(Text).validate_python,
    **{name: TypeAdapter(Name).validate_python for name in ("first_name", "last_name", "job_title")},
}


class Fault(msgspec.Struct, frozen=True):
    """What is wrong, by a word for it (specchem.people.imports has the sentences), and with what."""

    code: str
    value: str = ""


class FileRow(msgspec.Struct, frozen=True):
    """A row as the file has it, headings being row 1; an empty cell is None and changes nothing."""

    row: int
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    job_title: str | None = None
    plant: str | None = None
    status: str | None = None
    problems: list[Fault] = []


def read_people(content: bytes) -> list[FileRow]:
    """A file's rows. Raises BadInput for a file that is none of people. Takes seconds for many: run it in a thread."""
    if len(content) > MOST_BYTES:
        raise BadInput(TOO_LARGE)
    lines = _sheet(content) if content.startswith(b"PK") else _csv(content)
    if len(lines) > MOST_ROWS + 1:
        raise BadInput(TOO_MANY)
    columns = _columns(lines[0] if lines else [])
    rows = [
        _row(number, {name: _text(line[at]) for name, at in columns.items() if at < len(line)})
        for number, line in enumerate(lines[1:], start=2)
        if any(_text(one) for one in line)
    ]
    if not rows:
        raise BadInput(EMPTY)
    return _doubled(rows)


def _columns(headings: Iterable[Any]) -> dict[str, int]:
    """Where each field stands; columns of other names are left alone."""
    found: dict[str, int] = {}
    for at, heading in enumerate(headings):
        plain = unicodedata.normalize("NFKD", _text(heading)).encode("ascii", "ignore").decode().lower()
        name = HEADINGS.get(re.sub(r"[\s_-]+", "_", plain))
        if name in found:
            raise BadInput(f"Two columns are headed “{name}”.")
        if name:
            found[name] = at
    if "email" not in found:
        raise BadInput(NO_EMAIL)
    return found


def _text(cell: Any) -> str:
    """A cell's text; a mark against formulas, as our own files have it, is none of it."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    text = str(cell).replace("\0", "\ufffd").strip()
    return text[1:] if re.match(r"'[=+\-@]", text) else text


def _row(number: int, cells: dict[str, str]) -> FileRow:
    fields: dict[str, str | None] = {name: text or None for name, text in cells.items()}
    problems = []
    if not fields.get("email"):
        problems.append(Fault("no_email"))
    for name, check in CHECKS.items():
        if fields.get(name):
            try:
                fields[name] = check(fields[name])
            except ValidationError:
                problems.append(Fault(f"bad_{name}", str(fields[name])[:100]))
    if status := fields.get("status"):
        if status.lower() in STATUSES:
            fields["status"] = STATUSES[status.lower()]
        else:
            problems.append(Fault("bad_status", status[:100]))
    return FileRow(number, **fields, problems=problems)


def _doubled(rows: list[FileRow]) -> list[FileRow]:
    """Each row that has another's address says so."""
    places: dict[str, list[int]] = defaultdict(list)
    for one in rows:
        if one.email:
            places[one.email.lower()].append(one.row)
    for one in rows:
        others = [str(row) for row in places.get((one.email or "").lower(), []) if row != one.row]
        if others:
            one.problems.append(Fault("twice", ", ".join(others[:5])))
    return rows


def _csv(content: bytes) -> list[list[str]]:
    text = _decoded(content)
    if "\0" in text:
        raise BadInput(NOT_READ)
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        lines: list[list[str]] = []
        for line in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if len(lines) > MOST_ROWS or len(line) > MOST_COLUMNS:
                raise BadInput(TOO_MANY)
            lines.append(line)
    except csv.Error:
        raise BadInput(NOT_READ) from None
    return lines


def _decoded(content: bytes) -> str:
    """UTF-8, with or without its mark; else what Windows writes."""
    codecs = ["utf-16"] if content.startswith((b"\xff\xfe", b"\xfe\xff")) else ["utf-8-sig", "cp1252"]
    for codec in codecs:
        try:
            return content.decode(codec)
        except UnicodeDecodeError:
            continue
    raise BadInput(NOT_READ)


def _sheet(content: bytes) -> list[list[Any]]:
    """A workbook's first sheet. How large it is, is looked at before it is unpacked into memory."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            parts = packed.infolist()
            if "xl/workbook.xml" not in packed.namelist():
                raise BadInput(NOT_READ)
            if sum(part.file_size for part in parts) > UNPACKED:
                raise BadInput(TOO_MANY)
            for part in parts:
                if part.filename.startswith("xl/worksheets/") and part.filename.endswith(".xml"):
                    _refuse_far_cells(packed.read(part))
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
        return book.get_sheet_by_index(0).to_python(skip_empty_area=False)
    except BadInput:
        raise
    except Exception:  # a broken zip, XML or sheet: each has errors of its own
        raise BadInput(NOT_READ) from None


def _refuse_far_cells(sheet: bytes) -> None:
    """A single cell far out would make a table of everything before it."""
    for column, row in CELL.findall(sheet):
        at = 0
        for letter in column:
            at = at * 26 + letter - 64
        if int(row) > MOST_ROWS + 1 or at > MOST_COLUMNS:
            raise BadInput(TOO_MANY)
