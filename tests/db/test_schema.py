"""What the catalog says of our schema: the guide's names are there, and nothing is left open."""

from typing import Any

import pytest

from tests.world import World

GUIDE_TABLES = {
    "plants": "id name is_active created_at updated_at",
    "profiles": "id plant_id first_name last_name email job_title status created_at updated_at",
    "admin_roles": "id user_id role plant_id created_at updated_at",
    "courses": "id slug title version is_published created_at updated_at",
    "enrollments": "id user_id course_id plant_id status enrolled_at completed_at created_at updated_at",
    "progress": "id user_id course_id plant_id progress_percent current_section last_active_at created_at updated_at",
    "question_events": "id user_id course_id plant_id section_key question_key is_correct attempt_index response_meta"
    " answered_at created_at",
    "activity_events": "id user_id course_id plant_id event_type meta occurred_at created_at",
}
GUIDE_TYPES = {
    "id": "uuid", "user_id": "uuid", "plant_id": "uuid", "course_id": "uuid", "is_active": "boolean",
    "is_published": "boolean", "is_correct": "boolean", "progress_percent": "integer",
    "attempt_index": "integer", "response_meta": "jsonb", "meta": "jsonb", "role": "admin_role",
    "event_type": "event_type",
    "profiles.status": "user_status", "enrollments.status": "enrollment_status",
}  # fmt: skip
GUIDE_NULLABLE = {
    "profiles.job_title", "admin_roles.plant_id", "enrollments.completed_at", "progress.current_section",
    "question_events.response_meta", "activity_events.meta",
}  # fmt: skip
GUIDE_ENUMS = {
    "user_status": ["active", "suspended"],
    "enrollment_status": ["enrolled", "in_progress", "completed"],
    "admin_role": ["hr_admin", "dev_admin", "plant_manager"],
    "event_type": ["view_section", "start_course", "complete_course"],
}
GUIDE_UNIQUE = {
    "plants_name_unique": "UNIQUE (name)",
    "admin_roles_user_role_plant_unique": "UNIQUE NULLS NOT DISTINCT (user_id, role, plant_id)",
    "courses_slug_version_unique": "UNIQUE (slug, version)",
    "enrollments_user_course_unique": "UNIQUE (user_id, course_id)",
    "progress_user_course_unique": "UNIQUE (user_id, course_id)",
}
GUIDE_INDEXES = {
    "profiles_plant_id_idx": "(plant_id)",
    "profiles_email_idx": "(email)",
    "admin_roles_user_id_idx": "(user_id)",
    "enrollments_plant_course_idx": "(plant_id, course_id)",
    "enrollments_status_idx": "(status)",
    "progress_plant_course_idx": "(plant_id, course_id)",
    "question_events_plant_course_question_idx": "(plant_id, course_id, question_key)",
    "question_events_answered_at_idx": "(answered_at)",
    "question_events_user_question_idx": "(user_id, question_key)",
    "activity_events_plant_course_event_idx": "(plant_id, course_id, event_type)",
    "activity_events_occurred_at_idx": "(occurred_at)",
    "activity_events_user_event_idx": "(user_id, event_type)",
    # guide-measured: perf indexes
    "enrollments_user_status_idx": "(user_id, status)",
    "question_events_plant_question_answered_idx": "(plant_id, question_key, answered_at DESC)",
    "profiles_active_plant_idx": "(plant_id) INCLUDE (id) WHERE (status = 'active'::user_status)",
}


async def rows(people: World, sql: str, *values: object) -> list[Any]:
    assert people.connection is not None
    return [row[0] if len(row) == 1 else tuple(row) for row in await people.connection.fetch(sql, *values)]


@pytest.mark.parametrize("table", GUIDE_TABLES)
async def test_every_column_of_the_guide_exists(people: World, table: str) -> None:
    found = {
        name: (type_, null)
        for name, type_, null in await rows(
            people,
            """select a.attname, format_type(a.atttypid, null), not a.attnotnull from pg_attribute a
            where a.attrelid = ('public.' || $1)::regclass and a.attnum > 0 and not a.attisdropped""",
            table,
        )
    }
    for name in GUIDE_TABLES[table].split():
        usual = "timestamp with time zone" if name.endswith("_at") else "text"
        wanted = GUIDE_TYPES.get(f"{table}.{name}", GUIDE_TYPES.get(name, usual))
        assert found[name] == (wanted, f"{table}.{name}" in GUIDE_NULLABLE), name


@pytest.mark.parametrize("name", GUIDE_ENUMS)
async def test_enums_have_the_guides_values_in_the_guides_order(people: World, name: str) -> None:
    found = await rows(
        people,
        "select enumlabel::text from pg_enum where enumtypid = $1::regtype order by enumsortorder",
        name,
    )
    assert found == GUIDE_ENUMS[name]


async def test_unique_constraints_have_the_guides_names(people: World) -> None:
    found = dict(
        await rows(
            people,
            "select conname::text, pg_get_constraintdef(oid) from pg_constraint where conname = any($1)",
            list(GUIDE_UNIQUE),
        )
    )
    assert found == GUIDE_UNIQUE


async def test_indexes_have_the_guides_names_and_are_valid(people: World) -> None:
    found = await rows(
        people,
        """select c.relname::text, split_part(pg_get_indexdef(c.oid), 'btree ', 2), i.indisvalid
        from pg_index i join pg_class c on c.oid = i.indexrelid where c.relname = any($1)""",
        list(GUIDE_INDEXES),
    )
    assert {name: definition for name, definition, _ in found} == GUIDE_INDEXES
    assert all(valid for *_, valid in found)


async def test_every_time_has_a_time_zone(people: World) -> None:  # guide-measured: timestamp (no tz)
    found = await rows(
        people,
        """select table_name || '.' || column_name from information_schema.columns
        where table_schema in ('public', 'app', 'specchem') and data_type = 'timestamp without time zone'""",
    )
    assert found == []


async def test_nothing_cascades_into_the_record(people: World) -> None:  # guide-measured: ON DELETE CASCADE
    found = await rows(
        people,
        """select conname::text from pg_constraint where contype = 'f' and confdeltype not in ('r', 'a')
        and conrelid::regclass::text in ('enrollments', 'progress', 'question_events', 'activity_events')""",
    )
    assert found == []
