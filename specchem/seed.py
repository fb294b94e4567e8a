"""The guide's initial data: six plants with their time zones, and the course. Run as often as you like."""

from collections.abc import Callable
from pathlib import Path

from specchem.courses.content import ContentError, read_course
from specchem.courses.loading import load_course
from specchem.db.session import connected
from specchem.errors import Stopped

PLANTS = {
    "Columbus, OH": "America/New_York",
    "Phoenix, AZ": "America/Phoenix",
    "Dallas, TX": "America/Chicago",
    "Atlanta, GA": "America/New_York",
    "Denver, CO": "America/Denver",
    "Seattle, WA": "America/Los_Angeles",
}
DEFAULT_PLANT = "Columbus, OH"
COURSES = Path(__file__).parent / "course_files"  # where the wheel packs them
if not COURSES.is_dir():
    COURSES = Path(__file__).parents[1] / "courses"


async def seed(url: str, say: Callable[[str], None] = lambda _: None) -> None:
    """Make the plants and courses that are missing; what is there stays. All or nothing. Raises Stopped."""
    try:
        courses = [read_course(file.parent) for file in sorted(COURSES.glob("*/course.yaml"))]
    except ContentError as error:
        raise Stopped(f"A course cannot be loaded:\n{error}") from error
    async with connected(url) as connection, connection.transaction():
        await connection.executemany(
            "insert into plants (name, timezone) values ($1, $2) on conflict (name) do nothing",
            list(PLANTS.items()),
        )
        await connection.execute(
            "update plants set is_default = true where name = $1"
            " and not exists (select from plants where is_default)",
            DEFAULT_PLANT,
        )
        for course in courses:
            if await load_course(connection, course):
                say(f"Loaded course {course.slug} {course.version}: {len(course.sections)} sections")
