"""Is the database this release's? Make it so, or say what is missing."""

from collections.abc import Callable

from specchem.db import database, upgrade
from specchem.db.database import Database
from specchem.db.session import connected
from specchem.errors import Stopped
from specchem.seed import seed
from specchem.settings import Settings


async def be_ready(where: Database, *, may_upgrade: bool, say: Callable[[str], None]) -> None:
    """Upgrade and seed where we may; else raise Stopped with what is pending."""
    if may_upgrade:
        await database.ensure_ready(where)
        await upgrade.upgrade(where.owner, say)
        await seed(where.owner, say)
        await database.ensure_logins(where)
        return
    async with connected(where.owner) as connection:
        found = await upgrade.status(connection)
    if not found.current:
        raise Stopped(f"{found.sentence()} Run `specchem db upgrade`, or serve with --upgrade.")


async def tell_settings(where: Database, settings: Settings) -> None:
    """What the settings ask of the database is kept there, where its rules can see it."""
    async with connected(where.owner) as connection:
        await connection.execute(
            "update specchem.settings set admins_need_second_factor = $1 where admins_need_second_factor <> $1",
            settings.require_mfa_for_admins,
        )
