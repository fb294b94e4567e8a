"""Sign-up, the reports, and what is counted from the record."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import asyncpg

from specchem.db.database import AUTH
from specchem.db.session import Connection, Db, Identity, looking
from specchem.doctor.findings import Said, cannot_tell, ok, wrong
from specchem.doctor.seen import Seen
from specchem.enrollments.operations import get_enrollment_stats
from specchem.errors import SpecChemError
from specchem.events.operations import get_question_difficulty
from specchem.isolation.cast import Cast
from specchem.reporting import operations as reporting

PATIENCE = "2min"  # for a recount, which reads every answer
SHOWN = 5
SIGN_UP = (
    "insert into users (id, aud, role, email, email_confirmed_at)"
    " values ($1, 'authenticated', 'authenticated', $2, now())"
)


async def sign_up(seen: Seen) -> list[Said]:
    """A new account gets its profile, as Supabase Auth makes it: with auth on the search path and nothing else."""
    if unready := seen.unready():
        return unready
    try:
        lands = await _signed_up(seen.connection)
    except asyncpg.PostgresError as error:
        return [seen.failed(f"signing up fails ({error.sqlstate})", "See the trigger on auth.users.")]
    if lands is not None:
        return [seen.failed(lands, "See the trigger on auth.users.")]
    # On Supabase that login is the platform's, and a wrong password may get this machine locked out.
    if seen.settings.supabase_url is None:
        try:
            async with looking(seen.where.auth) as auth:
                await auth.execute("set local search_path = auth")
                await auth.execute(SIGN_UP, uuid4(), f"{uuid4()}@example.com")
        except (asyncpg.InvalidAuthorizationSpecificationError, OSError):
            pass
        except asyncpg.PostgresError as error:
            return [seen.failed(f"signing up as {AUTH} fails ({error.sqlstate})", f"See what {AUTH} may do.")]
        else:
            return [ok(f"whoever signs up, invited or not, gets their profile; tried as {AUTH}, rolled back")]
    return [
        ok(
            f"whoever signs up, invited or not, gets their profile; tried as the owner: {AUTH}'s login is not ours"
        )
    ]


async def _signed_up(connection: Connection) -> str | None:
    """Sign up by invitation and without; what is wrong with where they landed, or None."""
    plants = await connection.fetch(
        "select id, is_default from public.plants where is_active order by is_default"
    )
    if not plants:
        return "nobody can be signed up: no plant is open"
    default = next((row["id"] for row in plants if row["is_default"]), None)
    invited, alone = uuid4(), uuid4()
    await connection.execute(
        "insert into public.invitations (email, plant_id, first_name, last_name) values ($1, $2, 'Doctor', 'Proof')",
        f"{invited}@example.com", plants[0]["id"],
    )  # fmt: skip
    path = await connection.fetchval("select current_setting('search_path')")
    await connection.execute("set local search_path = auth")
    for account in (invited, alone):
        await connection.execute(SIGN_UP, account, f"{account}@example.com")
    await connection.execute("select set_config('search_path', $1, true)", path)
    rows = await connection.fetch(
        "select id, plant_id from public.profiles where id = any($1)", [invited, alone]
    )
    lands = {row["id"]: row["plant_id"] for row in rows}
    if lands.get(invited) != plants[0]["id"]:
        return "whoever was invited does not get into the plant they were invited to"
    if lands.get(alone) != default:
        return "whoever signs up without an invitation does not get into the default plant"
    return None


@asynccontextmanager
async def _acting(connection: Connection, person: UUID) -> AsyncIterator[Db]:
    """As a person inside the owner's transaction."""
    path = await connection.fetchval("select current_setting('search_path')")
    await connection.execute(
        "select set_config('search_path', 'public, pg_temp', true), set_config('request.jwt.claims', $1, true),"
        " set_config('role', 'authenticated', true)",
        Identity(person).claims,
    )
    yield Db(connection)
    await connection.execute(
        "select set_config('role', 'none', true), set_config('request.jwt.claims', '', true),"
        " set_config('search_path', $1, true)",
        path,
    )


