"""Requests made up by Schemathesis, as one kind of person, and what no answer to that person may hold."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, TypeAlias
from uuid import UUID

import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from litestar import Litestar
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from specchem.db.database import Database
from specchem.db.session import Connection, Db, Identity, acting_as, connected, open_pool
from specchem.events import operations as events
from specchem.events.schemas import CreateActivityEvent, CreateQuestionEvent
from specchem.progress import operations as progress
from specchem.progress.schemas import MarkProgress
from specchem.serve import Server
from tests.web.served import PASSWORD, VERIFIER
from tests.world import PLANT_OF, World, right, wrong

Case: TypeAlias = "schemathesis.Case[Any]"
Answer: TypeAlias = schemathesis.Response

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
UUIDS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SPARE = [UUID(int=(0xC0 << 120) | number) for number in range(40)]  # accounts without a profile
HOW = settings(
    stateful_step_count=8,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # findings are collected, and the state has moved on: nothing to shrink
    suppress_health_check=list(HealthCheck),
)

# ------------------------------------------------------------------------------------------ planted marks


def mark(person: UUID) -> str:
    """What stands in all texts of a person; requests name the person's id, but never this."""
    return str(person).replace("a0", "b0", 1)


def address(world: World, name: str) -> str:
    """A person's e-mail address, with the mark in it."""
    return f"{name}.{mark(world.person[name])}@example.com"


async def plant_marks(database: Database, world: World) -> None:
    """Everybody's texts, answers, activity and progress hold their mark."""
    outside = world.course["outside"]
    async with connected(database.platform) as owner:
        await owner.executemany(
            "update auth.users set email = $2, encrypted_password = $3 where id = $1",
            [(world.person[name], address(world, name), VERIFIER) for name in PLANT_OF if PLANT_OF[name]],
        )
        await owner.executemany(
            "update profiles set first_name = $2, last_name = $2, job_title = $2 where id = $1",
            [(person, f"{name} {mark(person)}") for name, person in world.person.items()],
        )
        await owner.executemany("insert into auth.users (id) values ($1)", [(account,) for account in SPARE])
        await owner.executemany(
            "insert into invitations (email, plant_id) values ($1, $2)",
            [
                (f"invited{number}@{plant.split(',')[0].lower()}.example.com", world.plant[plant])
                for plant in ("Columbus, OH", "Phoenix, AZ", "Denver, CO")
                for number in range(12)
            ],
        )
        await owner.execute(
            "insert into enrollments (user_id, course_id) select p.id, $1 from profiles p"
            " join plants t on t.id = p.plant_id where p.status = 'active' and t.is_active and p.id <> $2"
            " on conflict do nothing",
            *(outside, world.person["cal"]),  # who can still be enrolled
        )
        learners = await owner.fetch("select user_id from enrollments where course_id = $1", outside)
    pool = await open_pool(database.api, 1)
    for row in learners:
        async with acting_as(pool, Identity(row["user_id"])) as db:
            await leave_traces(db, row["user_id"], outside)
    await pool.close()


async def leave_traces(db: Db, me: UUID, course: UUID) -> None:
    """Answers, activity and progress in a course that takes any section and question."""
    own = mark(me)
    answer = CreateQuestionEvent(
        course_id=course, section_key=own, question_key=own, is_correct=False, response_meta={"note": own}
    )  # fmt: skip
    view = CreateActivityEvent(course_id=course, event_type="view_section", meta={"section_key": own})
    await events.record_question_events(db, me, [answer] * 5)  # enough for the most missed
    await events.record_activity_event(db, me, view)
    await progress.mark_progress(db, me, course, MarkProgress(current_section=own))


