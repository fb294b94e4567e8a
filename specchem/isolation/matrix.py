"""The matrix: every table, column and function × kind of person × verb × row, tried in the database and compared.

What there is comes from the catalog, so that a table, column or function added next year is tried without anybody
remembering it; what should happen comes from ``rights``. Everything is done inside one transaction and rolled back.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Self

from specchem.db.session import Connection
from specchem.isolation.cast import KINDS, Cast, Kind, Row, make_cast
from specchem.isolation.rights import (
    BEHIND,
    CLOSED,
    CLOSED_SCHEMAS,
    DEFINERS,
    ENTERED,
    FUNCTIONS,
    ROLES,
    TABLES,
    Rights,
    expected,
    granted,
)

# A view of counts, which nobody writes; a generated column.
NOT_WRITABLE = ("55000", "42809", "428C9")
GRANTED = {"granted": "allowed", "not granted": "refused"}
VERBS = ("select", "insert", "update", "delete", "truncate", "execute")


@dataclass(frozen=True)
class Cell:
    """One thing that one kind of person tries, what should come of it, and what did.

    Outcomes: ``allowed``, ``nothing`` (no such row, for this person), ``refused`` (an error says so), or
    ``broken`` where the database said something else.
    """

    kind: str
    thing: str
    verb: str
    column: str | None
    row: str
    sql: str
    expected: str
    found: str = ""
    code: str = ""

    def after(self, code: str) -> Self:
        """With what the database said to it."""
        return replace(self, found=outcome(self, code), code=code)

    @property
    def deviates(self) -> bool:
        """Did the database do something else than it should?"""
        return self.found != self.expected

    def __str__(self) -> str:
        column = f" of {self.column}" if self.column else ""
        row = f" [{self.row}]" if self.row else ""
        return (
            f"{self.kind}: {self.verb} {self.thing}{column}{row} should be {self.expected}"
            f" and is {self.found} ({self.code})"
        )


@dataclass(frozen=True)
class Found:
    """What the catalog knows: relations with their columns, and functions with their arguments' types."""

    columns: dict[str, list[str]]
    functions: dict[str, list[str]]
    definers: set[str]


async def look(connection: Connection) -> Found:
    """Read the catalog."""
    columns = await connection.fetch(
        """
        select n.nspname || '.' || c.relname as name, array_agg(a.attname::text order by a.attnum) as columns
        from pg_catalog.pg_class as c
        join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
        join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where n.nspname in ('public', 'app', 'specchem', 'auth') and c.relkind in ('r', 'p', 'v', 'm', 'f')
        group by 1 order by 1"""
    )
    functions = await connection.fetch(
        """
        select n.nspname || '.' || p.proname || '(' || array_to_string(t.types, ',') || ')' as name, t.types,
            p.prosecdef as definer
        from pg_catalog.pg_proc as p
        join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
        cross join lateral (
            select coalesce(array_agg(format_type(a.type, null) order by a.place), '{}') as types
            from unnest(p.proargtypes::oid[]) with ordinality as a (type, place)) as t
        where n.nspname in ('public', 'app', 'specchem') order by 1"""
    )
    return Found(
        {row["name"]: row["columns"] for row in columns},
        {row["name"]: row["types"] for row in functions},
        {row["name"] for row in functions if row["definer"]},
    )


def unexpected(found: Found) -> list[str]:
    """What is in the database and has no expectation, or the reverse: neither can be proved."""
    tables = {name for name in found.columns if name.split(".")[0] not in CLOSED_SCHEMAS}
    functions = {name for name in found.functions if not _is_behind(name)}
    return [
        *(
            f"{name} has no expectation"
            for name in sorted((tables - TABLES.keys()) | (functions - FUNCTIONS.keys()))
        ),
        *(
            f"{name} {'runs' if name in found.definers else 'does not run'} with its owner's eyes"
            for name in sorted(found.functions)
            if (name in found.definers) != (_called(name) in DEFINERS)
        ),
        *(f"{name} is missing" for name in sorted((TABLES.keys() - tables) | (FUNCTIONS.keys() - functions))),
    ]


