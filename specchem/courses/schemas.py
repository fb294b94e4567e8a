"""What goes out about courses. Answers do not, but to the dev admin: AnswerKey."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec


class CourseRow(msgspec.Struct, frozen=True):
    """A course as the table holds it."""

    id: UUID
    slug: str
    title: str
    version: str
    language: str
    is_published: bool
    superseded_at: datetime | None
    content_hash: str | None
    translations: dict[str, dict[str, str]]
    created_at: datetime
    updated_at: datetime


class ChoiceOut(msgspec.Struct, frozen=True):
    """One of a question's choices."""

    key: str
    text: str


class QuestionOut(msgspec.Struct, frozen=True):
    """A question; ``multiple`` says that more than one choice is right."""

    key: str
    prompt: str
    multiple: bool
    choices: list[ChoiceOut]


class SectionOut(msgspec.Struct, frozen=True):
    """A section: its text in Markdown, then its questions."""

    key: str
    title: str
    body: str
    questions: list[QuestionOut]


class CourseContent(msgspec.Struct, frozen=True):
    """A course with all its sections, in order."""

    id: UUID
    slug: str
    title: str
    version: str
    language: str  # of these words: the one asked for, where the course is said in it
    sections: list[SectionOut]


class Version(CourseRow, frozen=True):
    """A version of a course as its keepers see it: how many active people are in it, and how many of them are done."""

    enrolled: int
    completed: int
    is_taken: bool  # was anybody ever enrolled in it?
    state: Literal["draft", "offered", "superseded", "withdrawn"]

    @property
    def open(self) -> int:
        """People who are in it and not done."""
        return self.enrolled - self.completed

    @property
    def languages(self) -> list[str]:
        """Its own language, then those it is said in besides."""
        return [self.language, *sorted(self.translations)]


class AnswerKey(msgspec.Struct, frozen=True):
    """What is right, why, and the rule it rests on: for the dev admin alone."""

    question_key: str
    correct: list[str]
    explanation: str
    citation: str
