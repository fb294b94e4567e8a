"""Enrolling many at once: those chosen, or whom a search finds; the database knows whom the caller may enroll."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from specchem.db.session import Db
from specchem.people.directory import MATCHES, Wanted


class Group(msgspec.Struct, frozen=True):
    """The people to enroll: those chosen, or without choice everybody whom the search finds."""

    wanted: Wanted
    chosen: Sequence[UUID] | None = None

    def values(self) -> tuple[object, ...]:
        """What GROUP asks for."""
        return *self.wanted.values(), self.chosen


GROUP = f"{MATCHES} and ($5::uuid [] is null or p.id = any($5))"
ELIGIBLE = "p.status = 'active' and t.is_active"


class Offer(msgspec.Struct, frozen=True):
    """A course that people can be enrolled in, and what that would do to a group of them."""

    id: UUID
    title: str
    version: str
    to_enroll: int
    already: int
    not_eligible: int  # suspended, or of a closed plant


class Enrolled(msgspec.Struct, frozen=True):
    """What came of it."""

    enrolled: int
    already: int


async def get_offers(db: Db, group: Group, language: str) -> list[Offer]:
    """Every published course, with how many would be enrolled in it and how many are."""
    return await db.all(
        Offer,
        f"""
        with people as materialized (select p.id, {ELIGIBLE} as eligible {GROUP})
        select c.id, coalesce(c.translations -> $6 ->> 'title', c.title) as title, c.version,
            count(*) filter (where g.id is not null and e.id is null and g.eligible) as to_enroll,
            count(e.id) as already,
            count(*) filter (where g.id is not null and e.id is null and not g.eligible) as not_eligible
        from courses c
        left join people g on true
        left join enrollments e on e.course_id = c.id and e.user_id = g.id
        where c.is_published and c.superseded_at is null
        group by c.id order by 2, c.id""",  # noqa: S608  words of ours
        *group.values(), language,
    )  # fmt: skip


async def enroll(db: Db, group: Group, course: UUID) -> Enrolled:
    """Enroll whoever is not; all or none. Raises NotFound, Conflict for a course that nobody can be enrolled in."""
    return await db.one(
        Enrolled,
        f"""
        with people as materialized (select p.id {GROUP} and {ELIGIBLE}),
        made as (
            insert into enrollments (user_id, course_id) select id, $6 from people
            on conflict on constraint enrollments_user_course_unique do nothing returning 1
        )
        select (select count(*) from made) as enrolled,
            (select count(*) from people) - (select count(*) from made) as already""",  # noqa: S608
        *group.values(), course,
    )  # fmt: skip
