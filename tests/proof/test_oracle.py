"""The oracle: random organisations live random histories, in the database and in a model of plain Python.

After each step every person must see the same rows in both, and every report must say the same. To repeat a
history that was found: ORACLE_SEED=<the seed that was printed>.
"""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, ClassVar, TypeAlias, TypeVar
from uuid import UUID

import asyncpg
import hypothesis
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from specchem.db import upgrade
from specchem.db.database import Database
from specchem.db.session import Connection, Db, connected, prepare
from specchem.enrollments import operations as enrollments
from specchem.enrollments.schemas import CreateEnrollment, UpdateEnrollment
from specchem.errors import NotFound, SpecChemError
from specchem.events import operations as events
from specchem.events.schemas import CreateActivityEvent, CreateQuestionEvent
from specchem.people import operations as people
from specchem.people.schemas import AdminRole, CreateProfile, UpdateProfile
from specchem.progress import operations as progress
from specchem.progress.schemas import MarkProgress
from specchem.reporting import operations as reporting
from tests.conftest import Cluster
from tests.proof.conftest import LONG
from tests.proof.model import DEV, HR, NOWHERE, Company, Course, Person, Plant, Question, Role, Sent
from tests.world import World

T = TypeVar("T")

FIXED_SEED = 49_172_704
RANDOM_SEED = int(os.environ.get("ORACLE_SEED") or secrets.randbelow(2**32))
STEPS_EACH = 50
MOST_PEOPLE = 10

DRUMS = Course(
    UUID(int=0xC1), "drums", True, ("one", "two", "three"),
    [Question("one", "a", "xyz", "x"), Question("one", "b", "xyz", "xz"), Question("three", "a", "xy", "y")],
)  # fmt: skip
OUTSIDE = Course(UUID(int=0xC2), "outside", True)
DRAFT = Course(
    UUID(int=0xC3),
    "draft",
    False,
    ("one", "two"),
    [Question("one", "a", "xy", "y"), Question("one", "b", "xyz", "yz")],
)
COURSES = (DRUMS, OUTSIDE, DRAFT)

# Every row that the asker may read, of every table; one statement, so that it is one trip.
ROWS = """
select jsonb_build_object(
    'plants', (select jsonb_agg(jsonb_build_array(id, is_active)) from plants),
    'profiles', (select jsonb_agg(jsonb_build_array(id, plant_id, status)) from profiles),
    'admin_roles', (select jsonb_agg(jsonb_build_array(user_id, role, plant_id)) from admin_roles),
    'courses', (select jsonb_agg(jsonb_build_array(id, is_published)) from courses),
    'sections', (select jsonb_agg(jsonb_build_array(course_id, key)) from sections),
    'questions', (select jsonb_agg(jsonb_build_array(course_id, section_key, key)) from questions),
    'question_choices', (
        select jsonb_agg(jsonb_build_array(course_id, section_key, question_key, key)) from question_choices),
    'answer_keys', (select jsonb_agg(jsonb_build_array(course_id, section_key, question_key)) from answer_keys),
    'enrollments', (
        select jsonb_agg(jsonb_build_array(user_id, course_id, plant_id, status,
            extract(day from now() - enrolled_at), extract(day from now() - completed_at))) from enrollments),
    'progress', (
        select jsonb_agg(jsonb_build_array(user_id, course_id, plant_id, progress_percent, current_section,
            extract(day from now() - last_active_at))) from progress),
    'question_events', (
        select jsonb_agg(jsonb_build_array(id, user_id, course_id, plant_id, section_key, question_key, is_correct,
            attempt_index, evidence)) from question_events),
    'activity_events', (
        select jsonb_agg(jsonb_build_array(user_id, course_id, plant_id, event_type, meta ->> 'section_key'))
        from activity_events),
    'question_counters', (
        select jsonb_agg(jsonb_build_array(c.plant_id, c.course_id, c.section_key, c.question_key,
            c.attempts, c.wrong, c.first_attempts, c.people))
        from (
            select plant_id, course_id, section_key, question_key, sum(attempts) as attempts, sum(wrong) as wrong,
                sum(first_attempts) as first_attempts, sum(people) as people
            from question_counters group by plant_id, course_id, section_key, question_key) as c))
"""
# Another text, so that its plan is another: the superuser's, without policies.
ALL_ROWS = (
    f"{ROWS.rstrip()[:-1]}, 'differences', (select jsonb_agg(to_jsonb(d)) from app.counter_differences as d))"
)
A_DAY_PASSES = """
set local session_replication_role = replica;
update enrollments set
    enrolled_at = enrolled_at - interval '24 hours', completed_at = completed_at - interval '24 hours';
update progress set last_active_at = last_active_at - interval '24 hours';
set local session_replication_role = origin;
"""

