"""Revisions, rules and seed."""

from functools import cache

from specchem.courses.content import ContentError, Course, content_hash, read_course
from specchem.doctor.findings import Line, Said, cannot_tell, ok, wrong
from specchem.doctor.seen import Seen
from specchem.seed import COURSES, PLANTS

UPGRADE = "Run `specchem db upgrade`."
SEED = "Run `specchem db seed`; what is there stays."


@cache
def courses() -> list[Course]:
    """What this installation brings. Raises ContentError."""
    return [read_course(file.parent) for file in sorted(COURSES.glob("*/course.yaml"))]


async def migrations_tried(seen: Seen) -> list[Said]:
    """This release's revisions and rules run through on an empty database."""
    if seen.no_reference is not None:
        return [cannot_tell(f"they could not be tried on an empty database: {seen.no_reference}")]
    return [ok("every revision and rule ran through on an empty PostgreSQL beside this one just now")]


async def migrations_run(seen: Seen) -> list[Said]:
    """Revision and rules are this release's, and nobody changed tables, functions or triggers by hand."""
    if not seen.status.current:
        return [wrong(seen.status.sentence().removesuffix("."), UPGRADE)]
    return (
        seen.unknown()
        or seen.of(Line.MIGRATIONS)
        or [
            ok(
                f"revision {seen.status.revision}; tables, types, functions, views and triggers are this release's"
            )
        ]
    )


async def auth_triggers(seen: Seen) -> list[Said]:
    """Our triggers on accounts."""
    return (
        seen.unknown()
        or seen.of(Line.AUTH_TRIGGERS)
        or [ok("the triggers on auth.users are in place and switched on")]
    )


async def seed_prepared(seen: Seen) -> list[Said]:
    """The courses' files can be read."""
    try:
        slugs = [course.slug for course in courses()]
    except ContentError as error:
        return [wrong(f"a course cannot be read: {error}", "Correct the course's files.")]
    if not slugs:
        return [wrong("this installation has no course", "Install SpecChem anew.")]
    return [ok(f"{len(PLANTS)} plants and the course {', '.join(slugs)} can be read")]


async def seed_run(seen: Seen) -> list[Said]:
    """Plants and courses are there."""
    if unready := seen.unready():
        return unready
    plants = {
        row["name"]: row
        for row in await seen.connection.fetch("select name, is_active, is_default from public.plants")
    }
    lacking = [name for name in PLANTS if name not in plants]
    found: list[Said] = []
    if len(plants) < len(PLANTS):
        found += [wrong(f"plant {name} is missing", SEED) for name in lacking]
    elif lacking:
        found.append(
            cannot_tell(
                f"no plant is called {' or '.join(lacking)}: renamed, or never made",
                "Nothing, if your plants have other names.",
            )
        )
    if not any(row["is_default"] for row in plants.values()):
        found.append(
            wrong(
                "no plant is the default one: whoever was not invited waits without a profile",
                f"{SEED.removesuffix('; what is there stays.')}, or set is_default of one of yours.",
            )
        )
    for name, row in plants.items():
        if row["is_default"] and not row["is_active"]:
            found.append(
                cannot_tell(
                    f"the default plant {name} is closed: whoever was not invited waits without a profile"
                )
            )
    for course in courses():
        loaded = await seen.connection.fetchrow(
            # Other versions may stand beside this release's.
            "select version, content_hash from public.courses where slug = $1 order by version = $2 desc limit 1",
            course.slug,
            course.version,
        )
        if loaded is None:
            found.append(wrong(f"course {course.slug} is missing", SEED))
        elif loaded["content_hash"] != content_hash(course):
            found.append(
                wrong(
                    f"course {course.slug} is not what this release brings: version {loaded['version']} is loaded,"
                    f" {course.version} is in the files",
                    SEED,
                )
            )
    return found or [ok(f"{len(plants)} plants, one of them the default; the course is loaded")]
