"""Backup, drop, restore of the demo company: the same to the last byte, on both ends of what is supported."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from specchem.backup import file as files
from specchem.db import database, embedded, upgrade
from specchem.demo import ACCOUNTS, LAST, PASSWORD
from tests.backup.common import backup, dump, restore, run
from tests.conftest import DEBIAN_15, missing_postgres_15, temporary_server
from tests.program import Program, data_folder, specchem


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with data_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def company(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A backup of the demo company, whose database is gone, and how pg_dump wrote that."""
    program = Program(folder, "--demo").wait_until_ready()
    can_sign_in(program)
    assert program.end() == 0, program.lines
    file = tmp_path_factory.mktemp("company") / "company.backup"
    done = specchem(folder, "db", "backup", str(file))
    assert done.returncode == 0, done.stderr
    before = dump_of(folder)
    shutil.rmtree(folder)
    return file, before


def dump_of(folder: Path) -> list[str]:
    with embedded.start(folder, say=lambda _: None) as running:
        where = database.of_server(running.server)
        return asyncio.run(dump(running.server.bin_dir, where.platform))


def can_sign_in(program: Program) -> None:
    """Everyone, but for whoever is suspended."""
    for person in ACCOUNTS:
        if person is not LAST:
            with closing(program.sign_in(person.email, PASSWORD)) as client:
                me = client.get("/api/v1/me").json()
                assert me["profile"]["email"] == person.email
    asked = {"email": LAST.email, "password": PASSWORD}
    answer = httpx.post(f"{program.address}/auth/v1/token?grant_type=password", json=asked, timeout=60)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "user_banned")


def agrees(folder: Path, **settings: str) -> None:
    """The reports with the record."""
    verified = specchem(folder, "report", "verify", **settings)
    assert verified.stdout == "The counters agree with the record.\n"


def test_the_embedded_database_comes_back(folder: Path, company: tuple[Path, list[str]]) -> None:
    file, before = company
    done = specchem(folder, "db", "restore", str(file))
    assert done.returncode == 0, done.stderr
    assert files.read(file).answers > 10_000
    assert f"Restored: {files.read(file).sentence()}" in done.stdout
    assert "public.question_events" in done.stderr
    assert dump_of(folder) == before
    agrees(folder)
    proof = specchem(folder, "doctor", "--isolation")
    assert proof.returncode == 0, proof.stdout[-2000:]
    assert "0 deviations; 0 broken rules" in proof.stdout
    program = Program(folder).wait_until_ready()
    can_sign_in(program)
    assert program.end() == 0, program.lines


@pytest.mark.skipif(missing_postgres_15() is not None, reason="there is no PostgreSQL 15 on this machine")
def test_it_moves_to_the_oldest_postgresql_and_comes_back_there(
    company: tuple[Path, list[str]], tmp_path: Path
) -> None:
    """As a database of one's own; the second backup is PostgreSQL 15's pg_dump's."""
    file, again = company[0], tmp_path / "again.backup"
    with temporary_server(DEBIAN_15) as server:
        first, second = database.of_server(server), database.of_server(server, "second")

        async def move() -> None:
            moved = await restore(first.platform, file)
            assert moved.returncode == 0, moved.stderr
            made = await backup(first.platform, again)
            assert made.returncode == 0, made.stderr
            # As most people have it: a superuser postgres, who owns the tables. New ones of his are open by default.
            await run(first.platform, "create database second")
            await upgrade.supply_platform(second.platform)
            await run(first.platform, "alter role postgres superuser")
            back = await restore(second.owner, again)
            assert back.returncode == 0, back.stderr
            assert await dump(DEBIAN_15, second.platform) == await dump(DEBIAN_15, first.platform)

        asyncio.run(move())
        assert files.read(again).pg_dump == 15
        assert files.read(again).rows == files.read(file).rows
        with data_folder() as folder:
            agrees(folder, database_url=second.platform)
            program = Program(folder, database_url=second.platform).wait_until_ready()
            can_sign_in(program)
            assert program.end() == 0, program.lines
