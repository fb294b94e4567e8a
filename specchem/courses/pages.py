"""The course player: a section's text, its questions one after another, and the way on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody
from litestar.response import Redirect, Template
from pydantic import ValidationError

from specchem.auth.visits import Ask
from specchem.courses import operations
from specchem.courses.operations import Explanation
from specchem.courses.schemas import CourseContent, QuestionOut, SectionOut
from specchem.db.session import Asker, Db
from specchem.doors import Me
from specchem.enrollments.operations import get_user_enrollments
from specchem.errors import BadInput, Conflict, NotFound
from specchem.events.operations import (
    TAKEN,
    get_latest_answers,
    get_missed_questions,
    get_taken,
    record_activity_event,
    record_question_event,
)
from specchem.events.schemas import (
    CreateActivityEvent,
    CreateQuestionEvent,
    Delivered,
    KeptAnswers,
    LatestAnswer,
    Missed,
)
from specchem.i18n import LANGUAGES, language, told
from specchem.people.visitor import Visitor, get_visitor
from specchem.progress.operations import get_user_progress
from specchem.progress.schemas import Progress
from specchem.vocabulary import Page

AHEAD = 10  # questions that a page holds at least, where the course has as many open: enough for a lost connection
SOMEBODY_ELSE = (
    "Somebody else is signed in on this device now. Reload the page; nothing was sent in their name."
)
UNREADABLE = "This answer could not be read."


@dataclass(frozen=True)
class Asked:
    """A question as the page shows it: what was answered last, and why that is right or wrong."""

    question: QuestionOut
    answer: LatestAnswer | None
    explanation: Explanation | None
    # A new id for each showing, so that a form sent twice is recorded once.
    event_id: UUID
    next: str | None = (
        None  # the question to go on with: the next of the section that is not right, around its end
    )
    refusal: str | None = None

    @property
    def state(self) -> str:
        """What the list of questions says of it: right, missed or open."""
        return "open" if self.answer is None else "right" if self.answer.is_correct else "missed"


@dataclass(frozen=True)
class Player:
    """A visitor in a course: its content, how far they are, which sections are done."""

    visitor: Visitor
    course: CourseContent
    progress: Progress
    done: dict[str, bool]

    def section(self, key: str) -> SectionOut:
        """A section of this course. Raises NotFound."""
        for section in self.course.sections:
            if section.key == key:
                return section
        raise NotFound("This course has no such section.")

    def next_open(self, after: str | None = None) -> str | None:
        """The first open section behind another one, or before it; None when all are done."""
        keys = [section.key for section in self.course.sections]
        start = keys.index(after) + 1 if after in keys else 0
        return next((key for key in keys[start:] + keys[:start] if not self.done.get(key)), None)

    def address(self, section: str | None) -> str:
        """A section's page, or the last one when nothing is open."""
        return f"/courses/{quote(self.course.slug)}/{quote(section or 'done')}"

    def here(self) -> str | None:
        """The section to go on with: the one they were in while it is open, else the next open one."""
        last = self.progress.current_section
        stands = any(one.key == last for one in self.course.sections)
        return last if stands and not self.done.get(last or "") else self.next_open(after=last)

    def ahead(self, after: SectionOut) -> Iterator[SectionOut]:
        """The open sections that a page holds behind its own, so that one can go on without a connection."""
        held, key = len(after.questions), self.next_open(after=after.key)
        behind = [one.key for one in self.course.sections]
        while key is not None and held < AHEAD and behind.index(key) > behind.index(after.key):
            after = self.section(key)
            yield after
            held, key = held + len(after.questions), self.next_open(after=key)


async def _player(db: Db, me: Asker, slug: str) -> Player:
    course = await operations.get_course_content(db, slug, language())
    return Player(await get_visitor(db, me), course, *await _standing(db, me, course.id))


async def _standing(db: Db, me: Asker, course_id: UUID) -> tuple[Progress, dict[str, bool]]:
    """How far the learner is, and which sections are done."""
    return (
        await get_user_progress(db, me.user_id, course_id),
        await operations.get_my_sections(db, course_id),
    )


