"""On a database as Supabase hands it out: every way to upgrade it, and what comes of it."""

import asyncio
import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from specchem.db import database, embedded, upgrade
from specchem.db.database import Database
from specchem.db.session import Connection, looking
from specchem.errors import Stopped
from specchem.isolation import lints, matrix
from specchem.seed import seed
from specchem.supabase import project as bundle
from tests.conftest import Cluster
from tests.db.supabase import HAS_CLI, REGIMES, project, push, run
from tests.db.test_upgrade import connected, dump, psql
from tests.program import meanwhile
from tests.world import World

SITE = "https://training.example.com"
REMEMBERED = (
    "select v.version_num, r.hash, s from specchem.alembic_version v, specchem.rules r, specchem.settings s"
)


async def remembered(there: Database) -> Any:
    async with connected(there.owner) as owner:
        return await owner.fetch(REMEMBERED)


def write(folder: Path) -> list[Path]:
    """What `specchem db sql --write` writes, written."""
    missing = list(bundle.files(folder / "supabase", SITE))
    for file, text in missing:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return [file for file, _ in missing]


@pytest.mark.parametrize("regime", REGIMES)
async def test_the_file_and_the_program_do_the_same_and_both_isolate(cluster: Cluster, regime: str) -> None:
    # guide-measured: default grants
    by_program, by_file = await project(cluster, regime), await project(cluster, regime)
    assert await upgrade.upgrade(by_program.owner) is True
    code, said = await psql(cluster, by_file.owner, bundle.whole())
    assert (code, said.strip()) == (0, "")
    assert await dump(cluster, by_file) == await dump(cluster, by_program)
    assert await remembered(by_file) == await remembered(by_program)
    assert await upgrade.upgrade(by_file.owner) is False
    await seed(by_file.owner)
    async with looking(by_file.owner) as owner:
        assert await owner.fetchval("select not rolsuper from pg_roles where rolname = current_user")
        assert matrix.unexpected(await matrix.look(owner)) == []
        assert [str(cell) for cell in await matrix.prove(owner) if cell.deviates] == []
        assert await lints.broken(owner) == []
    for one in (by_program, by_file):
        await cluster.drop(one)


async def by_psql(cluster: Cluster, there: Database) -> None:
    code, said = await psql(cluster, there.owner, bundle.whole())
    assert code == 0, said


async def by_psql_within_a_transaction(cluster: Cluster, there: Database) -> None:
    """So did Supabase's command line before it knew pipelines."""
    code, said = await psql(cluster, there.owner, bundle.whole(), "-1")
    assert code == 0, said


async def by_editor(_: Cluster, there: Database) -> None:
    """Supabase's SQL editor sends all of it as one query."""
    await run(there.owner, bundle.whole())


async def by_pipeline(cluster: Cluster, there: Database) -> None:
    """Some versions of Supabase's command line send it all by the extended protocol, and ask once at the end."""
    text = f"\\startpipeline\n{bundle.whole()}\\endpipeline\n"
    # PostgreSQL's own client knows that from 18 on.
    code, said = await psql(cluster, there.owner, text, program=embedded.programs() / "psql")
    assert code == 0, said


@pytest.mark.parametrize("way", [by_psql, by_psql_within_a_transaction, by_editor, by_pipeline])
async def test_the_file_may_be_applied_twice_in_every_way(cluster: Cluster, way: Any) -> None:
    there = await project(cluster)
    await way(cluster, there)
    once = await dump(cluster, there), (await remembered(there))
    await seed(there.owner)
    await way(cluster, there)
    assert (await dump(cluster, there), await remembered(there)) == once
    async with connected(there.owner) as owner:
        assert await owner.fetchval("select count(*) from plants")
    await cluster.drop(there)


