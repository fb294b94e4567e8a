"""What may come in about enrollments (guide: Validation Layer, enrollment.ts)."""

from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from specchem.enrollments.schemas import CreateEnrollment, Enrollment, UpdateEnrollment

ID = "11111111-1111-1111-1111-111111111111"
MIXED = "AAAAAAAA-bbbb-4CCC-8DDD-EEEEEEEEEEEE"


# guide-measured: createEnrollment (schema)
def test_ids_are_ids_whatever_their_case() -> None:
    upper = CreateEnrollment.model_validate({"user_id": MIXED.upper(), "course_id": ID, "plant_id": MIXED})
    assert upper.user_id == upper.plant_id
    assert str(upper.course_id) == ID


def test_the_plant_may_be_left_to_the_server() -> None:
    assert CreateEnrollment.model_validate({"user_id": ID, "course_id": ID}).plant_id is None


def test_every_fault_is_named_at_once() -> None:
    sent = {
        "user_id": "x",
        "course_id": None,
        "plant_id": 1,
        "status": "completed",
        "enrolled_at": "1999-01-01",
    }
    with pytest.raises(ValidationError) as caught:
        CreateEnrollment.model_validate(sent)
    assert {fault["loc"][0] for fault in caught.value.errors()} == set(sent)


# guide-measured: updateEnrollment (schema)
@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"status": None},
        {"status": "enrolled"},
        {"status": "enrolled", "completed_at": "2026-01-01T00:00:00Z"},
        {"status": "completed", "completed_at": "2090-01-01T00:00:00Z"},
        {"status": "done"},
        {"status": "completed", "id": ID},
    ],
)
def test_a_step_that_is_refused(sent: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        UpdateEnrollment.model_validate(sent)


# guide-measured: enrollment (read)
@pytest.mark.parametrize("completed_at", [None, "2026-01-02T00:00:00Z"])
def test_an_enrollment_that_is_read_may_be_open(completed_at: str | None) -> None:
    dates = dict.fromkeys(("enrolled_at", "created_at", "updated_at"), "2026-01-01T00:00:00Z")
    ids = dict.fromkeys(("id", "user_id", "course_id", "plant_id"), ID)
    read = msgspec.convert({**ids, **dates, "status": "enrolled", "completed_at": completed_at}, Enrollment)
    assert (read.completed_at is None) == (completed_at is None)
    assert msgspec.json.decode(msgspec.json.encode(read), type=Enrollment) == read
