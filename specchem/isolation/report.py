"""The matrix as a report that an auditor can read: text for a terminal, HTML to keep."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment
from rich.table import Table

from specchem.isolation.cast import KINDS
from specchem.isolation.matrix import VERBS, Cell

MARKS = {"allowed": "✓", "nothing": "·", "refused": "✗"}
LEGEND = (
    "✓ may, · finds no such row, ✗ is refused with an error, ! is not as it should be. Plants A, B, C are open, Z is"
    " closed; everybody works in A, but for the person of the closed plant. The manager looks after A, the manager of"
    " two after B and C, HR of a plant after A."
)
SHORT = ("asso", "mgr", "mgr2", "HR", "HRpl", "dev", "susp", "suHR", "clsd", "nopr", "anon", "API", "serv")


@dataclass
class Line:
    """What is tried, and what came of it for each kind of person; nothing where they have no such row."""

    verb: str
    row: str
    found: dict[str, Cell]
    columns: list[str] = field(default_factory=list)

    @property
    def what(self) -> str:
        """The try in words: ``update first_name, last_name [plant A]``."""
        return " ".join(
            part for part in (self.verb, ", ".join(self.columns), f"[{self.row}]" if self.row else "") if part
        )

    def mark(self, kind: str) -> str:
        """A sign for a cell."""
        cell = self.found.get(kind)
        if cell is None:
            return ""
        return MARKS.get(cell.found, "?") + ("!" if cell.deviates else "")

    def marks(self) -> list[str]:
        """All signs, in the kinds' order."""
        return [self.mark(kind.name) for kind in KINDS]


def sheets(cells: Iterable[Cell]) -> dict[str, list[Line]]:
    """Lines by table or function; columns that fare alike share a line."""
    found: dict[str, dict[tuple[str, str, str | None], Line]] = {}
    for cell in cells:
        if cell.verb not in VERBS:  # a right that is held: it has no line of its own, and counts
            continue
        lines = found.setdefault(cell.thing, {})
        line = lines.setdefault((cell.verb, cell.row, cell.column), Line(cell.verb, cell.row, {}))
        line.found[cell.kind] = cell
    return {thing: _joined(lines) for thing, lines in found.items()}


def _joined(lines: dict[tuple[str, str, str | None], Line]) -> list[Line]:
    joined: dict[tuple[object, ...], Line] = {}
    for (verb, row, column), line in lines.items():
        whole = () if column else ("the row as a whole",)
        kept = joined.setdefault((verb, row, *line.marks(), *whole), line)
        kept.columns += [column] if column else []
    return sorted(joined.values(), key=lambda line: VERBS.index(line.verb))


def as_text(cells: list[Cell]) -> list[Table]:
    """A table for each thing, functions in one."""
    whole = sheets(cells)
    tables = [_table(thing, lines) for thing, lines in whole.items() if "(" not in thing]
    called = _table("functions", [])
    for thing, lines in whole.items():
        if "(" in thing:
            called.add_row(thing, *lines[0].marks())
    return [*tables, called]


def _table(title: str, lines: list[Line]) -> Table:
    table = Table("", *SHORT, title=title, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
    for line in lines:
        table.add_row(line.what, *line.marks())
    return table


def as_html(cells: list[Cell], broken: list[str], database: str) -> str:
    """A page that stands alone: no script, nothing fetched."""
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    )
    return page.render(
        kinds=KINDS, sheets=sheets(cells), count=len(cells), deviations=[cell for cell in cells if cell.deviates],
        broken=broken, legend=LEGEND, database=database, made=datetime.now(UTC),
    )  # fmt: skip
