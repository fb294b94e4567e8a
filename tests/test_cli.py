"""`specchem …` as an administrator types it."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from specchem.db import upgrade
from specchem.db.database import Database
from specchem.doctor.findings import Line
from specchem.seed import PLANTS
from tests.conftest import Cluster
from tests.program import (
    Program,
    command,
    data_folder,
    meanwhile,
    one_time_password,
    processes_in,
    said_why,
    specchem,
)

COLUMBUS = ("--plant", "Columbus, OH")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with data_folder() as folder:
        yield folder


async def value(database: Database, sql: str, *values: object) -> object:
    connection = await asyncpg.connect(database.platform)
    try:
        return await connection.fetchval(sql, *values)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((), ["serve", "doctor", "db", "people", "report", "settings"]),
        (("--help",), ["serve", "doctor", "db", "people", "report", "settings"]),
        (("db", "--help"), ["upgrade", "status", "sql", "seed", "backup", "restore"]),
        (("people", "--help"), ["create", "can-see"]),
        (("doctor", "--help"), ["--isolation", "--html", "--json"]),
        (("people", "create", "--help"), ["email", "--plant", "--role"]),
        (("report", "--help"), ["verify"]),
        (("serve", "--help"), ["--demo", "--upgrade", "loopback"]),
        (("settings",), ["SPECCHEM_DATABASE_URL", "SPECCHEM_PORT", "8000", "Data folder"]),
    ],
)
def test_help_says_what_there_is(folder: Path, words: tuple[str, ...], named: list[str]) -> None:
    # As a program of its own once; each takes seconds to start.
    done = command(*words) if words else specchem(folder)
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    assert all(name in said for name in named), said
    assert "Traceback" not in said


def test_the_first_admin_comes_from_the_command_line(folder: Path) -> None:
    """On an empty folder: made, upgraded, seeded, and the password is the last word of one line."""
    hr = specchem(folder, "people", "create", "Hr@Example.com", *COLUMBUS, "--role", "hr_admin")
    assert hr.stdout.startswith("hr@example.com can sign in")
    assert len(hr.stdout.splitlines()) == 1
    assert not processes_in(folder.parent)
    names = ("--first-name", "Ann", "--last-name", "Lee", "--job-title", "Plant Manager")
    manager = specchem(
        folder, "people", "create", "pm@example.com", *COLUMBUS, *names, "--role", "plant_manager"
    )
    other = specchem(
        folder,
        "people",
        "create",
        "pm2@example.com",
        *COLUMBUS,
        "--role",
        "plant_manager",
        "--role-plant",
        "Denver, CO",
    )
    program = Program(folder).wait_until_ready()
    assert _me(program, "hr@example.com", one_time_password(hr))["is_hr_admin"] is True
    me = _me(program, "pm@example.com", one_time_password(manager))
    assert (me["profile"]["first_name"], me["profile"]["last_name"], me["profile"]["job_title"]) == names[
        1::2
    ]
    assert (me["plant"]["name"], me["roles"][0]["plant_id"]) == ("Columbus, OH", me["plant"]["id"])
    me = _me(program, "pm2@example.com", one_time_password(other))
    assert me["roles"][0]["plant_id"] != me["plant"]["id"]
    assert program.end() == 0


def _me(program: Program, email: str, password: str) -> Any:
    with closing(program.sign_in(email, password)) as client:
        return client.get("/api/v1/me").json()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("not-an-address", *COLUMBUS), ["email"]),
        (("a@b", *COLUMBUS), ["email"]),
        (("x@example.com", "--plant", "Atlantis"), ["Atlantis", "Columbus, OH", "Denver, CO"]),
        (("x@example.com", "--plant", "Closed, NV"), ["Closed, NV"]),
        (("x@example.com", *COLUMBUS, "--role", "king"), ["role", "hr_admin"]),
        (("x@example.com", *COLUMBUS, "--role", "dev_admin", "--role-plant", "Denver, CO"), ["dev admin"]),
        (("x@example.com", *COLUMBUS, "--role", "hr_admin", "--role-plant", "Atlantis"), ["Atlantis"]),
        (("x@example.com", *COLUMBUS, "--first-name", "\x1b[31mred"), ["first_name", "control"]),
        (("x@example.com", *COLUMBUS, "--job-title", "x" * 101), ["job_title"]),
        (("bad", *COLUMBUS, "--role", "king", "--first-name", " "), ["email", "role", "first_name"]),
        (("ANA@example.com", *COLUMBUS), ["already"]),
        (("[red]@example.com", *COLUMBUS), ["email"]),
    ],
)
async def test_a_person_that_cannot_be_made(fresh: Database, words: tuple[str, ...], said: list[str]) -> None:
    before = (
        await value(fresh, "select count(*) from auth.users"),
        await value(fresh, "select count(*) from invitations"),
    )
    done = await meanwhile("people", "create", *words, "--database-url", fresh.owner)
    assert said_why(done, *said)
    assert not done.stdout
    after = (
        await value(fresh, "select count(*) from auth.users"),
        await value(fresh, "select count(*) from invitations"),
    )
    assert after == before


async def test_one_that_was_suspended_is_told_of(fresh: Database) -> None:
    assert said_why(
        await meanwhile("people", "create", "sue@example.com", *COLUMBUS, "--database-url", fresh.owner),
        "already",
    )


async def test_an_empty_database_is_upgraded_once(cluster: Cluster) -> None:
    empty = await cluster.empty()
    there = ("--database-url", empty.platform)
    for words in (("people", "create", "x@example.com", *COLUMBUS), ("report", "verify"), ("db", "seed")):
        assert said_why(await meanwhile(*words, *there), "Pending", "specchem db upgrade")
    before = await meanwhile("db", "status", *there)
    assert (before.returncode, before.stdout[:8]) == (1, "Pending:")
    first = await meanwhile("db", "upgrade", *there)
    assert (first.returncode, first.stdout) == (0, "The database is upgraded.\n")
    again = await meanwhile("db", "upgrade", *there)
    assert (again.returncode, again.stdout) == (0, "The database is up to date; nothing was touched.\n")
    after = await meanwhile("db", "status", *there)
    assert (after.returncode, upgrade.head() in after.stdout) == (0, True)
    for _ in range(2):
        assert (await meanwhile("db", "seed", *there)).returncode == 0
        assert await value(empty, "select count(*) from plants") == len(PLANTS)
    assert await value(empty, "select count(*) from courses") == 1


async def test_the_sql_is_the_upgrade(cluster: Cluster, tmp_path: Path) -> None:
    printed = await meanwhile("db", "sql")
    assert printed.returncode == 0
    assert printed.stdout.startswith("begin;\n")
    assert printed.stdout.endswith("commit;\n")
    assert not printed.stderr
    folder = tmp_path / "supabase"
    written = await meanwhile("db", "sql", "--write", str(folder))
    (file,) = (folder / "migrations").iterdir()
    assert written.stdout.startswith(f"Wrote {file}\n")
    assert written.stdout.endswith(f"Wrote {folder / 'config.toml'}\n")
    assert file.read_text() == printed.stdout
    again = await meanwhile("db", "sql", "--write", str(folder))
    assert (again.returncode, again.stdout) == (
        0,
        f"Nothing to write: {folder} holds this release already.\n",
    )

    empty = await cluster.empty()
    await upgrade.supply_platform(empty.platform)
    psql = [
        str(cluster.server.bin_dir / "psql"),
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-f",
        str(file),
        empty.owner,
    ]
    done = await asyncio.create_subprocess_exec(*psql)
    assert await done.wait() == 0
    assert (await meanwhile("db", "status", "--database-url", empty.owner)).returncode == 0
    rest = await meanwhile("db", "sql", "--from", upgrade.head())
    assert rest.returncode == 0
    assert len(rest.stdout) < len(printed.stdout)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("db", "sql", "--from", "no-such-revision"), ["no-such-revision"]),
        (("db", "sql", "--write", "/proc/nowhere"), ["/proc/nowhere"]),
        (("db", "status", "--database-url", "mysql://me:hush@here/there"), ["--database-url"]),
        (("db", "status", "--database-url", "postgresql://me:hush@127.0.0.1:1/x"), ["database"]),
        (
            ("db", "upgrade", "--database-url", "postgresql://me:hush@127.0.0.1:1/x?sslmode=perhaps"),
            ["--database-url"],
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(words: tuple[str, ...], said: list[str]) -> None:
    done = command(*words)
    assert said_why(done, *said)
    assert "hush" not in done.stderr


async def test_the_counters_are_verified(fresh: Database) -> None:
    there = ("--database-url", fresh.owner)
    assert (await meanwhile("report", "verify", *there)).stdout == "The counters agree with the record.\n"
    await value(
        fresh,
        "insert into question_counters (plant_id, course_id, section_key, question_key, shard, attempts, wrong,"
        " first_attempts, people) select p.id, c.id, 'security', 'none', 0, 3, 1, 1, 1 from plants p, courses c"
        " where p.name = 'Denver, CO' and c.slug = 'outside'",
    )
    differs = await meanwhile("report", "verify", *there)
    assert differs.returncode == 1
    assert "security" in differs.stdout
    assert "Traceback" not in differs.stderr


async def test_completion_is_verified_too(fresh: Database) -> None:
    await value(
        fresh,
        "insert into completion_counters select p.id, c.id, 3, 1, 0, 0, 0 from plants p, courses c"
        " where p.name = 'Denver, CO' and c.slug = 'outside'",
    )
    differs = await meanwhile("report", "verify", "--database-url", fresh.owner)
    assert differs.returncode == 1
    assert "'enrolled': 1" in differs.stdout


async def test_old_answers_are_pruned_in_a_sentence(fresh: Database) -> None:
    there = ("--database-url", fresh.owner)
    done = await meanwhile("answers", "prune", "--older-than", "365", *there)
    assert (done.returncode, done.stdout) == (0, "0 answers were removed.\n")
    early = await meanwhile("answers", "prune", "--older-than", "30", *there)
    assert early.returncode == 2
    assert "Traceback" not in early.stderr


async def test_doctor_reports_who_may_do_what(fresh: Database, tmp_path: Path) -> None:
    there, page = ("--database-url", fresh.owner), tmp_path / "isolation.html"
    well = await meanwhile("doctor", "--isolation", "--html", str(page), *there)
    assert well.returncode == 0, well.stdout
    assert re.search(r"\d\d,\d\d\d cells, 0 deviations; 0 broken rules", well.stdout)
    assert "public.question_events" in page.read_text()
    assert await value(fresh, "select count(*) from plants where name like 'Proof %'") == 0
    await value(fresh, "alter policy reads on public.profiles using (true)")
    ill = await meanwhile("doctor", "--isolation", *there)
    assert ill.returncode == 1
    assert "associate: select public.profiles [plant B] should be nothing and is allowed" in ill.stdout
    assert said_why(await meanwhile("doctor", "--html", str(page), *there), "--isolation")


async def test_doctor_answers_every_line_and_says_what_to_do(fresh: Database) -> None:
    there = ("--database-url", fresh.owner)
    well = await meanwhile("doctor", "--json", *there)
    assert well.returncode == 0, well.stdout
    said = json.loads(well.stdout)
    assert (said["ok"], said["wrong"]) == (True, 0)
    assert said["cannot_tell"] == sum(one["state"] == "cannot tell" for one in said["findings"]) > 0
    assert {one["line"] for one in said["findings"]} == {*Line}
    assert all(list(one) == ["section", "line", "state", "found", "todo"] for one in said["findings"])
    assert "Trying who may do what" in well.stderr

    await value(fresh, "grant delete on public.plants to anon")
    ill = await meanwhile("doctor", *there)
    assert ill.returncode == 1
    assert "wrong  grant of DELETE on public.plants to anon was added" in ill.stdout
    assert "→ `specchem db upgrade --restate` puts it back." in ill.stdout
    assert "1 wrong" in ill.stdout
    restated = await meanwhile("db", "upgrade", "--restate", *there)
    assert (restated.returncode, restated.stdout) == (0, "The database is upgraded.\n")
    assert not await value(fresh, "select has_table_privilege('anon', 'public.plants', 'delete')")


async def test_doctor_makes_nothing_ready(cluster: Cluster) -> None:
    bare = await cluster.empty()
    await upgrade.supply_platform(bare.platform)
    done = await meanwhile("doctor", "--json", "--database-url", bare.owner)
    assert done.returncode == 1
    wrong = [one for one in json.loads(done.stdout)["findings"] if one["state"] == "wrong"]
    assert [(one["found"], one["todo"]) for one in wrong] == [
        (f"Pending: revision none → {upgrade.head()}, rules to restate", "Run `specchem db upgrade`.")
    ]
    assert await value(bare, "select to_regnamespace('specchem') is null")
    nowhere = await meanwhile("doctor", "--database-url", "postgresql://me@127.0.0.1:1/nowhere")
    assert said_why(nowhere, "Nothing answers")


@pytest.mark.parametrize(
    ("who", "words", "rows"),
    [
        ("max", "manager of Columbus, OH; active", {"profiles": "6 manager of Columbus, OH", "answer_keys": "0"}),
        ("hugo", "HR of Columbus, OH; active", {"profiles": "6 HR of Columbus, OH"}),
        ("hana", "HR of the company; active", {"courses": "1 HR of the company", "plants": "1 HR of the company"}),
        ("ana", "associate; active", {"profiles": "1 their own", "enrollments": "2 their own", "admin_roles": "0"}),
        ("dev", "dev admin; active", {"answer_keys": "67 dev admin", "enrollments": "0"}),
        ("sam", "HR of the company; suspended", {"profiles": "0", "plants": "0"}),
        ("ina", "associate; their plant is closed", {"profiles": "0"}),
    ],
)  # fmt: skip
async def test_what_a_person_sees_and_by_which_rule(
    fresh: Database, who: str, words: str, rows: dict[str, str]
) -> None:
    done = await meanwhile("people", "can-see", f"{who}@example.com", "--database-url", fresh.owner)
    assert done.returncode == 0, done.stderr
    assert words in done.stdout
    lines = [" ".join(re.sub(r"[│┃]", " ", line).split()) for line in done.stdout.splitlines()]
    for table, wanted in rows.items():
        assert any(line.startswith(f"{table} {wanted}") for line in lines), (table, wanted, lines)


def test_what_can_see_does_not_know_is_said(folder: Path) -> None:
    assert said_why(specchem(folder, "people", "can-see", "nobody@example.com"), "nobody@example.com")
    specchem(folder, "people", "create", "seen@example.com", *COLUMBUS)
    one = specchem(folder, "people", "can-see", "seen@example.com", "--table", "profiles")
    assert one.stdout.count("profiles") == 1
    assert "courses" not in one.stdout
    assert said_why(
        specchem(folder, "people", "can-see", "seen@example.com", "--table", "secrets"), "secrets", "profiles"
    )


def test_the_status_of_a_database_that_is_still_empty() -> None:
    with data_folder() as folder:
        done = specchem(folder, "db", "status")
        assert (done.returncode, done.stdout[:8]) == (1, "Pending:"), done.stderr


async def test_a_real_person_is_not_mixed_with_demo_people(fresh: Database) -> None:
    await value(
        fresh,
        "insert into auth.users (id, email, raw_app_meta_data) values"
        """ (gen_random_uuid(), 'demo@example.com', '{"demo": true}') returning 1""",
    )
    done = await meanwhile("people", "create", "me@example.com", *COLUMBUS, "--database-url", fresh.owner)
    assert said_why(done, "demo people", "SPECCHEM_DATA_DIR")
    assert await value(fresh, "select count(*) from auth.users where email = 'me@example.com'") == 0


def test_a_wrong_setting_is_a_sentence_to_the_list_of_settings_too(folder: Path) -> None:
    assert said_why(specchem(folder, "settings", nonsense="1"), "SPECCHEM_NONSENSE")
