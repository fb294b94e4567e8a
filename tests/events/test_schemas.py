"""What may come in about answers and activity (guide: Validation Layer, events.ts)."""

from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from specchem.events.schemas import (
    ActivityEvent,
    CreateActivityEvent,
    CreateQuestionEvent,
    QuestionEvent,
    QuestionEventBatch,
)

ID = "11111111-1111-1111-1111-111111111111"
ANSWER: dict[str, Any] = {
    "course_id": ID,
    "section_key": "marking",
    "question_key": "drum",
    "is_correct": True,
}
ACTIVITY: dict[str, Any] = {"course_id": ID, "event_type": "view_section"}


def test_an_answer_is_trimmed_and_keeps_the_clients_time() -> None:
    event = CreateQuestionEvent.model_validate(
        {**ANSWER, "section_key": " marking ", "answered_at": "2026-01-01T12:00:00+02:00"}
    )
    assert event.section_key == "marking"
    assert event.answered_at is not None
    assert event.answered_at.utcoffset() is not None


# guide-measured: createQuestionEvent / createActivityEvent (schema)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "mine"),
        ("course_id", None),
        ("section_key", "  "),
        ("section_key", "x" * 7500),
        ("question_key", ""),
        ("question_key", "a\x00b"),
        ("question_key", "a\ud800b"),
        ("is_correct", 1),
        ("is_correct", "yes"),
        ("response_meta", []),
        ("response_meta", {"note": "x" * 8192}),
        ("response_meta", {"a": {"b": "\x00"}}),
        ("answered_at", "2026-01-01T12:00:00"),  # whose clock?
        ("answered_at", "yesterday"),
        ("attempt_index", 10**15),
        ("attempt_index", 1),
        ("plant_id", ID),
        ("user_id", ID),
        ("created_at", "2026-01-01T00:00:00Z"),
        ("evidence", "server_graded"),
    ],
)
def test_an_answer_that_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        CreateQuestionEvent.model_validate({**ANSWER, field: value})
    assert {fault["loc"][0] for fault in caught.value.errors()} == {field}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "mine"),
        ("event_type", "finish"),
        ("event_type", None),
        ("meta", "{}"),
        ("meta", {"a": float("nan")}),
        ("meta", {"a": "x" * 8192}),
        ("occurred_at", "1999-01-01"),
        ("plant_id", ID),
        ("user_id", ID),
    ],
)
def test_an_activity_that_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        CreateActivityEvent.model_validate({**ACTIVITY, field: value})
    assert {fault["loc"][0] for fault in caught.value.errors()} == {field}


def test_every_fault_of_a_batch_is_named_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        QuestionEventBatch.model_validate({"events": [ANSWER, {**ANSWER, "section_key": ""}, {"x": 1}]})
    assert {fault["loc"][:3] for fault in caught.value.errors()} == {
        ("events", 1, "section_key"),
        *(("events", 2, field) for field in ("course_id", "section_key", "question_key", "x")),
    }


@pytest.mark.parametrize(("length", "fits"), [(0, False), (1, True), (500, True), (501, False)])
def test_a_batch_is_1_to_500_answers(length: int, fits: bool) -> None:
    sent = {"events": [ANSWER] * length}
    if fits:
        assert len(QuestionEventBatch.model_validate(sent).events) == length
    else:
        with pytest.raises(ValidationError):
            QuestionEventBatch.model_validate(sent)


# guide-measured: questionEvent / activityEvent (read)
def test_events_that_are_read_may_have_no_meta() -> None:
    ids = dict.fromkeys(("id", "user_id", "course_id", "plant_id"), ID)
    when = "2026-01-01T00:00:00Z"
    answer = {
        **ids, "section_key": "a", "question_key": "b", "is_correct": False, "attempt_index": 1,
        "evidence": "client_asserted", "response_meta": None, "answered_at": when, "created_at": when,
    }  # fmt: skip
    activity = {**ids, "event_type": "view_section", "meta": None, "occurred_at": when, "created_at": when}
    assert msgspec.convert(answer, QuestionEvent).response_meta is None
    assert msgspec.convert(activity, ActivityEvent).meta is None
