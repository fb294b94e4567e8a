"""What each operation looks at: the shape of its plans in a company of a thousand people, and never how long it takes.

PostgreSQL tells every plan that it runs, also those inside functions, policies and triggers, with the rows that it had
in its hands (auto_explain). An operation's line below says how many rows of which table may be among them: what
belongs to the person or the plant that is asked for, however large the company is and however much it has answered.
"""

import importlib
import inspect
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

import specchem
from benchmarks.world import make, person, plant
from specchem.courses import operations as courses
from specchem.courses import versions
from specchem.courses.content import Course, Section
from specchem.courses.loading import load_course
from specchem.db.database import Database
from specchem.db.session import Connection, Db, Identity, connected, prepare
from specchem.enrollments import operations as enrollments
from specchem.enrollments.schemas import CreateEnrollment, UpdateEnrollment
from specchem.events import operations as events
from specchem.events.schemas import CreateActivityEvent, CreateQuestionEvent
from specchem.people import operations as people
from specchem.people.schemas import AdminRole, CreatePlant, CreateProfile, UpdatePlant, UpdateProfile
from specchem.progress import operations as progress
from specchem.progress.schemas import MarkProgress, UpdateProgress
from specchem.reporting import days
from specchem.reporting import operations as reporting
from specchem.vocabulary import Page
from tests.conftest import Cluster

PLANTS, SIZE = 20, 50  # and the people in each
COURSES, ANSWERS, VIEWS = 3, 40, 12  # of each person; the views are in each course
MANY = 2_000  # answers, and views, of one who left before the others came
BATCH = 20
# Five times PostgreSQL plans for the values at hand, and then it may keep one plan for all.
ROUNDS = 6

PLANT, LEARNER, BUSY = plant(3), person(120), person(5)
# Those who write are of another plant, so that the rows they leave behind dead are in no reader's way.
THEIR_PLANT, WRITER = plant(4), person(170)
WHO = {
    "learner": LEARNER, "manager": person(101), "hr": person(2), "writer": WRITER,
    "busy learner": BUSY, "their manager": person(1), "dev": person(3),
}  # fmt: skip
SLUG, ACCOUNT = "function-specific-hazmat", uuid4()
LAST = Page(limit=1)


@dataclass(frozen=True)
class Company:
    """A database with a company in it, and what is not known of it before."""

    where: Database
    hazmat: UUID
    plain: UUID  # a course without questions
    untaken: UUID  # one that nobody takes
    draft: UUID  # one that was never published
    enrollment: UUID  # the writer's in the plain course
    questions: list[tuple[str, str]]
    table_of: dict[str, str]  # by the index's name

    @property
    def section(self) -> str:
        return self.questions[0][0]

    def answers(self) -> list[CreateQuestionEvent]:
        return [
            CreateQuestionEvent(
                course_id=self.hazmat, section_key=section, question_key=question, response_meta={"choices": ["a"]}
            )
            for section, question in self.questions[:BATCH]
        ]  # fmt: skip

    def view(self) -> CreateActivityEvent:
        meta = {"section_key": self.section}
        return CreateActivityEvent(course_id=self.hazmat, event_type="view_section", meta=meta)


@pytest.fixture(scope="module")
async def company(cluster: Cluster) -> AsyncIterator[Company]:
    where = await cluster.empty()
    world = await make(where, PLANTS, SIZE, PLANTS * SIZE * ANSWERS, lambda _: None)
    async with connected(where.platform) as connection:
        await _fill(connection)
        await connection.execute("vacuum (analyze)")
        await _tell_plans(connection)
        untaken = await connection.fetchval("select id from courses where slug = 'untaken'")
        draft = await connection.fetchval("select id from courses where slug = 'draft'")
        enrollment = await connection.fetchval(
            "select id from enrollments where user_id = $1 and course_id = $2", WRITER, world.plain
        )
        questions = await connection.fetch(
            "select section_key, key from questions where not multiple order by 1, 2"
        )
        indexes = await connection.fetch(
            "select indexrelid::regclass::text, indrelid::regclass::text from pg_index"
        )
    yield Company(
        where, world.hazmat, world.plain, untaken, draft, enrollment,
        [(section, question) for section, question in questions], {row[0]: row[1] for row in indexes},
    )  # fmt: skip
    await cluster.drop(where)


