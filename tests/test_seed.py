"""The initial data: run as often as one likes, and nothing that people rely on changes under them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from specchem import seed
from specchem.db.database import Database
from specchem.errors import Conflict, Stopped
from tests.unchanged import all_rows

SLUG = "function-specific-hazmat"


async def everything(database: Database) -> dict[str, list[str]]:
    connection = await asyncpg.connect(database.platform)
    try:
        return await all_rows(connection)
    finally:
        await connection.close()


async def ask(database: Database, sql: str) -> object:
    connection = await asyncpg.connect(database.platform)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """Change a text in one of the course's files, for this test."""
    shutil.copytree(seed.COURSES, tmp_path / "courses")
    monkeypatch.setattr(seed, "COURSES", tmp_path / "courses")

    def edit(name: str, old: str, new: str) -> None:
        file = tmp_path / "courses" / SLUG / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

    return edit


# guide-measured: seed.sql (the second run: duplicate key)
async def test_a_second_run_changes_nothing(fresh: Database) -> None:
    before = await everything(fresh)
    said: list[str] = []
    await seed.seed(fresh.owner, said.append)
    await seed.seed(fresh.owner, said.append)
    assert await everything(fresh) == before
    assert said == []


async def test_what_people_changed_stays(fresh: Database) -> None:
    await ask(fresh, "update plants set timezone = 'UTC', is_active = false where name = 'Dallas, TX'")
    await ask(fresh, "update courses set title = 'HazMat', is_published = false")
    await ask(fresh, "update plants set is_default = false where is_default")
    await ask(fresh, "update plants set is_default = true where name = 'Denver, CO'")
    before = await everything(fresh)
    await seed.seed(fresh.owner)
    assert await everything(fresh) == before


async def test_a_plant_that_is_missing_is_made(fresh: Database) -> None:
    await ask(fresh, "delete from plants where name = 'Atlanta, GA'")
    await seed.seed(fresh.owner)
    assert await ask(fresh, "select timezone from plants where name = 'Atlanta, GA'") == "America/New_York"


async def test_there_is_one_default_plant(fresh: Database) -> None:
    assert await ask(fresh, "select string_agg(name, ';') from plants where is_default") == seed.DEFAULT_PLANT


async def test_a_published_version_never_changes(
    fresh: Database, edited: Callable[[str, str, str], None]
) -> None:
    edited("marking.yaml", "The price per gallon", "The price per litre")
    await ask(fresh, "delete from plants where name = 'Atlanta, GA'")
    before = await everything(fresh)
    with pytest.raises(Conflict, match=f"{SLUG} 1.0 was published.*raise the version"):
        await seed.seed(fresh.owner)
    assert await everything(fresh) == before  # all or nothing: not even the plant


async def test_a_new_version_is_loaded_and_the_record_kept(
    fresh: Database, edited: Callable[[str, str, str], None]
) -> None:
    before = await everything(fresh)
    edited("course.yaml", 'version: "1.0"', 'version: "1.1"')
    edited("marking.yaml", "The price per gallon", "The price per litre")
    said: list[str] = []
    await seed.seed(fresh.owner, said.append)
    await seed.seed(fresh.owner, said.append)
    after = await everything(fresh)
    content = {"courses", "sections", "questions", "question_choices", "answer_keys"}
    assert {name for name in before if before[name] != after[name]} == content
    # Whoever takes the version before goes on in it; nobody new is enrolled in it.
    offered = await ask(
        fresh,
        "select string_agg(version || ' ' || is_published || ' ' || (superseded_at is null), ', ' order by version)"
        f" from courses where slug = '{SLUG}'",
    )
    assert offered == "1.0 true false, 1.1 true true"
    for unit, version in {"gallon": "1.0", "litre": "1.1"}.items():
        asked = (
            "select c.version from question_choices q join courses c on c.id = q.course_id where q.text = "
        )
        assert await ask(fresh, f"{asked}'The price per {unit}'") == version
    assert said == [f"Loaded course {SLUG} 1.1: 12 sections"]


async def test_a_version_that_is_not_published_may_change(
    fresh: Database, edited: Callable[[str, str, str], None]
) -> None:
    edited("course.yaml", 'version: "1.0"', 'version: "1.1"')
    edited("course.yaml", "published: true", "published: false")
    await seed.seed(fresh.owner)
    edited("marking.yaml", "The price per gallon", "The price per litre")
    await seed.seed(fresh.owner)
    assert await ask(fresh, "select count(*) from question_choices where text = 'The price per litre'") == 1
    assert (
        await ask(fresh, f"select is_published from courses where slug = '{SLUG}' and version = '1.1'")
        is False
    )


async def test_a_version_that_somebody_takes_never_changes_withdrawn_or_not(
    fresh: Database, edited: Callable[[str, str, str], None]
) -> None:
    await ask(fresh, "update courses set is_published = false")
    edited("marking.yaml", "The price per gallon", "The price per litre")
    with pytest.raises(Conflict, match=r"1\.0 was published"):
        await seed.seed(fresh.owner)


async def test_a_course_that_cannot_be_read_stops_before_anything(
    fresh: Database, edited: Callable[[str, str, str], None]
) -> None:
    edited("marking.yaml", "correct: [b, d]", "correct: [z]")
    before = await everything(fresh)
    with pytest.raises(Stopped, match="cannot be loaded"):
        await seed.seed(fresh.owner)
    assert await everything(fresh) == before