@get("/courses/{slug:str}")
async def course(me: Me, slug: FromPath[str]) -> Template:
    """The course's map, with one next step."""
    async with me.acting() as db:
        player = await _player(db, me, slug)
        missed = await get_missed_questions(db, me.user_id, player.course.id)
    return Template(
        "courses/course.html",
        context={"visitor": player.visitor, "player": player, "missed": _missed(player, missed)},
    )


@get("/courses/{slug:str}/resume")
async def resume(me: Me, slug: FromPath[str]) -> Redirect:
    """Exactly where the learner was: the section, and its first question that is not right."""
    async with me.acting() as db:
        player = await _player(db, me, slug)
        here = player.here()
        asked = await _asked(db, me, player.course.id, player.section(here)) if here else []
    begun = any(one.answer for one in asked)  # else its text comes first
    question = next((one.question.key for one in asked if one.state != "right"), None) if begun else None
    return Redirect(player.address(here) + (f"#{quote(question)}" if question else ""), status_code=303)


@get("/courses/{slug:str}/done")
async def done(me: Me, slug: FromPath[str]) -> Template:
    """The end: completed, or what is still open."""
    async with me.acting() as db:
        player = await _player(db, me, slug)
        enrolled = await get_user_enrollments(db, me.user_id, Page(limit=500))
        taken = await get_taken(db, me.user_id)
        missed = await get_missed_questions(db, me.user_id, player.course.id)
    enrollment = next(one for one in enrolled if one.course_id == player.course.id)
    return Template(
        "courses/done.html",
        context={
            "visitor": player.visitor, "player": player, "enrollment": enrollment,
            "taken": taken.get(player.course.id), "missed": _missed(player, missed),
        },
    )  # fmt: skip


@get("/courses/{slug:str}/{section:str}")
async def section(me: Me, slug: FromPath[str], section: FromPath[str]) -> Template:
    """A section's text and questions."""
    async with me.acting() as db:
        player = await _player(db, me, slug)
        shown = player.section(section)
        context = await _shown(db, me, player, shown)
    return Template("courses/section.html", context=context)


@post("/courses/{slug:str}/{section:str}/continue", status_code=303)
async def go_on(
    request: Ask, me: Me, slug: FromPath[str], section: FromPath[str]
) -> Redirect | Response[None]:
    """The section was read; on to the next that is open. A script is told where that is."""
    async with me.acting() as db:
        player = await _player(db, me, slug)
        player.section(section)
        await record_activity_event(
            db,
            me.user_id,
            CreateActivityEvent(
                course_id=player.course.id, event_type="view_section", meta={"section_key": section}
            ),
        )
        progress, sections_done = await _standing(db, me, player.course.id)
    player = replace(player, progress=progress, done=sections_done)
    onwards = player.address(player.next_open(after=section))
    if request.headers.get("hx-request"):
        return Response(None, status_code=200, headers={"HX-Redirect": onwards})
    return Redirect(onwards, status_code=303)


@post("/courses/{slug:str}/{section:str}/{question:str}", status_code=200)
async def answer(
    request: Ask, me: Me, slug: FromPath[str], section: FromPath[str], question: FromPath[str]
) -> Response[None] | Template:
    """Grade an answer: the question comes back alone to htmx, and its page to everyone else."""
    form = await request.form()
    choices = [str(choice) for choice in form.getall("choice", [])]
    event_id = _event_id(str(form.get("event_id") or uuid4()))
    if form.get("learner") not in {None, str(me.user_id)}:
        raise Conflict(SOMEBODY_ELSE)
    refusal, status = None, 200
    async with me.acting() as db:
        player = await _player(db, me, slug)
        shown = player.section(section)
        if question not in {one.key for one in shown.questions}:
            raise NotFound("This section has no such question.")
        event = CreateQuestionEvent(
            id=event_id,
            course_id=player.course.id,
            section_key=section,
            question_key=question,
            # As it was asked: in another tab the visitor may read another language by now.
            response_meta={"choices": choices, "language": _asked_in(str(form.get("language")), player)},
        )
        try:
            async with db.attempt():
                await record_question_event(db, me.user_id, event)
        except (BadInput, Conflict) as error:
            refusal, status = _refusal(error, choices), error.status
        if refusal is None and not request.headers.get("hx-request"):
            return Redirect(f"{player.address(section)}#{question}", status_code=303)
        progress, sections_done = await _standing(db, me, player.course.id)
        player = replace(player, progress=progress, done=sections_done)
        context = await _shown(db, me, player, shown)
    asked = [
        replace(one, refusal=refusal) if one.question.key == question else one for one in context["asked"]
    ]
    page = "courses/_answered.html" if request.headers.get("hx-request") else "courses/section.html"
    return Template(page, context=context | {"asked": asked, "question_key": question}, status_code=status)