def _called(function: str) -> str:
    return function.removeprefix("app.").partition("(")[0]


def _is_behind(function: str) -> bool:
    return _called(function) in BEHIND


async def prove(connection: Connection) -> list[Cell]:
    """Every cell with what was found: as an owner who can become every client, in a transaction rolled back later."""
    stage = await set_stage(connection)
    said = [*await stage.held(connection), *[one async for one in stage.tried(connection)]]
    return [cell.after(code) for cell, code in said]


@dataclass(frozen=True)
class Stage:
    """The cast and every cell that is to be tried with it."""

    cast: Cast
    cells: dict[tuple[str, Kind], list[Cell]]
    rights: list[Cell]

    async def held(self, connection: Connection) -> list[tuple[Cell, str]]:
        """Each right with whether it is held."""
        held = await connection.fetchval(f"select array[{', '.join(cell.sql for cell in self.rights)}]")
        codes = ("granted" if one else "not granted" for one in held)
        return list(zip(self.rights, codes, strict=True))

    async def tried(
        self, connection: Connection, first: str | None = None
    ) -> AsyncIterator[tuple[Cell, str]]:
        """Each cell with what the database said to it; those of the thing ``first`` before all others."""
        for (_, kind), cells in sorted(self.cells.items(), key=lambda one: one[0][0] != first):
            said = await attempt(
                connection, kind.db_role, self.cast.claims(kind), [cell.sql for cell in cells]
            )
            for one in zip(cells, said, strict=True):
                yield one


async def set_stage(connection: Connection) -> Stage:
    """Read the catalog, make the cast, and write every cell down."""
    found = await look(connection)
    cast = await make_cast(connection)
    await prepare(connection)
    things = [*found.columns, *found.functions]
    return Stage(
        cast,
        {(thing, kind): list(cells_of(cast, found, thing, kind)) for thing in things for kind in KINDS},
        list(rights_of(found)),
    )


def rights_of(found: Found) -> Iterator[Cell]:
    """What each role should hold by grant: behind a locked door, too, nothing may stand open."""
    for role in ROLES:
        for thing, columns in found.columns.items():
            rights = TABLES.get(thing, CLOSED)
            for verb in ("select", "insert", "update", "delete", "truncate"):
                by_column = verb in {"select", "insert", "update"}
                for column in [None, *(columns if by_column else ())]:
                    has = "has_column_privilege" if column else "has_table_privilege"
                    named = f", '{column}'" if column else ""
                    wanted = "allowed" if granted(rights, role, verb, column) else "refused"
                    sql = f"{has}('{role}', '{thing}'{named}, '{verb}')"
                    yield Cell(role, thing, f"hold {verb}", column, "", sql, wanted)
        for function in found.functions:
            held = role in FUNCTIONS.get(function, "").split() or (
                role == "specchem_api" and function in ENTERED
            )
            wanted = "allowed" if held else "refused"
            sql = f"has_function_privilege('{role}', '{function}', 'execute')"
            yield Cell(role, function, "hold execute", None, "", sql, wanted)


async def attempt(connection: Connection, role: str, claims: str, statements: list[str]) -> list[str]:
    """Try statements as somebody: for each the number of rows, or an SQLSTATE."""
    said: list[str] = await connection.fetchval(
        "select pg_temp.attempt($1, $2, $3)", role, claims, statements
    )
    return said