@pytest.mark.skipif(not HAS_CLI, reason="Supabase's command line is fetched for Linux on x86-64")
async def test_supabases_own_command_line_applies_it(cluster: Cluster, tmp_path: Path) -> None:
    # guide-measured: generate / push / migrate
    there, other = await project(cluster, "2026"), await project(cluster, "2026")
    before = await dump(cluster, there)
    written = write(tmp_path)
    (migration,) = (tmp_path / "supabase" / "migrations").iterdir()
    assert migration in written
    text = migration.read_text()
    migration.write_text(text.removesuffix("commit;\n") + "select 1 / 0;\ncommit;\n")
    code, said = await push(cluster, there, tmp_path)
    assert code, said
    assert "division by zero" in said
    await run(there.owner, "drop schema supabase_migrations cascade")
    assert await dump(cluster, there) == before
    migration.write_text(text)
    code, said = await push(cluster, there, tmp_path)
    assert (code, "Applying migration" in said) == (0, True), said
    code, said = await push(cluster, there, tmp_path)
    assert (code, "up to date" in said) == (0, True), said
    await run(there.owner, "drop schema supabase_migrations cascade")
    await upgrade.upgrade(other.owner)
    assert await dump(cluster, there) == await dump(cluster, other)
    for one in (there, other):
        await cluster.drop(one)


def test_a_release_is_written_once_and_the_next_comes_after_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrations = tmp_path / "supabase" / "migrations"
    first = write(tmp_path)
    assert [file.parent.name for file in first] == ["migrations", *["templates"] * 5, "supabase"]
    assert re.fullmatch(rf"\d{{14}}_specchem_{upgrade.head()}_[0-9a-f]{{8}}\.sql", first[0].name)
    assert write(tmp_path) == []
    # The project's own, made on a machine whose clock is ahead; and files that are no migrations.
    (migrations / "29991231235959_theirs.sql").touch()
    (migrations / "notes_99999999999999_specchem_x.sql").touch()
    assert write(tmp_path) == []
    monkeypatch.setattr(upgrade, "rules_hash", lambda: "0" * 64)
    (second,) = write(tmp_path)
    assert second.name == f"30000101000000_specchem_{upgrade.head()}_00000000.sql"
    assert write(tmp_path) == []
    # Back to the former release: its file is the older one, and would undo nothing.
    monkeypatch.undo()
    (third,) = write(tmp_path)
    assert third.name > second.name


def test_a_projects_own_settings_are_left_alone(tmp_path: Path) -> None:
    config = tmp_path / "supabase" / "config.toml"
    config.parent.mkdir()
    config.write_text("project_id = 'mine'\n")
    write(tmp_path)
    assert config.read_text() == "project_id = 'mine'\n"


def test_the_settings_for_supabase_say_what_we_need(tmp_path: Path) -> None:
    write(tmp_path)
    config = tomllib.loads((tmp_path / "supabase" / "config.toml").read_text())
    assert config["api"]["schemas"] == ["public"]
    assert (config["auth"]["site_url"], config["auth"]["enable_signup"]) == (SITE, False)
    assert config["auth"]["mfa"]["totp"] == {"enroll_enabled": True, "verify_enabled": True}
    for name, kind in bundle.TEMPLATES.items():
        template = config["auth"]["email"]["template"][name]
        text = (tmp_path / template["content_path"]).read_text()
        assert f'"{{{{ .SiteURL }}}}/auth/confirm?token_hash={{{{ .TokenHash }}}}&amp;type={kind}"' in text


async def test_an_older_releases_file_is_refused_on_a_newer_database(
    cluster: Cluster, fresh: Database
) -> None:
    await run(fresh.owner, "update specchem.alembic_version set version_num = '9999'")
    before = await dump(cluster, fresh)
    code, said = await psql(cluster, fresh.owner, bundle.whole())
    assert code
    assert f"at revision 9999, from which this does not go on to {upgrade.head()}" in said
    assert await dump(cluster, fresh) == before


