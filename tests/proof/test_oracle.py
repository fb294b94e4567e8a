"""The oracle: random organisations live random histories, in the database and in a model of plain Python.

After each step every person must see the same rows in both, and every report must say the same.
"""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeVar
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
Operation: TypeAlias = Callable[..., Awaitable[object]]  # of a Db and what it needs

FIXED_SEED = 49_172_704
RANDOM_SEED = int(os.environ.get("ORACLE_SEED") or secrets.randbelow(2**32))
MOST_PEOPLE = 10
LONG_AGO = 31 * 24 * 60

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
OUTSIDE_QUESTIONS = [Question(section, key, "xy", "x") for section in ("one", "two") for key in "ab"]

DAYS = "extract(day from now() - {})"
QUESTION = "section_key, question_key"
COLUMNS = {
    "plants": "id, is_active",
    "profiles": "id, plant_id, status",
    "admin_roles": "user_id, role, plant_id",
    "courses": "id, is_published",
    "sections": "course_id, key",
    "questions": "course_id, section_key, key",
    "question_choices": f"course_id, {QUESTION}, key",
    "answer_keys": f"course_id, {QUESTION}",
    "enrollments": f"user_id, course_id, plant_id, status, {DAYS.format('enrolled_at')}, {DAYS.format('completed_at')}",
    "progress": "user_id, course_id, plant_id, progress_percent, current_section, "
    + DAYS.format("last_active_at"),
    "question_events": f"id, user_id, course_id, plant_id, {QUESTION}, is_correct, attempt_index, evidence",
    "activity_events": "user_id, course_id, plant_id, event_type, meta ->> 'section_key'",
    # One connection writes one shard, so there is one row for each question.
    "question_counters": f"plant_id, course_id, {QUESTION}, attempts, wrong, first_attempts, people",
}
DIFFERENCES = dict.fromkeys(("app.counter_differences", "app.completion_differences"), "recounted, counted")


def rows_of(columns: dict[str, str]) -> str:
    """Every row that the asker may read, of every table; one statement, so that it is one trip."""
    parts = [
        f"'{name}', (select jsonb_agg(jsonb_build_array({of})) from {name})" for name, of in columns.items()
    ]
    return f"select jsonb_build_object({', '.join(parts)})"


# Two texts, so that PostgreSQL keeps a plan of each: with policies and, for the superuser, without.
ROWS, ALL_ROWS = rows_of(COLUMNS), rows_of(COLUMNS | DIFFERENCES)
A_DAY_PASSES = """
set local session_replication_role = replica;
update enrollments set
    enrolled_at = enrolled_at - interval '24 hours', completed_at = completed_at - interval '24 hours';
update progress set last_active_at = last_active_at - interval '24 hours';
set local session_replication_role = origin;
"""


class Report(NamedTuple):
    """A report, as the model tells it and as the database is asked for it."""

    told: Callable[[], object]
    operation: Operation
    ids: Sequence[UUID] = ()


