"""What may come in about progress, and what goes out (guide: validations/progress.ts)."""

from datetime import datetime
from typing import Self
from uuid import UUID

import msgspec
from pydantic import model_validator

from specchem.vocabulary import Input, Key, Percent


class UpdateProgress(Input):
    """How far a learner is (guide: updateProgressSchema)."""

    progress_percent: Percent
    current_section: Key | None = None


class MarkProgress(Input):
    """A mark on the way (guide: progressPatchSchema); at least one of the two."""

    progress_percent: Percent | None = None
    current_section: Key | None = None

    @model_validator(mode="after")
    def _marks_something(self) -> Self:
        if self.progress_percent is None and self.current_section is None:
            raise ValueError("name progress_percent, current_section or both")
        return self


class Progress(msgspec.Struct, frozen=True):
    """How far a learner is, 0 to 100 per cent."""

    id: UUID
    user_id: UUID
    course_id: UUID
    plant_id: UUID
    progress_percent: int
    current_section: str | None
    last_active_at: datetime
    created_at: datetime
    updated_at: datetime