async def _fill(connection: Connection) -> None:
    """Add what people did, one who did much long ago, a course that nobody takes, and an account without profile."""
    await connection.execute("set session_replication_role = replica")
    await connection.execute(
        f"""
        insert into courses (slug, title, is_published) values ('untaken', 'Untaken', true), ('draft', 'Draft', false);
        insert into admin_roles (user_id, role) values ('{person(3)}', 'dev_admin');
        insert into auth.users (id, email) values ('{ACCOUNT}', 'new@example.com');
        insert into activity_events (user_id, course_id, plant_id, event_type, occurred_at)
        select user_id, course_id, plant_id, 'start_course', enrolled_at from enrollments;
        insert into activity_events (user_id, course_id, plant_id, event_type, meta, occurred_at)
        select e.user_id, e.course_id, e.plant_id, 'view_section',
            jsonb_build_object('section_key', coalesce(s.key, 'part-' || n)),
            now() - interval '300 days' + n * interval '10 days' + e.place * interval '1 second'
        from generate_series(1, {VIEWS}) n
        cross join (select *, row_number() over (order by hashtext(id::text)) as place from enrollments) e
        left join (select *, row_number() over (order by position) as place from sections) s
            on s.course_id = e.course_id and s.place = n
        order by n, e.place;
        delete from activity_events where user_id = '{BUSY}';
        delete from question_events where user_id = '{BUSY}';
        insert into activity_events (user_id, course_id, plant_id, event_type, meta, occurred_at)
        select '{BUSY}', c.id, '{plant(1)}', 'view_section', '{{"section_key": "one"}}',
            now() - interval '800 days' + n * interval '1 minute'
        from generate_series(1, {MANY}) n join courses c on c.slug = 'outside-one';
        insert into question_events (user_id, course_id, plant_id, section_key, question_key, is_correct,
            attempt_index, evidence, answered_at)
        select '{BUSY}', c.id, '{plant(1)}', 's', 'q', true, n, 'client_asserted',
            now() - interval '800 days' + n * interval '1 minute'
        from generate_series(1, {MANY}) n join courses c on c.slug = 'outside-one';
        """
    )
    await connection.execute("set session_replication_role = origin")


async def _tell_plans(connection: Connection) -> None:
    """From the next connection on, each plan comes as a notice: what it was, and what it did."""
    told = {
        "session_preload_libraries": "auto_explain", "auto_explain.log_min_duration": "0",
        "auto_explain.log_nested_statements": "on", "auto_explain.log_analyze": "on",
        "auto_explain.log_timing": "off", "auto_explain.log_format": "json", "auto_explain.log_level": "notice",
    }  # fmt: skip
    name = await connection.fetchval("select current_database()")
    for setting, value in told.items():
        await connection.execute(f"alter database {name} set {setting} = '{value}'")


WATCHED = {
    "question_events", "activity_events", "enrollments", "progress", "question_counters", "completion_counters",
}  # fmt: skip
Plan = dict[str, Any]


@dataclass
class Look:
    """What one place of one statement does with a table, all times together that the statement ran."""

    table: str
    how: str
    whole: bool  # from one end to the other: no condition leads into an index
    statement: str
    rows: float = 0  # in its hands, kept or not; one where it looked and found none
    times: float = 0

    def beyond(self, most: int) -> bool:
        """Surely more than that: up to 17, PostgreSQL rounds the rows of each time to whole ones."""
        return self.rows - self.times / 2 > most

    def __str__(self) -> str:
        return f"{self.rows:,.0f} rows of {self.table} by {self.how} in: {self.statement}"


