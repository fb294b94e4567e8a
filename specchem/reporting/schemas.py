"""What the reports show; rates and averages in per cent (guide: operations/reporting.ts)."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from pydantic import Field

from specchem.vocabulary import Input

# Which of a course's learners.
Show = Literal["all", "not_done", "in_progress", "not_started", "done"]
Shown = Literal["not_done", "in_progress", "not_started", "stuck", "done"]  # on a plant's page


class MostMissed(Input):
    """How many of the most missed questions to show."""

    limit: int = Field(default=10, ge=1, le=100)


class CompletionRate(msgspec.Struct, frozen=True):
    """Active people's enrollments by status; the rate is completed of enrolled, 0 where nobody is."""

    total_enrolled: int
    completed: int
    in_progress: int
    not_started: int
    completion_rate: float


class CourseRef(msgspec.Struct, frozen=True):
    """A course, named."""

    id: UUID
    title: str
    slug: str


class PlantRef(msgspec.Struct, frozen=True):
    """A plant, named."""

    id: UUID
    name: str


class ProgressSummary(msgspec.Struct, frozen=True):
    """A plant's enrollments in one course; somebody without progress counts as 0 in the average."""

    course: CourseRef
    total_enrolled: int
    completed: int
    in_progress: int
    not_started: int
    completion_rate: float
    average_progress: float


class OrgCompletion(msgspec.Struct, frozen=True):
    """A plant among the others; active people are counted once, however many courses they take."""

    plant: PlantRef
    total_users: int
    total_enrollments: int
    completed_enrollments: int
    completion_rate: float
    average_progress: float


class MissedQuestion(msgspec.Struct, frozen=True):
    """A question that people miss, with the Wilson 95 % interval of its miss rate."""

    section_key: str
    section: str | None  # its title
    question_key: str
    prompt: str | None
    total_attempts: int
    incorrect_attempts: int
    people: int
    miss_rate: float
    miss_rate_low: float
    miss_rate_high: float


class EnrollmentRef(msgspec.Struct, frozen=True):
    """An enrollment's status and dates."""

    status: str
    enrolled_at: datetime
    completed_at: datetime | None


class ProgressRef(msgspec.Struct, frozen=True):
    """How far, where, and when last."""

    progress_percent: int
    current_section: str | None
    last_active_at: datetime


class ActivityRef(msgspec.Struct, frozen=True):
    """How much was done: answers given, of them right, sections viewed, and the languages it was answered in."""

    answers: int
    right_answers: int
    sections_viewed: int
    languages: list[str]


class ActivitySummary(msgspec.Struct, frozen=True):
    """One of a person's courses, from enrollment to activity."""

    course: CourseRef | None
    enrollment: EnrollmentRef
    progress: ProgressRef | None
    activity: ActivityRef


class PlantLearner(msgspec.Struct, frozen=True, kw_only=True):
    """A person in a plant's list of one course."""

    user_id: UUID
    first_name: str
    last_name: str
    job_title: str | None
    status: str
    progress_percent: int
    enrolled_at: datetime
    completed_at: datetime | None
    last_active_at: datetime | None


class StuckLearner(PlantLearner, frozen=True, kw_only=True):
    """A learner who is stuck: quiet for long, or missing these questions again and again."""

    is_quiet: bool
    questions: list[str]


class Week(msgspec.Struct, frozen=True):
    """A week of a plant in one course, from Monday by the plant's clock."""

    starts_at: datetime
    answers: int
    people: int  # who answered
    enrolled: int
    completed: int


class Month(msgspec.Struct, frozen=True):
    """A month's completions."""

    starts_at: datetime
    completed: int


class MissedByPerson(msgspec.Struct, frozen=True):
    """A question that a person got wrong, and whether they got it right since."""

    course: str | None
    section: str
    prompt: str
    wrong: int
    is_right: bool
    last_answered_at: datetime


class Happening(msgspec.Struct, frozen=True):
    """Something of a person's time line; ``kind`` is a kind of event, ``enrolled`` or ``answer``."""

    happened_at: datetime
    kind: str
    course: str | None
    section: str | None
    prompt: str | None
    is_correct: bool | None