@post("/answers", status_code=200)
async def deliver(me: Me, data: JSONBody[KeptAnswers]) -> list[Delivered]:
    """Record what a device kept while it had no connection; one comes back for each, in the order sent.

    One that is refused does not hold up the others, and sending all of it again is harmless.
    """
    if data.learner != me.user_id:
        raise Conflict(SOMEBODY_ELSE)
    told_back = []
    async with me.acting() as db:
        for sent in data.events:
            try:
                event = CreateQuestionEvent.model_validate(sent)
                async with db.attempt():
                    graded = await record_question_event(db, me.user_id, event)
                told_back.append(Delivered(is_correct=graded.is_correct))
            except ValidationError:
                told_back.append(Delivered(refusal=told(UNREADABLE)))
            except (BadInput, Conflict, NotFound) as error:
                told_back.append(Delivered(refusal=_refusal(error, ["sent"])))
    return told_back


def _missed(player: Player, missed: list[Missed]) -> list[str]:
    """The addresses of missed questions that the course still has."""
    there = {(section.key, one.key) for section in player.course.sections for one in section.questions}
    return [
        f"{player.address(one.section_key)}#{quote(one.question_key)}"
        for one in missed if (one.section_key, one.question_key) in there
    ]  # fmt: skip


def _asked_in(said: str, player: Player) -> str:
    return said if said in LANGUAGES else player.course.language


def _refusal(error: BadInput | Conflict | NotFound, choices: list[str]) -> str:
    """Why an answer was not taken, to a person: without the name of the field."""
    if str(error) == TAKEN:
        # The answer to the first sending was lost on the way, and then another choice was made.
        return "This form was sent before, and what is recorded is shown here. You can answer again."
    if not choices:
        return "Choose an answer first."
    return told(error.problems[0].message).capitalize() if error.problems else str(error)


def _event_id(sent: str) -> UUID:
    try:
        return UUID(sent)
    except ValueError:
        raise BadInput("The form could not be read; reload the page and try again.") from None


async def _shown(db: Db, me: Asker, player: Player, section: SectionOut) -> dict[str, Any]:
    """What a section's page shows, and holds for when the connection is lost."""
    return {
        "visitor": player.visitor, "player": player, "section": section,
        "asked": await _asked(db, me, player.course.id, section),
        "ahead": [(one, await _asked(db, me, player.course.id, one)) for one in player.ahead(section)],
    }  # fmt: skip


async def _asked(db: Db, me: Asker, course_id: UUID, section: SectionOut) -> list[Asked]:
    answers = await get_latest_answers(db, me.user_id, course_id, section.key)
    reasons = await operations.get_explanations(db, course_id, section.key, language()) if answers else {}
    asked = [
        Asked(question, answers.get(question.key), reasons.get(question.key), uuid4())
        for question in section.questions
    ]
    return [
        replace(one, next=next((other.question.key for other in others if other.state != "right"), None))
        for place, one in enumerate(asked)
        if (others := asked[place + 1 :] + asked[:place]) is not None
    ]


router = Router("/", route_handlers=[course, done, resume, section, go_on, answer, deliver])