async def prepare(connection: Connection) -> None:
    """The function that tries statements as somebody, each in a subtransaction that is rolled back."""
    await connection.execute(
        """
        do $$ begin
            -- Whoever made this role may become it only when told so; on Supabase that is us.
            if not (select r.rolsuper from pg_catalog.pg_roles as r where r.rolname = current_user) then
                execute 'grant specchem_api to current_user';
            end if;
        end $$;
        create or replace function pg_temp.attempt(role text, claims text, statements text[]) returns text[]
        language plpgsql as $$
        declare
            said text[] := '{}';
            one text;
            touched bigint;
        begin
            perform pg_catalog.set_config('request.jwt.claims', claims, true);
            perform pg_catalog.set_config('role', role, true);
            foreach one in array statements loop
                begin
                    execute one;
                    get diagnostics touched = row_count;
                    raise exception using errcode = 'ZZ000', message = touched::text;
                exception when others then
                    said := said || case sqlstate when 'ZZ000' then sqlerrm else sqlstate end;
                end;
            end loop;
            perform pg_catalog.set_config('role', 'none', true);
            perform pg_catalog.set_config('request.jwt.claims', '', true);
            return said;
        end $$"""
    )


def outcome(cell: Cell, code: str) -> str:
    """What a row count or an SQLSTATE means."""
    if code in GRANTED:
        return GRANTED[code]
    if code.isdigit() and len(code) < 5:
        return "allowed" if int(code) or cell.verb == "execute" else "nothing"
    if code in {"42501", *NOT_WRITABLE}:
        return "refused"
    # A function that refuses in words was called all the same; and row security does not hold the service role,
    # which tries one column alone: it may, and the rest is the row's own trouble.
    if cell.verb == "execute" or (cell.kind == "service role" and cell.verb == "insert"):
        return "allowed"
    return "refused" if code.startswith("PT") else "broken"


def cells_of(cast: Cast, found: Found, thing: str, kind: Kind) -> Iterator[Cell]:
    """Everything that one kind of person can try with one table, view or function."""
    if thing in found.functions:
        nulls = ", ".join(f"null::{one}" for one in found.functions[thing])
        may = kind.db_role in FUNCTIONS.get(thing, "").split()
        yield Cell(
            kind.name, thing, "execute", None, "", f"select {thing.partition('(')[0]}({nulls})",
            "allowed" if may else "refused",
        )  # fmt: skip
        return
    rights = TABLES.get(thing, CLOSED)
    rows = cast.rows(thing, kind)

    def cell(verb: str, column: str | None, row: Row, sql: str) -> Cell:
        return Cell(kind.name, thing, verb, column, row.label, sql, expected(rights, kind, verb, column, row))

    for row in rows:
        yield cell("select", None, row, f"select * from {thing} where {row.where}")
        yield cell("delete", None, row, f"delete from {thing} where {row.where}")
    yield cell("truncate", None, Row(""), f"truncate {thing}")
    for column in found.columns[thing]:
        name = f'"{column}"'
        yield cell("select", column, rows[0], f"select {name} from {thing} where {rows[0].where}")
        for row in rows if rights.names("update", column) else rows[:1]:
            yield cell("update", column, row, f"update {thing} set {name} = {name} where {row.where}")
    yield from _insertions(cast, found, thing, kind, rights, cell)


Maker = Callable[[str, str | None, Row, str], Cell]


def _insertions(
    cast: Cast, found: Found, thing: str, kind: Kind, rights: Rights, cell: Maker
) -> Iterator[Cell]:
    """Good rows of one's own and of others; then each further column, which only some may name."""
    candidates = cast.candidates(thing, kind) if kind.db_role == "authenticated" else []
    for row in candidates:
        yield cell("insert", None, row, _insert(thing, row.values))
    for column in found.columns[thing]:
        named = [row for row in candidates if rights.names("insert", column)] or [Row("")]
        for row in named:
            if column not in row.values:
                yield cell("insert", column, row, _insert(thing, {**row.values, column: "default"}))


def _insert(thing: str, values: dict[str, str]) -> str:
    columns = ", ".join(f'"{one}"' for one in values)
    return f"insert into {thing} ({columns}) values ({', '.join(values.values())})"
