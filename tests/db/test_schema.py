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
    "courses_slug_unique": "UNIQUE (slug)",
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
    "profiles_active_plant_idx": "(plant_id) WHERE (status = 'active'::user_status)",
}
OURS = "n.nspname in ('public', 'app')"
CLIENTS = ["anon", "authenticated", "service_role", "specchem_api"]


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


async def test_every_foreign_key_has_an_index(people: World) -> None:
    found = await rows(
        people,
        """select c.conname::text from pg_constraint c
        where c.contype = 'f' and c.connamespace = 'public'::regnamespace and not exists (
            select from pg_index i where i.indrelid = c.conrelid and i.indpred is null
            and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)""",
    )
    # Of the events' and the counters' the indexes begin with another of their columns.
    assert set(found) <= {
        "question_events_course_id_fkey", "activity_events_course_id_fkey", "question_counters_course_id_fkey",
        "enrollments_user_plant_fkey", "progress_user_plant_fkey",
    }  # fmt: skip


async def test_nothing_cascades_into_the_record(people: World) -> None:  # guide-measured: ON DELETE CASCADE
    found = await rows(
        people,
        """select conname::text from pg_constraint where contype = 'f' and confdeltype not in ('r', 'a')
        and conrelid::regclass::text in ('enrollments', 'progress', 'question_events', 'activity_events')""",
    )
    assert found == []


async def test_every_table_has_row_security_enabled_and_forced(people: World) -> None:
    # guide-measured: ENABLE RLS "on all tables"
    found = await rows(
        people,
        f"""select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where {OURS} and c.relkind in ('r', 'p') and not (c.relrowsecurity and c.relforcerowsecurity)""",
    )
    assert found == []


async def test_policies_are_for_signed_in_people_one_per_table_and_action(people: World) -> None:
    found = await rows(
        people,
        "select tablename, cmd, roles::text[], permissive from pg_policies where schemaname = 'public'",
    )
    assert {(roles[0], permissive) for _, _, roles, permissive in found} == {("authenticated", "PERMISSIVE")}
    assert len({(table, action) for table, action, *_ in found}) == len(found)
    assert all(action != "ALL" for _, action, *_ in found)


async def test_every_function_has_a_fixed_search_path_that_ends_in_pg_temp(people: World) -> None:
    found = await rows(
        people,
        f"""select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where {OURS} and 'search_path=pg_catalog, pg_temp' <> all(coalesce(p.proconfig, '{{}}'))""",
    )
    assert found == []


async def test_definers_live_outside_the_exposed_schema_but_for_sign_up(people: World) -> None:
    found = await rows(
        people,
        """select p.oid::regprocedure::text from pg_proc p where p.pronamespace = 'public'::regnamespace""",
    )
    assert found == ["handle_new_user()"]


async def test_who_may_call_what(people: World) -> None:
    """The whole list: a function that is not in it may be called by nobody but the owner."""
    found = await rows(
        people,
        f"""select g.role, p.proname::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        cross join unnest($1::text[]) as g (role)
        where {OURS} and has_function_privilege(g.role, p.oid, 'execute')""",
        CLIENTS,
    )
    by_role = {role: {name for who, name in found if who == role} for role in CLIENTS}
    assert by_role == {
        "anon": set(),
        "specchem_api": {"enter", "me", "release"},
        "service_role": {"me", "refuse"},
        "authenticated": {
            "me", "is_hr", "is_dev", "visible_plants", "refuse", "explain", "my_sections",
            "report_plant", "visible_person", "known_course", "percent", "wilson_low", "wilson_high",
        },
    }  # fmt: skip


async def test_no_function_is_open_to_public(people: World) -> None:
    found = await rows(
        people,
        f"""select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where {OURS} and (p.proacl is null or exists (select from aclexplode(p.proacl) a where a.grantee = 0))""",
    )
    assert found == []


async def test_views_look_with_the_callers_eyes(people: World) -> None:
    found = await rows(
        people,
        f"""select c.relname::text, c.reloptions from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where {OURS} and c.relkind in ('v', 'm')""",
    )
    assert {name for name, _ in found} == {"completion", "question_difficulty", "counter_differences"}
    assert all(options == ["security_invoker=true"] for _, options in found)


async def test_clients_have_no_grant_that_row_security_does_not_cover(people: World) -> None:
    # guide-measured: default grants
    found = await rows(
        people,
        f"""select c.relname::text, a.privilege_type from pg_class c join pg_namespace n on n.oid = c.relnamespace
        cross join aclexplode(c.relacl) a
        where {OURS} and c.relkind <> 'i' and a.grantee <> c.relowner
        and a.privilege_type not in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')""",
    )
    assert found == []


SERVICE = {
    "INSERT SELECT UPDATE": "plants profiles courses enrollments progress",
    "DELETE INSERT SELECT UPDATE": "admin_roles invitations sections questions question_choices answer_keys",
    "INSERT SELECT": "question_events activity_events",
    "SELECT": "question_counters",
}


async def test_grants_on_whole_tables(people: World) -> None:
    """Every grant on a table there is; whatever else a client writes, it writes by columns."""
    found = await rows(
        people,
        """select a.grantee::regrole::text, c.relname::text, string_agg(a.privilege_type, ' ' order by a.privilege_type)
        from pg_class c cross join aclexplode(c.relacl) a
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.grantee <> c.relowner
        group by 1, 2""",
    )
    read = "plants profiles courses enrollments progress question_events activity_events question_counters"
    content = "sections questions question_choices answer_keys"
    assert set(found) == {
        *(("service_role", table, what) for what, tables in SERVICE.items() for table in tables.split()),
        *(("authenticated", table, "SELECT") for table in read.split()),
        *(("authenticated", table, "INSERT SELECT UPDATE") for table in content.split()),
        ("authenticated", "admin_roles", "DELETE SELECT"),
    }


async def test_grants_by_column(people: World) -> None:
    """What the server decides is in no list."""
    found = await rows(
        people,
        """select c.relname || ' ' || a.privilege_type, string_agg(t.attname, ' ' order by t.attname)
        from pg_attribute t join pg_class c on c.oid = t.attrelid cross join aclexplode(t.attacl) a
        where c.relnamespace = 'public'::regnamespace and a.grantee = 'authenticated'::regrole group by 1""",
    )
    assert dict(found) == {
        "plants INSERT": "is_active name timezone",
        "plants UPDATE": "is_active name timezone",
        "profiles INSERT": "email first_name id job_title last_name plant_id status",
        "profiles UPDATE": "first_name job_title last_name plant_id status",
        "admin_roles INSERT": "plant_id role user_id",
        "courses INSERT": "is_published slug title version",
        "courses UPDATE": "is_published title version",
        "enrollments INSERT": "course_id plant_id user_id",
        "progress UPDATE": "current_section progress_percent",
        "question_events INSERT": "answered_at course_id id is_correct question_key response_meta section_key user_id",
        "activity_events INSERT": "course_id event_type id meta occurred_at user_id",
    }