async def test_an_increment_is_refused_where_it_does_not_fit(cluster: Cluster) -> None:
    there = await project(cluster)
    before = await dump(cluster, there)
    code, said = await psql(cluster, there.owner, bundle.whole("0001"))
    assert code, said
    assert await dump(cluster, there) == before
    with pytest.raises(Stopped, match="no revision 0815"):
        bundle.whole("0815")
    await cluster.drop(there)


async def test_postgrest_is_told(fresh: Database) -> None:
    told = asyncio.Event()
    async with connected(fresh.owner) as listening:
        await listening.add_listener(
            "pgrst", lambda *heard: told.set() if heard[-1] == "reload schema" else None
        )
        assert await upgrade.upgrade(fresh.owner) is False
        assert not told.is_set()
        await run(fresh.owner, "update specchem.rules set hash = 'of an older release'")
        await upgrade.upgrade(fresh.owner)
        await asyncio.wait_for(told.wait(), 30)


async def test_no_function_of_ours_writes_without_where(people: World) -> None:
    """PostgREST loads pg-safeupdate, which refuses that within functions too."""
    assert people.connection is not None
    bodies = await people.connection.fetch(
        "select oid::regprocedure::text as name, prosrc from pg_proc"
        " where pronamespace in ('app'::regnamespace, 'public'::regnamespace)"
    )
    assert len(bodies) > 40
    bare = re.compile(
        r"\b(?:update\s+(?:public|specchem|auth)\.\w+|delete\s+from)\b(?:(?!\bwhere\b)[^;])*;", re.I
    )
    assert [row["name"] for row in bodies if bare.search(row["prosrc"])] == []


PASSWORD = "owner's own"


def with_password(address: str) -> str:
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=f"postgres:owner%27s%20own@{parts.netloc.rpartition('@')[2]}"))


@pytest.fixture
async def asked(cluster: Cluster) -> Any:
    """A project's database whose server asks our login and Supabase Auth's for a password, as Supabase's does."""
    there = await project(cluster)
    hba = Path(await value(there, "select current_setting('hba_file')"))
    before = hba.read_text()
    name = urlsplit(there.owner).path[1:]
    hba.write_text(f"local {name} specchem_api,supabase_auth_admin scram-sha-256\n{before}")
    await run(there.platform, "select pg_reload_conf()")
    owner = with_password(there.owner)
    yield Database(
        owner, database.login_url(owner, database.API), database.login_url(owner, database.AUTH), owner
    )
    hba.write_text(before)
    await run(there.platform, "select pg_reload_conf()")
    await run(
        there.platform, "alter role specchem_api password null; alter role supabase_auth_admin password null"
    )
    await cluster.drop(there)


async def value(there: Database, sql: str) -> Any:
    async with connected(there.platform) as connection:
        return await connection.fetchval(sql)


async def test_the_owner_lets_our_login_in_and_leaves_supabases_alone(asked: Database) -> None:
    for said in ("The database is upgraded.", "The database is up to date; nothing was touched."):
        done = await meanwhile("db", "upgrade", "--database-url", asked.owner)
        assert (done.returncode, done.stdout) == (0, f"{said}\n"), done.stderr
    async with connected(asked.api) as api:
        assert await api.fetchval("select session_user") == "specchem_api"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(asked.auth)


async def guard(connection: Connection) -> list[Any]:
    return await connection.fetch("select evtname, evtfoid::regproc::text from pg_event_trigger")


async def test_requests_are_kept_from_ddl_where_the_owner_may_see_to_it(cluster: Cluster) -> None:
    there = await project(cluster)
    await upgrade.upgrade(there.owner)
    async with connected(there.platform) as platform:
        assert await guard(platform) == []  # here the owner may not
        for _ in range(2):
            await run(there.platform, "update specchem.rules set hash = ''")
            await upgrade.upgrade(there.platform)
            assert await guard(platform) == [("specchem_requests", "app.refuse_ddl")]
        assert matrix.unexpected(await matrix.look(platform)) == []
        assert await lints.broken(platform) == []
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="does not change the schema"):
        await run(there.api, "create temporary table mine (id int)")
    await cluster.drop(there)