def looks(plans: list[Plan], table_of: Mapping[str, str]) -> list[Look]:
    """Every place that reads or writes a table that we watch."""
    found: dict[tuple[object, ...], Look] = {}
    for plan in plans:
        statement = " ".join(plan["Query Text"].split())
        for place, node in nodes(plan["Plan"]):
            how, index = node["Node Type"], node.get("Index Name", "")
            table = node.get("Relation Name") or table_of.get(index, "")
            if table not in WATCHED:
                continue
            whole = how not in ("Bitmap Heap Scan", "ModifyTable") and "Index Cond" not in node
            look = found.setdefault(
                (statement, place, table, how, index), Look(table, f"{how} {index}".strip(), whole, statement)
            )
            rows = node["Actual Rows"] + sum(
                n for key, n in node.items() if key.startswith("Rows Removed by")
            )
            look.times += node["Actual Loops"]
            look.rows += max(node["Actual Loops"] * max(rows, 1), node.get("Index Searches", 0))
    return list(found.values())


def nodes(node: Plan, place: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Plan]]:
    """A plan's nodes and where they are."""
    yield place, node
    for number, child in enumerate(node.get("Plans", [])):
        yield from nodes(child, (*place, number))


def complaints(found: list[Look], reach: Mapping[str, int]) -> list[str]:
    """What goes beyond the tables and the rows that are allowed."""
    said = []
    for look in found:
        most = reach.get(look.table)
        if most is None:
            said.append(f"No business there: {look}")
        elif look.whole and (look.table not in WHOLE or most < WHOLE[look.table]):
            said.append(f"From end to end: {look}")
        elif look.beyond(most):
            said.append(f"Not {most:,} but {look}")
    return said


