"""What may come in about progress (guide: Validation Layer, progress.ts)."""

import math
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from specchem.progress.schemas import MarkProgress, Progress, UpdateProgress

ID = "11111111-1111-1111-1111-111111111111"


# guide-measured: updateProgress / progressPatch (schema)
@pytest.mark.parametrize("shape", [UpdateProgress, MarkProgress])
@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"progress_percent": 101},
        {"progress_percent": -5},
        {"progress_percent": 33.3},
        {"progress_percent": "50"},
        {"progress_percent": True},
        {"progress_percent": math.nan},
        {"progress_percent": None, "current_section": None},
        {"progress_percent": 50, "current_section": "   "},
        {"progress_percent": 50, "current_section": "x" * 201},
        {"progress_percent": 50, "current_section": "a\x00"},
        {"progress_percent": 50, "plant_id": ID},
        {"progress_percent": 50, "last_active_at": "2090-01-01T00:00:00Z"},
        {"progressPercent": 50},
    ],
    ids=repr,
)
def test_a_mark_that_is_refused(shape: type[UpdateProgress | MarkProgress], sent: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        shape.model_validate(sent)


@pytest.mark.parametrize("sent", [{"progress_percent": 0}, {"current_section": "intro"}])
def test_a_mark_needs_one_of_the_two(sent: dict[str, Any]) -> None:
    assert MarkProgress.model_validate(sent).model_dump(exclude_none=True) == sent


def test_a_section_is_trimmed() -> None:
    assert MarkProgress.model_validate({"current_section": " intro "}).current_section == "intro"


def test_every_fault_is_named_at_once() -> None:
    sent = {"progress_percent": 101, "current_section": "", "user_id": ID}
    with pytest.raises(ValidationError) as caught:
        UpdateProgress.model_validate(sent)
    assert {fault["loc"][0] for fault in caught.value.errors()} == set(sent)


# guide-measured: progress (read)
def test_progress_that_is_read_may_be_nowhere_yet() -> None:
    dates = dict.fromkeys(("last_active_at", "created_at", "updated_at"), "2026-01-01T00:00:00Z")
    ids = dict.fromkeys(("id", "user_id", "course_id", "plant_id"), ID)
    read = msgspec.convert({**ids, **dates, "progress_percent": 0, "current_section": None}, Progress)
    assert msgspec.json.decode(msgspec.json.encode(read), type=Progress) == read
