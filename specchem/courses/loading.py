"""Puts a course that was read from its files into the tables, as the owner."""

from specchem.courses.content import Course, content_hash
from specchem.db.session import Connection
from specchem.errors import Stopped


async def load_course(connection: Connection, course: Course) -> bool:
    """Load a course; False when it stands as it is. Call inside a transaction.

    Raises Stopped where a published version's content was changed: people who take it would be graded by other
    questions than they saw.
    """
    fingerprint = content_hash(course)
    known = await connection.fetchrow(
        "select id, version, is_published, content_hash from courses where slug = $1 for update", course.slug
    )
    if known is not None and known["content_hash"] == fingerprint:
        return False
    loaded = known is not None and known["content_hash"] is not None
    if known is not None and loaded and known["is_published"] and known["version"] == course.version:
        raise Stopped(
            f"Course {course.slug} {course.version} is published, and a published version never changes:"
            " raise the version in course.yaml."
        )
    course_id = await connection.fetchval(
        """
        insert into courses (slug, title, version, is_published, content_hash) values ($1, $2, $3, $4, $5)
        on conflict (slug) do update set
            title = excluded.title, version = excluded.version, content_hash = excluded.content_hash
        returning id""",
        course.slug, course.title, course.version, course.published, fingerprint,
    )  # fmt: skip
    await connection.execute("delete from sections where course_id = $1", course_id)
    for name, rows in _rows(course).items():
        await connection.executemany(
            f"insert into {name} values ({', '.join(f'${n + 1}' for n in range(len(rows[0]) + 1))})",  # noqa: S608
            [(course_id, *row) for row in rows],
        )
    return True


def _rows(course: Course) -> dict[str, list[tuple[object, ...]]]:
    """The rows of each content table, in its columns' order, without the course's id."""
    sections = list(enumerate(course.sections))
    questions = [(s.key, n, q) for _, s in sections for n, q in enumerate(s.questions)]
    tables: dict[str, list[tuple[object, ...]]] = {
        "sections": [(s.key, n, s.title, s.body) for n, s in sections],
        "questions": [(section, q.key, n, q.prompt, q.multiple) for section, n, q in questions],
        "question_choices": [
            (section, q.key, c.key, n, c.text) for section, _, q in questions for n, c in enumerate(q.choices)
        ],
        "answer_keys": [
            (section, q.key, sorted(q.correct), q.explanation, q.citation) for section, _, q in questions
        ],
    }
    return {name: rows for name, rows in tables.items() if rows}
