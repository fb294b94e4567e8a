"""Puts a course that was read from its files into the tables: as the owner, or as a dev admin."""

from typing import Any
from uuid import UUID

from specchem.courses.content import Course, content_hash
from specchem.db.session import Connection
from specchem.errors import Conflict

Words = dict[str, dict[str, str]]


async def load_course(connection: Connection, course: Course) -> bool:
    """Load a version of a course; False when it stands as it is. Call inside a transaction.

    A draft is replaced. Raises Conflict where a published version would change, or one that anybody takes: they would
    be graded by other questions than they saw. A language that it did not have yet may be added to it.
    """
    fingerprint = content_hash(course)
    known = await connection.fetchrow(
        """
        select id, content_hash, translations, is_published or superseded_at is not null
            or exists (select from enrollments e where e.course_id = c.id) as offered
        from courses c where slug = $1 and version = $2 for update""",
        course.slug, course.version,
    )  # fmt: skip
    if known is not None and known["content_hash"] == fingerprint:
        return await _translate(connection, known["id"], known["translations"], course, known["offered"])
    if known is not None and known["content_hash"] is not None and known["offered"]:
        raise Conflict(
            f"Course {course.slug} {course.version} was published, and a published version never changes:"
            " raise the version in course.yaml."
        )
    course_id, is_new = await connection.fetchrow(  # type: ignore[misc]
        """
        insert into courses (slug, title, version, language, content_hash) values ($1, $2, $3, $4, $5)
        on conflict (slug, version) do update set
            title = excluded.title, language = excluded.language, content_hash = excluded.content_hash
        returning id, xmax = 0""",
        course.slug, course.title, course.version, course.language, fingerprint,
    )  # fmt: skip
    await connection.execute("select app.empty_draft($1)", course_id)
    for name, rows in _rows(course).items():
        await connection.executemany(
            f"insert into {name} values ({', '.join(f'${n + 1}' for n in range(len(rows[0]) + 1))})",  # noqa: S608
            [(course_id, *row) for row in rows],
        )
    await _translate(connection, course_id, {}, course, False)
    if is_new and course.published:
        await connection.execute("update courses set is_published = true where id = $1", course_id)
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


async def _translate(
    connection: Connection, course_id: UUID, known: Words, course: Course, offered: bool
) -> bool:
    """Put the words in other languages beside the course's own; False where they stand already.

    A language's fingerprint stands with its title, so that nothing is written twice.
    """
    wanted = {
        one.language: {"title": one.title, "content_hash": content_hash(course.model_copy(update={
            "language": one.language, "title": one.title, "sections": one.sections,
        }))}
        for one in course.translations
    }  # fmt: skip
    if known == wanted:
        return False
    if offered and any(wanted.get(language) != words for language, words in known.items()):
        raise Conflict(
            f"Course {course.slug} {course.version} was published, and its words in a language never change:"
            " raise the version in course.yaml."
        )
    await connection.execute("update courses set translations = $2 where id = $1", course_id, wanted)
    for table, where, rows in _words(course):
        await connection.executemany(
            f"update {table} set translations = $2 where course_id = $1{where}",  # noqa: S608
            [(course_id, words, *keys) for keys, words in rows.items()],
        )
    return True


def _words(course: Course) -> list[tuple[str, str, dict[tuple[str, ...], dict[str, Any]]]]:
    """For each content table, how its rows are found by their keys, and each row's words by language."""
    sections: dict[tuple[str, ...], dict[str, Any]] = {}
    questions: dict[tuple[str, ...], dict[str, Any]] = {}
    choices: dict[tuple[str, ...], dict[str, Any]] = {}
    answers: dict[tuple[str, ...], dict[str, Any]] = {}
    for one in course.translations:
        for s in one.sections:
            sections.setdefault((s.key,), {})[one.language] = {"title": s.title, "body": s.body}
            for q in s.questions:
                questions.setdefault((s.key, q.key), {})[one.language] = {"prompt": q.prompt}
                answers.setdefault((s.key, q.key), {})[one.language] = {"explanation": q.explanation}
                for c in q.choices:
                    choices.setdefault((s.key, q.key, c.key), {})[one.language] = {"text": c.text}
    return [
        ("sections", " and key = $3", sections),
        ("questions", " and section_key = $3 and key = $4", questions),
        ("answer_keys", " and section_key = $3 and question_key = $4", answers),
        ("question_choices", " and section_key = $3 and question_key = $4 and key = $5", choices),
    ]
