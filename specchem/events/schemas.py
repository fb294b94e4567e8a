"""What may come in about answers and activity, and what goes out (guide: validations/events.ts)."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from pydantic import AwareDatetime, Field

from specchem.vocabulary import EventType, Flag, Input, Key, Meta


class CreateQuestionEvent(Input):
    """An answer (guide: createQuestionEventSchema).

    ``id`` makes a retry harmless. ``answered_at`` is for a client that was offline: at most 30 days back and
    5 minutes ahead. ``is_correct`` counts only in a course whose questions the server does not know; elsewhere
    ``response_meta.choices`` is graded.
    """

    id: UUID | None = None
    course_id: UUID
    section_key: Key
    question_key: Key
    is_correct: Flag | None = None
    response_meta: Meta | None = None
    answered_at: AwareDatetime | None = None


class QuestionEventBatch(Input):
    """1 to 500 answers, stored together or not at all."""

    events: list[CreateQuestionEvent] = Field(min_length=1, max_length=500)


class KeptAnswers(Input):
    """Answers that a device kept while it had no connection, oldest first, and whose they are."""

    learner: UUID
    events: list[dict[str, Any]] = Field(
        min_length=1, max_length=500
    )  # each read by itself, as CreateQuestionEvent


class CreateActivityEvent(Input):
    """Something a learner did (guide: createActivityEventSchema).

    Viewing a section names it in ``meta.section_key``.
    """

    id: UUID | None = None
    course_id: UUID
    event_type: EventType
    meta: Meta | None = None
    occurred_at: AwareDatetime | None = None


class QuestionEvent(msgspec.Struct, frozen=True):
    """An answer as the table holds it; ``evidence`` is server_graded or client_asserted."""

    id: UUID
    user_id: UUID
    course_id: UUID
    plant_id: UUID
    section_key: str
    question_key: str
    is_correct: bool
    attempt_index: int
    evidence: str
    response_meta: dict[str, Any] | None
    answered_at: datetime
    created_at: datetime


class GradedAnswer(QuestionEvent, frozen=True):
    """An answer just recorded, with why it is right or wrong where the course says so."""

    explanation: str | None
    citation: str | None


class Delivered(msgspec.Struct, frozen=True):
    """What became of a kept answer: graded, or refused with a sentence for a person."""

    is_correct: bool | None = None
    refusal: str | None = None


class Missed(msgspec.Struct, frozen=True):
    """A question that was answered, and never right."""

    section_key: str
    question_key: str


class Taken(msgspec.Struct, frozen=True):
    """How a learner took a course: answers given, questions answered, right at the first try, in which languages."""

    course_id: UUID
    answers: int
    questions: int
    right_at_once: int
    languages: list[str]  # most answers first; none where no client said one


class LatestAnswer(msgspec.Struct, frozen=True):
    """Where a learner stands with a question: the right answer once there is one, else the latest."""

    question_key: str
    is_correct: bool
    attempt_index: int
    response_meta: dict[str, Any] | None

    @property
    def choices(self) -> list[str]:
        """The keys that were chosen."""
        return list((self.response_meta or {}).get("choices", []))


class ActivityEvent(msgspec.Struct, frozen=True):
    """Something a learner did, as the table holds it."""

    id: UUID
    user_id: UUID
    course_id: UUID
    plant_id: UUID
    event_type: str
    meta: dict[str, Any] | None
    occurred_at: datetime
    created_at: datetime


class QuestionDifficulty(msgspec.Struct, frozen=True):
    """How a plant fares with one question; rates in per cent, the miss rate with its Wilson 95 % interval."""

    section_key: str
    question_key: str
    total_attempts: int
    correct_attempts: int
    incorrect_attempts: int
    first_attempts: int
    people: int
    success_rate: float
    miss_rate: float
    miss_rate_low: float
    miss_rate_high: float
