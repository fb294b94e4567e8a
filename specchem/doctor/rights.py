"""The roles, and who may do what."""

from specchem.doctor.findings import Line, Said, cannot_tell, ok, wrong
from specchem.doctor.seen import Seen
from specchem.isolation import lints, matrix
from specchem.isolation.cast import KINDS

# Each role of ours and the platform's, with what it must and must not be; what is not named is free.
ATTRIBUTES = {
    "anon": "nosuperuser nobypassrls nocreaterole nocreatedb noreplication nologin",
    "authenticated": "nosuperuser nobypassrls nocreaterole nocreatedb noreplication nologin",
    "service_role": "nosuperuser bypassrls nocreaterole nocreatedb noreplication nologin",
    "specchem_api": "nosuperuser nobypassrls nocreaterole nocreatedb noreplication login noinherit",
    "supabase_auth_admin": "nosuperuser nobypassrls login",
}
CLIENTS = ("anon", "authenticated", "service_role", "specchem_api")
MEMBER_OF = {"specchem_api": {"anon", "authenticated"}}
OTHER_ROWS = ("plant A", "plant B", "plant C", "closed plant Z")


async def look_at_roles(seen: Seen) -> list[Said]:
    """Roles that may more than they should, or less."""
    rows = await seen.connection.fetch(
        "select rolname::text as name, rolsuper as superuser, rolbypassrls as bypassrls, rolcreaterole as createrole,"
        " rolcreatedb as createdb, rolreplication as replication, rolcanlogin as login, rolinherit as inherit"
        " from pg_roles where rolname = any($1)",
        list(ATTRIBUTES),
    )
    roles = {row["name"]: row for row in rows}
    found = []
    for name, wanted in ATTRIBUTES.items():
        if name not in roles:
            found.append(wrong(f"role {name} is missing", _make(name)))
            continue
        for word in wanted.split():
            attribute = word if word in roles[name] else word.removeprefix("no")
            if roles[name][attribute] != (attribute == word):
                has = "has" if roles[name][attribute] else "lacks"
                found.append(
                    wrong(
                        f"role {name} {has} {attribute.upper()}",
                        f"As a superuser: `alter role {name} {word}`.",
                    )
                )
    memberships = await seen.connection.fetch(
        "select distinct m.member::regrole::text as member, m.roleid::regrole::text as role from pg_auth_members m"
        " join pg_roles r on r.oid = m.member where r.rolname = any($1) order by 1, 2",
        list(CLIENTS),
    )
    held = [(row["member"], row["role"]) for row in memberships]
    found += [
        wrong(f"role {member} is a member of {role}", f"`revoke {role} from {member}`.")
        for member, role in held
        if role not in MEMBER_OF.get(member, set())
    ]
    found += [
        wrong(f"role {member} is no member of {role}", f"`grant {role} to {member}`.")
        for member, roles_ in MEMBER_OF.items()
        for role in sorted(roles_)
        if member in roles and (member, role) not in held
    ]
    # Whoever owns the tables, as whom our functions run, and whoever is looking.
    owners = await seen.connection.fetch(
        "select rolname::text as name, rolname = current_user as looks from pg_roles"
        " where not rolsuper and not rolbypassrls and (rolname = current_user"
        " or oid = (select relowner from pg_class where oid = to_regclass('public.profiles')))"
    )
    seen.blind = any(row["looks"] for row in owners)
    found += [
        wrong(
            f"role {row['name']}, the owner, lacks BYPASSRLS",
            f"As a superuser: `alter role {row['name']} bypassrls`.",
        )
        for row in owners
    ]
    return found


def _make(name: str) -> str:
    if name == "specchem_api":
        return "`specchem db upgrade --restate` makes it."
    return "Supabase has it; elsewhere make it as specchem/db/local/10_roles.sql says."


async def policies_enabled(seen: Seen) -> list[Said]:
    """Row security, policies and grants are this release's."""
    return (
        seen.unknown()
        or seen.of(Line.POLICIES)
        or [ok("row security is on and forced on every table; policies and grants are this release's")]
    )


async def effectiveness(seen: Seen) -> list[Said]:
    """No role steps around the policies."""
    if not seen.status.current:
        return seen.unknown()
    return seen.roles or [
        ok(
            "no role of a client's bypasses row security, creates anything, or is a member of more than it should be"
        )
    ]


async def policies_validated(seen: Seen) -> list[Said]:
    """Every kind of person tries everything; what comes of it is compared with what is written."""
    if not seen.status.current:
        return seen.unknown()
    if seen.altered:
        return [
            cannot_tell(
                "not tried while the schema or its roles are not as released",
                "Put right what is wrong below; `specchem doctor --isolation` tries it all the same.",
            )
        ]
    broken = [
        *matrix.unexpected(await matrix.look(seen.connection)),
        *await lints.broken(seen.connection),
    ]
    if broken and seen.drift:
        return [seen.follows(f"{len(broken)} rules of the schema do not hold")]
    if broken:
        seen.altered = True
        return [wrong(one, "See docs/isolation.md for the rules of the schema.") for one in broken]
    if seen.not_tried is not None:
        seen.altered = True
        return [wrong(seen.not_tried, "See the server's log for what refused them.")]
    deviations = [cell for cell in seen.cells if cell.deviates]
    if not deviations:
        return [
            ok(f"{len(seen.cells):,} tries came out as written; {len(lints.LINTS)} rules of the schema hold")
        ]
    seen.altered = True
    return [
        wrong(
            f"{len(deviations):,} of {len(seen.cells):,} tries came out otherwise than written; {deviations[0]}",
            "`specchem doctor --isolation` lists them all.",
        )
    ]


def _tried(seen: Seen, cells: list[matrix.Cell], what: str) -> list[Said]:
    if not cells:
        return [cannot_tell('not tried: see "RLS policies validated"')]
    deviations = sum(cell.deviates for cell in cells)
    if deviations:
        return [seen.follows(f"{deviations:,} of {len(cells):,} tries came out otherwise")]
    return [ok(f"{len(cells):,} tries {what} came out as written")]


async def plant_scope(seen: Seen) -> list[Said]:
    """Rows of one's own plant and of others."""
    return _tried(
        seen, [cell for cell in seen.cells if cell.row in OTHER_ROWS], "at rows of one's own and other plants"
    )


async def all_roles(seen: Seen) -> list[Said]:
    """Every kind of person."""
    people = {kind.name for kind in KINDS}
    cells = [cell for cell in seen.cells if cell.kind in people]
    return _tried(seen, cells, f"by {len(KINDS)} kinds of people and clients")