# What a person may not see at this moment: ids of rows and people, and marks. Read from DESIGN §5, apart from the
# product's own rules: an event stays with the plant it happened in, so a person may be seen by some rows only.
HIDDEN = """
with me as (
    select p.id from profiles p join plants t on t.id = p.plant_id
    where p.id = $1 and p.status = 'active' and t.is_active
), mine as (
    select r.role, r.plant_id from admin_roles r join me on me.id = r.user_id
), may as (
    select exists (select from me) as enter, exists (select from mine where role = 'dev_admin') as dev,
        exists (select from mine where role = 'hr_admin' and plant_id is null) as hr
), rows as (
    select r.id, r.person, r.texts, coalesce(
        r.person = (select id from me) or may.hr or (r.dev and may.dev)
        or r.plant_id in (select plant_id from mine where role in ('hr_admin', 'plant_manager')), false) as seen
    from may, (
        select id, id, plant_id, true, false from profiles
        union all select id, user_id, plant_id, true, false from enrollments
        union all select id, user_id, plant_id, true, false from progress
        union all select id, user_id, plant_id, true, false from question_events
        union all select id, user_id, plant_id, true, false from activity_events
        union all select id, user_id, plant_id, false, role = 'dev_admin' from admin_roles
        union all select id, id, plant_id, true, false from invitations
    ) as r (id, person, plant_id, texts, dev)
)
select id::text from rows group by id having not bool_or(seen)
union select person::text from rows group by person having not bool_or(seen)
union select regexp_replace(person::text, '^a0', 'b0') from rows group by person having not bool_or(seen and texts)
union select t.id::text from plants t, may where not (t.is_active and may.enter or may.hr or may.dev)
union select c.id::text from courses c, may where not (c.is_published and may.enter or may.hr or may.dev)
"""

# ------------------------------------------------------------------------------------ meaningful requests


async def real_values(platform: Connection, world: World, name: str | None) -> dict[str, list[Any]]:
    """By a field's name, what is there: the person's own more often, but everybody else's too."""
    me, home = world.person.get(name or ""), world.plant.get(PLANT_OF[name or "nora"] or "")
    enrollments = await platform.fetch(
        "select e.id, e.user_id from enrollments e join courses c on c.id = e.course_id order by e.user_id, c.slug"
    )
    taken = await platform.fetch("select id from question_events")
    invited = await platform.fetch(
        "select id, plant_id from invitations where accepted_at is null order by email, plant_id"
    )
    people, plants = [*[me] * 5, *world.person.values()], [*[home] * 4, *world.plant.values()]
    courses = [
        world.course[one] for one in ("outside", "outside", "outside", "outside", "hazmat", "hazmat", "draft")
    ]
    ids: dict[str, list[Any]] = {
        "person": people, "user_id": people, "plant": plants, "plant_id": plants,
        "course": courses, "course_id": courses, "id": [*SPARE, *(row["id"] for row in taken[:10])],
        "invitation": [row["id"] for row in invited for _ in range(4 if row["plant_id"] == home else 1)],
        "enrollment": [row["id"] for row in enrollments for _ in range(5 if row["user_id"] == me else 1)],
    }  # fmt: skip
    sections, questions = ([key[part] for key in [*world.answers][:5]] for part in (0, 1))
    emails = [f"new{number}@example.com" for number in range(20)]
    return {field: [str(one) for one in values if one] for field, values in ids.items()} | {
        "slug": ["outside", "function-specific-hazmat", "draft"], "current_section": sections,
        "section_key": sections, "question_key": questions, "is_correct": [True, False],
        "response_meta": [{"choices": ["a"]}, {"choices": []}, None], "answered_at": [None],
        "meta": [{"section_key": one} for one in [*world.plain_sections, *sections]],
        "occurred_at": [datetime.now(UTC).isoformat(), None], "progress_percent": [0, 40, 100],
        "first_name": ["Ada", "Zoë"], "last_name": ["Lovelace"], "job_title": ["Operator", None],
        "email": emails + ([address(world, name)] * 9 if name else []), "password": [PASSWORD, PASSWORD, "x"],
        "grant_type": ["password"], "name": [f"Plant {number}" for number in range(40)],
        "timezone": ["America/Chicago", "America/Denver"], "is_active": [True],
        **{as_made_up: [] for as_made_up in ("event_type", "status", "role", "limit", "offset")},
    }  # fmt: skip


