"""What one person sees, how many rows, and by which rule: for an access review."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from specchem.db.session import Connection, Identity
from specchem.errors import NotFound
from specchem.isolation.rights import TABLES

ROLE_WORDS = {"plant_manager": "manager of", "hr_admin": "HR of", "dev_admin": "dev admin"}
# Where rows are neither a person's nor a plant's: what is open to everybody active, and how one tells.
OPEN = {"plants": "is_active", "courses": "is_published"}
CONTENT = ("sections", "questions", "question_choices", "answer_keys")


@dataclass(frozen=True)
class Person:
    """Whose access is reviewed, and what it rests on."""

    id: UUID
    name: str
    email: str
    plant: str | None
    status: str
    # (role, plant's id or None, plant's name or None)
    roles: list[tuple[str, UUID | None, str | None]]

    @property
    def is_hr(self) -> bool:
        """HR of the whole company?"""
        return any(role == "hr_admin" and plant is None for role, plant, _ in self.roles)

    def in_words(self) -> str:
        """One line: who, where, what they are, and whether it counts."""
        held = [f"{ROLE_WORDS[role]}{_of(role, name)}" for role, _, name in self.roles]
        where = f", {self.plant}" if self.plant else ""
        return f"{self.name} <{self.email}>{where}: {', '.join(held) or 'associate'}; {self.status}"


@dataclass(frozen=True)
class Sight:
    """Rows of one table that a person sees by one rule."""

    table: str
    rows: int
    rule: str


def _of(role: str, plant: str | None) -> str:
    return f" {plant}" if plant else " the company" if role == "hr_admin" else ""


async def find(connection: Connection, email: str) -> Person:
    """The person of this address, as the owner. Raises NotFound."""
    row = await connection.fetchrow(
        """
        select u.id, u.email, t.name as plant, concat_ws(' ', p.first_name, p.last_name) as name,
            case when p.id is null then 'no profile, so nothing is open to them'
                when p.status = 'suspended' then 'suspended, so nothing is open to them'
                when not t.is_active then 'their plant is closed, so nothing is open to them'
                else 'active' end as status
        from auth.users as u
        left join public.profiles as p on p.id = u.id
        left join public.plants as t on t.id = p.plant_id
        where lower(u.email) = lower($1)""",
        email.strip(),
    )
    if row is None:
        raise NotFound(f"There is no account with the address {email}.")
    roles = await connection.fetch(
        """
        select r.role::text, r.plant_id, t.name from public.admin_roles as r
        left join public.plants as t on t.id = r.plant_id where r.user_id = $1 order by r.role, t.name""",
        row["id"],
    )
    return Person(
        row["id"], row["name"] or "(no profile)", row["email"], row["plant"], row["status"],
        [(one["role"], one["plant_id"], one["name"]) for one in roles],
    )  # fmt: skip


async def can_see(connection: Connection, person: Person, tables: list[str]) -> list[Sight]:
    """Look as this person; call inside a transaction that is rolled back. ``tables`` empty: all."""
    known = [name.removeprefix("public.") for name in TABLES if name.startswith("public.")]
    if unknown := sorted(set(tables) - set(known)):
        raise NotFound(f"There is no table {', '.join(unknown)}; there are {', '.join(known)}.")
    names = {row["id"]: row["name"] for row in await connection.fetch("select id, name from public.plants")}
    columns = await _columns(connection)
    await connection.execute(
        "select set_config('request.jwt.claims', $1, true), set_config('role', 'authenticated', true)",
        Identity(person.id).claims,
    )
    sights = []
    for table in tables or known:
        readable = await connection.fetchval("select has_table_privilege($1, 'select')", f"public.{table}")
        if not readable:
            sights.append(Sight(table, 0, "closed to everybody"))
            continue
        rows = await connection.fetch(_question(table, columns[table]), person.id)
        sights += list(_sights(person, table, rows, names)) or [Sight(table, 0, "none that is open to them")]
    await connection.execute("reset role")
    return sights


async def _columns(connection: Connection) -> dict[str, set[str]]:
    rows = await connection.fetch(
        """
        select c.relname::text, array_agg(a.attname::text) from pg_catalog.pg_class as c
        join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') group by 1"""
    )
    return {table: set(names) for table, names in rows}


def _question(table: str, columns: set[str]) -> str:
    """Rows by whether they are the person's own, whose plant's, and whether they are open to everybody."""
    own = "user_id" if "user_id" in columns else "id" if table == "profiles" else None
    mine = f"{own} = $1" if own else "$1::uuid is null"
    plant = "plant_id" if "plant_id" in columns else "id" if table == "plants" else "null::uuid"
    public = OPEN.get(table, "false")
    if table in CONTENT:
        public = "course_id in (select c.id from public.courses as c where c.is_published)"
    return (
        f"select {mine} as own, {plant} as plant, {public} as public, count(*) as rows"
        f" from public.{table} group by 1, 2, 3"
    )


def _sights(
    person: Person, table: str, rows: list[asyncpg.Record], names: dict[UUID, str]
) -> Iterator[Sight]:
    counted: Counter[str] = Counter()
    for row in rows:
        counted[_rule(person, table, row, names)] += row["rows"]
    yield from (Sight(table, count, rule) for rule, count in sorted(counted.items()))


def _rule(person: Person, table: str, row: asyncpg.Record, names: dict[UUID, str]) -> str:
    """Why the person sees these rows, in the words of the policies."""
    if row["own"]:
        return "their own"
    if row["public"] and table != "answer_keys":
        return "open to everybody active"
    of_a_plant = table not in (*OPEN, *CONTENT)
    for role, managed, name in person.roles:
        if of_a_plant and managed is not None and managed == row["plant"]:
            return f"{ROLE_WORDS[role]} {name}"
    if person.is_hr:
        plant = names.get(row["plant"]) if of_a_plant else None
        return "HR of the company" + (f": {plant}" if plant else "")
    return "dev admin"
