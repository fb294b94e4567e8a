"""The product in plain Python: what each verb does or refuses, what each person sees, what each report says.

It keeps as little as will do (who is where, who did what) and works everything else out of that each time, so that
it cannot repeat a counter's or a trigger's mistake. A verb refuses before it changes anything, with the product's
errors, and returns those fields of the product's answer that it has an opinion on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import sqrt
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from specchem.errors import BadInput, Conflict, Forbidden, NotFound

Row: TypeAlias = list[object]
Said: TypeAlias = dict[str, Any]
STEPS = ["enrolled", "in_progress", "completed"]
OLDEST_MINUTES, ENOUGH_ATTEMPTS, MOST = 30 * 24 * 60, 5, 10


class Named:
    """What a history calls by its name."""

    name: str

    def __repr__(self) -> str:
        return self.name

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(self.name)


@dataclass(eq=False, repr=False)
class Plant(Named):
    id: UUID
    name: str
    is_default: bool = False  # where an account lands that nobody invited
    is_open: bool = True


NOWHERE = Plant(UUID(int=0), "nowhere", is_open=False)

Role: TypeAlias = tuple[str, Plant | None]
HR: Role = ("hr_admin", None)
DEV: Role = ("dev_admin", None)


class Question(NamedTuple):
    section: str
    key: str
    choices: str  # a letter each
    right: str


@dataclass(eq=False, repr=False)
class Course(Named):
    """A course; one without sections is shown by an outside player."""

    id: UUID
    name: str  # its slug and its title
    is_published: bool
    sections: Sequence[str] = ()
    questions: Sequence[Question] = ()

    @property
    def plain_sections(self) -> list[str]:
        return [key for key in self.sections if all(q.section != key for q in self.questions)]

    @property
    def ref(self) -> Said:
        return {"id": self.id, "slug": self.name, "title": self.name}


@dataclass(eq=False, repr=False)
class Person(Named):
    """Somebody who may ask; nowhere is who has no profile, and the stranger has no account either."""

    id: UUID
    name: str
    last_name: str = "Stranger"
    has_account: bool = False
    plant: Plant = NOWHERE
    status: str = "active"
    roles: set[Role] = field(default_factory=set)

    @property
    def is_here(self) -> bool:
        """Active, in an open plant; everybody else sees and does nothing."""
        return self.plant.is_open and self.status == "active"

    @property
    def is_hr(self) -> bool:
        return self.is_here and HR in self.roles

    @property
    def is_dev(self) -> bool:
        return self.is_here and DEV in self.roles

    def may_appoint(self, whom: "Person", role: Role) -> bool:
        """HR appoints HR and managers, dev admins appoint dev admins, and nobody themselves."""
        return self is not whom and (self.is_dev if role == DEV else self.is_hr)


@dataclass(eq=False)
class Enrollment:
    """Somebody's way through a course; days are counted from the beginning of the history."""

    person: Person
    course: Course
    enrolled: int
    active: int
    marked: int = 0
    section: str | None = None
    completed: int | None = None
    status: str = "enrolled"


class Sent(NamedTuple):
    """An answer on its way in."""

    id: UUID
    about: tuple[str, str]  # section, question
    choices: tuple[str, ...]
    is_correct: bool | None
    minutes_ago: int


class Answer(NamedTuple):
    """An answer on record; it stays in the plant where it was given."""

    person: Person
    course: Course
    plant: Plant
    sent: Sent
    right: bool
    attempt: int

    @property
    def content(self) -> tuple[object, ...]:
        """What a retry has to repeat."""
        return self.person, self.course, self.sent.about, self.sent.choices, self.right


class Activity(NamedTuple):
    """Something done, on record; without an id where the record wrote it itself."""

    id: UUID | None
    person: Person
    course: Course
    plant: Plant
    kind: str
    section: str | None