Report: TypeAlias = tuple[
    Callable[[], object], Callable[[Db], Awaitable[object]]
]  # in the model, in the database


@dataclass
class Stage:
    """Where histories are played: a database, the loop that talks to it, and how far it has come."""

    loop: asyncio.Runner
    connection: "asyncpg.Connection[asyncpg.Record]"
    histories: int = 0
    steps: int = 0


async def empty_company(cluster: Cluster) -> Database:
    """A database with the courses in it and nothing else."""
    database = await cluster.empty()
    await upgrade.supply_platform(database.platform)
    await upgrade.upgrade(database.owner)
    async with connected(database.platform) as connection:
        for course in COURSES:
            await write_course(connection, course)
    return database


async def write_course(connection: Connection, course: Course) -> None:
    await connection.execute(
        "insert into courses (id, slug, title, is_published) values ($1, $2, $2, $3)",
        course.id, course.slug, course.is_published,
    )  # fmt: skip
    for n, key in enumerate(course.sections):
        await connection.execute("insert into sections values ($1, $2, $3, $2, 'Text')", course.id, key, n)
    for n, q in enumerate(course.questions):
        await connection.execute(
            "insert into questions values ($1, $2, $3, $4, $3, $5)",
            course.id,
            q.section,
            q.key,
            n,
            len(q.right) > 1,
        )
        for m, choice in enumerate(q.choices):
            await connection.execute(
                "insert into question_choices values ($1, $2, $3, $4, $5, $4)",
                course.id,
                q.section,
                q.key,
                choice,
                m,
            )
        await connection.execute(
            "insert into answer_keys values ($1, $2, $3, $4, 'Because', 'Rule')",
            course.id, q.section, q.key, list(q.right),
        )  # fmt: skip


def outcome(told: Callable[[], object]) -> Any:
    """What the model says, or the kind of its refusal."""
    try:
        return plain(told())
    except SpecChemError as refusal:
        return type(refusal)


async def refused(db: Db, asked: Callable[[Db], Awaitable[object]]) -> Any:
    """The kind of the database's refusal, or else what it says."""
    try:
        async with db.attempt():
            return await asked(db)
    except SpecChemError as refusal:
        return type(refusal)


async def changed(db: Db, sql: str, *values: object) -> None:
    """Change a row, as a client of the tables would."""
    if await db.value(sql, *values) is None:
        raise NotFound("not theirs")


def plain(value: Any) -> Any:
    """As JSON would have it, but for times and refusals."""
    return value if isinstance(value, type) else msgspec.to_builtins(value, builtin_types=(datetime,))


def like(said: Any, found: Any, now: datetime) -> Any:
    """What was found, with no more fields than were said, and times in days ago."""
    if isinstance(said, dict) and isinstance(found, dict):
        return {key: like(said[key], found[key], now) for key in said}
    if isinstance(said, list) and isinstance(found, list) and len(said) == len(found):
        return [like(one, other, now) for one, other in zip(said, found, strict=True)]
    return (now - found).days if isinstance(found, datetime) else found


