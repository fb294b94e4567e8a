"""Verbs over the versions of courses, for who keeps them: HR looks, the dev admin publishes and withdraws."""

from uuid import UUID

from specchem.courses.operations import CONTENT, NO_COURSE
from specchem.courses.schemas import AnswerKey, CourseContent, Version
from specchem.db.session import Db
from specchem.errors import Forbidden

# Offered is what can be enrolled in now; superseded, what people go on in beside a newer version.
_VERSION = """
    select c.*, p.enrolled, p.completed, p.is_taken, case
        when c.is_published and c.superseded_at is null then 'offered'
        when c.is_published then 'superseded'
        when c.superseded_at is not null or p.is_taken then 'withdrawn'
        else 'draft' end as state
    from courses c join app.course_people() p on p.course_id = c.id where app.keeps()"""


async def get_versions(db: Db) -> list[Version]:
    """Every version of every course: courses by slug, each one's newest version first. Raises Forbidden."""
    return await db.all(Version, f"{_VERSION} order by c.slug, c.created_at desc, c.id")


async def get_version(db: Db, course: UUID) -> Version:
    """One version. Raises NotFound, Forbidden."""
    return await db.one(Version, f"{_VERSION} and c.id = $1", course, missing=NO_COURSE)


async def find_version(db: Db, slug: str, version: str) -> UUID:
    """A version's id. Raises NotFound."""
    found: dict[str, UUID] = await db.one(
        dict, "select id from courses where slug = $1 and version = $2", slug, version, missing=NO_COURSE
    )
    return found["id"]


async def may_write(db: Db) -> bool:
    """May the caller load, publish and withdraw?"""
    return bool(await db.value("select app.is_dev()"))


async def set_published(db: Db, course: UUID, published: bool) -> None:
    """Offer a version in the place of the one offered now, or withdraw it. Doing it again changes nothing."""
    done = await db.value(
        "update courses set is_published = $2 where id = $1 returning true", course, published
    )
    if not done:
        await get_version(db, course)  # unknown: 404
        raise Forbidden("Only dev admins load, publish and withdraw courses.")


async def get_version_content(db: Db, course: UUID, language: str) -> CourseContent:
    """What a learner of this version reads, in ``language`` where it is said in it. Raises NotFound, Forbidden."""
    return await db.one(
        CourseContent, f"{CONTENT} where c.id = $1 and app.keeps()", course, language, missing=NO_COURSE
    )


async def get_answer_keys(db: Db, course: UUID, section: str, language: str) -> dict[str, AnswerKey]:
    """A section's answers by question; none for who may not read them."""
    rows = await db.all(
        AnswerKey,
        """
        select question_key, correct, citation,
            coalesce(translations -> $3 ->> 'explanation', explanation) as explanation
        from answer_keys where course_id = $1 and section_key = $2""",
        course, section, language,
    )  # fmt: skip
    return {row.question_key: row for row in rows}
