"""Where a database differs from this release's, named object by object."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import asyncpg

from specchem.db.session import Connection
from specchem.doctor.catalog import Catalog, Thing
from specchem.doctor.findings import Line, Said, wrong

RESTATE = "`specchem db upgrade --restate` puts it back."
CLIENTS = {"PUBLIC", "anon", "authenticated", "service_role", "specchem_api"}
RULES = {"policy", "trigger", "view", "function"}
SHORT = 60
LINES = {"index": Line.QUERIES, "policy": Line.POLICIES, "grant": Line.POLICIES}
# What is told apart from the rest of what was altered.
APART = {"row security", "row security of its owner", "owner", "validity", "working"}


async def differences(live: Connection, found: Catalog, release: Catalog) -> list[tuple[Line, Said]]:
    """Each difference with the guide's line that it belongs to; what merely follows from another is left out."""
    found = await _with_views_alike(live, found, release)
    here, there = found.things, release.things
    missing = {words for words in there if words not in here}
    added = {words for words in here if words not in there}
    # A column of another type is in every expression that names it.
    retyped = {
        words
        for words, thing in there.items()
        if thing.kind == "column" and words in here and here[words].facets["type"] != thing.facets["type"]
    }
    gone = [there[words] for words in sorted(missing) if not there[words].rests_on & missing]
    new = [here[words] for words in sorted(added) if not here[words].rests_on & added]
    return [
        *_altered(here, there, retyped, found.owner),
        *((_line(one), _missing(one)) for one in gone if one.grant is None),
        *((_line(one), _added(one)) for one in new if one.grant is None),
        *((Line.POLICIES, said) for said in _granted(gone, "is missing")),
        *((Line.POLICIES, said) for said in _granted(new, "was added")),
    ]


async def _with_views_alike(live: Connection, found: Catalog, release: Catalog) -> Catalog:
    """A view that differs may be the same, as another version of PostgreSQL writes it: let this one write both."""
    things = dict(found.things)
    for words, thing in found.things.items():
        there = release.things.get(words)
        if thing.kind != "view" or there is None or thing.facets == there.facets:
            continue
        if await _written(live, there.facets["definition"]) == await _written(
            live, thing.facets["definition"]
        ):
            things[words] = replace(thing, facets={**thing.facets, "definition": there.facets["definition"]})
    return replace(found, things=things)


async def _written(live: Connection, definition: str) -> str | None:
    """A view's definition as this server writes it, or None where it cannot stand here."""
    savepoint = live.transaction()
    await savepoint.start()
    try:
        await live.execute(f"create view pg_temp.specchem_look as {definition}")
        written: str = await live.fetchval("select pg_get_viewdef('pg_temp.specchem_look'::regclass)")
    except asyncpg.PostgresError:
        return None
    else:
        return written
    finally:
        await savepoint.rollback()


def _line(thing: Thing) -> Line:
    if thing.kind == "trigger" and " on auth." in thing.words:
        return Line.AUTH_TRIGGERS
    return LINES.get(thing.kind, Line.MIGRATIONS)


def _altered(
    here: dict[str, Thing], there: dict[str, Thing], retyped: set[str], owner: str
) -> Iterator[tuple[Line, Said]]:
    for words, thing in there.items():
        if words not in here or thing.rests_on & retyped:
            continue
        is_now = here[words].facets
        names = [name for name in thing.facets if is_now.get(name, "none") != thing.facets[name]]
        if words in retyped:
            names = ["type"]  # its default is written otherwise, too
        for name in [one for one in names if one in APART]:
            names.remove(name)
            line = Line.POLICIES if name.startswith("row security") else _line(thing)
            yield line, _switched(thing, name, is_now[name], owner)
        if names:
            yield _line(thing), _rewritten(thing, names, is_now)


def _switched(thing: Thing, name: str, is_now: str, owner: str) -> Said:
    table = thing.words.removeprefix("table ")
    match name:
        case "row security":
            return wrong(f"row security is off on {table}", RESTATE)
        case "row security of its owner":
            return wrong(f"row security is not forced on {table}", RESTATE)
        case "owner":
            return wrong(
                f"{thing.words} is owned by {is_now} instead of {owner}",
                f"As a superuser: `alter {thing.words} owner to {owner}`.",
            )
        case "validity" if thing.kind == "index":
            return wrong(f"{thing.words} is invalid", "`specchem db upgrade` builds it anew.")
        case "validity":
            return wrong(
                f"{thing.words} is not valid: rows that were there before it were never checked",
                "Correct the rows that break it, then `alter table … validate constraint …`.",
            )
    return wrong(f"{thing.words} is {is_now}", RESTATE)


def _rewritten(thing: Thing, names: list[str], is_now: dict[str, str]) -> Said:
    said = f"{thing.words} was altered: {', '.join(names)}"
    short = [thing.facets[names[0]], is_now.get(names[0], "none")]
    if len(names) == 1 and max(map(len, short)) <= SHORT:
        said += f" is {short[1] or 'none'} instead of {short[0] or 'none'}"
    if thing.kind in RULES:
        return wrong(said, RESTATE)
    if thing.kind in {"index", "constraint"} and names == ["definition"]:
        return wrong(said, f"Make it anew: `{thing.drop}; {thing.make}`.")
    return wrong(said, "Change it back by hand: revisions that have run are not run again.")


def _missing(thing: Thing) -> Said:
    if thing.kind in RULES or thing.words == "schema app":
        return wrong(f"{thing.words} is missing", RESTATE)
    if thing.make:
        return wrong(f"{thing.words} is missing", f"Make it again: `{thing.make}`.")
    return wrong(
        f"{thing.words} is missing", "Restore it from a back-up: revisions that have run are not run again."
    )


def _added(thing: Thing) -> Said:
    where = "Move it to another schema, or remove it" if thing.kind == "function" else "Remove it"
    if thing.drop:
        return wrong(f"{thing.words} was added", f"{where}: `{thing.drop}`.")
    return wrong(f"{thing.words} was added", "Move it to another schema; this one is SpecChem's.")


def _granted(grants: Iterable[Thing], what_of_them: str) -> Iterator[Said]:
    """The grants on one thing to one role are one finding."""
    together: dict[tuple[str, str], list[Thing]] = {}
    for one in grants:
        if one.grant is not None:
            together.setdefault(one.grant[:2], []).append(one)
    for (on, to), ones in together.items():
        rights = ", ".join(sorted(one.grant[2] for one in ones if one.grant))
        todo = RESTATE
        if what_of_them == "was added" and (to not in CLIENTS or "schema" in on):
            todo = (
                f"Take it back: `{'; '.join(one.drop for one in ones)}`."
                if ones[0].drop
                else ("Take it back with `alter default privileges … revoke …`.")
            )
        yield wrong(f"grant of {rights} on {on} to {to} {what_of_them}", todo)
