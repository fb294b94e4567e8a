"""Every way of weakening one rule of the database: as SQL, with what it is called and where to look first."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from specchem.db import upgrade
from specchem.db.session import Connection

CLIENTS = ("anon", "authenticated", "specchem_api", "service_role")
POLICY = re.compile(r"^create policy (\w+) on ([\w.]+) .*?;$", re.M | re.S)


@dataclass(frozen=True)
class Mutant:
    """One rule weakened; ``thing``: the table or function whose cells are tried first."""

    kind: str
    name: str
    sql: str
    thing: str | None = None

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


async def mutants(connection: Connection) -> list[Mutant]:
    """All that the catalog and the pages of rules give."""
    found = [*policy_lines()]
    for maker in (policies, grants, triggers, checks, functions, tables, views):
        found += await maker(connection)
    return found


def policy_lines() -> Iterator[Mutant]:
    """Each line of each policy taken out; where the rest is no SQL any more, the upgrade itself would stop."""
    for page in sorted((Path(upgrade.__file__).parent / "rules").glob("*.sql")):
        for found in POLICY.finditer(page.read_text()):
            name, table, lines = found[1], found[2], found[0].splitlines()
            for number, line in enumerate(lines):
                rest = "\n".join(lines[:number] + lines[number + 1 :])
                if rest.strip():
                    drop = f"drop policy {name} on {table}"
                    yield Mutant("policy line", f"{table}.{name}: {line.strip()}", f"{drop}; {rest}", table)


async def policies(connection: Connection) -> list[Mutant]:
    """Each policy dropped, let through all, and given to everybody."""
    rows = await connection.fetch(
        "select * from pg_policies where schemaname = 'public' order by tablename, policyname"
    )
    found = []
    for row in rows:
        table, name = f"public.{row['tablename']}", row["policyname"]
        found.append(Mutant("policy dropped", f"{table}.{name}", f"drop policy {name} on {table}", table))
        found.append(
            Mutant("policy to public", f"{table}.{name}", f"alter policy {name} on {table} to public", table)
        )
        if row["qual"]:
            found.append(
                Mutant(
                    "policy using true",
                    f"{table}.{name}",
                    f"alter policy {name} on {table} using (true)",
                    table,
                )
            )
        if row["with_check"]:
            sql = f"alter policy {name} on {table} with check (true)"
            found.append(Mutant("policy check true", f"{table}.{name}", sql, table))
    return found


async def grants(connection: Connection) -> list[Mutant]:
    """Each right of a client taken away, and each it does not have given, by table and by column."""
    rows = await connection.fetch(
        """
        select c.oid::regclass::text as thing, n.nspname || '.' || c.relname as name, g.role, v.verb,
            null::text as col, has_table_privilege(g.role, c.oid, v.verb) as has
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        cross join unnest($1::text[]) as g (role)
        cross join unnest('{select,insert,update,delete,truncate}'::text[]) as v (verb)
        where n.nspname in ('public', 'app') and c.relkind in ('r', 'v')
            and (c.relkind = 'r' or v.verb = 'select')
        union all
        select c.oid::regclass::text, n.nspname || '.' || c.relname, 'authenticated', v.verb, a.attname::text,
            has_column_privilege('authenticated', c.oid, a.attnum, v.verb)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        cross join unnest('{insert,update}'::text[]) as v (verb)
        where n.nspname = 'public' and c.relkind = 'r'
            and not has_table_privilege('authenticated', c.oid, v.verb)
        order by 2, 3, 4, 5""",
        list(CLIENTS),
    )
    found = []
    for row in rows:
        what = f"{row['verb']} ({row['col']})" if row["col"] else row["verb"]
        verb, way = ("revoke", "from") if row["has"] else ("grant", "to")
        sql = f"{verb} {what} on {row['name']} {way} {row['role']}"
        found.append(
            Mutant(f"{verb} a right", f"{what} on {row['name']} {way} {row['role']}", sql, row["name"])
        )
    return found


async def triggers(connection: Connection) -> list[Mutant]:
    """Each trigger of ours dropped."""
    rows = await connection.fetch(
        """
        select t.tgname::text as name, t.tgrelid::regclass::text as thing from pg_trigger t
        join pg_proc p on p.oid = t.tgfoid join pg_namespace n on n.oid = p.pronamespace
        where not t.tgisinternal and n.nspname in ('app', 'public') order by 2, 1"""
    )
    return [
        Mutant(
            "trigger dropped",
            f"{row['thing']}.{row['name']}",
            f"drop trigger {row['name']} on {row['thing']}",
        )
        for row in rows
    ]


async def checks(connection: Connection) -> list[Mutant]:
    """Each check constraint dropped."""
    rows = await connection.fetch(
        "select conname::text as name, conrelid::regclass::text as thing from pg_constraint"
        " where contype = 'c' and connamespace = 'public'::regnamespace order by 2, 1"
    )
    return [
        Mutant("check dropped", row["name"], f"alter table {row['thing']} drop constraint {row['name']}")
        for row in rows
    ]


async def functions(connection: Connection) -> list[Mutant]:
    """Each function with the other security, without its search path, and opened or closed to each client."""
    rows = await connection.fetch(
        """
        select p.oid::regprocedure::text as name, p.prosecdef, g.role,
            has_function_privilege(g.role, p.oid, 'execute') as may
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace cross join unnest($1::text[]) as g (role)
        where n.nspname in ('public', 'app') order by 1, 3""",
        list(CLIENTS),
    )
    found = []
    for row in rows:
        name = row["name"]
        verb, way = ("revoke", "from") if row["may"] else ("grant", "to")
        sql = f"{verb} execute on function {name} {way} {row['role']}"
        found.append(Mutant(f"{verb} a call", f"{name} {way} {row['role']}", sql, name.replace(", ", ",")))
    for name, definer in sorted({(row["name"], row["prosecdef"]) for row in rows}):
        other = "invoker" if definer else "definer"
        found += [
            Mutant(f"security {other}", name, f"alter function {name} security {other}"),
            Mutant("search path reset", name, f"alter function {name} reset search_path"),
            Mutant(
                "search path without pg_temp", name, f"alter function {name} set search_path = pg_catalog"
            ),
            Mutant(
                "search path of the caller's",
                name,
                f"alter function {name} set search_path = public, pg_temp",
            ),
            Mutant("call for everybody", name, f"grant execute on function {name} to public"),
        ]
    return found


async def tables(connection: Connection) -> list[Mutant]:
    """Row security switched off, or not forced."""
    rows = await connection.fetch(
        "select tablename::text as name from pg_tables where schemaname = 'public' order by 1"
    )
    return [
        Mutant(
            "row security",
            f"{row['name']}: {how}",
            f"alter table public.{row['name']} {how} row level security",
        )
        for row in rows
        for how in ("disable", "no force")
    ]


async def views(connection: Connection) -> list[Mutant]:
    """A view that looks with its owner's eyes."""
    rows = await connection.fetch(
        "select viewname::text as name from pg_views where schemaname = 'app' order by 1"
    )
    return [
        Mutant(
            "view",
            f"app.{row['name']}",
            f"alter view app.{row['name']} set (security_invoker = false)",
            f"app.{row['name']}",
        )
        for row in rows
    ]