def difference(said: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """The rows of each table that only one of the two has."""
    result = {}
    for table, rows in said.items():
        model, database = sorted(map(repr, rows)), sorted(map(repr, found[table] or []))
        if model != database:
            only_model = [row for row in model if model.count(row) > database.count(row)]
            only_database = [row for row in database if database.count(row) > model.count(row)]
            result[table] = {"only the model": only_model, "only the database": only_database}
    return result


def in_order(rows: Any) -> Any:
    """Enrolments of one day come in the order of their ids, which the model does not know."""
    if not isinstance(rows, list) or not rows or "enrollment" not in rows[0]:
        return rows
    return [
        sorted(day, key=repr) for _, day in groupby(rows, key=lambda row: row["enrollment"]["enrolled_at"])
    ]


class History(RuleBasedStateMachine):
    """One organisation's history, in a transaction that is rolled back."""

    stage: ClassVar[Stage]

    def __init__(self) -> None:
        super().__init__()
        self.stage.histories += 1
        self.run = self.stage.loop.run
        self.turn = self.ids = 0
        self.company = Company([], [replace(course) for course in COURSES])
        self.world = World({}, {}, {}, {}, [], self.stage.connection)
        self.stranger = self.somebody("zz")
        self.enrolment_ids: dict[tuple[Person, Course], UUID] = {}
        self.transaction = self.stage.connection.transaction()
        self.run(self.transaction.start())
        self.now: datetime = self.run(self.stage.connection.fetchval("select now()"))

    def teardown(self) -> None:
        self.run(self.transaction.rollback())

    # ------------------------------------------------------------ how a step is made

    def fresh_id(self) -> UUID:
        self.ids += 1
        return UUID(int=self.ids)

    def somebody(self, name: str) -> Person:
        person = Person(self.fresh_id(), name, "Ames" if self.ids % 2 else "Boone")
        self.world.person[name] = person.id
        return person

    @property
    def everyone(self) -> list[Person]:
        return [*self.company.people, self.stranger]

    def step(
        self,
        words: str,
        actor: Person | None,
        told: Callable[[], object],
        asked: Callable[[Db], Awaitable[object]],
    ) -> Any:
        """Do it in the model and in the database, as a person or as the server; the same must come of it."""
        said = outcome(told)
        note(f"{actor or 'the server'} {words} → {said}")
        found = self.run(self.tried(actor, asked))
        assert like(said, found, self.now) == said, words
        return found

    async def tried(self, actor: Person | None, asked: Callable[[Db], Awaitable[object]]) -> Any:
        door = self.world.acting(actor.name) if actor else self.world.role("service_role")
        try:
            async with door as db:
                return plain(await asked(db))
        except SpecChemError as refusal:
            return type(refusal)

    def choose(self, data: st.DataObject, label: str, likely: Sequence[T], anyone: Sequence[T]) -> T:
        """One of these, every other time one of the likely, so that much is tried and much succeeds."""
        return data.draw(st.one_of([st.sampled_from(pool) for pool in (likely, anyone) if pool]), label)

    def a_role(self, data: st.DataObject) -> Role:
        scoped = [(role, plant) for role in ("plant_manager", "hr_admin") for plant in self.company.plants]
        return data.draw(st.sampled_from([*scoped, HR, DEV]), "role")

    def a_way(self, data: st.DataObject) -> tuple[Person, Person, Course]:
        """Who acts, whose course it is, and which."""
        ways = [way for way in self.company.enrolments if way[0].is_here and way[1].is_published]
        anyones = [(person, course) for person in self.everyone for course in self.company.courses]
        learner, course = self.choose(data, "learner and course", ways * 3, [*ways, *anyones])
        return self.choose(data, "actor", [learner] * 9, self.everyone), learner, course

    # ------------------------------------------------------------ people

    @initialize(data=st.data())
    def begins(self, data: st.DataObject) -> None:
        default = data.draw(st.booleans(), "is there a default plant")
        for n in range(data.draw(st.integers(2, 4), "plants")):
            self.company.plants.append(Plant(self.fresh_id(), f"Plant {n}", is_default=default and n == 0))
        self.run(
            self.stage.connection.executemany(
                "insert into plants (id, name, is_default) values ($1, $2, $3)",
                [(plant.id, plant.name, plant.is_default) for plant in self.company.plants],
            )
        )
        roles: list[Role | None] = [HR, DEV, None, None]
        roles += [self.a_role(data) for _ in range(data.draw(st.integers(0, 3), "more roles"))]
        for role in roles:
            self.sign_up(data.draw(st.sampled_from(self.company.plants), "plant"), role)
        for whom in self.company.people:
            for course in data.draw(
                st.lists(st.sampled_from(self.company.courses), max_size=2, unique=True), "takes"
            ):
                self.enrol(self.company.people[0], whom, course, None)

    def sign_up(self, invited_to: Plant | None, role: Role | None) -> None:
        person = self.somebody(chr(ord("a") + len(self.company.people)))
        person.has_account = True
        self.company.sign_up(person, invited_to, role if invited_to else None)
        note(f"{person} signs up, invited to {invited_to} as {role}")
        self.run(self.sign_up_there(person, invited_to, role or (None, None)))

    async def sign_up_there(
        self, person: Person, plant: Plant | None, role: tuple[str | None, Plant | None]
    ) -> None:
        email = f"{person.name}@example.com"
        if plant is not None:
            await self.world.owner(
                "insert into invitations (email, plant_id, first_name, last_name, role, role_plant_id)"
                " values ($1, $2, $3, $4, $5, $6)",
                email, plant.id, person.name, person.last_name, role[0], role[1] and role[1].id,
            )  # fmt: skip
        async with self.world.role("supabase_auth_admin") as auth:
            await auth.run(
                "insert into auth.users (id, aud, role, email, email_confirmed_at, raw_user_meta_data)"
                " values ($1, 'authenticated', 'authenticated', $2, now(), $3)",
                person.id, email, {"first_name": person.name, "last_name": person.last_name},
            )  # fmt: skip

    @precondition(lambda self: len(self.company.people) < MOST_PEOPLE)
    @rule(data=st.data())
    def signs_up(self, data: st.DataObject) -> None:
        plant = data.draw(st.sampled_from([*self.company.plants, None]), "invited to")
        self.sign_up(plant, self.a_role(data) if data.draw(st.booleans(), "with a role") else None)

    def hr(self) -> list[Person]:
        return [person for person in self.company.people if person.is_hr]

    @rule(data=st.data())
    def gives_a_profile(self, data: st.DataObject) -> None:
        actor = self.choose(data, "actor", self.hr(), self.everyone)
        waiting = [person for person in self.company.people if person.plant is NOWHERE]
        whom = self.choose(data, "whom", waiting, self.everyone)
        plant = data.draw(st.sampled_from(self.company.plants), "plant")
        status = data.draw(st.sampled_from(["active", "suspended"]), "status")
        new = CreateProfile.model_validate(
            {"id": whom.id, "plant_id": plant.id, "first_name": whom.name, "last_name": whom.last_name,
             "email": f"{whom.name}@example.com", "status": status}
        )  # fmt: skip
        self.step(
            f"gives {whom} a profile in {plant}, {status}", actor,
            lambda: self.company.create_profile(actor, whom, plant, status),
            lambda db: people.create_profile(db, new),
        )  # fmt: skip

    @rule(data=st.data())
    def moves_suspends_reinstates(self, data: st.DataObject) -> None:
        actor, whom = (
            self.choose(data, "actor", self.hr(), self.everyone),
            self.choose(data, "whom", (), self.everyone),
        )
        plant = data.draw(st.sampled_from([whom.plant, *self.company.plants]), "plant")
        status = data.draw(st.sampled_from([whom.status, "active", "suspended"]), "status")
        fields = {
            "plant_id": plant.id if plant is not whom.plant else None,
            "status": status,
            "first_name": whom.name,
        }
        change = UpdateProfile.model_validate({key: value for key, value in fields.items() if value})
        self.step(
            f"puts {whom} into {plant}, {status}", actor,
            lambda: self.company.update_profile(actor, whom, plant, status),
            lambda db: people.update_profile(db, whom.id, change),
        )  # fmt: skip

    def an_appointment(
        self, data: st.DataObject, likely: Sequence[tuple[Person, Role]]
    ) -> tuple[Person, Person, Role]:
        anybody = [(person, self.a_role(data)) for person in self.everyone]
        whom, role = self.choose(data, "whom, as what", likely, anybody)
        able = [person for person in self.company.people if person.may_appoint(whom, role)]
        return self.choose(data, "actor", able, self.everyone), whom, role

    @rule(data=st.data())
    def promotes(self, data: st.DataObject) -> None:
        actor, whom, role = self.an_appointment(data, ())
        grant = AdminRole(role=role[0], plant_id=role[1] and role[1].id)
        self.step(
            f"makes {whom} {role}", actor,
            lambda: self.company.assign_admin_role(actor, whom, role),
            lambda db: people.assign_admin_role(db, whom.id, grant),
        )  # fmt: skip

    @rule(data=st.data())
    def demotes(self, data: st.DataObject) -> None:
        held = [(p, role) for p in self.company.people for role in sorted(p.roles, key=repr)]
        actor, whom, role = self.an_appointment(data, held)
        revoked = AdminRole(role=role[0], plant_id=role[1] and role[1].id)
        self.step(
            f"makes {whom} no longer {role}", actor,
            lambda: self.company.revoke_admin_role(actor, whom, role),
            lambda db: people.revoke_admin_role(db, whom.id, revoked),
        )  # fmt: skip

    @rule(data=st.data())
    def closes_or_reopens_a_plant(self, data: st.DataObject) -> None:
        closed = [plant for plant in self.company.plants if not plant.is_open]
        plant = self.choose(data, "plant", closed, self.company.plants)
        actor = self.choose(data, "actor", [None, *self.hr()], self.everyone)
        is_open = not plant.is_open
        self.step(
            f"{'reopens' if is_open else 'closes'} {plant}", actor,
            lambda: self.company.set_open(actor, plant, is_open),
            lambda db: changed(db, "update plants set is_active = $2 where id = $1 returning id", plant.id, is_open),
        )  # fmt: skip

    @rule(data=st.data())
    def publishes_or_withdraws_a_course(self, data: st.DataObject) -> None:
        withdrawn = [course for course in self.company.courses if not course.is_published]
        course = self.choose(data, "course", withdrawn, self.company.courses)
        able = [person for person in self.company.people if person.is_dev]
        actor = self.choose(data, "actor", [None, *able], self.everyone)
        is_published = not course.is_published
        self.step(
            f"{'publishes' if is_published else 'withdraws'} {course}", actor,
            lambda: self.company.set_published(actor, course, is_published),
            lambda db: changed(
                db, "update courses set is_published = $2 where id = $1 returning id", course.id, is_published
            ),
        )  # fmt: skip

    @rule()
    def a_day_passes(self) -> None:
        # One transaction has one now(), so the record grows older instead.
        self.company.today += 1
        self.run(self.stage.connection.execute(A_DAY_PASSES))
        note("a day passes")

    # ------------------------------------------------------------ training

    def enrol(self, actor: Person, whom: Person, course: Course, plant: Plant | None) -> None:
        new = CreateEnrollment(user_id=whom.id, course_id=course.id, plant_id=plant.id if plant else None)
        made = self.step(
            f"enrols {whom} in {course} of {plant}", actor,
            lambda: self.company.create_enrollment(actor, whom, course, plant),
            lambda db: enrollments.create_enrollment(db, new),
        )  # fmt: skip
        if isinstance(made, dict):
            self.enrolment_ids[whom, course] = UUID(made["id"])

    @rule(data=st.data())
    def enrols(self, data: st.DataObject) -> None:
        fresh = [
            (person, course) for person in self.company.people for course in self.company.courses
            if person.is_here and course.is_published and (person, course) not in self.company.enrolments
        ]  # fmt: skip
        anyones = [(person, course) for person in self.everyone for course in self.company.courses]
        whom, course = self.choose(data, "whom, in what", fresh, anyones)
        able = [person for person in self.company.people if whom.plant in self.company.looks_after(person)]
        plant = data.draw(st.sampled_from([None, whom.plant, *self.company.plants]), "plant")
        self.enrol(self.choose(data, "actor", able, self.everyone), whom, course, plant)

    @rule(data=st.data())
    def marks_progress(self, data: st.DataObject) -> None:
        actor, learner, course = self.a_way(data)
        marked = data.draw(st.sampled_from([None, 0, 1, 25, 33, 50, 75, 99, 100]), "percent")
        sections = ["one", "two", "nowhere"] if marked is None else [None, "one", "two", "nowhere"]
        section = data.draw(st.sampled_from(sections), "section")
        mark = MarkProgress(progress_percent=marked, current_section=section)
        self.step(
            f"marks {marked} %, {section}, in {learner}'s {course}", actor,
            lambda: self.company.mark_progress(actor, learner, course, marked, section),
            lambda db: progress.mark_progress(db, learner.id, course.id, mark),
        )  # fmt: skip

    @rule(data=st.data())
    def starts_or_completes(self, data: st.DataObject) -> None:
        actor, learner, course = self.a_way(data)
        key = self.enrolment_ids.get((learner, course)) or self.fresh_id()
        status = data.draw(st.sampled_from(["in_progress", "completed"]), "status")
        change = UpdateEnrollment.model_validate({"status": status})
        self.step(
            f"makes {learner}'s {course} {status}", actor,
            lambda: self.company.update_enrollment(actor, learner, course, status),
            lambda db: enrollments.update_enrollment(db, key, change),
        )  # fmt: skip

    def an_answer(self, data: st.DataObject, course: Course, minutes_ago: int) -> Sent:
        recorded = [answer.sent for answer in self.company.answers]
        way = data.draw(st.sampled_from(["right", "any", "any", "again", "taken"]), "answer")
        if way == "again" and recorded:
            return data.draw(st.sampled_from(recorded), "retry")

        asked = list(course.questions) or [
            Question(key, name, "xyz", "x") for key in ("one", "two") for name in "ab"
        ]
        question = data.draw(st.sampled_from([*asked, *asked, Question("two", "zz", "x", "x")]), "question")
        choices = tuple(question.right)
        if way == "any":
            choices = tuple(
                data.draw(st.lists(st.sampled_from([*question.choices, "q"]), max_size=3), "choices")
            )
        key = (
            data.draw(st.sampled_from(recorded), "id").id if way == "taken" and recorded else self.fresh_id()
        )
        is_correct = (
            None if course.sections else data.draw(st.sampled_from([True, False, False, None]), "is it right")
        )
        return Sent(key, question[:2], choices, is_correct, minutes_ago)

    @rule(data=st.data())
    def answers(self, data: st.DataObject) -> None:
        actor, learner, course = self.a_way(data)
        count = data.draw(st.integers(1, 6), "how many")
        # No two at the same minute: which of those were the latest, nobody could say.
        minutes = data.draw(
            st.sampled_from([range(count), range(count, 0, -1), [*range(1, count), 99_999]]), "minutes ago"
        )
        batch = [self.an_answer(data, course, ago) for ago in minutes]
        sent = [
            CreateQuestionEvent(
                id=one.id, course_id=course.id, section_key=one.about[0], question_key=one.about[1],
                is_correct=one.is_correct, response_meta={"choices": list(one.choices)},
                answered_at=self.now - timedelta(minutes=one.minutes_ago),
            )
            for one in batch
        ]  # fmt: skip
        self.step(
            f"answers {learner}'s {course}: {batch}", actor,
            lambda: self.company.record_question_events(actor, learner, course, batch),
            lambda db: events.record_question_events(db, learner.id, sent),
        )  # fmt: skip

    @rule(data=st.data())
    def does_something(self, data: st.DataObject) -> None:
        actor, learner, course = self.a_way(data)
        kind = data.draw(
            st.sampled_from(["view_section", "view_section", "start_course", "complete_course"]), "kind"
        )
        section = (
            data.draw(st.sampled_from(["two", "one", "nowhere", None]), "section") if kind[0] == "v" else None
        )
        taken = [activity.id for activity in self.company.activities if activity.id]
        key = self.choose(data, "id", [self.fresh_id()], taken)
        event = CreateActivityEvent.model_validate(
            {
                "id": key,
                "course_id": course.id,
                "event_type": kind,
                "meta": section and {"section_key": section},
            }
        )
        self.step(
            f"does {kind} of {section} in {learner}'s {course}", actor,
            lambda: self.company.record_activity_event(actor, learner, course, kind, section, key),
            lambda db: events.record_activity_event(db, learner.id, event),
        )  # fmt: skip

    # ------------------------------------------------------------ what is compared after each step

    @invariant()
    def everybody_sees_the_same(self) -> None:
        self.run(self.compare_rows())
        self.run(self.compare_reports())
        self.turn += 1
        self.stage.steps += 1

    async def compare_rows(self) -> None:
        truth = {**self.company.visible(None), "differences": []}
        assert not difference(plain(truth), await self.stage.connection.fetchval(ALL_ROWS))
        async with self.world.role("authenticated") as db:
            for person in self.everyone:
                claims = self.world.identity(person.name).claims()
                await db.run("select set_config('request.jwt.claims', $1, true)", claims)
                seen = difference(plain(self.company.visible(person)), await db.value(ROWS))
                assert not seen, f"what {person} sees"

    def whose_turn(self, pool: Sequence[Person]) -> list[Person]:
        """One of them, another after each step; none where there are none."""
        return [pool[self.turn % len(pool)]] if pool else []

    async def compare_reports(self) -> None:
        company, everyone = self.company, self.everyone
        for plant in company.plants:
            insiders = [person for person in everyone if plant in company.looks_after(person)]
            for viewer in self.whose_turn(insiders):
                await self.compare(viewer, self.reports(viewer, plant))
            for viewer in self.whose_turn([person for person in everyone if person not in insiders]):
                refused = self.reports(viewer, plant)
                await self.compare(viewer, [refused[self.turn % len(refused)]])
        for whom in everyone:
            insiders = [person for person in everyone if company.sees(person, whom, whom.plant)]
            for viewer in self.whose_turn(insiders) + self.whose_turn(everyone):
                await self.compare(viewer, [self.summary(viewer, whom)])
        for viewer in everyone:
            await self.compare(viewer, [self.comparison(viewer)])

    async def compare(self, viewer: Person, reports: Sequence[Report]) -> None:
        async with self.world.acting(viewer.name) as db:
            for told, asked in reports:
                said = outcome(told)
                found = await (refused(db, asked) if isinstance(said, type) else asked(db))
                found = in_order(like(said, plain(found), self.now))
                assert found == in_order(said), f"what {viewer} is told"

    def reports(self, viewer: Person, plant: Plant) -> list[Report]:
        """Every report of a plant, as somebody asks for it."""
        return [
            (
                lambda: self.company.completion_rate(viewer, plant, None),
                lambda db: reporting.get_plant_completion_rate(db, plant.id),
            ),
            (
                lambda: self.company.progress_summary(viewer, plant),
                lambda db: reporting.get_plant_progress_summary(db, plant.id),
            ),
            *(report for course in self.company.courses for report in self.reports_of(viewer, plant, course)),
        ]

    def reports_of(self, viewer: Person, plant: Plant, course: Course) -> list[Report]:
        company, of = self.company, (plant.id, course.id)
        return [
            (
                lambda: company.completion_rate(viewer, plant, course),
                lambda db: reporting.get_plant_completion_rate(db, *of),
            ),
            (
                lambda: company.enrollment_stats(viewer, plant, course),
                lambda db: enrollments.get_enrollment_stats(db, *of),
            ),
            (
                lambda: company.difficulty(viewer, plant, course),
                lambda db: events.get_question_difficulty(db, *of),
            ),
            (
                lambda: company.most_missed(viewer, plant, course),
                lambda db: reporting.get_most_missed_questions(db, *of),
            ),
            (
                lambda: company.learners(viewer, plant, course),
                lambda db: reporting.get_plant_learners(db, *of),
            ),
        ]

    def summary(self, viewer: Person, whom: Person) -> Report:
        return (
            lambda: self.company.activity_summary(viewer, whom),
            lambda db: reporting.get_user_activity_summary(db, whom.id),
        )

    def comparison(self, viewer: Person) -> Report:
        return lambda: self.company.org_wide(viewer), reporting.get_org_wide_completion_stats


@pytest.fixture
def stage(cluster: Cluster) -> Iterator[Stage]:
    # A loop of its own: Hypothesis is not asynchronous, and the tests' loop is not to be disturbed.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as loop:
        database = loop.run(empty_company(cluster))
        connection = loop.run(asyncpg.connect(database.platform))
        loop.run(prepare(connection))
        yield Stage(loop, connection)
        loop.run(connection.close())
        loop.run(cluster.drop(database))


@pytest.mark.parametrize(
    ("seed", "steps"),
    [(FIXED_SEED, 10_000 if LONG else 600), (RANDOM_SEED, 3_000 if LONG else 200)],
    ids=["fixed", "random"],
)
def test_the_database_does_what_the_model_does(
    stage: Stage, capsys: pytest.CaptureFixture[str], seed: int, steps: int
) -> None:
    History.stage = stage
    with capsys.disabled():
        print(f"\noracle: seed {seed}", end="", flush=True)
    run_state_machine_as_test(
        hypothesis.seed(seed)(History),
        settings=settings(
            max_examples=steps // STEPS_EACH + 1,
            stateful_step_count=STEPS_EACH + 1,  # the first is the beginning
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
    with capsys.disabled():
        print(f", {stage.steps} steps in {stage.histories} histories", flush=True)
    assert stage.steps >= steps
