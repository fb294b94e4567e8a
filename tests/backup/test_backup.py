"""`specchem db backup` and `restore`, and what they refuse."""

import asyncio
import resource
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from specchem.backup import clients, restoring
from specchem.backup import file as files
from specchem.backup.clients import Clients
from specchem.db import upgrade
from specchem.db.database import Database
from specchem.errors import Stopped
from specchem.isolation import lints, matrix
from tests.backup.common import backup, dump, forge, like_supabase, restore, run
from tests.conftest import Cluster
from tests.program import environment, meanwhile, said_why

ROWS = "select string_agg(t::text, '|' order by t::text) from public.profiles t"


@pytest.fixture(scope="module")
async def made(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of the tests' world."""
    world = await cluster.copy()
    file = tmp_path_factory.mktemp("made") / "world.backup"
    done = await backup(world.platform, file)
    assert done.returncode == 0, done.stderr
    await cluster.drop(world)
    return file


@pytest.fixture
async def empty(cluster: Cluster) -> AsyncIterator[Database]:
    database = await cluster.empty()
    yield database
    await cluster.drop(database)


@pytest.fixture
def programs(cluster: Cluster) -> Clients:
    return Clients(cluster.server.bin_dir, 18)


async def well(database: Database, *, proved: bool = False) -> None:
    """The schema keeps its rules and the counters agree; ``proved``: nobody may do what they should not."""
    connection = await asyncpg.connect(database.owner)
    async with connection.transaction():
        assert await connection.fetch("select * from app.counter_differences") == []
        assert await connection.fetch("select * from app.completion_differences") == []
        broken = [*matrix.unexpected(await matrix.look(connection)), *await lints.broken(connection)]
        assert broken == []
        cells = await matrix.prove(connection) if proved else []
        assert [str(cell) for cell in cells if cell.deviates] == []
    await connection.close()


# ---------------------------------------------------------------- the file


async def test_a_backup_is_one_whole_file_for_its_owner_alone(
    fresh: Database, tmp_path: Path, programs: Clients
) -> None:
    file = tmp_path / "world.backup"
    done = await backup(fresh.platform, file)
    assert done.stdout == f"Wrote {file}: 12 people with accounts, 0 answers.\n", done.stderr
    assert "Backing up" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["world.backup"]
    assert file.stat().st_mode & 0o777 == 0o600
    manifest = files.read(file)
    assert (manifest.accounts, manifest.nightly, manifest.server) == (True, False, 18)
    assert manifest.rows["auth.users"] == await run(fresh.platform, "select count(*) from auth.users")
    # It is pg_dump's own file as well, for whoever has nothing but PostgreSQL.
    listing = await asyncio.create_subprocess_exec(
        programs.bin_dir / "pg_restore", "--list", file, stdout=subprocess.PIPE
    )
    listed, _ = await listing.communicate()
    assert listing.returncode == 0
    assert b"TABLE DATA public question_events" in listed


async def test_a_file_that_is_there_is_replaced_when_asked(fresh: Database, tmp_path: Path) -> None:
    file = tmp_path / "kept"
    file.write_text("precious")
    assert said_why(await backup(fresh.platform, file), "is there already", "--force")
    assert file.read_text() == "precious"
    assert (await backup(fresh.platform, file, "--force")).returncode == 0
    assert files.read(file).people == 12


async def test_what_a_killed_backup_left_is_no_backup_and_in_nobodys_way(
    fresh: Database, tmp_path: Path
) -> None:
    file, part = tmp_path / "a.backup", tmp_path / "a.backup.part"
    part.write_bytes(b"PGDMP and no more")
    with files.half(tmp_path / "b.backup") as other:  # somebody is at it
        assert said_why(await backup(fresh.platform, tmp_path / "b.backup"), "Another backup", str(other))
    assert (await backup(fresh.platform, file)).returncode == 0
    assert list(tmp_path.iterdir()) == [file]
    # Nor does a link that somebody laid lead elsewhere.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    part.symlink_to(elsewhere)
    assert (await backup(fresh.platform, file, "--force")).returncode in {0, 1}
    assert elsewhere.read_text() == "precious"


async def test_a_full_disk_is_a_sentence_and_leaves_nothing(fresh: Database, tmp_path: Path) -> None:
    file = tmp_path / "kept"
    file.write_text("the last good one")
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "specchem", "db", "backup", str(file), "--force", "--database-url", fresh.platform],
        env=environment(None), capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )  # fmt: skip
    assert said_why(done, "could not finish", "nothing was written")
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_text() == "the last good one"


