"""Whoever looks at a page: their name, their plant's clock, and where the menu may take them."""

from dataclasses import dataclass
from uuid import UUID
from zoneinfo import ZoneInfo

from specchem import noting
from specchem.db.session import Asker, Db
from specchem.i18n import _
from specchem.people.operations import get_me, get_plants


@dataclass(frozen=True)
class Link:
    """An entry of the menu."""

    address: str
    text: str


@dataclass(frozen=True)
class Visitor:
    """What every page shows of its visitor."""

    id: UUID
    name: str
    plant: str
    zone: ZoneInfo
    links: tuple[Link, ...]


async def get_visitor(db: Db, me: Asker) -> Visitor:
    """The visitor of this request."""
    found = await get_me(db, me.user_id)
    noting.in_plant(found.plant.id)
    links = [Link("/", _("My courses"))]
    looked_after = {role.plant_id for role in found.roles if role.plant_id is not None}
    if looked_after:
        links += [
            Link(f"/plants/{plant.id}", plant.name)
            for plant in await get_plants(db)
            if plant.id in looked_after
        ]
    if found.is_hr_admin or len(looked_after) > 1:
        links.append(Link("/company", _("Company") if found.is_hr_admin else _("My plants")))
    if looked_after or found.is_hr_admin:
        links.append(Link("/people", _("People")))
        links.append(Link("/invitations", _("Invitations")))
    is_dev = any(role.role == "dev_admin" for role in found.roles)
    if found.is_hr_admin or is_dev:
        links += [Link("/admin/plants", _("Plants")), Link("/admin/courses", _("Courses"))]
    if is_dev:
        links.append(Link("/admin/system", _("System")))
    profile = found.profile
    return Visitor(
        profile.id,
        f"{profile.first_name} {profile.last_name}",
        found.plant.name,
        ZoneInfo(found.plant.timezone),
        tuple(links),
    )
