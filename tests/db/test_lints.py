"""The rules of our own schema hold; that each of them can be broken, and is then told, tests/proof shows."""

from typing import Any, get_args

import pytest

from specchem.isolation.lints import KEPT, LINTS, broken_by
from specchem.vocabulary import META_BYTES, AdminRoleName, EnrollmentStatus, EventType, Status
from tests.db.test_schema import GUIDE_INDEXES, rows
from tests.world import World

# Every index that no constraint and no foreign key asks for and that the guide does not name: what it is there for.
REASONS = {
    "plants_one_default": "one default plant",
    "profiles_email_unique": "one person an address, however it is written",
    "enrollments_completed_idx": "completions by week and month",
    "courses_current_unique": "one version of a course is offered",
    "invitations_open_email_unique": "one open invitation an address; sign-up looks it up",
    "activity_events_once_unique": "a course is started and completed once",
    "audit_events_happened_at_idx": "the record is read by its time",
    "audit_events_subject_id_idx": "what was done to a person",
    "activity_events_viewed_idx": "which sections were viewed, for progress",
}


@pytest.mark.parametrize("lint", LINTS)
async def test_our_schema_keeps_its_rules(people: World, lint: str) -> None:
    assert people.connection is not None
    assert await broken_by(people.connection, lint) == []


async def test_every_index_has_a_reason(people: World) -> None:
    found = await rows(
        people,
        """select c.relname::text from pg_index i join pg_class c on c.oid = i.indexrelid
        where i.indrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace)
        and not exists (select from pg_constraint k where k.conindid = i.indexrelid)
        and not exists (select from pg_constraint k where k.contype = 'f' and k.conrelid = i.indrelid
            and k.conkey @> i.indkey::int2[] and k.conkey <@ i.indkey::int2[])""",
    )
    # Those of the guide that stand on a foreign key are asked for twice.
    assert set(found) - GUIDE_INDEXES.keys() == REASONS.keys()
    assert KEPT.keys() <= GUIDE_INDEXES.keys()


@pytest.mark.parametrize(
    ("enum", "ours"),
    [("user_status", Status), ("enrollment_status", EnrollmentStatus), ("admin_role", AdminRoleName),
     ("event_type", EventType)],
)  # fmt: skip
async def test_python_and_the_database_know_the_same_words(people: World, enum: str, ours: Any) -> None:
    found = await rows(
        people,
        "select enumlabel::text from pg_enum where enumtypid = $1::regtype order by enumsortorder",
        enum,
    )
    assert found == list(get_args(ours))


async def test_python_and_the_database_know_the_same_limits(people: World) -> None:
    checks = dict(
        await rows(
            people,
            "select conname::text, pg_get_constraintdef(oid) from pg_constraint where contype = 'c'"
            " and connamespace = 'public'::regnamespace",
        )
    )
    for name in ("question_events_response_meta_small", "activity_events_meta_small"):
        assert f"<= {META_BYTES}" in checks[name]
    tidy = {name: text for name, text in checks.items() if name.endswith("_tidy")}
    assert len(tidy) >= 12
    assert all("<= 200" in text for text in tidy.values())
    assert "<= 254" in checks["profiles_email_valid"]
    assert "evidence" in checks["question_events_evidence_known"]