@pytest.mark.parametrize(
    ("place", "said"), [("nowhere/x", "no folder"), (".", "not a file"), ("/dev/null", "not a file")]
)
async def test_a_place_that_takes_no_backup(fresh: Database, tmp_path: Path, place: str, said: str) -> None:
    assert said_why(await backup(fresh.platform, tmp_path / place, "--force"), said)


async def test_there_is_nothing_to_back_up(empty: Database, tmp_path: Path) -> None:
    assert said_why(await backup(empty.platform, tmp_path / "x"), "nothing of SpecChem")
    assert list(tmp_path.iterdir()) == []
    pooled = await meanwhile(
        "db", "backup", str(tmp_path / "x"), "--database-url", "postgresql://p:hush@127.0.0.1:6543/x"
    )
    assert said_why(pooled, "6543", "5432")


# ---------------------------------------------------------------- pg_dump and the like


@pytest.fixture
def watched(tmp_path: Path, programs: Clients, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real programs behind scripts that note how they were called, and first run what stands in `before`."""
    place = tmp_path / "watched"
    place.mkdir()
    for name in clients.NAMES:
        script = place / name
        script.write_text(
            f'#!/bin/sh\necho "{name} $*" >> {place}/words\n'
            f'echo "{name} $PGPASSWORD" >> {place}/passwords\n[ ! -f {place}/before ] || sh {place}/before >&2\n'
            f'exec {programs.bin_dir}/{name} "$@"\n'
        )
        script.chmod(0o755)
    monkeypatch.setattr(clients, "find", lambda least, purpose: Clients(place, 18))
    return place


async def test_no_password_is_on_a_command_line(
    fresh: Database, empty: Database, tmp_path: Path, watched: Path
) -> None:
    """The socket asks for none; what is given is handed on all the same."""
    file = tmp_path / "x.backup"
    one, other = (
        where.platform.replace("supabase_admin@", f"supabase_admin:{password}@")
        for where, password in ((fresh, "hush%2Fone"), (empty, "hush%2Ftwo"))
    )
    first = await backup(one, file)
    second = await restore(f"{other}&sslmode=prefer", file)
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    words, passwords = (watched / "words").read_text(), (watched / "passwords").read_text().splitlines()
    assert "hush" not in words + first.stderr + second.stderr + first.stdout + second.stdout
    assert "sslmode=prefer" in words
    assert set(passwords) >= {"pg_dump hush/one", "psql hush/two"}


async def test_rows_that_come_meanwhile_are_in_neither_the_file_nor_its_count(
    fresh: Database, empty: Database, tmp_path: Path, watched: Path, programs: Clients
) -> None:
    file = tmp_path / "x.backup"
    (watched / "before").write_text(
        f'{programs.bin_dir}/psql -X -q "{fresh.owner}" -c "insert into public.plants (name, timezone) '
        "values ('Late, TX', 'America/Chicago')\"\n"
    )
    done = await backup(fresh.platform, file, "--force")
    assert done.returncode == 0, done.stderr
    assert await run(fresh.owner, "select count(*) from plants where name = 'Late, TX'") == 1
    (watched / "before").unlink()
    assert (await restore(empty.platform, file)).returncode == 0
    assert await run(empty.owner, "select count(*) from plants where name = 'Late, TX'") == 0


@pytest.mark.parametrize(
    ("address", "bare", "password"),
    [
        ("postgresql://me@/x?host=/run&port=1", "postgresql://me@/x?host=/run&port=1", None),
        ("postgresql://me:a%40b@h:1/x?sslmode=require", "postgresql://me@h:1/x?sslmode=require", "a@b"),
        ("postgresql://me@h/x?password=p&sslpassword=q", "postgresql://me@h/x", "p"),
        ("postgresql://h/x", "postgresql://h/x", None),
    ],
)
def test_a_password_is_kept_apart(address: str, bare: str, password: str | None) -> None:
    assert clients.without_password(address) == (bare, password)


def test_the_programs_are_of_the_servers_major_or_newer() -> None:
    assert clients.find(18, "A backup").major == 18
    assert clients.find(1, "A backup").major <= 18
    with pytest.raises(Stopped, match=r"A backup takes .* PostgreSQL 99 or newer.*postgresql-client-99"):
        clients.find(99, "A backup")


# ---------------------------------------------------------------- restore


async def test_a_restore_gives_the_same_database(
    cluster: Cluster, fresh: Database, empty: Database, tmp_path: Path
) -> None:
    file = tmp_path / "x.backup"
    assert (await backup(fresh.platform, file)).returncode == 0
    done = await restore(empty.platform, file)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Restored: 12 people with accounts, 0 answers, as of 20")
    bin_dir = cluster.server.bin_dir
    assert await dump(bin_dir, empty.platform) == await dump(bin_dir, fresh.platform)


async def test_only_into_an_empty_database_unless_told(cluster: Cluster, made: Path, fresh: Database) -> None:
    before = await dump(cluster.server.bin_dir, fresh.platform)
    assert said_why(await restore(fresh.platform, made), "not empty", "--replace")
    assert await dump(cluster.server.bin_dir, fresh.platform) == before
    await run(fresh.platform, "update public.profiles set first_name = 'Changed'")
    await run(
        fresh.platform,
        "create type public.mine as enum ('a'); create schema theirs; create table theirs.kept ()",
    )
    assert (await restore(fresh.platform, made, "--replace")).returncode == 0
    assert await run(fresh.platform, "select count(*) from profiles where first_name = 'Changed'") == 0
    assert await run(fresh.platform, "select to_regclass('theirs.kept') is not null")
    await run(fresh.platform, "drop schema theirs cascade")
    assert await dump(cluster.server.bin_dir, fresh.platform) == before


@pytest.mark.parametrize(
    "what", ["table public.orders (id int)", "function public.price() returns int return 1"]
)
async def test_what_is_not_ours_is_never_dropped(made: Path, fresh: Database, what: str) -> None:
    await run(fresh.owner, f"create {what}")
    assert said_why(await restore(fresh.platform, made), "not empty")
    assert said_why(await restore(fresh.platform, made, "--replace"), "not SpecChem's (public.")


async def test_nobody_is_at_work_meanwhile(
    made: Path, fresh: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "BEFORE", restoring.BEFORE.replace("10s", "100ms"))

    async def refused(*words: str) -> bool:
        return said_why(await restore(fresh.platform, made, "--replace"), *words)

    connection = await asyncpg.connect(fresh.api)
    assert await refused("at work", "stop its server")
    await connection.close()
    owner = await asyncpg.connect(fresh.owner)
    async with owner.transaction():
        before = await owner.fetchval("select restated_at from specchem.rules")
        assert await refused("busy")
    assert await owner.fetchval("select restated_at from specchem.rules") == before
    await owner.close()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("absent", "cannot be read"), ("folder", "cannot be read"), ("text", "not a backup of SpecChem"),
        ("half", "not whole"), ("plain", "not whole"), ("bit", "damaged"), ("last line", "damaged"),
        ("longer", "damaged"), ("newer format", "newer release"), ("newer revision", "release 9.0"),
        ("stranger", "role nobody_knows"),
    ],
)  # fmt: skip
async def test_a_file_that_is_no_good_is_refused_in_words(
    made: Path, empty: Database, tmp_path: Path, what: str, said: str
) -> None:
    whole, file = made.read_bytes(), tmp_path / "x"
    manifest = files.read(made)
    match what:
        case "folder":
            file.mkdir()
        case "text":
            file.write_text("select 1;")
        case "half":
            file.write_bytes(whole[: len(whole) // 2])
        case "plain":
            file.write_bytes(whole[: manifest.size])
        case "bit":
            file.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
        case "last line":
            file.write_bytes(whole[:-20] + b"\n")
        case "longer":
            file.write_bytes(whole[: manifest.size] + b"x" + whole[manifest.size :])
        case "newer format":
            forge(made, file, format=2)
        case "newer revision":
            forge(made, file, revision="9999", release="9.0")
        case "stranger":
            forge(made, file, owner="nobody_knows")
    assert said_why(await restore(empty.platform, file), said, str(file))
    assert await run(empty.platform, "select to_regnamespace('app') is null")


@pytest.mark.parametrize("what", ["count", "truncated"])
async def test_a_restore_that_fails_at_the_end_leaves_what_was_there(
    cluster: Cluster, made: Path, fresh: Database, tmp_path: Path, what: str, watched: Path, programs: Clients
) -> None:
    before = await dump(cluster.server.bin_dir, fresh.platform)
    rows = files.read(made).rows
    if what == "count":
        file = forge(made, tmp_path / "x", rows=rows | {"public.plants": rows["public.plants"] + 1})
        said = "public.plants has 7 rows, and 8 were backed up"
    else:  # pg_restore ends in the middle
        file, said = made, "the database is as it was"
        (watched / "pg_restore").write_text(
            f'#!/bin/sh\ncase "$*" in *--list*) exec {programs.bin_dir}/pg_restore "$@";; esac\n'
            f'{programs.bin_dir}/pg_restore "$@" | head -c 300000\nexit 1\n'
        )
    assert said_why(await restore(fresh.platform, file, "--replace"), said)
    assert await dump(cluster.server.bin_dir, fresh.platform) == before


async def test_an_older_releases_backup_is_brought_to_this_one(
    fresh: Database, empty: Database, tmp_path: Path
) -> None:
    await run(fresh.owner, "update specchem.rules set hash = 'of an older release'")
    await run(fresh.owner, "drop function app.is_hr() cascade")
    assert (await backup(fresh.platform, tmp_path / "x")).returncode == 0
    done = await restore(empty.platform, tmp_path / "x")
    assert done.returncode == 0, done.stderr
    assert "brought to this one" in done.stderr
    assert await run(empty.owner, "select hash from specchem.rules") == upgrade.rules_hash()
    await well(empty)


async def test_what_was_wrong_before_is_told_after(fresh: Database, empty: Database, tmp_path: Path) -> None:
    await run(
        fresh.platform,
        "insert into completion_counters select p.id, c.id, 3, 1, 0, 0, 0 from plants p, courses c"
        " where p.name = 'Denver, CO' and c.slug = 'outside'",
    )
    await run(fresh.owner, "alter table courses add constraint odd check (slug <> 'odd') not valid")
    assert (await backup(fresh.platform, tmp_path / "x")).returncode == 0
    done = await restore(empty.platform, tmp_path / "x")
    assert done.stdout.startswith("Restored: 12 people")
    assert said_why(done, "counters differ", "Constraint odd")


async def test_accounts_take_a_superuser(made: Path, cluster: Cluster, empty: Database) -> None:
    await upgrade.supply_platform(empty.platform)
    assert said_why(await restore(empty.owner, made), "takes a superuser")


# ---------------------------------------------------------------- Supabase


async def test_on_supabase_the_accounts_stay_supabases(
    cluster: Cluster, fresh: Database, empty: Database, tmp_path: Path
) -> None:
    """As its role postgres, who is no superuser and whose new tables are open to clients by default."""
    await like_supabase(fresh)
    file = tmp_path / "x.backup"
    done = await backup(fresh.owner, file)
    assert (done.returncode, "Supabase's" in done.stderr) == (0, True), done.stderr
    assert done.stdout == f"Wrote {file}: 12 people without accounts, 0 answers.\n"
    assert not any(name.startswith("auth.") for name in files.read(file).rows)
    before, rows = await dump(cluster.server.bin_dir, fresh.owner), await run(fresh.owner, ROWS)
    # The same project, after a mistake.
    await run(fresh.owner, "update profiles set first_name = 'Mistake'")
    done = await restore(fresh.owner, file, "--replace")
    assert done.returncode == 0, done.stderr
    assert await run(fresh.owner, ROWS) == rows
    again = await dump(cluster.server.bin_dir, fresh.owner)
    at = next(number for number, line in enumerate(before) if line.startswith("COPY specchem.rules"))
    # In any order: grants stand in the order in which they were given. The rules were restated just now.
    assert sorted(again[:at] + again[at + 2 :]) == sorted(before[:at] + before[at + 2 :])
    await well(fresh, proved=True)
    # Another project, where nobody has an account yet.
    await upgrade.supply_platform(empty.platform)
    await like_supabase(empty)
    assert said_why(await restore(empty.owner, file), "no account in this database")
    assert await run(empty.owner, "select to_regclass('public.profiles') is null")


async def test_a_local_backup_goes_to_supabase_without_its_accounts(
    made: Path, cluster: Cluster, empty: Database, fresh: Database
) -> None:
    await upgrade.supply_platform(empty.platform)
    await like_supabase(empty)
    accounts = await run(
        fresh.platform, "select string_agg(format('(%L, %L)', id, email), ',') from auth.users"
    )
    await run(empty.platform, f"insert into auth.users (id, email) values {accounts}")
    done = await restore(empty.owner, made)
    assert done.returncode == 0, done.stderr
    assert "each person in the backup needs theirs there" in done.stderr
    assert await run(empty.owner, ROWS) == await run(fresh.owner, ROWS)
    await well(empty)