@dataclass
class Company:
    """Everything that is so, and the verbs that change it."""

    plants: list[Plant]
    courses: list[Course]
    people: list[Person] = field(default_factory=list)
    enrollments: dict[tuple[Person, Course], Enrollment] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    activities: list[Activity] = field(default_factory=list)
    today: int = 0

    # ------------------------------------------------------------ who sees what; None sees everything

    def looks_after(self, who: Person) -> set[Plant]:
        """The plants whose people somebody looks after, open or not."""
        if who.is_hr:
            return set(self.plants)
        return {plant for _, plant in who.roles if plant is not None and who.is_here}

    def sees(self, who: Person | None, whom: Person, plant: Plant) -> bool:
        """May somebody see a person, or what the person did in a plant?"""
        if who is None or plant is NOWHERE:
            return plant is not NOWHERE
        return who.is_here and (who is whom or plant in self.looks_after(who))

    def sees_plant(self, who: Person | None, plant: Plant) -> bool:
        return who is None or (who.is_here and plant.is_open) or who.is_hr or who.is_dev

    def sees_course(self, who: Person | None, course: Course) -> bool:
        return who is None or (who.is_here and course.is_published) or who.is_hr or who.is_dev

    def sees_role(self, who: Person | None, whom: Person, role: Role) -> bool:
        """Their own, those over the plants they look after; HR all, a dev admin the dev admins'."""
        if who is None or who is whom or who.is_hr:
            return who is None or who.is_here
        return role[1] in self.looks_after(who) or (who.is_dev and role == DEV)

    def visible(self, who: Person | None) -> dict[str, list[Row]]:
        """Every row of every table that somebody may read."""
        courses = [course for course in self.courses if self.sees_course(who, course)]
        taken = [e for e in self.enrollments.values() if self.sees(who, e.person, e.person.plant)]
        questions = [(c.id, q) for c in courses for q in c.questions]
        counted = self.plants if who is None else self.looks_after(who)
        return {
            "plants": [[p.id, p.is_open] for p in self.plants if self.sees_plant(who, p)],
            "profiles": [[p.id, p.plant.id, p.status] for p in self.people if self.sees(who, p, p.plant)],
            "admin_roles": [
                [p.id, role[0], role[1] and role[1].id]
                for p in self.people for role in p.roles if self.sees_role(who, p, role)
            ],
            "courses": [[c.id, c.is_published] for c in courses],
            "sections": [[c.id, key] for c in courses for key in c.sections],
            "questions": [[course, q.section, q.key] for course, q in questions],
            "question_choices": [[course, q.section, q.key, choice] for course, q in questions for choice in q.choices],
            "answer_keys": [[course, q.section, q.key] for course, q in questions if who is None or who.is_dev],
            "enrollments": [
                [e.person.id, e.course.id, e.person.plant.id, e.status, self.age(e.enrolled), self.age(e.completed)]
                for e in taken
            ],
            "progress": [
                [e.person.id, e.course.id, e.person.plant.id, self.percent_of(e), e.section, self.age(e.active)]
                for e in taken
            ],
            "question_events": [
                [a.sent.id, a.person.id, a.course.id, a.plant.id, *a.sent.about, a.right, a.attempt,
                 "server_graded" if a.course.sections else "client_asserted"]
                for a in self.answers if self.sees(who, a.person, a.plant)
            ],
            "activity_events": [
                [a.person.id, a.course.id, a.plant.id, a.kind, a.section]
                for a in self.activities if self.sees(who, a.person, a.plant)
            ],
            "question_counters": [
                [plant.id, course.id, *about, *counts(given)]
                for plant in counted for course in self.courses for about, given in self.questions(plant, course)
            ],
        }  # fmt: skip

    # ------------------------------------------------------------ people

    def sign_up(self, person: Person, invited_to: Plant | None, role: Role | None) -> None:
        """A new account takes its invitation; without one, or to a closed plant, it lands in the default plant."""
        self.people.append(person)
        person.plant = next((p for p in self.plants if p.is_default and p.is_open), NOWHERE)
        if invited_to is not None and invited_to.is_open:
            person.plant, person.roles = invited_to, {role} if role else set()

    def create_profile(self, actor: Person, whom: Person, plant: Plant, status: str) -> Said:
        """HR gives an account its profile, in an open plant."""
        if not actor.is_hr:
            raise Forbidden("HR only")
        if whom.plant is not NOWHERE:
            raise Conflict("has one")
        if not plant.is_open:
            raise Conflict("not open")
        if not whom.has_account:
            raise NotFound("no account")
        whom.plant, whom.status = plant, status
        return {"id": whom.id, "plant_id": plant.id, "status": status}

    def update_profile(self, actor: Person, whom: Person, plant: Plant, status: str) -> Said:
        """HR moves, suspends and reinstates people; nobody their own status, nobody into a closed plant."""
        if not self.sees(actor, whom, whom.plant):
            raise NotFound("unknown")
        if not actor.is_hr or (actor is whom and status != whom.status):
            raise Forbidden("HR only, and not their own status")
        if plant is not whom.plant and not plant.is_open:
            raise Conflict("not open")
        whom.plant, whom.status = plant, status
        return {"id": whom.id, "plant_id": plant.id, "status": status}

    def assign_admin_role(self, actor: Person, whom: Person, role: Role) -> Said:
        """Grant a role; granting it again changes nothing, and the suspended get none."""
        if not actor.may_appoint(whom, role):
            raise Forbidden("not theirs to give")
        if whom.plant is NOWHERE:
            raise NotFound("unknown")
        if role not in whom.roles and whom.status == "suspended":
            raise Conflict("suspended")
        whom.roles.add(role)
        return {"user_id": whom.id, "role": role[0], "plant_id": role[1] and role[1].id}

    def revoke_admin_role(self, actor: Person, whom: Person, role: Role) -> None:
        """Take a role away; taking it again changes nothing, for those whom roles are entrusted to."""
        if role in whom.roles and actor.may_appoint(whom, role):
            whom.roles.remove(role)
        elif actor.is_dev if role == DEV else actor.is_hr:
            if role in whom.roles and self.sees_role(actor, whom, role):
                raise Forbidden("not theirs to take")
        elif self.sees(actor, whom, whom.plant):
            raise Forbidden("not theirs to take")
        else:
            raise NotFound("unknown")

    def set_open(self, actor: Person | None, plant: Plant, is_open: bool) -> None:
        """HR, dev admins and the server close and reopen plants; nobody closes the one they are in."""
        if actor is not None and not (actor.is_hr or actor.is_dev):
            raise NotFound("not theirs")
        if actor is not None and actor.plant is plant and plant.is_open and not is_open:
            raise Conflict("their own")
        plant.is_open = is_open

    def set_published(self, actor: Person | None, course: Course, is_published: bool) -> None:
        """Dev admins and the server publish and withdraw courses."""
        if actor is not None and not actor.is_dev:
            raise NotFound("not theirs")
        course.is_published = is_published

    # ------------------------------------------------------------ training

    def create_enrollment(self, actor: Person, whom: Person, course: Course, plant: Plant | None) -> Said:
        """Those who look after a plant enroll its active people in published courses, once."""
        if not self.sees(actor, whom, whom.plant) or not self.sees_course(actor, course):
            raise NotFound("unknown")
        if plant not in (None, whom.plant) or not whom.is_here or not course.is_published:
            raise Conflict("not eligible")
        if whom.plant not in self.looks_after(actor):
            raise Forbidden("not theirs")
        if (whom, course) in self.enrollments:
            raise Conflict("enrolled")
        self.enrollments[whom, course] = Enrollment(whom, course, self.today, self.today)
        return {"user_id": whom.id, "course_id": course.id, "plant_id": whom.plant.id, "status": "enrolled"}

    def mark_progress(
        self, actor: Person, learner: Person, course: Course, marked: int | None, section: str | None
    ) -> Said:
        """Learners mark where they are and how far: never back, and no further than their answers support."""
        enrollment = self.own(actor, learner, course)
        reached = max(self.percent_of(enrollment), marked or 0)
        if course.sections and reached > self.percent_of(enrollment):
            raise Conflict("not supported")
        if course.sections and section not in (None, enrollment.section, *course.sections):
            raise BadInput("no such section")
        enrollment.marked = reached
        self.move(enrollment, section)
        return {"progress_percent": reached, "current_section": enrollment.section}

    def update_enrollment(self, actor: Person, learner: Person, course: Course, status: str) -> Said:
        """Learners start and complete their own course, the latter when nothing is open."""
        enrollment = self.own(actor, learner, course)
        reached = 100 if status == "completed" else self.percent_of(enrollment)
        if course.sections and reached > self.percent_of(enrollment):
            raise Conflict("a section is open")
        if status != status_at(reached):
            raise Conflict("a completed course stays completed")
        enrollment.marked = reached
        self.move(enrollment, None)
        return {"status": status, "course_id": course.id}

    def own(self, actor: Person, learner: Person, course: Course) -> Enrollment:
        """The learner's enrollment, for the learner; another's is refused, or unknown where it is out of sight."""
        if (learner, course) not in self.enrollments or not self.sees(actor, learner, learner.plant):
            raise NotFound("not enrolled")
        if actor is not learner:
            raise Forbidden("only the learner")
        if not course.is_published:
            raise NotFound("withdrawn")
        return self.enrollments[learner, course]

    def move(self, enrollment: Enrollment, section: str | None) -> None:
        """Take an enrollment along: any move is a start, 100 % completes, each is logged once with its first date."""
        person, course = enrollment.person, enrollment.course
        enrollment.section, enrollment.active = section or enrollment.section, self.today
        enrollment.status = status_at(self.percent_of(enrollment))
        if enrollment.status == "completed" and enrollment.completed is None:
            enrollment.completed = self.today
        passed = ["start_course", "complete_course"][: STEPS.index(enrollment.status)]
        logged = {a.kind for a in self.activities_of(person, course)}
        self.activities += [
            Activity(None, person, course, person.plant, kind, None) for kind in passed if kind not in logged
        ]

    def admit(self, actor: Person, learner: Person, course: Course, minutes_ago: int) -> Enrollment:
        """Events are the learner's alone, recent, and of a published course they are enrolled in."""
        if actor is not learner or not actor.is_here:
            raise Forbidden("only the learner")
        if minutes_ago > OLDEST_MINUTES:
            raise BadInput("too long ago")
        if not course.is_published:
            raise NotFound("withdrawn")
        if (learner, course) not in self.enrollments:
            raise Conflict("not enrolled")
        return self.enrollments[learner, course]

    def record_question_events(
        self, actor: Person, learner: Person, course: Course, batch: list[Sent]
    ) -> list[Said]:
        """Answers, all or none, graded and counted in the order sent; one that is on record comes back as it is."""
        graded: dict[Sent, bool] = {}
        for sent in batch:
            enrollment = self.admit(actor, learner, course, sent.minutes_ago)
            graded[sent] = grade(course, sent)
        known = {answer.sent.id: answer for answer in self.answers}
        fresh: dict[UUID, Answer] = {}
        for sent, right in graded.items():
            earlier = [*self.answers_of(learner, course), *fresh.values()]
            attempt = 1 + sum(a.sent.about == sent.about for a in earlier)
            answer = Answer(learner, course, learner.plant, sent, right, attempt)
            if (known | fresh).get(sent.id, answer).content != answer.content:
                raise Conflict("another answer's id")
            if sent.id not in known:
                fresh.setdefault(sent.id, answer)
        self.answers += fresh.values()
        if fresh:
            self.move(enrollment, min(fresh.values(), key=lambda a: a.sent.minutes_ago).sent.about[0])
        return [
            {"id": a.sent.id, "is_correct": a.right, "attempt_index": a.attempt, "plant_id": a.plant.id}
            for a in ((known | fresh)[sent.id] for sent in batch)
        ]

    def record_activity_event(
        self, actor: Person, learner: Person, course: Course, kind: str, section: str | None, key: UUID
    ) -> Said:
        """What a learner did; one that the record holds comes back, one that it contradicts is refused."""
        enrollment = self.admit(actor, learner, course, 0)
        if kind == "complete_course" and enrollment.status != "completed":
            raise Conflict("not completed")
        many = kind == "view_section"
        if many and course.sections and section not in course.sections:
            raise BadInput("no such section")
        held = [
            a for a in self.activities_of(learner, course) if a.kind == kind and (not many or a.id == key)
        ]
        if held and many and held[0].section != section:
            raise Conflict("another event's id")
        if not held:
            if any(a.id == key for a in self.activities):
                raise Conflict("another event's id")
            held = [Activity(key, learner, course, learner.plant, kind, section)]
            self.activities += held
            self.move(enrollment, section)
        return {"event_type": kind, "course_id": course.id, "plant_id": held[0].plant.id}

    def age(self, day: int | None) -> int | None:
        """How many days ago a day was."""
        return None if day is None else self.today - day

    def percent_of(self, enrollment: Enrollment) -> int:
        """How far somebody is: what the answers support, rounded down, or without content what was marked."""
        person, course = enrollment.person, enrollment.course
        if not course.sections:
            return enrollment.marked
        right = {a.sent.about for a in self.answers_of(person, course) if a.right}
        seen = {a.section for a in self.activities_of(person, course) if a.kind == "view_section"}
        done = [q[:2] in right for q in course.questions] + [key in seen for key in course.plain_sections]
        return 100 * sum(done) // len(done)

    def answers_of(self, person: Person, course: Course) -> list[Answer]:
        return [a for a in self.answers if a.person is person and a.course is course]

    def activities_of(self, person: Person, course: Course) -> list[Activity]:
        return [a for a in self.activities if a.person is person and a.course is course]

    # ------------------------------------------------------------ reports

    def completion_rate(self, viewer: Person, plant: Plant, course: Course | None) -> Said:
        """A plant's completion in one course, or in all."""
        self.admit_viewer(viewer, plant, course)
        return completion(self.trained(plant, course))

    def enrollment_stats(self, viewer: Person, plant: Plant, course: Course) -> Said:
        rate = self.completion_rate(viewer, plant, course)
        total, completed, share = (rate[key] for key in ("total_enrolled", "completed", "completion_rate"))
        return {"total": total, "completed": completed, "completion_rate": share}

    def progress_summary(self, viewer: Person, plant: Plant) -> list[Said]:
        """A plant's courses that the viewer sees and somebody takes, by title."""
        self.admit_viewer(viewer, plant, None)
        return [
            {"course": course.ref, **completion(taken), "average_progress": self.average(taken)}
            for course in sorted(self.courses, key=lambda course: course.name)
            if self.sees_course(viewer, course) and (taken := self.trained(plant, course))
        ]

    def org_wide(self, viewer: Person) -> list[Said]:
        """The plants that the viewer sees and looks after, by name; people are counted once."""
        plants = [p for p in self.plants if p in self.looks_after(viewer) and self.sees_plant(viewer, p)]
        if not plants:
            raise Forbidden("for managers and HR")
        return [
            {
                "plant": {"id": plant.id, "name": plant.name},
                "total_users": sum(p.plant is plant and p.status == "active" for p in self.people),
                "total_enrollments": len(taken),
                "completed_enrollments": completion(taken)["completed"],
                "completion_rate": completion(taken)["completion_rate"],
                "average_progress": self.average(taken),
            }
            for plant in sorted(plants, key=lambda plant: plant.name)
            for taken in [self.trained(plant, None)]
        ]

    def learners(self, viewer: Person, plant: Plant, course: Course) -> list[Said]:
        """Who of a plant's active people is how far, the least far first."""
        self.admit_viewer(viewer, plant, course)
        rows = [(STEPS.index(e.status), self.percent_of(e), e.person, e) for e in self.trained(plant, course)]
        rows.sort(key=lambda row: (row[0], row[1], row[2].last_name, row[2].name))
        return [
            {"user_id": who.id, "first_name": who.name, "status": e.status, "progress_percent": done, **self.dates(e)}
            for _, done, who, e in rows
        ]  # fmt: skip

    def difficulty(self, viewer: Person, plant: Plant, course: Course) -> list[Said]:
        """How people fared in a plant with each question that was answered there, hardest first."""
        self.admit_viewer(viewer, plant, course)
        rows = [tried(about, given) for about, given in self.questions(plant, course)]
        return sorted(rows, key=lambda row: (row["success_rate"], -row["total_attempts"]))

    def most_missed(self, viewer: Person, plant: Plant, course: Course) -> list[Said]:
        """The same from five attempts on, the most missed first."""
        rows = [
            row for row in self.difficulty(viewer, plant, course) if row["total_attempts"] >= ENOUGH_ATTEMPTS
        ]
        rows.sort(
            key=lambda row: (
                -row["miss_rate"],
                -row["total_attempts"],
                row["section_key"],
                row["question_key"],
            )
        )
        prompts = {q[:2]: q.key for q in course.questions}
        left_out = {"correct_attempts", "first_attempts", "success_rate"}
        return [
            {key: row[key] for key in row.keys() - left_out}
            | {"prompt": prompts.get((row["section_key"], row["question_key"]))}
            for row in rows[:MOST]
        ]

    def activity_summary(self, viewer: Person, whom: Person) -> list[Said]:
        """A person's courses, newest first, with what they did in each as far as the viewer sees it."""
        if not self.sees(viewer, whom, whom.plant):
            raise NotFound("unknown")
        taken = [e for e in self.enrollments.values() if e.person is whom]
        return [
            {
                "course": e.course.ref if self.sees_course(viewer, e.course) else None,
                "enrollment": {"status": e.status, **self.dates(e)},
                "progress": {"progress_percent": self.percent_of(e), "current_section": e.section,
                             "last_active_at": self.age(e.active)},
                "activity": {"answers": len(given), "right_answers": sum(a.right for a in given),
                             "sections_viewed": len({a.section for a in seen if a.section})},
            }
            for e in sorted(taken, key=lambda e: -e.enrolled)
            for given in [[a for a in self.answers_of(whom, e.course) if self.sees(viewer, whom, a.plant)]]
            for seen in [[a for a in self.activities_of(whom, e.course) if self.sees(viewer, whom, a.plant)]]
        ]  # fmt: skip

    def admit_viewer(self, viewer: Person, plant: Plant, course: Course | None) -> None:
        """A plant's reports are for those who look after it; an open plant's are refused, not hidden."""
        if plant not in self.looks_after(viewer):
            raise Forbidden("not theirs") if self.sees_plant(viewer, plant) else NotFound("unknown")
        if course is not None and not self.sees_course(viewer, course):
            raise NotFound("unknown")

    def trained(self, plant: Plant, course: Course | None) -> list[Enrollment]:
        """What a plant's active people take, in one course or in all."""
        active = [e for e in self.enrollments.values() if e.person.status == "active"]
        return [e for e in active if e.person.plant is plant and course in (None, e.course)]

    def average(self, taken: list[Enrollment]) -> float:
        return percent(sum(self.percent_of(e) for e in taken), 100 * len(taken))

    def dates(self, enrollment: Enrollment) -> Said:
        return {"enrolled_at": self.age(enrollment.enrolled), "completed_at": self.age(enrollment.completed)}

    def questions(self, plant: Plant, course: Course) -> list[tuple[tuple[str, str], list[Answer]]]:
        """The questions that were answered in a plant, by key, with the answers."""
        given = [a for a in self.answers if a.plant is plant and a.course is course]
        given.sort(key=lambda a: a.sent.about)
        return [(about, list(answers)) for about, answers in groupby(given, key=lambda a: a.sent.about)]


