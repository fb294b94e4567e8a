"""The course player: a section's text, its questions one after another, and the way on."""

from dataclasses import dataclass, replace
from urllib.parse import quote
from uuid import UUID, uuid4

from litestar import Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Redirect, Template

from specchem.auth.visits import Ask
from specchem.courses import operations
from specchem.courses.operations import Explanation
from specchem.courses.schemas import CourseContent, QuestionOut, SectionOut
from specchem.db.session import Asker, Db
from specchem.doors import Me
from specchem.enrollments.operations import get_user_enrollments
from specchem.errors import BadInput, Conflict, NotFound
from specchem.events.operations import TAKEN, get_latest_answers, record_activity_event, record_question_event
from specchem.events.schemas import CreateActivityEvent, CreateQuestionEvent, LatestAnswer
from specchem.i18n import language, told
from specchem.people.visitor import Visitor, get_visitor
from specchem.progress.operations import get_user_progress
from specchem.progress.schemas import Progress
from specchem.vocabulary import Page


@dataclass(frozen=True)
class Asked:
    """A question as the page shows it: what was answered last, and why that is right or wrong."""

    question: QuestionOut
    answer: LatestAnswer | None
    explanation: Explanation | None
    # A new id for each showing, so that a form sent twice is recorded once.
    event_id: UUID
    refusal: str | None = None


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
    return Template("courses/course.html", context={"visitor": player.visitor, "player": player})


@get("/courses/{slug:str}/done")
async def done(me: Me, slug: FromPath[str]) -> Template:
    """The end: completed, or what is still open."""
    async with me.acting() as db:
        player = await _player(db, me, slug)
        taken = await get_user_enrollments(db, me.user_id, Page(limit=500))
    enrollment = next(one for one in taken if one.course_id == player.course.id)
    return Template(
        "courses/done.html", context={"visitor": player.visitor, "player": player, "enrollment": enrollment}
    )


@get("/courses/{slug:str}/{section:str}")
async def section(me: Me, slug: FromPath[str], section: FromPath[str]) -> Template:
    """A section's text and questions."""
    async with me.acting() as db:
        player = await _player(db, me, slug)
        shown = player.section(section)
        asked = await _asked(db, me, player.course.id, shown)
    return Template(
        "courses/section.html",
        context={"visitor": player.visitor, "player": player, "section": shown, "asked": asked},
    )


@post("/courses/{slug:str}/{section:str}/continue", status_code=303)
async def go_on(me: Me, slug: FromPath[str], section: FromPath[str]) -> Redirect:
    """The section was read; on to the next that is open."""
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
    return Redirect(player.address(player.next_open(after=section)), status_code=303)


@post("/courses/{slug:str}/{section:str}/{question:str}", status_code=200)
async def answer(
    request: Ask, me: Me, slug: FromPath[str], section: FromPath[str], question: FromPath[str]
) -> Response[None] | Template:
    """Grade an answer: the question comes back alone to htmx, and its page to everyone else."""
    form = await request.form()
    choices = [str(choice) for choice in form.getall("choice", [])]
    event_id = _event_id(str(form.get("event_id") or uuid4()))
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
            response_meta={"choices": choices, "language": player.course.language},
        )
        try:
            async with db.attempt():
                await record_question_event(db, me.user_id, event)
        except (BadInput, Conflict) as error:
            refusal, status = _refusal(error, choices), error.status
        if refusal is None and not request.headers.get("hx-request"):
            return Redirect(f"{player.address(section)}#{question}", status_code=303)
        asked = {one.question.key: one for one in await _asked(db, me, player.course.id, shown)}
        if refusal is not None:
            asked[question] = replace(asked[question], refusal=refusal)
        progress, sections_done = await _standing(db, me, player.course.id)
        player = replace(player, progress=progress, done=sections_done)
    context = {"visitor": player.visitor, "player": player, "section": shown, "asked": list(asked.values())}
    if request.headers.get("hx-request"):
        return Template(
            "courses/_answered.html", context={**context, "one": asked[question]}, status_code=status
        )
    return Template("courses/section.html", context=context, status_code=status)


def _refusal(error: BadInput | Conflict, choices: list[str]) -> str:
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


async def _asked(db: Db, me: Asker, course_id: UUID, section: SectionOut) -> list[Asked]:
    answers = await get_latest_answers(db, me.user_id, course_id, section.key)
    reasons = await operations.get_explanations(db, course_id, section.key, language())
    return [
        Asked(question, answers.get(question.key), reasons.get(question.key), uuid4())
        for question in section.questions
    ]


router = Router("/", route_handlers=[course, done, section, go_on, answer])