def real_answers(world: World) -> list[dict[str, Any]]:
    """Answers that fit their question, right and wrong, of both kinds of course."""
    graded = [fit(world, *key) for key in [*world.answers][:5] for fit in (right, wrong)]
    told = {"section_key": "s", "question_key": "q", "course_id": world.course["outside"]}
    return [{**one, "course_id": str(one["course_id"])} for one in [*graded, {**told, "is_correct": True}]]


MANY = ("events", "invitations")  # fields that hold a list of what is asked for


@dataclass
class Realism:
    """Schemathesis's hook: most of what it made up becomes what is there."""

    values: dict[str, list[Any]]
    answers: list[dict[str, Any]]

    def __call__(self, context: schemathesis.HookContext, made_up: object) -> st.SearchStrategy[object]:
        """For path, query or body alike."""
        return st.integers(0, 4).flatmap(
            lambda chance: st.just(made_up) if chance == 4 else self.real(made_up)
        )

    def real(self, made_up: object) -> st.SearchStrategy[object]:
        """The same fields, less those that no operation knows."""
        if isinstance(made_up, list):
            return st.tuples(*map(self.real, made_up)).map(list)
        if not isinstance(made_up, dict):
            return st.just(made_up)
        fields = {
            name: self.real(value) if name in MANY else st.sampled_from(self.values[name] or [value])
            for name, value in made_up.items()
            if name in self.values or name in MANY
        }
        real = st.fixed_dictionaries(fields)
        return (
            st.builds(dict.__or__, real, st.sampled_from(self.answers)) if "question_key" in fields else real
        )


# What Schemathesis cannot infer from names: whose ids an answer holds. Plants, courses and enrollments it can.
PEOPLE_IN = {
    ("/api/v1/me", "get"): "/profile/id",
    ("/api/v1/plants/{plant}/enrollments", "get"): "/0/user_id",
    ("/api/v1/plants/{plant}/courses/{course}/learners", "get"): "/0/user_id",
    ("/api/v1/enrollments", "post"): "/user_id",
    ("/api/v1/question-events", "post"): "/user_id",
}


def linked(described: dict[str, Any]) -> dict[str, Any]:
    """The description, with links from answers that name a person to all that can be asked about one."""
    links = {
        operation["operationId"]: {"operationId": operation["operationId"], "parameters": {"person": ""}}
        for path, ways in described["paths"].items()
        for operation in ways.values()
        if "{person}" in path
    }
    for (path, method), place in PEOPLE_IN.items():
        parameters = {"parameters": {"person": f"$response.body#{place}"}}
        answers = described["paths"][path][method]["responses"]
        answers["201" if method == "post" else "200"]["links"] = {
            name: {**link, **parameters} for name, link in links.items()
        }
    return described


# ------------------------------------------------------------------------------------------------- asking