async def run_reports(connection: Connection, cast: Cast) -> list[Said]:
    """Every report as HR, on the people of the proof; what does not run or says something else than the record."""
    plant, course, person = cast.plant["A"], cast.course["quiz"], cast.person["associate"]
    enrolled: int = await connection.fetchval(
        "select count(*) from public.enrollments e join public.profiles p on p.id = e.user_id and p.status = 'active'"
        " where e.plant_id = $1 and e.course_id = $2",
        plant, course,
    )  # fmt: skip
    answers: int = await connection.fetchval(
        "select count(*) from public.question_events where plant_id = $1 and course_id = $2", plant, course
    )

    async def rate(db: Db) -> bool:
        return (await reporting.get_plant_completion_rate(db, plant, course)).total_enrolled == enrolled

    async def summary(db: Db) -> bool:
        rows = await reporting.get_plant_progress_summary(db, plant)
        return [row.total_enrolled for row in rows] == [enrolled]

    async def missed(db: Db) -> bool:
        rows = await reporting.get_most_missed_questions(db, plant, course)
        return [row.total_attempts for row in rows] == [answers]

    async def activity(db: Db) -> bool:
        return [row.activity.answers for row in await reporting.get_user_activity_summary(db, person)] == [1]

    async def company(db: Db) -> bool:
        rows = await reporting.get_org_wide_completion_stats(db)
        return [row.total_enrollments for row in rows if row.plant.id == plant] == [enrolled]

    async def learners(db: Db) -> bool:
        return len(await reporting.get_plant_learners(db, plant, course)) == enrolled

    async def stats(db: Db) -> bool:
        return (await get_enrollment_stats(db, plant, course)).total == enrolled

    async def difficulty(db: Db) -> bool:
        rows = await get_question_difficulty(db, plant, course)
        return [row.total_attempts for row in rows] == [answers]

    reports: dict[str, Callable[[Db], Awaitable[bool]]] = {
        "get_plant_completion_rate": rate, "get_plant_progress_summary": summary,
        "get_most_missed_questions": missed, "get_user_activity_summary": activity,
        "get_org_wide_completion_stats": company, "get_plant_learners": learners,
        "get_enrollment_stats": stats, "get_question_difficulty": difficulty,
    }  # fmt: skip
    found = []
    for name, report in reports.items():
        savepoint = connection.transaction()
        await savepoint.start()
        try:
            async with _acting(connection, cast.person["HR"]) as db:
                agrees = await report(db)
        except (asyncpg.PostgresError, SpecChemError):
            found.append(wrong(f"report {name} does not run", "See the views and functions it reads."))
        else:
            if not agrees:
                found.append(
                    wrong(
                        f"report {name} says something else than the record", "Run `specchem report verify`."
                    )
                )
        finally:
            await savepoint.rollback()
    return found or [ok(f"{len(reports)} reports ran as HR, and say what the record says")]


async def reports(seen: Seen) -> list[Said]:
    """Every report runs."""
    if not seen.reports:
        return [cannot_tell('not tried: see "RLS policies validated"')]
    return [seen.failed(one.found, one.todo) if one.state == "wrong" else one for one in seen.reports]


async def enrollments(seen: Seen) -> list[Said]:
    """Completion is counted as it is."""
    return await _recounted(
        seen, "completion_differences", "completion",
        "select count(*) || ' enrollments, ' || count(*) filter (where enrolled_at > now() - interval '30 days')"
        " || ' of them in the last 30 days' from public.enrollments",
    )  # fmt: skip


async def events(seen: Seen) -> list[Said]:
    """Answers are counted as they are."""
    return await _recounted(
        seen, "counter_differences", "answers",
        "select count(*) || ' answers in the last day' from public.question_events"
        " where answered_at > now() - interval '1 day'",
    )  # fmt: skip


async def _recounted(seen: Seen, view: str, what: str, volume: str) -> list[Said]:
    if unready := seen.unready():
        return unready
    try:
        await seen.connection.execute(f"set local statement_timeout = '{PATIENCE}'")
        rows = await seen.connection.fetch(f"select * from app.{view}")  # noqa: S608  our own names
        found = await seen.connection.fetchval(volume)
    except asyncpg.QueryCanceledError:
        return [cannot_tell(f"recounting takes more than {PATIENCE}", "Run `specchem report verify`.")]
    except asyncpg.PostgresError as error:
        return [seen.failed(f"{what} cannot be recounted ({error.sqlstate})", "")]
    if not rows:
        return [ok(f"the counters of {what} agree with the record; {found}")]
    todo = "Count them anew: docs/operating.md, Doctor. `specchem report verify` lists them all."
    told = [
        wrong(
            f"the counters of {what} are wrong for plant {row['plant_id']}, course {row['course_id']}"
            + (f", question {row['question_key']} of {row['section_key']}" if "question_key" in row else "")
            + f": {_unlike(row)}",
            todo,
        )
        for row in rows[:SHOWN]
    ]
    if len(rows) > SHOWN:
        told.append(wrong(f"{len(rows) - SHOWN:,} more counters of {what} are wrong", todo))
    return told


def _unlike(row: asyncpg.Record) -> str:
    counted, recounted = row["counted"] or {}, row["recounted"] or {}
    return ", ".join(
        f"{name} counted {counted.get(name, 0)}, recounted {recounted.get(name, 0)}"
        for name in (recounted or counted)
        if not name.endswith(("_id", "_key")) and counted.get(name, 0) != recounted.get(name, 0)
    )
