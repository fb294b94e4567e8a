"""The matrix as a report that an auditor can read: text for a terminal, HTML to keep."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment
from rich.box import SIMPLE
from rich.markup import escape
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


@dataclass(frozen=True)
class Line:
    """What is tried, and what came of it for each kind of person, in their order."""

    verb: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    marks: tuple[str, ...]

    @property
    def what(self) -> str:
        """The try in words: ``update first_name, last_name [plant A]``."""
        columns, rows = ", ".join(self.columns), ", ".join(self.rows)
        return " ".join(part for part in (self.verb, columns, f"[{rows}]" if rows else "") if part)


def sheets(cells: Iterable[Cell]) -> dict[str, list[Line]]:
    """Lines by table or function; columns, and rows, that fare alike share a line."""
    found: dict[str, dict[tuple[str, str, str], dict[str, str]]] = {}
    for cell in cells:
        if cell.verb in VERBS:  # a right that is held has no line of its own, and counts
            tries = found.setdefault(cell.thing, {})
            marks = tries.setdefault((cell.verb, cell.row, cell.column or ""), {})
            marks[cell.kind] = MARKS.get(cell.found, "?") + ("!" if cell.deviates else "")
    return {thing: _joined(found[thing]) for thing in sorted(found, key=_place)}


def _place(thing: str) -> tuple[bool, bool, str]:
    return "(" in thing, not thing.startswith("public."), thing


def _joined(tries: dict[tuple[str, str, str], dict[str, str]]) -> list[Line]:
    columns: dict[tuple[str, str, tuple[str, ...], bool], list[str]] = {}
    for (verb, row, column), found in tries.items():
        marks = tuple(found.get(kind.name, "") for kind in KINDS)
        columns.setdefault((verb, row, marks, bool(column)), []).append(column)
    rows: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for (verb, row, marks, _), named in columns.items():
        rows.setdefault((verb, tuple(filter(None, named)), marks), []).append(row)
    lines = [
        Line(verb, tuple(filter(None, labels)), named, marks) for (verb, named, marks), labels in rows.items()
    ]
    return sorted(lines, key=lambda line: VERBS.index(line.verb))


def closed(lines: list[Line]) -> bool:
    """Is every try refused, as it should be?"""
    return {mark for line in lines for mark in line.marks} <= {MARKS["refused"], ""}


def as_text(cells: list[Cell]) -> list[Table | str]:
    """A table for each thing that is open to somebody, functions in one, and the names of the rest."""
    whole = sheets(cells)
    shut = [thing for thing, lines in whole.items() if closed(lines)]
    tables: list[Table | str] = [
        _table(thing, lines) for thing, lines in whole.items() if thing not in shut and "(" not in thing
    ]
    called = [
        Line(thing, (), (), lines[0].marks)
        for thing, lines in whole.items()
        if thing not in shut and "(" in thing
    ]
    return [*tables, _table("functions", called), f"Closed to every client: {', '.join(shut)}."]


def _table(title: str, lines: list[Line]) -> Table:
    table = Table("", *SHORT, title=title, title_justify="left", pad_edge=False, box=SIMPLE)
    for line in lines:
        table.add_row(escape(line.what), *line.marks)
    return table


def as_html(cells: list[Cell], broken: list[str]) -> str:
    """A page that stands alone: no script, nothing fetched."""
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    )
    return page.render(
        kinds=KINDS, sheets=sheets(cells), closed=closed, count=len(cells), broken=broken, legend=LEGEND,
        deviations=[cell for cell in cells if cell.deviates], made=datetime.now(UTC),
    )  # fmt: skip
