"""Demo people: six plants, some 240 people with varied history, and five accounts whose password is known.

Made through the operations that serve real people, each acting as themselves; the same every time. Interrupted,
the next start goes on where it stopped. Never mixed with real people.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID, uuid5

import asyncpg

from specchem.auth.service.accounts import create_account
from specchem.courses.operations import get_course_content
from specchem.courses.schemas import CourseContent, QuestionOut
from specchem.db.database import Database
from specchem.db.session import Connection, Identity, Pool, acting_as, open_pool, prepare
from specchem.enrollments.operations import create_enrollment
from specchem.enrollments.schemas import CreateEnrollment
from specchem.errors import Conflict, Stopped
from specchem.events.operations import record_activity_event, record_question_events
from specchem.events.schemas import CreateActivityEvent, CreateQuestionEvent
from specchem.people.creation import NewPerson, create_person
from specchem.seed import PLANTS

PASSWORD = "demo-password"  # noqa: S105  known on purpose, and only ever on loopback
MARK = {"demo": True}
COURSE = "function-specific-hazmat"
PER_PLANT = 40
NAMESPACE = UUID("7b1c1f6e-9a53-4d0e-8f43-5b0f3c1de5a0")

ACCOUNTS = [
    NewPerson(email="hr@example.com", plant="Columbus, OH", first_name="Hannah", last_name="Reyes",
              job_title="HR Director", role="hr_admin"),
    NewPerson(email="manager@example.com", plant="Columbus, OH", first_name="Marcus", last_name="Lindqvist",
              job_title="Plant Manager", role="plant_manager", role_plant="Columbus, OH"),
    NewPerson(email="dev@example.com", plant="Columbus, OH", first_name="Devika", last_name="Rao",
              job_title="Systems Engineer", role="dev_admin"),
    NewPerson(email="associate@example.com", plant="Columbus, OH", first_name="Alma", last_name="Soto",
              job_title="Drum Filler"),
    # The last to be made: once this account is there, the demo is whole.
    NewPerson(email="suspended@example.com", plant="Columbus, OH", first_name="Sam", last_name="Okafor",
              job_title="Tank Farm Operator"),
]  # fmt: skip
HR, LAST = ACCOUNTS[0], ACCOUNTS[-1]

FIRST = """
    Ada Ben Carla Dmitri Elena Farid Grace Hugo Ines Jamal Keiko Luis Mara Nils Olga Pavel Quinn Rosa Tariq Uma
    Victor Wanda Xavier Yusuf Zoe
""".split()  # noqa: SIM905  read by people
LAST_NAMES = """
    Alvarez Brandt Castillo Dawson Eriksen Fontaine Garcia Hughes Ivanov Jackson Kowalski Lambert Mendez Novak
    Ortiz Petrov Quintero Ramirez Schultz Tran Underwood Vasquez Whitfield Young Zimmer
