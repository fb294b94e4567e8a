"""Importing a list of people: a file, what it would change, and the change."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.datastructures import UploadFile
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Stream, Template

from specchem.auth.visits import Ask
from specchem.db.session import Asker
from specchem.doors import Me
from specchem.errors import BadInput, Forbidden
from specchem.export import TYPES, sent, written
from specchem.i18n import N_
from specchem.people.directory import get_powers
from specchem.people.import_file import FIELDS, read_people
from specchem.people.imports import apply, compare, counted, get_import, keep_import, told_fault
from specchem.people.visitor import get_visitor
from specchem.vocabulary import Page

ROWS = 100  # a page of the preview
CHOOSE = "Choose a file first."
NOT_YOURS = "Only HR of the company imports people."
HOLDS = [
    (("email",), N_("Needed. Tells whom the row is about.")),
    (("first_name", "last_name", "job_title"), N_("An empty cell changes nothing.")),
    (("plant",), N_("The plant's name; needed for who is new.")),
    (("status",), N_("Write active or suspended; may be left out.")),
]
KINDS = {
    "problems": N_("With problems"), "new": N_("New"), "changed": N_("Changed"), "unchanged": N_("Unchanged"),
}  # fmt: skip
FIELD_WORDS = {
    "first_name": N_("First name"), "last_name": N_("Last name"), "job_title": N_("Job title"),
    "plant": N_("Plant"), "status": N_("Status"),
}  # fmt: skip


@get("/people/import")
async def form(
    me: Me,
    new: FromQuery[int] = -1,
    changed: FromQuery[int] = 0,
    unchanged: FromQuery[int] = 0,
    problems: FromQuery[int] = 0,
) -> Template:
    """A file to choose; after an import, what it did."""
    done = {"new": new, "changed": changed, "unchanged": unchanged, "problems": problems}
    return await _form(me, done=done if new >= 0 else None)


@post("/people/import", status_code=303)
async def upload(request: Ask, me: Me) -> Response[None] | Template:
    """Read the file, keep its rows, and show what they would change."""
    file = (await request.form()).get("file")
    try:
        if not isinstance(file, UploadFile) or not file.filename:
            raise BadInput(CHOOSE)
        content = await file.read()
        await file.close()
        rows = await asyncio.to_thread(read_people, content)
    except BadInput as error:
        return await _form(me, str(error))
    name = "".join(char for char in file.filename if char.isprintable())[-100:]
    async with me.acting() as db:
        kept = await keep_import(db, name, rows)
    return Redirect(f"/people/import/{kept}", status_code=303)


@get("/people/import/{kept:uuid}")
async def preview(
    me: Me, kept: FromPath[UUID], show: FromQuery[str] = "", offset: FromQuery[int] = 0
) -> Template:
    """What would be new, what would change, and what is wrong, as things stand now."""
    page = Page(limit=ROWS, offset=offset)
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        found = await get_import(db, kept)
        differences = await compare(db, found.rows)
    counts = counted(differences)
    first = next((kind for kind in KINDS if getattr(counts, kind)), "unchanged")
    shown = show if show in KINDS else first
    rows = [one for one in differences if one.kind == shown]
    context: dict[str, Any] = {
        "visitor": visitor, "kept": kept, "file_name": found.file_name, "counts": counts, "kinds": KINDS,
        "shown": shown, "rows": rows[page.offset : page.offset + page.limit], "total": len(rows), "offset": page.offset,
        "per_page": ROWS, "words": FIELD_WORDS, "told_fault": told_fault,
    }  # fmt: skip
    return Template("people/import_preview.html", context=context)


@get("/people/import/{kept:uuid}/problems")
async def problems(me: Me, kept: FromPath[UUID]) -> Stream:
    """The rows that are not imported, to be put right and sent again; what is wrong stands in the last column."""
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        differences = await compare(db, (await get_import(db, kept)).rows)

    async def rows() -> AsyncIterator[list[tuple[object, ...]]]:
        yield [
            (one.row, *(getattr(one, field) for field in FIELDS), " ".join(map(told_fault, one.problems)))
            for one in differences
            if one.problems
        ]

    file = await written("csv", ["row", *FIELDS, "problem"], rows(), visitor.zone)
    headers = {"Content-Disposition": 'attachment; filename="people-with-problems.csv"'}
    return Stream(sent(file), media_type=TYPES["csv"], headers=headers)


@post("/people/import/{kept:uuid}", status_code=303)
async def carry_out(me: Me, kept: FromPath[UUID]) -> Redirect:
    """Import the good rows, all or none of them."""
    async with me.acting() as db:
        done = await apply(db, (await get_import(db, kept)).rows)
    query = f"new={done.new}&changed={done.changed}&unchanged={done.unchanged}&problems={done.problems}"
    return Redirect(f"/people/import?{query}", status_code=303)


async def _form(me: Asker, sentence: str | None = None, done: dict[str, int] | None = None) -> Template:
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        if not (await get_powers(db)).is_hr:
            raise Forbidden(NOT_YOURS)
    context = {"visitor": visitor, "sentence": sentence, "done": done, "holds": HOLDS}
    return Template("people/import.html", context=context, status_code=400 if sentence else 200)


router = Router("/", route_handlers=[form, upload, preview, problems, carry_out])
