"""The database is upgraded under a running program of the release before: what works is served, the rest refused."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from specchem.db import upgrade
from specchem.db.refusals import OTHER_RELEASE
from specchem.errors import Unavailable
from tests.bad_days.load import Company, company, load
from tests.conftest import Cluster
from tests.program import said_why, specchem
from tests.web.served import is_problem

PAGE = """
from specchem.db.migrations import run_page
revision = "9999"
down_revision = "{}"
def upgrade() -> None:
    run_page(__file__)
"""


@pytest.fixture(scope="module")
async def served(outside: Cluster, folder: Path) -> AsyncIterator[Company]:
    """On a database of this page's own, which becomes another release's."""
    async with company(outside, folder, learners=8) as running:
        yield running


@pytest.fixture
def newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """This process is a newer release until that is undone: columns more in tables that all use, and other rules."""
    copy = tmp_path / "db"
    shutil.copytree(upgrade.HERE, copy)
    pages = copy / "migrations" / "versions"
    (pages / "9999_more.py").write_text(PAGE.format(upgrade.head()))
    (pages / "9999_more.sql").write_text(
        "alter table public.question_events add column seconds integer;\n"
        "alter table public.progress add column note text;\n"
    )
    with (copy / "rules" / "90_close.sql").open("a") as rules:
        rules.write("comment on schema app is 'of a newer release';\n")
    monkeypatch.setattr(upgrade, "HERE", copy)
    return monkeypatch


async def test_an_upgrade_while_64_people_write(served: Company, newer: pytest.MonkeyPatch) -> None:
    """Twice at once, even: one does the work. Nobody sees half of it, and the older program goes on."""
    owner = served.database.owner

    async def patiently() -> bool:
        while True:
            try:
                return await upgrade.upgrade(owner)
            except Unavailable:  # people were in the way
                await asyncio.sleep(0.1)

    async with load(served):
        assert sorted(await asyncio.gather(patiently(), patiently())) == [False, True]
    async with served.client("l1") as client:
        health = await client.get("/healthz")
        assert is_problem(health, 503)
        assert "not this release's" in health.json()["detail"]
        for path in (
            "/api/v1/me",
            "/api/v1/me/enrollments",
            f"/api/v1/users/{served.learners[0]}/question-events",
        ):
            assert (await client.get(path)).status_code == 200, path
        sent = await client.post("/api/v1/question-events/batch", json=served.answers())
        assert sent.status_code == 201
        course = served.world.course["hazmat"]
        assert (
            await client.put(
                f"/api/v1/courses/{course}/progress", json={"current_section": served.world.plain_sections[0]}
            )
        ).status_code == 200
    # A program of the older release that starts now is told to make way for the newer one.
    newer.undo()
    started = await asyncio.to_thread(specchem, served.program.folder, "serve", port="0", database_url=owner)
    assert said_why(started, "9999")


async def test_what_a_newer_release_took_away(served: Company) -> None:
    """Is refused with a sentence, the rest is served; and all is well again with this release's schema."""
    course = served.world.course["outside"]
    async with served.client("l1") as client:
        mark = f"/api/v1/courses/{course}/progress"
        await served.owner("drop function public.mark_progress(uuid, integer, text, uuid)")
        await served.owner("alter table specchem.settings rename to settings_of_a_newer_release")
        await served.owner("alter table courses rename column title to heading")
        try:
            answer = await client.put(mark, json={"progress_percent": 1})
            assert is_problem(answer, 503)
            assert answer.json()["detail"] == OTHER_RELEASE
            answer = await client.get("/api/v1/courses")
            assert is_problem(answer, 503)
            assert answer.json()["detail"] == OTHER_RELEASE
        finally:
            await served.owner("alter table courses rename column heading to title")
            await served.owner("alter table specchem.settings_of_a_newer_release rename to settings")
        sent = await client.get("/api/v1/courses")
        assert sent.status_code == 200
        assert (await client.put(mark, json={"progress_percent": 1})).status_code == 503
        await served.owner("delete from specchem.rules")
        await served.owner("update specchem.alembic_version set version_num = $1", upgrade.head())
        assert await upgrade.upgrade(served.database.owner)
        assert (await client.put(mark, json={"progress_percent": 1})).status_code == 404
        await served.well()
