"""The people that tests are about, and a way to act as one of them inside a transaction that is rolled back.

ana   associate, Columbus, enrolled in hazmat and in outside    bo    associate, Phoenix, enrolled in hazmat
max   manager of Columbus                                       mia   manager of Phoenix and Dallas, works in Phoenix
hana  HR of the company                                         hugo  HR of Columbus
dev   dev admin                                                 dora  dev admin
sue   suspended associate, Columbus, enrolled in hazmat         sam   suspended HR of the company
ina   associate of Closed, an inactive plant                    nora  an account without profile
cal   associate, Columbus, not enrolled in anything

Courses: hazmat (real content), outside (published, no content here), draft (not published).
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast
from uuid import UUID

import asyncpg
import msgspec

from specchem.db.database import Database
from specchem.db.refusals import FAULTS, translate
from specchem.db.session import Asker, Connection, Db, Identity, Pool, prepare

PLANT_OF = {
    "ana": "Columbus, OH", "cal": "Columbus, OH", "bo": "Phoenix, AZ", "max": "Columbus, OH", "mia": "Phoenix, AZ",
    "hana": "Seattle, WA", "hugo": "Columbus, OH", "dev": "Columbus, OH", "dora": "Denver, CO",
    "sue": "Columbus, OH", "sam": "Columbus, OH", "ina": "Closed, NV", "nora": None,
}  # fmt: skip
ROLES = [
    ("max", "plant_manager", "Columbus, OH"), ("mia", "plant_manager", "Phoenix, AZ"),
    ("mia", "plant_manager", "Dallas, TX"), ("hana", "hr_admin", None), ("hugo", "hr_admin", "Columbus, OH"),
    ("dev", "dev_admin", None), ("dora", "dev_admin", None), ("sam", "hr_admin", None),
]  # fmt: skip
ENROLLED = [("ana", "hazmat"), ("ana", "outside"), ("bo", "hazmat"), ("sue", "hazmat")]
SLUGS = {"hazmat": "function-specific-hazmat", "outside": "outside", "draft": "draft"}


@dataclass(frozen=True)
class _Lent:
    """A pool of one connection that is somebody else's."""

    connection: Connection

    @asynccontextmanager
    async def acquire(self, timeout: float = 0) -> AsyncIterator[Connection]:  # noqa: ASYNC109  as the driver's
        yield self.connection


def lent(connection: Connection) -> Pool:
    """A pool of this connection alone, which stays open."""
    return cast(Pool, _Lent(connection))


@dataclass(frozen=True)
class World:
    """Who and what there is, by name, and (inside a test's transaction) a way to act."""

    person: dict[str, UUID]
    plant: dict[str, UUID]
    course: dict[str, UUID]
    # Of hazmat: (section, question) → the right choices, in the course's order; sections without questions.
    answers: dict[tuple[str, str], list[str]]
    plain_sections: list[str]
    connection: "asyncpg.Connection[asyncpg.Record] | None" = field(default=None, compare=False)

    def at(self, connection: "asyncpg.Connection[asyncpg.Record]") -> "World":
        return replace(self, connection=connection)

    def identity(self, name: str) -> Identity:
        return Identity(self.person[name])

    @asynccontextmanager
    async def acting(self, name: str) -> AsyncIterator[Db]:
        """As acting_as, but inside the test's transaction: a savepoint, kept unless it fails."""
        async with self.role("authenticated", self.identity(name).claims) as db:
            yield db

    @asynccontextmanager
    async def asking(self, name: str) -> AsyncIterator[Asker]:
        """As a request of one statement, but inside the test's transaction."""
        async with self.role("specchem_api") as db:
            yield Asker(lent(db.connection), self.identity(name))

    @asynccontextmanager
    async def role(self, role: str, claims: str = "") -> AsyncIterator[Db]:
        """As a database role: anon, service_role, postgres (the owner), supabase_auth_admin …"""
        assert self.connection is not None
        try:
            async with self.connection.transaction():
                path = "auth" if role == "supabase_auth_admin" else '"$user", public'
                await self.connection.execute(
                    "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true),"
                    " set_config('search_path', $3, true)",
                    role, claims, path,
                )  # fmt: skip
                yield Db(self.connection)
                await self.connection.execute(
                    "reset role; reset request.jwt.claims; reset search_path; set constraints all immediate"
                )
        except FAULTS as error:
            raise translate(error) from error

    async def owner(self, sql: str, *values: object) -> Any:
        """One statement as the owner; its first value."""
        async with self.role("postgres") as db:
            return await db.value(sql, *values)


