"""How the system fares: health, and how much happens."""

from litestar import Router, get
from litestar.datastructures import State
from litestar.response import Template

from specchem.doors import Me, Pooled
from specchem.people.visitor import get_visitor
from specchem.reporting.days import WEEKS, get_health, get_volume_by_day


@get("/admin/system")
async def system(me: Me, pool: Pooled, state: State) -> Template:
    """Is everything well, and how much is going on?"""
    async with me.acting() as db:
        visitor = await get_visitor(db, me)
        days = await get_volume_by_day(db, WEEKS, visitor.zone.key)
    health = await get_health(pool)
    return Template(
        "reporting/system.html",
        context={
            "visitor": visitor, "days": days, "weeks": WEEKS, "health": health,
            "current": (health.revision, health.rules) == state.release,
            "most": max((day.answers for day in days), default=0),
        },
    )  # fmt: skip


router = Router("/", route_handlers=[system])