class Watcher:
    """A connection as the server's requests have it, that hears of each plan."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", table_of: Mapping[str, str]) -> None:
        self.connection = connection
        self.table_of = table_of
        self.plans: list[Plan] = []
        connection.add_log_listener(self._hear)

    def _hear(self, _: object, message: Any) -> None:
        _, is_plan, told = message.message.partition("plan:\n")
        if is_plan:
            self.plans.append(json.loads(told))

    async def ask(self, who: str, asked: Callable[[Db], Awaitable[object]]) -> list[Look]:
        """What is looked at when a person asks, from entering on; nothing is kept."""
        self.plans.clear()
        await self.connection.execute(Identity(WHO[who]).enters())
        try:
            await asked(Db(self.connection))
            await self.connection.execute("set constraints all immediate")
        finally:
            await self.connection.execute("rollback")
        return looks(self.plans, self.table_of)


@pytest.fixture
async def watcher(company: Company) -> AsyncIterator[Watcher]:
    connection = await asyncpg.connect(company.where.api)
    await prepare(connection)
    yield Watcher(connection, company.table_of)
    await connection.close()


# Nothing, where no table that grows is asked.
NOTHING: dict[str, int] = {}
# A person's own courses, each of them looked up among the others; nobody else's.
ENROLLMENTS, PROGRESS = {"enrollments": COURSES**2}, {"progress": COURSES**2}
RECORD = ENROLLMENTS | PROGRESS
# A person's own answers and activity.
ANSWERED, DID = {"question_events": ANSWERS}, {"activity_events": (VIEWS + 1) * COURSES}
# Of one with many, all of them old: not everybody's on the way to the latest.
ANSWERED_MUCH, DID_MUCH = {"question_events": MANY}, {"activity_events": MANY}
# A plant's people in all their courses. Reports of questions read counters: one for each question and shard, and never
# an answer.
PLANT_ENROLLMENTS, PLANT_PROGRESS = {"enrollments": SIZE * COURSES}, {"progress": SIZE * COURSES}
PLANT_RECORD = PLANT_ENROLLMENTS | PLANT_PROGRESS
QUESTIONS = 68
COUNTERS = {"question_counters": QUESTIONS * 16}
# Nobody in that company tried so often; PostgreSQL looks once, or once for each question, at each person's.
THIRD_ANSWERS = {"question_events": SIZE * QUESTIONS}
# Seven of ten people have completed one course, and the index leads to nobody else; what writers left dead is there.
RECENTLY_COMPLETED = {"enrollments": PLANTS * SIZE * 8 // 10}
# Reports of completion read counters too: one for each course and shard.
COMPLETION = {"completion_counters": COURSES * 16}
# The report of all plants side by side, and only when HR asks: every plant's. Twice, for what writers left dead.
COMPANY = {"completion_counters": 2 * PLANTS * COURSES * 16}
# What may be read from end to end by whoever may look at that many.
WHOLE = COMPANY | {"enrollments": 2 * PLANTS * SIZE * COURSES}
# Whether anybody was ever enrolled in each course.
TAKEN = {"enrollments": COURSES + 2}
# Who was enrolled on which day, of the whole company; of answers and views those of the last weeks: here, none.
WEEKS = WHOLE | {"question_events": ANSWERS, "activity_events": VIEWS}
# A learner who writes meets their own record, and what they wrote in the rounds before.
WRITES = {
    name: rows + ROUNDS * (COURSES + BATCH) for name, rows in (RECORD | ANSWERED | DID | COMPLETION).items()
}

Operation = Callable[..., Awaitable[object]]


async def load_draft(db: Db) -> None:
    """As a dev admin does from a file. Whether anybody takes it is asked once of all enrollments; and for each row, by
    index: that often from end to end would be far more than all."""
    sections = tuple(Section(key=f"s-{number}", title="S", body="Read.") for number in range(9))
    course = Course(
        slug="draft", title="Draft", version="1.0", language="en", published=False, sections=sections
    )
    await load_course(db.connection, course)


Given = Callable[[Company], tuple[object, ...]]


@dataclass(frozen=True)
class Case:
    """An operation, who asks for it, with what, and the rows that it may look at in any one place."""

    operation: Operation
    who: str
    given: Given
    reach: Mapping[str, int]


LINES: list[tuple[Operation, str, Given, Mapping[str, int]]] = [
    # of a plant, by its manager and HR: the plant's people, whoever asks
    (reporting.get_plant_completion_rate, "manager, hr", lambda _: (PLANT,), COMPLETION),
    (reporting.get_plant_completion_rate, "manager, hr", lambda c: (PLANT, c.hazmat), COMPLETION),
    (reporting.get_plant_progress_summary, "manager, hr", lambda _: (PLANT,), COMPLETION),
    (reporting.get_plant_learners, "manager, hr", lambda c: (PLANT, c.hazmat), PLANT_RECORD),
    (reporting.get_plant_learners, "manager, hr", lambda c: (PLANT, c.hazmat, LAST), PLANT_RECORD),
    (reporting.get_plant_learners, "manager, hr", lambda c: (PLANT, c.hazmat, LAST, "not_done"), PLANT_RECORD),
    # A plant's people in a course, and of the answers of those in progress the third and later ones.
    (reporting.get_stuck_learners, "manager, hr", lambda c: (PLANT, c.hazmat), PLANT_RECORD | THIRD_ANSWERS),
    # Of the plant's answers those of the last weeks: here there are none, once for each question.
    (reporting.get_plant_weeks, "manager, hr", lambda c: (PLANT, c.hazmat),
     PLANT_ENROLLMENTS | COUNTERS | {"question_events": 2 * QUESTIONS}),
    (enrollments.get_plant_enrollments, "manager, hr", lambda _: (PLANT,), PLANT_ENROLLMENTS),
    (enrollments.get_plant_enrollments, "manager, hr", lambda _: (PLANT, LAST), PLANT_ENROLLMENTS),
    (enrollments.get_enrollment_stats, "manager, hr", lambda c: (PLANT, c.hazmat), COMPLETION),
    (progress.get_plant_progress, "manager, hr", lambda _: (PLANT,), PLANT_PROGRESS),
    (progress.get_plant_progress, "manager, hr", lambda c: (PLANT, c.hazmat, LAST), PLANT_PROGRESS),
    # of questions: counters
    (reporting.get_most_missed_questions, "manager, hr", lambda c: (PLANT, c.hazmat), COUNTERS),
    (events.get_question_difficulty, "manager, hr", lambda c: (PLANT, c.hazmat), COUNTERS),
    (events.get_question_difficulty, "manager, hr", lambda c: (PLANT, c.hazmat, LAST), COUNTERS),
    # of all plants
    (reporting.get_org_wide_completion_stats, "manager", lambda _: (), COMPLETION),
    (reporting.get_org_wide_completion_stats, "manager", lambda c: (c.hazmat,), COMPLETION),
    (reporting.get_org_wide_completion_stats, "hr", lambda _: (), COMPANY),
    (reporting.get_org_wide_completion_stats, "hr", lambda c: (c.hazmat,), COMPANY),
    (reporting.get_completion_trend, "manager", lambda _: ("America/New_York",), {"enrollments": SIZE}),
    (reporting.get_completion_trend, "hr", lambda _: ("America/New_York",), RECENTLY_COMPLETED),
    (reporting.get_completion_trend, "hr", lambda c: ("America/New_York", c.hazmat), RECENTLY_COMPLETED),
    (reporting.looks_after, "learner, manager, hr", lambda _: (PLANT,), NOTHING),
    # of a person, by themselves, their manager and HR: the person's own
    (reporting.get_user_activity_summary, "learner, manager, hr", lambda _: (LEARNER,), RECORD | ANSWERED | DID),
    (reporting.get_user_activity_summary, "busy learner, their manager, hr", lambda _: (BUSY,),
     RECORD | ANSWERED_MUCH | DID_MUCH),
    (reporting.get_missed_by_person, "learner, manager, hr", lambda _: (LEARNER,), ANSWERED),
    (reporting.get_missed_by_person, "busy learner, their manager, hr", lambda _: (BUSY,), ANSWERED_MUCH),
    (reporting.get_person_timeline, "learner, manager, hr", lambda _: (LEARNER, LAST), ENROLLMENTS | ANSWERED | DID),
    (reporting.get_person_timeline, "busy learner, their manager, hr", lambda _: (BUSY, LAST),
     ENROLLMENTS | ANSWERED_MUCH | DID_MUCH),
    (enrollments.get_user_enrollments, "learner, manager, hr", lambda _: (LEARNER,), RECORD),
    (enrollments.get_user_enrollments, "learner, manager, hr", lambda _: (LEARNER, LAST), RECORD),
    (enrollments.get_enrollment, "writer, hr", lambda c: (c.enrollment,), ENROLLMENTS),
    (progress.get_user_progress, "learner, manager, hr", lambda c: (LEARNER, c.hazmat), PROGRESS),
    (progress.list_user_progress, "learner, manager, hr", lambda _: (LEARNER,), PROGRESS),
    (progress.list_user_progress, "learner, manager, hr", lambda _: (LEARNER, LAST), PROGRESS),
    (events.get_user_question_events, "learner, manager, hr", lambda _: (LEARNER,), ANSWERED),
    (events.get_user_question_events, "learner, manager, hr", lambda _: (LEARNER, None, LAST), ANSWERED),
    (events.get_user_question_events, "learner, manager, hr", lambda c: (LEARNER, c.hazmat), ANSWERED),
    (events.get_user_question_events, "busy learner, their manager, hr", lambda _: (BUSY, None, LAST), ANSWERED_MUCH),
    (events.get_user_question_events, "busy learner, their manager, hr", lambda c: (BUSY, c.plain, LAST),
     ANSWERED_MUCH),
    (events.get_user_activity_timeline, "learner, manager, hr", lambda _: (LEARNER,), DID),
    (events.get_user_activity_timeline, "learner, manager, hr", lambda _: (LEARNER, None, LAST), DID),
    (events.get_user_activity_timeline, "learner, manager, hr", lambda c: (LEARNER, c.hazmat), DID),
    (events.get_user_activity_timeline, "busy learner, their manager, hr", lambda _: (BUSY, None, LAST), DID_MUCH),
    (events.get_user_activity_timeline, "busy learner, their manager, hr", lambda c: (BUSY, c.plain, LAST), DID_MUCH),
    (events.get_latest_answers, "learner", lambda c: (LEARNER, c.hazmat, c.section), ANSWERED),
    (events.get_missed_questions, "learner", lambda c: (LEARNER, c.hazmat), ANSWERED),
    (events.get_taken, "learner", lambda _: (LEARNER,), ANSWERED),
    (courses.get_explanations, "learner", lambda c: (c.hazmat, c.section), ANSWERED),
    (courses.get_my_sections, "learner", lambda c: (c.hazmat,), ANSWERED | DID),
    # people, plants and courses: nothing that people did
    (people.get_plants, "learner, manager, hr", lambda _: (), NOTHING),
    (people.get_plants_with_people, "hr", lambda _: (), NOTHING),
    (people.create_plant, "hr", lambda _: (CreatePlant(name="New"),), NOTHING),
    (people.update_plant, "hr", lambda _: (THEIR_PLANT, UpdatePlant(is_active=False)), NOTHING),
    (people.get_me, "learner", lambda _: (LEARNER,), NOTHING),
    (people.get_profile_by_id, "learner, manager, hr", lambda _: (LEARNER,), NOTHING),
    (people.get_profile_by_id_with_plant, "learner, manager, hr", lambda _: (LEARNER,), NOTHING),
    (people.get_user_roles, "learner, manager, hr", lambda _: (LEARNER,), NOTHING),
    (people.check_roles, "learner, manager, hr", lambda _: (LEARNER, PLANT), NOTHING),
    (people.is_user_admin, "learner", lambda _: (LEARNER,), NOTHING),
    (people.is_user_plant_manager, "learner", lambda _: (LEARNER,), NOTHING),
    (people.is_user_hr_admin, "learner", lambda _: (LEARNER,), NOTHING),
    (courses.get_courses, "learner, manager, hr", lambda _: (), NOTHING),
    (courses.get_course_content, "learner", lambda _: (SLUG,), {"enrollments": 1}),
    # what HR and dev admins keep
    (versions.get_versions, "hr, dev", lambda _: (), TAKEN | COMPANY),
    (versions.get_version, "hr, dev", lambda c: (c.untaken,), TAKEN | COMPANY),
    (versions.get_version_content, "hr, dev", lambda c: (c.hazmat, "es"), NOTHING),
    (versions.get_answer_keys, "dev", lambda c: (c.hazmat, c.section, "es"), NOTHING),
    (versions.find_version, "dev", lambda _: (SLUG, "1.0"), NOTHING),
    (versions.may_write, "learner, hr, dev", lambda _: (), NOTHING),
    (versions.set_published, "dev", lambda c: (c.untaken, False), {"enrollments": 1}),
    (load_draft, "dev", lambda _: (), WHOLE),
    (days.may_mend, "learner, hr, dev", lambda _: (), NOTHING),
    (days.get_examination, "dev", lambda _: (), NOTHING),
    (days.get_volume_by_day, "hr, dev", lambda _: (8, "America/New_York"), WEEKS),
    # what writes
    (progress.mark_progress, "writer", lambda c: (WRITER, c.plain, MarkProgress(progress_percent=60)), WRITES),
    (progress.mark_progress, "writer", lambda c: (WRITER, c.hazmat, MarkProgress(current_section=c.section)), WRITES),
    (progress.update_progress, "writer", lambda c: (WRITER, c.plain, UpdateProgress(progress_percent=60)), WRITES),
    (enrollments.update_enrollment, "writer", lambda c: (c.enrollment, UpdateEnrollment(status="completed")), WRITES),
    (enrollments.complete_enrollment, "writer", lambda c: (c.enrollment,), WRITES),
    (events.record_question_event, "writer", lambda c: (WRITER, c.answers()[0]), WRITES | COUNTERS),
    (events.record_question_events, "writer", lambda c: (WRITER, c.answers()), WRITES | COUNTERS),
    (events.record_activity_event, "writer", lambda c: (WRITER, c.view()), WRITES),
    (events.record_activity_event, "writer",
     lambda c: (WRITER, CreateActivityEvent(course_id=c.plain, event_type="start_course")), WRITES),
    (enrollments.create_enrollment, "hr", lambda c: (CreateEnrollment(user_id=WRITER, course_id=c.untaken),), WRITES),
    (people.create_profile, "hr",
     lambda _: (CreateProfile(id=ACCOUNT, plant_id=THEIR_PLANT, first_name="New", last_name="One",
                              email="new@example.com"),), NOTHING),
    (people.update_profile, "hr", lambda _: (WRITER, UpdateProfile(job_title="Chemist")), NOTHING),
    # A transfer takes their courses along.
    (people.update_profile, "hr", lambda _: (WRITER, UpdateProfile(plant_id=plant(5))), WRITES),
    (people.assign_admin_role, "hr", lambda _: (WRITER, AdminRole(role="hr_admin")), NOTHING),
    (people.revoke_admin_role, "hr",
     lambda _: (person(151), AdminRole(role="plant_manager", plant_id=THEIR_PLANT)), NOTHING),
]  # fmt: skip
CASES = [
    Case(operation, one, given, reach) for operation, who, given, reach in LINES for one in who.split(", ")
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.operation.__name__}-{case.who}")
async def test_an_operation_looks_at_no_more_than_belongs_to_whom_it_is_about(
    company: Company, watcher: Watcher, case: Case
) -> None:
    looked = False
    for _ in range(ROUNDS):
        found = await watcher.ask(case.who, lambda db: case.operation(db, *case.given(company)))
        said = complaints(found, case.reach)
        assert not said, "\n".join(said)
        # In a plan for the values at hand, a look that they make needless is left out.
        looked = looked or bool(found)
    assert looked == bool(case.reach)


def test_every_operation_has_its_line() -> None:
    pages = sorted(Path(specchem.__file__).parent.glob("*/operations.py"))
    modules = [importlib.import_module(f"specchem.{page.parent.name}.operations") for page in pages]
    modules += [days, versions]
    without_a_person = {days.get_health}  # asked as the server's own login
    assert {case.operation for case in CASES} - {load_draft} == {
        function
        for module in modules
        for name, function in inspect.getmembers(module, inspect.iscoroutinefunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    } - without_a_person


async def test_what_functions_policies_and_triggers_look_at_is_seen(
    company: Company, watcher: Watcher
) -> None:
    found = await watcher.ask(
        "writer", lambda db: events.record_question_events(db, WRITER, company.answers())
    )
    heard = " ".join(plan["Query Text"] for plan in watcher.plans)
    for of in (
        "insert into public.question_events",  # the function that is called
        "from public.profiles as p\n        join public.plants",  # app.me, which the policies ask
        "max(e.attempt_index)",  # the trigger of each row
        "insert into public.question_counters",  # the trigger of the statement
    ):
        assert of in heard
    attempts = next(look for look in found if "max(e.attempt_index)" in look.statement)
    assert attempts.times == BATCH


# The guide's way to ask for a plant's answers: of the answers themselves.
GUIDE = f"""
select question_key, section_key, count(*), sum(case when is_correct then 1 else 0 end) from question_events
where plant_id = '{PLANT}' and course_id = (select id from courses where slug = '{SLUG}') group by 1, 2"""
TOO_MUCH: dict[str, tuple[str, str, Mapping[str, int], str]] = {
    "a table that is not theirs": ("manager", GUIDE, COUNTERS, "No business there: 2,000 rows of question_events"),
    "rows of others": ("manager", GUIDE, ANSWERED, "Not 40 but 2,000 rows of question_events"),
    "a column without index": (
        "hr", "select * from activity_events order by created_at limit 1", DID,
        r"Not 39 but [\d,]{6} rows of activity_events",
    ),
    "a table from end to end": (
        "hr", "set local enable_bitmapscan = off; select * from activity_events order by created_at limit 1", DID,
        r"From end to end: [\d,]{6} rows of activity_events by Seq Scan",
    ),
    # Found at once, and so by a plan that goes through everybody's where there is nothing to find.
    "an index from end to end": (
        "hr", "select * from question_events order by answered_at desc limit 1", ANSWERED,
        "From end to end: 1 rows of question_events by Index Scan",
    ),
    "rows that are thrown away": (
        "manager", f"select from enrollments where plant_id = '{PLANT}' and updated_at < enrolled_at", RECORD,
        "Not 9 but 150 rows of enrollments",
    ),
    "little, again and again": (
        "learner", "do $$ begin for n in 1..10 loop perform count(*) from question_events"
        " where user_id = app.me(); end loop; end $$", ANSWERED, "Not 40 but 400 rows of question_events",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TOO_MUCH)
async def test_more_than_that_is_complained_of(watcher: Watcher, what: str) -> None:
    who, statement, reach, complaint = TOO_MUCH[what]
    said = complaints(await watcher.ask(who, lambda db: db.run(statement)), reach)
    assert any(re.match(complaint, one) for one in said), said
