"""What may come in about enrollments, and what goes out (guide: validations/enrollment.ts)."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from specchem.vocabulary import Input


class CreateEnrollment(Input):
    """A person to enroll in a course (guide: createEnrollmentSchema).

    The plant is the person's; one that is sent must be that.
    """

    user_id: UUID
    course_id: UUID
    plant_id: UUID | None = None


class UpdateEnrollment(Input):
    """A step forward (guide: updateEnrollmentSchema); its date is the server's."""

    status: Literal["in_progress", "completed"]


class Enrollment(msgspec.Struct, frozen=True):
    """An enrollment as the table holds it; ``completed_at`` is set if and only if it is completed."""

    id: UUID
    user_id: UUID
    course_id: UUID
    plant_id: UUID
    status: str
    enrolled_at: datetime
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime


class UserEnrollment(Enrollment, frozen=True):
    """An enrollment with its course and how far the learner is; a withdrawn course has no slug and title."""

    slug: str | None
    title: str | None
    version: str | None
    translations: dict[str, dict[str, str]] | None  # the title in other languages
    progress_percent: int
    current_section: str | None
    last_active_at: datetime | None


class EnrollmentStats(msgspec.Struct, frozen=True):
    """Enrollments of active people; the rate is in per cent, 0 where nobody is enrolled."""

    total: int
    completed: int
    completion_rate: float