def right(world: World, section: str, question: str) -> dict[str, Any]:
    """The right answer, as an event's fields."""
    return _answer(world, section, question, world.answers[section, question])


def wrong(world: World, section: str, question: str) -> dict[str, Any]:
    """A wrong answer: one choice that is not (all of) the right ones."""
    correct = world.answers[section, question]
    return _answer(world, section, question, ["a"] if correct != ["a"] else ["b"])


def _answer(world: World, section: str, question: str, choices: list[str]) -> dict[str, Any]:
    return {
        "course_id": world.course["hazmat"], "section_key": section, "question_key": question,
        "response_meta": {"choices": choices},
    }  # fmt: skip


async def populate(database: Database) -> World:
    """Make the people, as the auth service and the owner would."""
    owner = await asyncpg.connect(database.owner)
    auth = await asyncpg.connect(database.auth)
    await prepare(owner)
    await prepare(auth)
    try:
        await owner.execute(
            "insert into plants (name, timezone) values ('Closed, NV', 'America/Los_Angeles')"
        )
        await owner.execute(
            "insert into courses (slug, title, is_published) values"
            " ('outside', 'Outside Player', true), ('draft', 'Draft Course', false)"
        )
        plants = {row["name"]: row["id"] for row in await owner.fetch("select name, id from plants")}
        slugs = {row["slug"]: row["id"] for row in await owner.fetch("select slug, id from courses")}
        courses = {name: slugs[slug] for name, slug in SLUGS.items()}
        people: dict[str, UUID] = {}
        for number, (name, plant) in enumerate(PLANT_OF.items(), start=1):
            people[name] = UUID(int=(0xA0 << 120) | number)
            if plant is not None:
                await owner.execute(
                    "insert into invitations (email, plant_id, first_name, last_name, job_title)"
                    " values ($1, $2, $3, 'Test', 'Operator')",
                    f"{name}@example.com", plants[plant], name.capitalize(),
                )  # fmt: skip
            email = f"{name}@example.com" if plant else None
            await auth.execute(
                "insert into auth.users (id, aud, role, email, email_confirmed_at, raw_user_meta_data)"
                " values ($1, 'authenticated', 'authenticated', $2, now(), $3)",
                people[name], email, {},
            )  # fmt: skip
        for name, role, plant in ROLES:
            await owner.execute(
                "insert into admin_roles (user_id, role, plant_id) values ($1, $2, $3)",
                people[name], role, plants[plant] if plant else None,
            )  # fmt: skip
        for name, course in ENROLLED:
            await owner.execute(
                "insert into enrollments (user_id, course_id) values ($1, $2)", people[name], courses[course]
            )
        await owner.execute(
            "update profiles set status = 'suspended' where id = any($1)", [people["sue"], people["sam"]]
        )
        await owner.execute("update plants set is_active = false where name = 'Closed, NV'")
        keys = await owner.fetch(
            """
            select k.section_key, k.question_key, k.correct from answer_keys k
            join sections s on s.course_id = k.course_id and s.key = k.section_key
            join questions q on q.course_id = k.course_id and q.section_key = k.section_key and q.key = k.question_key
            where k.course_id = $1 order by s.position, q.position""",
            courses["hazmat"],
        )
        plain = await owner.fetch(
            """
            select s.key from sections s where s.course_id = $1 and not exists (
                select from questions q where q.course_id = s.course_id and q.section_key = s.key)
            order by s.position""",
            courses["hazmat"],
        )
    finally:
        await owner.close()
        await auth.close()
    return World(
        people, plants, courses,
        {(row["section_key"], row["question_key"]): row["correct"] for row in keys},
        [row["key"] for row in plain],
    )  # fmt: skip


def as_json(value: Any) -> Any:
    """What a client would see of a struct."""
    return json.loads(msgspec.json.encode(value))
