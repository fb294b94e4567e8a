"""Databases as Supabase hands them out, and Supabase's own command line on them."""

import asyncio
import os
import platform
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from specchem.db import upgrade
from specchem.db.database import Database
from tests.conftest import Cluster

# It comes for this platform; what it does is the same on every other.
HAS_CLI = (sys.platform, platform.machine()) == ("linux", "x86_64")
CLI = Path("tests/clients/node_modules/@supabase/cli-linux-x64/bin/supabase")
# What the owner's new things are to the API's roles, unless a page says otherwise.
REGIMES = {
    "legacy": "",
    "2026": """
        alter default privileges in schema public
        revoke select, insert, update, delete on tables from anon, authenticated, service_role;
        alter default privileges in schema public revoke all on sequences from anon, authenticated, service_role;
        alter default privileges in schema public revoke all on functions from anon, authenticated, service_role""",
}


async def run(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def project(cluster: Cluster, regime: str = "legacy") -> Database:
    """A new project's database: the platform, the regime, Supabase Auth's own book, and no guard of ours."""
    database = await cluster.empty()
    await upgrade.supply_platform(database.platform)
    await run(
        database.platform,
        """
        drop event trigger specchem_requests;
        drop schema specchem_guard cascade;
        create schema extensions;
        set role supabase_auth_admin;
        create table auth.schema_migrations (version varchar(255) primary key)""",
    )
    if REGIMES[regime]:
        await run(database.owner, REGIMES[regime])
    return database


async def push(cluster: Cluster, database: Database, folder: Path) -> tuple[int | None, str]:
    """`supabase db push` from a folder that holds `supabase/`: its exit status and what it said."""
    async with _port(cluster) as port:
        process = await asyncio.create_subprocess_exec(
            CLI, "db", "push", "--yes", "--workdir", folder,
            f"--remote=postgresql://postgres:unasked@127.0.0.1:{port}{urlsplit(database.owner).path}",
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "SUPABASE_TELEMETRY_DISABLED": "1"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
    return process.returncode, said.decode()


@asynccontextmanager
async def _port(cluster: Cluster) -> AsyncIterator[int]:
    """A port that leads to the server's socket, for a program that knows no sockets; the socket knows us."""
    socket = cluster.server.socket_dir / f".s.PGSQL.{cluster.server.port}"

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while some := await source.read(65536):
            target.write(some)
            await target.drain()
        target.close()

    async def lead(here: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        there, forth = await asyncio.open_unix_connection(socket)
        await asyncio.gather(copy(here, forth), copy(there, back), return_exceptions=True)

    async with await asyncio.start_server(lead, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