# After these Hypothesis would go on with variations of them; new ones find more.
A_FEW_HISTORIES = settings(
    max_examples=9,
    stateful_step_count=51,  # the first is the beginning
    database=None,
    deadline=None,
    # Shrinking takes minutes: only for who repeats a seed.
    phases=[Phase.generate, *([Phase.shrink] if "ORACLE_SEED" in os.environ else [])],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
# What happens how often. One rule draws from them, because Hypothesis leaves half of its rules out of each history:
# without enrollments or answers there is little to compare.
VERBS = {
    "answers": 8, "views": 4, "marks": 3, "steps": 2, "is_enrolled": 3, "is_changed": 4, "is_promoted": 2,
    "is_demoted": 1, "signs_up": 1, "gets_a_profile": 1, "a_plant_closes_or_reopens": 2,
    "a_course_is_published_or_withdrawn": 2, "a_day_passes": 2,
}  # fmt: skip
HOT: tuple[Operation, ...] = (progress.mark_progress, events.record_question_events)
OF_A_COURSE: list[tuple[Callable[[Company, Person, Plant, Course], object], Operation]] = [
    (Company.completion_rate, reporting.get_plant_completion_rate),
    (Company.enrollment_stats, enrollments.get_enrollment_stats),
    (Company.difficulty, events.get_question_difficulty),
    (Company.most_missed, reporting.get_most_missed_questions),
    (Company.learners, reporting.get_plant_learners),
]


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
    put, of = connection.executemany, course.id
    await put(
        "insert into courses (id, slug, title, is_published) values ($1, $2, $2, $3)",
        [(of, course.name, course.is_published)],
    )
    await put(
        "insert into sections values ($1, $2, $3, $2, 'Text')",
        [(of, key, n) for n, key in enumerate(course.sections)],
    )
    await put(
        "insert into questions values ($1, $2, $3, $4, $3, $5)",
        [(of, q.section, q.key, n, len(q.right) > 1) for n, q in enumerate(course.questions)],
    )
    await put(
        "insert into question_choices values ($1, $2, $3, $4, $5, $4)",
        [(of, q.section, q.key, choice, n) for q in course.questions for n, choice in enumerate(q.choices)],
    )
    await put(
        "insert into answer_keys values ($1, $2, $3, $4, 'Because', 'Rule')",
        [(of, q.section, q.key, list(q.right)) for q in course.questions],
    )


def outcome(told: Callable[[], object]) -> Any:
    """What the model says, or the kind of its refusal."""
    try:
        return plain(told())
    except SpecChemError as refusal:
        return type(refusal)


async def refusal(db: Db, report: Report) -> object:
    """How the database refuses a report, or else what it says."""
    try:
        async with db.attempt():
            return await report.operation(db, *report.ids)
    except SpecChemError as refused:
        return type(refused)


async def turned(db: Db, table: str, column: str, row: UUID, to: bool) -> None:
    """Set a flag, as a client of the tables would."""
    if await db.run(f"update {table} set {column} = $2 where id = $1", row, to) == "UPDATE 0":
        raise NotFound("not theirs")


def plain(value: Any) -> Any:
    """As JSON would have it, but for times and refusals."""
    return value if isinstance(value, type) else msgspec.to_builtins(value, builtin_types=(datetime,))


def sent_role(role: Role) -> AdminRole:
    return AdminRole.model_validate({"role": role[0], "plant_id": role[1] and role[1].id})


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
    """Enrollments of one day come in the order of their ids, which the model does not know."""
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
        self.enrollment_ids: dict[tuple[Person, Course], UUID] = {}
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

    @property
    def hr(self) -> list[Person]:
        return [person for person in self.company.people if person.is_hr]

    def step(
        self,
        actor: Person | None,
        words: str,
        told: Callable[[], object],
        operation: Operation,
        *sent: object,
    ) -> Any:
        """Do it in the model and in the database, as a person or as the server; the same must come of it."""
        said = outcome(told)
        note(f"{actor or 'the server'} {words} → {said}")
        found = self.run(self.tried(actor, operation, *sent))
        shown = like(said, found, self.now)
        assert shown == said, f"{words}: {shown}, not {said}"
        return found

    async def tried(self, actor: Person | None, operation: Operation, *sent: object) -> Any:
        try:
            if actor and actor.is_here and operation in HOT:  # as such a request comes in: one statement
                async with self.world.asking(actor.name) as asker:
                    return plain(await operation(asker, *sent))
            async with self.world.acting(actor.name) if actor else self.world.role("service_role") as db:
                return plain(await operation(db, *sent))
        except SpecChemError as refused:
            return type(refused)

    def choose(self, data: st.DataObject, label: str, likely: Sequence[T], anyone: Sequence[T]) -> T:
        """One of these, four times of five one of the likely, so that much is tried and much succeeds."""
        pool = [*likely] * (4 * len(anyone) // len(likely) + 1 if likely else 0)
        return data.draw(st.sampled_from([*pool, *anyone]), label)

    def a_role(self, data: st.DataObject) -> Role:
        scoped = [(role, plant) for role in ("plant_manager", "hr_admin") for plant in self.company.plants]
        return data.draw(st.sampled_from([*scoped, HR, DEV]), "role")

    def a_way(self, data: st.DataObject) -> tuple[Person, Person, Course]:
        """Who acts, whose course it is, and which; mostly one that is under way."""
        ways = [way for way in self.company.enrollments if way[0].is_here and way[1].is_published]
        ways += [way for way in ways if self.company.enrollments[way].status != "enrolled"] * 3
        anyones = [(person, course) for person in self.everyone for course in self.company.courses]
        learner, course = self.choose(data, "learner and course", ways, anyones)
        return self.choose(data, "actor", [learner] * 4, self.everyone), learner, course

    # ------------------------------------------------------------ the beginning

    @initialize(data=st.data())
    def begins(self, data: st.DataObject) -> None:
        default = data.draw(st.booleans(), "is there a default plant")
        for n in range(data.draw(st.integers(2, 4), "plants")):
            self.company.plants.append(Plant(self.fresh_id(), f"Plant {n}", is_default=default and n == 0))
        rows = [(plant.id, plant.name, plant.is_default) for plant in self.company.plants]
        self.run(
            self.stage.connection.executemany(
                "insert into plants (id, name, is_default) values ($1, $2, $3)", rows
            )
        )
        roles: list[Role | None] = [HR, DEV, None, None]
        roles += [self.a_role(data) for _ in range(data.draw(st.integers(0, 3), "more roles"))]
        for role in roles:
            self.sign_up(data.draw(st.sampled_from(self.company.plants), "plant"), role)
        for whom in self.company.people:
            for course in self.company.courses[: data.draw(st.sampled_from([1, 0, 2]), "takes")]:
                self.enroll(self.company.people[0], whom, course, None)

    def sign_up(self, invited_to: Plant | None, role: Role | None) -> None:
        person = self.somebody(chr(ord("a") + len(self.company.people)))
        person.has_account = True
        self.company.sign_up(person, invited_to, role)
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

    # ------------------------------------------------------------ what happens

    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        self.stage.steps += 1
        full = len(self.company.people) == MOST_PEOPLE
        verbs = [
            verb for verb, times in VERBS.items() for _ in range(times) if verb != "signs_up" or not full
        ]
        getattr(self, data.draw(st.sampled_from(verbs), "what"))(data)

    def a_day_passes(self, _: st.DataObject) -> None:
        # One transaction has one now(), so the record grows older instead.
        self.company.today += 1
        self.run(self.stage.connection.execute(A_DAY_PASSES))

    def a_plant_closes_or_reopens(self, data: st.DataObject) -> None:
        closed = [plant for plant in self.company.plants if not plant.is_open]
        plant = self.choose(data, "plant", closed, self.company.plants)
        actor, to = self.choose(data, "actor", [None, *self.hr], self.everyone), not plant.is_open
        told = partial(self.company.set_open, actor, plant, to)
        words = f"{'reopens' if to else 'closes'} {plant}"
        self.step(actor, words, told, turned, "plants", "is_active", plant.id, to)

    def a_course_is_published_or_withdrawn(self, data: st.DataObject) -> None:
        withdrawn = [course for course in self.company.courses if not course.is_published]
        course = self.choose(data, "course", withdrawn, self.company.courses)
        able = [person for person in self.company.people if person.is_dev]
        actor, to = self.choose(data, "actor", [None, *able], self.everyone), not course.is_published
        told = partial(self.company.set_published, actor, course, to)
        words = f"{'publishes' if to else 'withdraws'} {course}"
        self.step(actor, words, told, turned, "courses", "is_published", course.id, to)

    def signs_up(self, data: st.DataObject) -> None:
        plant = data.draw(st.sampled_from([*self.company.plants, None, None]), "invited to")
        self.sign_up(plant, self.a_role(data) if data.draw(st.booleans(), "with a role") else None)

    def gets_a_profile(self, data: st.DataObject) -> None:
        actor = self.choose(data, "actor", self.hr, self.everyone)
        waiting = [person for person in self.company.people if person.plant is NOWHERE]
        whom = self.choose(data, "whom", waiting, self.everyone)
        plant = data.draw(st.sampled_from(self.company.plants), "plant")
        status = data.draw(st.sampled_from(["active", "suspended"]), "status")
        new = CreateProfile.model_validate({
            "id": whom.id, "plant_id": plant.id, "first_name": whom.name, "last_name": whom.last_name,
            "email": f"{whom.name}@example.com", "status": status,
        })  # fmt: skip
        told = partial(self.company.create_profile, actor, whom, plant, status)
        self.step(actor, f"gives {whom} a profile in {plant}, {status}", told, people.create_profile, new)

    def is_changed(self, data: st.DataObject) -> None:
        actor = self.choose(data, "actor", self.hr, self.everyone)
        learners = [
            person for person in self.company.people if any(a.person is person for a in self.company.answers)
        ]
        whom = self.choose(data, "whom", learners, self.everyone)
        plant = data.draw(st.sampled_from([whom.plant, whom.plant, *self.company.plants]), "plant")
        status = data.draw(st.sampled_from([whom.status, "active", "active", "suspended"]), "status")
        fields = {"plant_id": None if plant is whom.plant else plant.id, "status": status}
        change = UpdateProfile.model_validate({key: value for key, value in fields.items() if value})
        told = partial(self.company.update_profile, actor, whom, plant, status)
        self.step(actor, f"puts {whom} into {plant}, {status}", told, people.update_profile, whom.id, change)

    def is_promoted(self, data: st.DataObject) -> None:
        actor, whom, role = self.an_appointment(data, [])
        told = partial(self.company.assign_admin_role, actor, whom, role)
        self.step(actor, f"makes {whom} {role}", told, people.assign_admin_role, whom.id, sent_role(role))

    def is_demoted(self, data: st.DataObject) -> None:
        held = [(person, role) for person in self.company.people for role in sorted(person.roles, key=repr)]
        actor, whom, role = self.an_appointment(data, held)
        told = partial(self.company.revoke_admin_role, actor, whom, role)
        self.step(
            actor, f"makes {whom} no longer {role}", told, people.revoke_admin_role, whom.id, sent_role(role)
        )

    def an_appointment(
        self, data: st.DataObject, likely: list[tuple[Person, Role]]
    ) -> tuple[Person, Person, Role]:
        role = self.a_role(data)
        # The suspended more often, who keep their roles and get none.
        anyones = self.everyone + [person for person in self.company.people if not person.is_here] * 3
        whom, role = self.choose(data, "whom, as what", likely, [(person, role) for person in anyones])
        able = [person for person in self.company.people if person.may_appoint(whom, role)]
        return self.choose(data, "actor", [*able, whom], self.everyone), whom, role

    def is_enrolled(self, data: st.DataObject) -> None:
        anyones = [(person, course) for person in self.everyone for course in self.company.courses]
        fresh = [way for way in anyones if way not in self.company.enrollments]
        fresh += [way for way in fresh if way[0].is_here and way[1].is_published] * 3
        whom, course = self.choose(data, "whom, in what", fresh, anyones)
        able = [person for person in self.company.people if whom.plant in self.company.looks_after(person)]
        actor = self.choose(data, "actor", [*able, whom], self.everyone)
        self.enroll(
            actor, whom, course, self.choose(data, "plant", [None], [whom.plant, *self.company.plants])
        )

    def enroll(self, actor: Person, whom: Person, course: Course, plant: Plant | None) -> None:
        new = CreateEnrollment(user_id=whom.id, course_id=course.id, plant_id=plant.id if plant else None)
        told = partial(self.company.create_enrollment, actor, whom, course, plant)
        made = self.step(
            actor, f"enrolls {whom} in {course}, {plant}", told, enrollments.create_enrollment, new
        )
        if isinstance(made, dict):
            self.enrollment_ids[whom, course] = UUID(made["id"])

    def marks(self, data: st.DataObject) -> None:
        actor, learner, course = self.a_way(data)
        percent = data.draw(st.sampled_from([None, 0, 1, 25, 33, 50, 75, 99, 100]), "percent")
        sections = ["one", "two", "none"] if percent is None else [None, "one", "two", "none"]
        section = data.draw(st.sampled_from(sections), "section")
        mark = MarkProgress(progress_percent=percent, current_section=section)
        told = partial(self.company.mark_progress, actor, learner, course, percent, section)
        words = f"marks {percent} %, {section}, in {learner}'s {course}"
        self.step(actor, words, told, progress.mark_progress, learner.id, course.id, mark)

    def steps(self, data: st.DataObject) -> None:
        actor, learner, course = self.a_way(data)
        status = data.draw(st.sampled_from(["in_progress", "completed"]), "status")
        change = UpdateEnrollment.model_validate({"status": status})
        key = self.enrollment_ids.get((learner, course)) or self.fresh_id()
        told = partial(self.company.update_enrollment, actor, learner, course, status)
        self.step(
            actor, f"makes {learner}'s {course} {status}", told, enrollments.update_enrollment, key, change
        )

    def answers(self, data: st.DataObject) -> None:
        actor, learner, course = self.a_way(data)
        asked = course.questions or OUTSIDE_QUESTIONS
        thorough = data.draw(st.sampled_from([False, False, True]), "everything, and right")
        count = len(asked) if thorough else data.draw(st.integers(1, 6), "how many")
        # No two at the same minute: which of those was the latest, nobody could say.
        forwards, backwards, stale = range(count, 0, -1), range(count), range(LONG_AGO + count, LONG_AGO, -1)
        minutes = data.draw(st.sampled_from([*[forwards, backwards] * 4, stale]), "minutes ago")
        batch: list[Sent] = []
        for n, ago in enumerate(minutes):
            known = [a.sent for a in self.company.answers_of(learner, course) or self.company.answers] + batch
            right = self.right(course, asked[n % len(asked)], ago)
            batch.append(right if thorough else self.an_answer(data, course, known, ago))
        sent = [
            CreateQuestionEvent(
                id=one.id, course_id=course.id, section_key=one.about[0], question_key=one.about[1],
                is_correct=one.is_correct, response_meta={"choices": list(one.choices)},
                answered_at=self.now - timedelta(minutes=one.minutes_ago),
            )
            for one in batch
        ]  # fmt: skip
        told = partial(self.company.record_question_events, actor, learner, course, batch)
        words = f"answers in {learner}'s {course}: {batch}"
        self.step(actor, words, told, events.record_question_events, learner.id, sent)

    def right(self, course: Course, question: Question, minutes_ago: int) -> Sent:
        said = None if course.sections else True
        return Sent(self.fresh_id(), question[:2], tuple(question.right), said, minutes_ago)

    def an_answer(self, data: st.DataObject, course: Course, known: list[Sent], minutes_ago: int) -> Sent:
        question = data.draw(st.sampled_from(course.questions or OUTSIDE_QUESTIONS), "question")
        answer = self.right(course, question, minutes_ago)
        retries = ["again", "again", "taken id"] if known else []
        way = data.draw(st.sampled_from(["right"] * 14 + ["guessed"] * 10 + ["odd", *retries]), "an answer")
        if way == "again":
            return data.draw(st.sampled_from(known), "which")
        if way == "taken id":
            return answer._replace(id=data.draw(st.sampled_from(known), "whose").id)
        if way == "guessed":
            choice = data.draw(st.sampled_from(question.choices), "choice")
            said = answer.is_correct and choice == question.right
            return answer._replace(choices=(choice,), is_correct=said)
        if way == "odd":
            about = data.draw(st.sampled_from([answer.about, ("two", "zz")]), "question")
            choices = data.draw(st.lists(st.sampled_from([*question.choices, "q"]), max_size=3), "choices")
            return answer._replace(about=about, choices=tuple(choices), is_correct=None)
        return answer

    def views(self, data: st.DataObject) -> None:
        """Or says that the course is started or completed."""
        actor, learner, course = self.a_way(data)
        kind = data.draw(st.sampled_from(["view_section"] * 4 + ["start_course", "complete_course"]), "kind")
        sections = ["two", "two", "one", "none", None] if kind == "view_section" else [None]
        section = data.draw(st.sampled_from(sections), "section")
        taken = [activity.id for activity in self.company.activities if activity.id]
        key = self.choose(data, "id", [self.fresh_id()], taken)
        meta = {"section_key": section} if section else None
        fields = {"id": key, "course_id": course.id, "event_type": kind, "meta": meta}
        event = CreateActivityEvent.model_validate(fields)
        told = partial(self.company.record_activity_event, actor, learner, course, kind, section, key)
        words = f"says {kind} {section} in {learner}'s {course}"
        self.step(actor, words, told, events.record_activity_event, learner.id, event)

    # ------------------------------------------------------------ what is compared after each step

    @invariant()
    def everybody_sees_the_same(self) -> None:
        self.run(self.compare())
        self.turn += 1

    async def compare(self) -> None:
        truth = {**self.company.visible(None), **{name: [] for name in DIFFERENCES}}
        wrong = difference(plain(truth), await self.stage.connection.fetchval(ALL_ROWS))
        assert not wrong, f"there is {wrong}"
        due = self.due()
        async with self.world.role("authenticated") as db:
            for person in self.everyone:
                claims = self.world.identity(person.name).claims
                await db.run("select set_config('request.jwt.claims', $1, true)", claims)
                wrong = difference(plain(self.company.visible(person)), await db.value(ROWS))
                assert not wrong, f"{person} sees {wrong}"
                for report in due[person]:
                    await self.compare_report(db, person, report)

    async def compare_report(self, db: Db, viewer: Person, report: Report) -> None:
        said = outcome(report.told)
        found = await (refusal(db, report) if isinstance(said, type) else report.operation(db, *report.ids))
        shown, said = in_order(like(said, plain(found), self.now)), in_order(said)
        assert shown == said, f"{viewer} is told {shown}, not {said}"

    def due(self) -> dict[Person, list[Report]]:
        """Who asks for what now: each report is asked for by one who may, one of each kind by one who may not."""
        company, everyone = self.company, self.everyone
        due: dict[Person, list[Report]] = {person: [] for person in everyone}
        for plant in company.plants:
            insider, outsider = self.two(p for p in everyone if plant in company.looks_after(p))
            for viewer in insider:
                due[viewer] += self.reports(viewer, plant)
            for viewer in outsider:
                reports = self.reports(viewer, plant)
                due[viewer].append(reports[self.turn % len(reports)])
        for whom in everyone:
            insider, outsider = self.two(p for p in everyone if company.sees(p, whom, whom.plant))
            for viewer in insider + outsider:
                summary = partial(company.activity_summary, viewer, whom)
                due[viewer].append(Report(summary, reporting.get_user_activity_summary, [whom.id]))
        insider, outsider = self.two(p for p in everyone if company.looks_after(p))
        for viewer in insider + outsider:
            org_wide = partial(company.org_wide, viewer)
            due[viewer].append(Report(org_wide, reporting.get_org_wide_completion_stats))
        return due

    def two(self, may: Iterable[Person]) -> tuple[list[Person], list[Person]]:
        """One who may and one who may not, others after each step, or nobody where there are none."""
        insiders = list(may)
        outsiders = [person for person in self.everyone if person not in insiders]
        return self.whose_turn(insiders), self.whose_turn(outsiders)

    def whose_turn(self, pool: list[Person]) -> list[Person]:
        return [pool[self.turn % len(pool)]] if pool else []

    def reports(self, viewer: Person, plant: Plant) -> list[Report]:
        """Every report of a plant, as somebody asks for it."""
        company = self.company
        rate = partial(company.completion_rate, viewer, plant, None)
        summary = partial(company.progress_summary, viewer, plant)
        return [
            Report(rate, reporting.get_plant_completion_rate, [plant.id]),
            Report(summary, reporting.get_plant_progress_summary, [plant.id]),
        ] + [
            Report(partial(told, company, viewer, plant, course), operation, [plant.id, course.id])
            for course in company.courses for told, operation in OF_A_COURSE
        ]  # fmt: skip


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
    [(FIXED_SEED, 10_000 if LONG else 900), (RANDOM_SEED, 3_000 if LONG else 400)],
    ids=["fixed", "random"],
)
def test_the_database_does_what_the_model_does(
    stage: Stage, capsys: pytest.CaptureFixture[str], seed: int, steps: int
) -> None:
    """A failure prints its seed; with that as ORACLE_SEED, the random one, the shortest history that shows it."""
    History.stage = stage
    with capsys.disabled():
        print(f"\noracle: seed {seed}", end="", flush=True)
    while stage.steps < steps:
        run_state_machine_as_test(hypothesis.seed(seed + stage.histories)(History), settings=A_FEW_HISTORIES)
    with capsys.disabled():
        print(f", {stage.steps} steps in {stage.histories} histories", flush=True)