@asynccontextmanager
async def listening(app: Litestar) -> AsyncIterator[str]:
    """The app behind a real port; its address."""
    up = asyncio.Event()
    server = Server(uvicorn.Config(app, port=0, log_config=None, access_log=False, ws="none"), up.set)
    life = asyncio.create_task(server.serve())
    await asyncio.wait({life, asyncio.create_task(up.wait())}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await life


@dataclass
class Fuzzer:
    """One person's requests: made, sent, judged and counted, in a thread beside the server's loop."""

    who: UUID | None
    url: str
    headers: dict[str, str]
    realism: Realism
    platform: Connection
    loop: asyncio.AbstractEventLoop
    session: requests.Session = field(default_factory=requests.Session)
    asked: Counter[tuple[str, int]] = field(default_factory=Counter)
    chained: Counter[tuple[str, str]] = field(default_factory=Counter)
    told: set[str] = field(default_factory=set)
    findings: dict[str, str] = field(default_factory=dict)

    def run(self, number: int, rounds: int, chains: int, writes: int = 8, reads: int = 3) -> None:
        """In each round a few requests of every kind; then chains, in which answers feed requests."""
        self.session.trust_env = False  # no proxy between us
        described = self.session.get(self.url + "/api/openapi.json").json()
        config = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})
        schema = schemathesis.openapi.from_dict(linked(described), config=config)
        for part in ("path_parameters", "query", "body"):
            schema.hooks.register_hook_with_name(self.realism, f"flatmap_{part}")
        operations = [operation for path in schema.values() for operation in path.values()]
        chance = Random(f"{number} {self.who}")  # one kind's bad luck is not everybody's
        for _ in range(rounds):
            for values in self.realism.values.values():
                chance.shuffle(values)  # Hypothesis begins with the first of each: a request that fits, anew
            for operation in chance.sample(operations, len(operations)):
                self.each_by_itself(operation, chance.getrandbits(32), writes if operation.body else reads)
        if chains:
            self.in_chains(schema, chance, chains)
        self.session.close()

    def each_by_itself(
        self, operation: "schemathesis.APIOperation[Any, Any, Any, Any]", number: int, count: int
    ) -> None:
        """Valid and invalid requests to one operation."""
        positive, negative = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
        modes = st.sampled_from([positive, positive, negative])

        @seed(number)
        @settings(HOW, max_examples=count)
        @given(modes.flatmap(lambda mode: operation.as_strategy(generation_mode=mode)))
        def ask(case: Case) -> None:
            self.judge(self.call(case), case)

        ask()

    def in_chains(self, schema: schemathesis.BaseSchema, chance: Random, chains: int) -> None:
        """Schemathesis's state machine, five scenarios at a time, over the links above and those it infers."""

        def call(_: object, case: Case, **__: object) -> Answer:
            return self.call(case)

        def judge(machine: Any, response: Answer, case: Case, **_: object) -> None:
            before = machine.recorder.find_parent(case_id=case.id)
            if before is not None and response.status_code < 300:
                self.chained[before.operation.label, case.operation.label] += 1
            self.judge(response, case)

        machine: Any = type(
            "Chains", (schema.as_state_machine(),), {"call": call, "validate_response": judge}
        )
        for _ in range(chains):
            # What one scenario did may change what the next is told, which Hypothesis takes for our fault.
            with suppress(Flaky):
                seed(chance.getrandbits(32))(machine).run(settings=settings(HOW, max_examples=5))

    def call(self, case: Case) -> Answer:
        """Send it as this person."""
        answer = case.call(base_url=self.url, session=self.session, headers=dict(self.headers), timeout=120)
        self.asked[case.operation.label, answer.status_code] += 1
        return answer

    def judge(self, answer: Answer, case: Case) -> None:
        """Keep what is wrong with the answer, each kind of fault once."""
        try:
            case.validate_response(answer, checks=[*CHECKS, self.no_foreign_row])
        except FailureGroup as group:
            faults = ", ".join(sorted({fault.title for fault in group.exceptions}))
            self.findings.setdefault(f"{case.operation.label} {answer.status_code}: {faults}", str(group))

    def no_foreign_row(self, _: object, answer: Answer, case: Case) -> None:
        """What was sent may come back; anything else must be this person's to see at this moment."""
        told = set(UUIDS.findall(f"{answer.headers} {answer.text}".lower()))
        self.told |= told
        told -= set(UUIDS.findall(f"{answer.request.url} {answer.request.body!r}".lower()))
        if case.path == "/auth/v1/token":
            told.discard(str(self.who))  # who signs in is told who they are, suspended or not
        if told:
            asking = self.platform.fetch(HIDDEN, self.who)
            hidden = {row[0] for row in asyncio.run_coroutine_threadsafe(asking, self.loop).result()}
            assert not told & hidden, f"not this person's to see: {', '.join(sorted(told & hidden))}"
