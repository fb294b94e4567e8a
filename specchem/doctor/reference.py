"""What a database of this very release looks like: one is made beside, in a folder that goes again, and read."""

import asyncio
import shutil
import tempfile
from functools import cache
from pathlib import Path

from specchem.db import database, embedded, upgrade
from specchem.db.session import looking
from specchem.doctor.catalog import Catalog, read


async def of_this_release() -> Catalog:
    """The catalog that this release's revisions and rules give; made once in a process. Raises EmbeddedError."""
    return await asyncio.to_thread(_made)


@cache
def _made() -> Catalog:
    folder = Path(tempfile.mkdtemp(prefix="specchem-doctor-"))
    folder.chmod(0o711)  # root's PostgreSQL runs as another user, who passes through
    try:
        with embedded.start(folder / "data", say=lambda _: None) as running:
            return asyncio.run(_read(database.of_server(running.server)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _read(where: database.Database) -> Catalog:
    await upgrade.supply_platform(where.platform)
    await upgrade.upgrade(where.owner)
    async with looking(where.owner) as connection:
        return await read(connection)
