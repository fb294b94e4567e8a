"""Keeping courses: their versions, loading one from a file, looking at it as a learner, publishing and withdrawing."""

import asyncio
import io
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from litestar import Router, get, post
from litestar.datastructures import UploadFile
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from specchem.auth.visits import Ask
from specchem.courses import versions
from specchem.courses.archive import MOST_SENT, TOO_LARGE, read_archive
from specchem.courses.content import ContentError, Course, Problem
from specchem.courses.loading import load_course
from specchem.courses.schemas import Version
from specchem.db.session import Asker, Db
from specchem.doors import Me
from specchem.errors import BadInput, Conflict, Forbidden, NotFound
from specchem.i18n import N_, language
from specchem.people.visitor import get_visitor

NOTHING_CHOSEN = N_("Choose the .zip file of a course.")
OUTCOMES = {
    "draft": N_("Loaded. Look at it as a learner will, in each language, and publish it when it is right."),
    "language": N_("The version stands as it was, and its languages are as in the file."),
    "same": N_("This version is here already, word by word. Nothing was changed."),
}
DONE = {
    "published": N_("Published. Whoever is enrolled from now on takes this version."),
    "withdrawn": N_("Withdrawn. It is offered again when you publish it, or another version."),
}


@get("/admin/courses")
async def courses(me: Me, done: FromQuery[str] = "") -> Template:
    """Every course with its versions."""
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        found = await versions.get_versions(db)
        writes = await versions.may_write(db)
    grouped = [list(rows) for _, rows in groupby(found, lambda row: row.slug)]
    return Template(
        "courses/admin.html",
        context={"visitor": visitor, "courses": grouped, "writes": writes, "done": DONE.get(done)},
    )


@get("/admin/courses/load")
async def form(me: Me) -> Template:
    """Which file?"""
    return await _form(me)


@post("/admin/courses/load", status_code=200)
async def load(request: Ask, me: Me) -> Template | Redirect:
    """Take a course in as a draft, or say everything that is wrong with it."""
    async with me.acting() as db:
        await _may_write(db)  # before anything is unpacked
    sent = (await request.form()).get("file")
    if not isinstance(sent, UploadFile) or not sent.filename:
        return await _form(me, NOTHING_CHOSEN)
    content = await sent.read()
    if len(content) > MOST_SENT:
        return await _form(me, TOO_LARGE)
    try:
        course = await asyncio.to_thread(_read, content)
        async with me.acting() as db:
            before = {row.id for row in await versions.get_versions(db) if row.state != "draft"}
            # Whatever the file says: a person looks at it before it is offered.
            changed = await load_course(db.connection, course.model_copy(update={"published": False}))
            course_id = await versions.find_version(db, course.slug, course.version)
    except ContentError as error:
        return await _form(me, problems=error.problems)
    except (BadInput, Conflict) as error:
        return await _form(me, str(error))
    outcome = "same" if not changed else "language" if course_id in before else "draft"
    return Redirect(f"/admin/courses/{course_id}/preview?outcome={outcome}", status_code=303)


@get("/admin/courses/{course:uuid}/preview")
async def preview(
    me: Me, course: FromPath[UUID], lang: FromQuery[str | None] = None, outcome: FromQuery[str | None] = None
) -> Template:
    """The version's front page, as a learner finds it."""
    context = await _preview(me, course, lang)
    return Template("courses/preview.html", context=context | {"outcome": OUTCOMES.get(outcome or "")})


@get("/admin/courses/{course:uuid}/preview/{section:str}")
async def preview_section(
    me: Me, course: FromPath[UUID], section: FromPath[str], lang: FromQuery[str | None] = None
) -> Template:
    """A section with its questions, and with its answers for the dev admin. Nothing is recorded."""
    context = await _preview(me, course, lang, section)
    return Template("courses/preview_section.html", context=context)


@get("/admin/courses/{course:uuid}/publish")
async def ask_to_publish(me: Me, course: FromPath[UUID]) -> Template:
    """What publishing means, before it is done."""
    return await _confirm(me, course, "publish")


@get("/admin/courses/{course:uuid}/withdraw")
async def ask_to_withdraw(me: Me, course: FromPath[UUID]) -> Template:
    """What withdrawing means, before it is done."""
    return await _confirm(me, course, "withdraw")


@post("/admin/courses/{course:uuid}/publish", status_code=303)
async def publish(me: Me, course: FromPath[UUID]) -> Redirect:
    """Offer this version from now on."""
    async with me.acting() as db:
        await versions.set_published(db, course, True)
    return Redirect("/admin/courses?done=published", status_code=303)


@post("/admin/courses/{course:uuid}/withdraw", status_code=303)
async def withdraw(me: Me, course: FromPath[UUID]) -> Redirect:
    """Nobody is enrolled in it or goes on in it."""
    async with me.acting() as db:
        await versions.set_published(db, course, False)
    return Redirect("/admin/courses?done=withdrawn", status_code=303)


def _read(content: bytes) -> Course:
    with TemporaryDirectory(prefix="specchem-course-") as folder:
        return read_archive(io.BytesIO(content), Path(folder))


async def _may_write(db: Db) -> None:
    if not await versions.may_write(db):
        raise Forbidden("Only dev admins load, publish and withdraw courses.")


async def _form(me: Asker, sentence: str | None = None, *, problems: list[Problem] | None = None) -> Template:
    async with me.acting() as db:
        await _may_write(db)
        visitor = await get_visitor(db, me)
    return Template(
        "courses/load.html",
        context={"visitor": visitor, "sentence": sentence, "problems": problems or []},
        status_code=400 if sentence or problems else 200,
    )


async def _confirm(me: Asker, course: UUID, doing: str) -> Template:
    async with me.acting() as db:
        await _may_write(db)
        visitor = await get_visitor(db, me)
        one = await versions.get_version(db, course)
        others = [row for row in await versions.get_versions(db) if row.slug == one.slug and row.id != one.id]
    offered = next((row for row in others if row.state == "offered"), None)
    return Template(f"courses/{doing}.html", context={"visitor": visitor, "version": one, "offered": offered})


async def _preview(me: Asker, course: UUID, lang: str | None, section: str | None = None) -> dict[str, Any]:
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        version: Version = await versions.get_version(db, course)
        spoken = lang if lang in version.languages else language()
        content = await versions.get_version_content(db, course, spoken)
        answers = await versions.get_answer_keys(db, course, section, spoken) if section else {}
        writes = await versions.may_write(db)
    keys = [one.key for one in content.sections]
    if section is not None and section not in keys:
        raise NotFound("This course has no such section.")
    at = keys.index(section) if section is not None else -1
    return {
        "visitor": visitor, "version": version, "content": content, "answers": answers, "writes": writes,
        "section": content.sections[at] if section is not None else None,
        "before": content.sections[at - 1] if at > 0 else None,
        "after": content.sections[at + 1] if at + 1 < len(keys) else None,
    }  # fmt: skip


router = Router(
    "/",
    route_handlers=[
        courses,
        form,
        load,
        preview,
        preview_section,
        ask_to_publish,
        ask_to_withdraw,
        publish,
        withdraw,
    ],
)