def status_at(reached: int) -> str:
    """Where any move leaves an enrollment that has come so far."""
    return "completed" if reached == 100 else "in_progress"


def grade(course: Course, sent: Sent) -> bool:
    """Is an answer right? The course says it where it has questions, else the client."""
    if not course.sections:
        if sent.is_correct is None:
            raise BadInput("neither graded nor said")
        return sent.is_correct
    question = next((q for q in course.questions if q[:2] == sent.about), None)
    if question is None:
        raise BadInput("no such question")
    chosen = set(sent.choices)
    if not chosen or len(chosen) < len(sent.choices) or not chosen <= set(question.choices):
        raise BadInput("no such choice")
    if len(chosen) > 1 and len(question.right) == 1:
        raise BadInput("one answer")
    return chosen == set(question.right)


def completion(taken: list[Enrollment]) -> Said:
    """Enrollments by status, and the share of the completed ones."""
    enrolled, in_progress, completed = (sum(e.status == status for e in taken) for status in STEPS)
    return {
        "total_enrolled": len(taken), "completed": completed, "in_progress": in_progress, "not_started": enrolled,
        "completion_rate": percent(completed, len(taken)),
    }  # fmt: skip


def counts(given: list[Answer]) -> list[int]:
    """Attempts, of them wrong, of them first, and the people who made them."""
    people = {a.person for a in given}
    return [len(given), sum(not a.right for a in given), sum(a.attempt == 1 for a in given), len(people)]


