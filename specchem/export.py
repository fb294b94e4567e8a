"""A table as a file for spreadsheets, of any length: it is written to disk as the rows come, and sent from there.

Neither we nor the database hold the table in memory, and nobody's slow line holds a connection to the database.
"""

import asyncio
import csv
import io
import json
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, tzinfo
from typing import IO, Any, Literal, Protocol
from uuid import UUID

import xlsxwriter

from specchem.errors import BadInput

Format = Literal["csv", "xlsx"]
TYPES: dict[Format, str] = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
CHUNK = 64 * 1024  # bytes
MOST_ROWS, LONGEST = 1_048_576, 32_767  # of a sheet, and characters of its cells
TOO_LONG = "A sheet ends at 1,048,576 rows; download CSV instead."
Cell = str | int | float


def harmless(text: str) -> str:
    """Text that a spreadsheet would take for a formula is marked as text."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def cell(value: Any, zone: tzinfo) -> Cell:
    """A value as a file holds it: numbers as numbers, moments as ISO 8601 by the zone's clock."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case datetime():
            return value.astimezone(zone).isoformat(timespec="seconds")
        case int() | float() | str():
            return value
        case UUID():
            return str(value)
        case _:
            return json.dumps(value, ensure_ascii=False)


class Writer(Protocol):
    """What writes a table row by row."""

    def add(self, rows: Iterable[Sequence[Cell]]) -> None:
        """Write rows."""

    def end(self) -> None:
        """Nothing comes any more."""

    def drop(self) -> None:
        """Leave nothing behind, whatever came of it."""


class CsvWriter:
    """CSV as Excel reads it too: UTF-8 with its mark, and nothing that would run."""

    def __init__(self, file: IO[bytes]) -> None:
        self.text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="", write_through=True)
        self.writer = csv.writer(self.text)

    def add(self, rows: Iterable[Sequence[Cell]]) -> None:
        """Write rows."""
        self.writer.writerows([harmless(one) if isinstance(one, str) else one for one in row] for row in rows)

    def end(self) -> None:
        """Leave the file open for whoever reads it."""
        self.text.detach()

    def drop(self) -> None:
        """There is nothing but the file."""


class XlsxWriter:
    """A sheet whose text is text: no formulas, no links. Rows go to disk at once."""

    def __init__(self, file: IO[bytes]) -> None:
        self.place = tempfile.TemporaryDirectory(
            prefix="specchem-sheet-"
        )  # for the rows, until they are packed
        self.book = xlsxwriter.Workbook(file, {"constant_memory": True, "tmpdir": self.place.name})
        self.sheet = self.book.add_worksheet()
        self.row = 0

    def add(self, rows: Iterable[Sequence[Cell]]) -> None:
        """Write rows. Raises BadInput where a sheet ends."""
        for row in rows:
            if self.row == MOST_ROWS:
                raise BadInput(TOO_LONG)
            for column, one in enumerate(row):
                if isinstance(one, str):
                    self.sheet.write_string(self.row, column, one[:LONGEST])
                else:
                    self.sheet.write_number(self.row, column, one)
            self.row += 1

    def end(self) -> None:
        """Pack the sheet."""
        self.book.close()

    def drop(self) -> None:
        """The rows are packed, or nobody wants them."""
        self.sheet.row_data_fh.close()
        self.place.cleanup()


WRITERS: dict[Format, type[CsvWriter] | type[XlsxWriter]] = {"csv": CsvWriter, "xlsx": XlsxWriter}


async def written(
    kind: Format, heading: Sequence[str], batches: AsyncIterator[list[Any]], zone: tzinfo
) -> IO[bytes]:
    """The table as a temporary file, at its beginning; whoever gets it closes it (see sent)."""
    file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  sent later, and closed then
    writer: Writer = WRITERS[kind](file)
    try:
        writer.add([heading])
        async for rows in batches:
            await asyncio.to_thread(writer.add, [[cell(one, zone) for one in row] for row in rows])
        await asyncio.to_thread(writer.end)
    except BaseException:
        file.close()
        raise
    finally:
        writer.drop()
    file.seek(0)
    return file


async def sent(file: IO[bytes]) -> AsyncIterator[bytes]:
    """A file's bytes, and then it is gone."""
    with file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk
