"""What the tests of backups share: commands on a database, and databases as pg_dump writes them."""

import asyncio
import subprocess
from pathlib import Path

import asyncpg
import msgspec

from specchem.backup import file as files
from specchem.backup.file import MARK, Manifest
from specchem.db.database import Database
from tests.program import meanwhile


async def backup(where: str, file: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return await meanwhile("db", "backup", str(file), *words, "--database-url", where)


async def restore(where: str, file: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return await meanwhile("db", "restore", str(file), *words, "--database-url", where)


async def dump(bin_dir: Path, address: str) -> list[str]:
    """Everything in a database as text, without what pg_dump makes up anew each time."""
    process = await asyncio.create_subprocess_exec(
        bin_dir / "pg_dump", address, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    text, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    return [line for line in text.decode().splitlines() if "restrict " not in line]


async def run(address: str, sql: str) -> object:
    connection = await asyncpg.connect(address)
    try:
        return await connection.fetchval(sql) if sql.startswith("select") else await connection.execute(sql)
    finally:
        await connection.close()


async def like_supabase(database: Database) -> Database:
    """Take away what tells our own platform from Supabase's."""
    await run(database.platform, "drop schema specchem_guard cascade")
    return database


def forge(file: Path, copy: Path, **changed: object) -> Path:
    """A copy of a backup that says something else of itself."""
    whole = file.read_bytes()
    manifest = files.read(file)
    known = {name: getattr(manifest, name) for name in Manifest.__struct_fields__} | changed
    copy.write_bytes(whole[: manifest.size] + MARK + msgspec.json.encode(known) + b"\n")
    return copy