def tried(about: tuple[str, str], given: list[Answer]) -> Said:
    """A question's line in the reports."""
    attempts, wrong, firsts, people = counts(given)
    low, high = wilson(wrong, attempts)
    return {
        "section_key": about[0], "question_key": about[1], "total_attempts": attempts,
        "correct_attempts": attempts - wrong, "incorrect_attempts": wrong, "first_attempts": firsts, "people": people,
        "success_rate": percent(attempts - wrong, attempts), "miss_rate": percent(wrong, attempts),
        "miss_rate_low": low, "miss_rate_high": high,
    }  # fmt: skip


def percent(part: int, whole: int) -> float:
    """Part of the whole, to two places, half up; 0 where there is no whole."""
    return (20_000 * part + whole) // (2 * whole) / 100 if whole else 0.0


def wilson(part: int, whole: int) -> tuple[float, float]:
    """Wilson's 95 % interval in per cent: the roots p of (part / whole - p)² = z² p (1 - p) / whole."""
    share, k = part / whole, 1.96**2 / whole
    root = sqrt((2 * share + k) ** 2 - 4 * (1 + k) * share**2)
    low, high = ((2 * share + k + sign * root) / (2 * (1 + k)) for sign in (-1, 1))
    return round(100 * low, 2), round(100 * high, 2)
