"""Verbs over courses and their content."""

from uuid import UUID

import msgspec

from specchem.courses.schemas import CourseContent, CourseRow
from specchem.db.session import Db
from specchem.vocabulary import FIRST_PAGE, Page

NO_COURSE = "There is no such course."
# A course with all that a player needs, in the language $2 where it is said in it.
CONTENT = """
    select c.id, c.slug, coalesce(c.translations -> $2 ->> 'title', c.title) as title, c.version,
        case when c.translations ? $2 then $2 else c.language end as language, coalesce((
        select jsonb_agg(jsonb_build_object(
            'key', s.key, 'title', coalesce(s.translations -> $2 ->> 'title', s.title),
            'body', coalesce(s.translations -> $2 ->> 'body', s.body), 'questions', coalesce((
                select jsonb_agg(jsonb_build_object(
                    'key', q.key, 'prompt', coalesce(q.translations -> $2 ->> 'prompt', q.prompt),
                    'multiple', q.multiple, 'choices', coalesce((
                        select jsonb_agg(jsonb_build_object(
                            'key', o.key, 'text', coalesce(o.translations -> $2 ->> 'text', o.text))
                            order by o.position)
                        from question_choices o
                        where o.course_id = q.course_id and o.section_key = q.section_key
                            and o.question_key = q.key), '[]')) order by q.position)
                from questions q where q.course_id = s.course_id and q.section_key = s.key), '[]'))
            order by s.position)
        from sections s where s.course_id = c.id), '[]') as sections
    from courses c"""


async def get_courses(db: Db, page: Page = FIRST_PAGE) -> list[CourseRow]:
    """The courses the caller may read, by title."""
    return await db.all(
        CourseRow,
        "select * from courses order by title, id limit $1 offset $2", page.limit, page.offset,
    )  # fmt: skip


async def get_course_content(db: Db, slug: str, language: str | None = None) -> CourseContent:
    """A course with its sections and questions, without answers. Raises NotFound.

    Of its versions the one that the caller was enrolled in last, else the one that is published, else the newest;
    in ``language`` where the course is said in it, else in its own.
    """
    return await db.one(
        CourseContent,
        CONTENT  # noqa: S608  no value is in the text
        + """
        where c.slug = $1
        order by (select max(e.enrolled_at) from enrollments e where e.course_id = c.id and e.user_id = app.me())
            desc nulls last, c.is_published desc, c.superseded_at desc nulls first, c.created_at desc limit 1""",
        slug,
        language or "",
        missing=NO_COURSE,
    )


class Explanation(msgspec.Struct, frozen=True):
    """Why an answer is right or wrong, and the rule it rests on."""

    question_key: str
    explanation: str
    citation: str


async def get_explanations(
    db: Db, course: UUID, section: str, language: str | None = None
) -> dict[str, Explanation]:
    """The explanations of a section's questions that the caller has answered, by question."""
    rows = await db.all(
        Explanation,
        """
        select q.key as question_key, x.explanation, x.citation
        from questions q cross join lateral app.explain(q.course_id, q.section_key, q.key, $3) as x
        where q.course_id = $1 and q.section_key = $2""",
        course, section, language,
    )  # fmt: skip
    return {row.question_key: row for row in rows}


class SectionDone(msgspec.Struct, frozen=True):
    """Whether the caller has done a section."""

    section_key: str
    done: bool


async def get_my_sections(db: Db, course: UUID) -> dict[str, bool]:
    """Which sections of a course the caller has done."""
    rows = await db.all(SectionDone, "select * from app.my_sections($1)", course)
    return {row.section_key: row.done for row in rows}
