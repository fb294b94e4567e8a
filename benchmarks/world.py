"""A company to measure in: plants, people, enrollments, progress, answers. Loaded past the triggers, counted after."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from specchem.db import upgrade
from specchem.db.database import Database
from specchem.db.session import Connection, connected
from specchem.seed import seed

CHUNK = 250_000  # rows in one statement
ASKING = 500  # people whose turn it is: so many that hardly two requests at once are one person's
PLAIN = ("outside-one", "outside-two")  # courses without questions here, beside the seeded one

# Person n of 1..people works in plant (n - 1) / size; the first of a plant is its manager, the second of all is HR.
PERSON = "('b0000000-0000-4000-8000-' || lpad(({n})::text, 12, '0'))::uuid"
PLANT = "('a0000000-0000-4000-8000-' || lpad(({n})::text, 12, '0'))::uuid"


@dataclass(frozen=True)
class World:
    """How large it is, and the ids that the statements need."""

    plants: int
    size: int  # people in a plant
    hazmat: UUID
    plain: UUID

    @property
    def people(self) -> int:
        """In all plants."""
        return self.plants * self.size

    @property
    def asking(self) -> list[int]:
        """The people who ask, from all over the company; managers and HR are not among them."""
        return [3 + number * self.stride for number in range(min(ASKING, self.people - 3))]

    @property
    def stride(self) -> int:
        """How far apart those are; not a multiple of the plant's size, whose first is the manager."""
        return max(1, (self.people - 3) // ASKING) | 1


def person(number: int) -> UUID:
    """The id of person ``number``, from 1."""
    return UUID(f"b0000000-0000-4000-8000-{number:012d}")


def plant(number: int) -> UUID:
    """The id of plant ``number``, from 1."""
    return UUID(f"a0000000-0000-4000-8000-{number:012d}")


async def make(where: Database, plants: int, size: int, events: int, say: Callable[[str], None]) -> World:
    """A world from nothing."""
    await upgrade.supply_platform(where.platform)
    await upgrade.upgrade(where.owner)
    await seed(where.owner)
    async with connected(where.platform) as connection:
        # The database's own rules are for what comes later; all of this is made to keep them.
        await connection.execute("set session_replication_role = replica; set synchronous_commit = off")
        people = plants * size
        await connection.execute(
            f"""
            insert into plants (id, name, timezone)
            select {PLANT.format(n="n")}, 'Plant ' || lpad(n::text, 4, '0'), 'America/New_York'
            from generate_series(1, {plants}) n;
            insert into courses (slug, title, is_published)
            select s, initcap(s), true from unnest('{{{",".join(PLAIN)}}}'::text[]) s;
            insert into auth.users (id, email, email_confirmed_at, raw_app_meta_data, raw_user_meta_data, created_at)
            select {PERSON.format(n="n")}, 'person' || n || '@example.com', now(), '{{}}', '{{}}', now()
            from generate_series(1, {people}) n;
            -- Each person's one session, by the person's own id.
            insert into auth.sessions (id, user_id, created_at, updated_at, aal)
            select id, id, now(), now(), 'aal1' from auth.users;
            insert into profiles (id, plant_id, first_name, last_name, email, job_title)
            select {PERSON.format(n="n")}, {PLANT.format(n=f"(n - 1) / {size} + 1")},
                'First ' || n, 'Last ' || n, 'person' || n || '@example.com', 'Operator'
            from generate_series(1, {people}) n;
            insert into admin_roles (user_id, role, plant_id)
            select p.id, 'plant_manager', p.plant_id from generate_series(1, {people}, {size}) n
            join profiles p on p.id = {PERSON.format(n="n")};
            insert into admin_roles (user_id, role) values ({PERSON.format(n="2")}, 'hr_admin');
            insert into enrollments (user_id, course_id, plant_id, status, enrolled_at, completed_at)
            select p.id, c.id, p.plant_id, s.status::enrollment_status, now() - interval '400 days',
                case when s.status = 'completed' then now() - interval '200 days' end
            from profiles p cross join courses c cross join lateral (
                select case when c.slug = '{PLAIN[1]}' and abs(hashtext(p.id::text)) % 100 < 70 then 'completed'
                    else 'in_progress' end) as s (status);
            insert into progress (user_id, course_id, plant_id, progress_percent, current_section)
            select e.user_id, e.course_id, e.plant_id,
                case when e.status = 'completed' then 100 else 40 end, null
            from enrollments e;
            """
        )
        hazmat = await connection.fetchval("select id from courses where slug = 'function-specific-hazmat'")
        plain = await connection.fetchval("select id from courses where slug = $1", PLAIN[0])
    world = World(plants, size, hazmat, plain)
    await grow(where, world, 0, events, say)
    return world


async def grow(where: Database, world: World, before: int, events: int, say: Callable[[str], None]) -> None:
    """Add answers ``before`` + 1 to ``events``: everybody's turn after turn, through the course's questions.

    Then the counters are counted anew, over sixteen shards as years of writers leave them.
    """
    async with connected(where.platform) as connection:
        await connection.execute("set session_replication_role = replica; set synchronous_commit = off")
        questions = await connection.fetchval(
            "select count(*) from questions where course_id = $1", world.hazmat
        )
        for start in range(before, events, CHUNK):
            end = min(start + CHUNK, events)
            # Answer i is person n = (i mod people)'s; their k-th is question n + k, or its next attempt: so that all
            # questions are answered in a plant, however few answers there are.
            await connection.execute(
                f"""
                insert into question_events (user_id, course_id, plant_id, section_key, question_key, is_correct,
                    attempt_index, evidence, response_meta, answered_at, created_at)
                select {PERSON.format(n="w.n")}, '{world.hazmat}', {PLANT.format(n=f"(w.n - 1) / {world.size} + 1")},
                    q.section_key, q.key, abs(hashint8(w.i)) % 100 < 80, w.k / {questions} + 1,
                    'server_graded', '{{"choices": ["a"]}}', t.at, t.at
                from (select i, i % {world.people} + 1 as n, i / {world.people} as k
                      from generate_series({start}::bigint, {end - 1}) i) as w
                join (select *, row_number() over (order by section_key, key) - 1 as place from questions
                      where course_id = '{world.hazmat}') q on q.place = (w.n + w.k) % {questions}
                cross join lateral (select now() - interval '600 days' + w.i * interval '1 second' as at) t
                on conflict do nothing  -- somebody has answered meanwhile
                """
            )
            if end == events or (end // CHUNK) % 8 == 0:
                say(f"  {end:,} answers")
        await count(connection)
        await connection.execute("vacuum (analyze)")
        await connection.execute("checkpoint")


async def count(connection: Connection) -> None:
    """Count the counters anew, each person in a shard of their own."""
    await connection.execute(
        """
        truncate question_counters;
        insert into question_counters
            (plant_id, course_id, section_key, question_key, shard, attempts, wrong, first_attempts, people)
        select plant_id, course_id, section_key, question_key, hashtext(user_id::text) & 15, count(*),
            count(*) filter (where not is_correct), count(*) filter (where attempt_index = 1), count(distinct user_id)
        from question_events group by 1, 2, 3, 4, 5;
        truncate completion_counters;
        insert into completion_counters (plant_id, course_id, shard, enrolled, in_progress, completed, progress_sum)
        select e.plant_id, e.course_id, hashtext(e.user_id::text) & 15, count(*),
            count(*) filter (where e.status = 'in_progress'), count(*) filter (where e.status = 'completed'),
            coalesce(sum(g.progress_percent), 0)
        from enrollments e join profiles p on p.id = e.user_id and p.status = 'active'
        left join progress g on g.user_id = e.user_id and g.course_id = e.course_id group by 1, 2, 3"""
    )
