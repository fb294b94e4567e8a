"""How the system fares: health, and how much happens."""

from datetime import UTC, datetime, timedelta

from litestar import Router, get
from litestar.datastructures import State
from litestar.response import Template

from specchem.doors import Me, Pooled
from specchem.people.visitor import get_visitor
from specchem.reporting.days import WEEKS, get_examination, get_health, get_volume_by_day, may_mend

OLD = timedelta(days=2)  # for an examination that is to come every night


@get("/admin/system")
async def system(me: Me, pool: Pooled, state: State) -> Template:
    """Is everything well, and how much is going on?"""
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        days = await get_volume_by_day(db, WEEKS, visitor.zone.key)
        mends = await may_mend(db)
        examined = await get_examination(db) if mends else None
    health = await get_health(pool)
    return Template(
        "reporting/system.html",
        context={
            "visitor": visitor, "days": days, "weeks": WEEKS, "health": health,
            "current": (health.revision, health.rules) == state.release,
            "most": max((day.answers for day in days), default=0),
            "mends": mends, "examined": examined,
            "is_old": examined is not None and datetime.now(UTC) - examined.examined_at > OLD,
        },
    )  # fmt: skip


router = Router("/", route_handlers=[system])