""".split()  # noqa: SIM905
JOBS = [
    "Drum Filler", "Forklift Driver", "Shipping Clerk", "Tank-Truck Loader", "Warehouse Associate", "Lab Technician",
    "Batch Operator", "Receiving Clerk", "Maintenance Mechanic",
]  # fmt: skip


@dataclass(frozen=True)
class Worker:
    """A demo person and how far they get: a share of the questions, 0 to 1; None for not enrolled."""

    person: NewPerson
    reach: float | None


def accounts_in_words() -> list[str]:
    """What is printed at start."""
    width = max(len(person.email) for person in ACCOUNTS)
    lines = [
        f"  {person.email:<{width}}  {person.first_name} {person.last_name}, {person.job_title}"
        for person in sorted(ACCOUNTS, key=lambda one: one.email)
    ]
    return [f"Demo accounts, password {PASSWORD}:", *lines]


async def make_demo(where: Database, say: Callable[[str], None]) -> None:
    """Make what is missing of the demo. Raises Stopped where the database holds real people."""
    owner = await asyncpg.connect(where.owner)
    pool = await open_pool(where.api, 4)
    try:
        await prepare(owner)
        if await owner.fetchval(
            "select exists (select from auth.users where (raw_app_meta_data @> $1) is not true)", MARK
        ):
            raise Stopped(
                "This database holds real people, and demo people are never mixed with them:"
                " serve without --demo, or choose another SPECCHEM_DATA_DIR."
            )
        if await _account(owner, LAST) is None:
            say("Making demo people: six plants, some 240 people and what they did (ten seconds or so, once)")
            await _make(owner, pool, say)
    finally:
        await pool.close()
        await owner.close()


async def refuse_demo(owner: Connection) -> None:
    """Raises Stopped where demo people live: a real person among them would stop the next `serve --demo`."""
    if await owner.fetchval("select exists (select from auth.users where raw_app_meta_data @> $1)", MARK):
        raise Stopped(
            "This database holds demo people, and real people are never mixed with them:"
            " choose another SPECCHEM_DATA_DIR or SPECCHEM_DATABASE_URL."
        )


async def _make(owner: Connection, pool: Pool, say: Callable[[str], None]) -> None:
    people = {person.email: await _ensure(owner, person, PASSWORD) for person in ACCOUNTS[:-1]}
    hr = Identity(people[HR.email])
    async with acting_as(pool, hr) as db:
        course = await get_course_content(db, COURSE)
    keys = await _answer_keys(owner, course.id)
    workers = [
        *_workers(),
        *(Worker(person, 0.35 if "associate" in person.email else 1) for person in ACCOUNTS[1:4]),
    ]

    async def live(worker: Worker, account: UUID) -> None:
        if worker.reach is not None:
            await _enroll(pool, hr, account, course.id)
            await _take(pool, Identity(account), course, keys, worker)

    for start in range(0, len(workers), 60):
        some = workers[start : start + 60]
        accounts = [await _ensure(owner, worker.person, None) for worker in some]
        # At once, as many as the pool has connections; each is one transaction, and none waits for another's.
        await asyncio.gather(*map(live, some, accounts))
        say(f"  {start + len(some)} of {len(workers)} people")
    async with owner.transaction():
        last = await create_person(owner, LAST, lambda: create_account(owner, LAST.email, PASSWORD, MARK))
        # In the same transaction, because the account says that the demo is whole.
        await owner.execute("update profiles set status = 'suspended' where id = $1", last)


async def _ensure(owner: Connection, person: NewPerson, password: str | None) -> UUID:
    found = await _account(owner, person)
    if found is not None:
        return found
    async with owner.transaction():
        return await create_person(owner, person, lambda: create_account(owner, person.email, password, MARK))


async def _account(owner: Connection, person: NewPerson) -> UUID | None:
    found: UUID | None = await owner.fetchval("select id from auth.users where email = $1", person.email)
    return found


async def _answer_keys(owner: Connection, course: UUID) -> dict[tuple[str, str], list[str]]:
    rows = await owner.fetch(
        "select section_key, question_key, correct from answer_keys where course_id = $1", course
    )
    return {(row["section_key"], row["question_key"]): row["correct"] for row in rows}


async def _enroll(pool: Pool, hr: Identity, account: UUID, course: UUID) -> None:
    try:
        async with acting_as(pool, hr) as db:
            await create_enrollment(db, CreateEnrollment(user_id=account, course_id=course))
    except Conflict:
        return  # enrolled before the last start was interrupted


def _workers() -> list[Worker]:
    """Each plant's people; plants differ in how far they are."""
    chance = Random("workers")  # noqa: S311  invented people, the same every time
    workers = []
    for plant_number, plant in enumerate(PLANTS):
        for number in range(PER_PLANT - (len(ACCOUNTS) if plant_number == 0 else 0)):
            first, last = chance.choice(FIRST), chance.choice(LAST_NAMES)
            slug = plant.split(",")[0].lower()
            person = NewPerson(
                email=f"{first}.{last}.{number}@{slug}.example.com".lower(),
                plant=plant, first_name=first, last_name=last, job_title=chance.choice(JOBS),
            )  # fmt: skip
            done = 0.75 - 0.09 * plant_number
            roll = chance.random()
            reach = 1.0 if roll < done else round(chance.uniform(0.05, 0.9), 2) if roll < 0.85 else 0.0
            workers.append(Worker(person, None if roll > 0.96 else reach))
    return workers


async def _take(
    pool: Pool, me: Identity, course: CourseContent, keys: dict[tuple[str, str], list[str]], worker: Worker
) -> None:
    """Read and answer, as far as this person gets, within the last four weeks."""
    if not worker.reach:
        return
    chance = Random(worker.person.email)  # noqa: S311
    # Dates are relative to today; ids are not, so that a second run finds the same events.
    moment = datetime.now(UTC) - timedelta(days=chance.uniform(1, 27), hours=4)
    total = len(keys)
    answers: list[CreateQuestionEvent] = []
    async with acting_as(pool, me) as db:
        for section in course.sections:
            if len(answers) and len({answer.question_key for answer in answers}) >= worker.reach * total:
                break
            moment += timedelta(minutes=chance.uniform(2, 6))
            await record_activity_event(
                db, me.user_id,
                CreateActivityEvent(
                    id=_id(worker, section.key, 0), course_id=course.id, event_type="view_section",
                    meta={"section_key": section.key}, occurred_at=moment,
                ),
            )  # fmt: skip
            for question in section.questions:
                if len({answer.question_key for answer in answers}) >= worker.reach * total:
                    break
                for attempt, choices in enumerate(
                    _attempts(chance, question, keys[section.key, question.key])
                ):
                    moment += timedelta(seconds=chance.uniform(10, 50))
                    answers.append(
                        CreateQuestionEvent(
                            id=_id(worker, f"{section.key}/{question.key}", attempt), course_id=course.id,
                            section_key=section.key, question_key=question.key,
                            response_meta={"choices": choices}, answered_at=moment,
                        )
                    )  # fmt: skip
        for start in range(0, len(answers), 500):
            await record_question_events(db, me.user_id, answers[start : start + 500])


def _attempts(chance: Random, question: QuestionOut, correct: list[str]) -> list[list[str]]:
    """Wrong answers, as many as the question is hard, then the right one."""
    hardness = Random(question.key).uniform(0.03, 0.45)  # noqa: S311
    attempts: list[list[str]] = []
    while chance.random() < hardness and len(attempts) < 3:
        others = [choice.key for choice in question.choices if choice.key not in correct]
        attempts.append([chance.choice(others)])
    return [*attempts, correct]


def _id(worker: Worker, what: str, attempt: int) -> UUID:
    return uuid5(NAMESPACE, f"{worker.person.email} {what} {attempt}")
