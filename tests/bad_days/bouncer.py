"""Debian's PgBouncer in front of a PostgreSQL of ours."""

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bad_days.postgres import Postgres, free_port

USERS = ("specchem_api", "supabase_auth_admin", "postgres", "supabase_admin")


def missing_pgbouncer() -> str | None:
    """Why PgBouncer is not tested with, or None."""
    if program():
        return None
    if os.environ.get("CI") == "true":
        raise RuntimeError("pgbouncer is missing; in CI that is a failure.")
    return "there is no pgbouncer on this machine"


def program() -> str | None:
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def version() -> tuple[int, ...]:
    said = subprocess.run([str(program()), "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in re.findall(r"\d+", said)[:2])


@dataclass(frozen=True)
class Bouncer:
    """One that runs: where it listens, and on how many server connections it serves everybody."""

    port: int
    servers: int

    def address(self, user: str) -> str:
        """For `company`, which fills the database's name in."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{{name}}"


@asynccontextmanager
async def bouncer(postgres: Postgres, mode: str = "transaction", **settings: str) -> AsyncIterator[Bouncer]:
    """As the user that PostgreSQL runs as: it refuses root as well."""
    servers = 3 if mode == "transaction" else 40
    with tempfile.TemporaryDirectory(prefix="specchem-test-") as place:
        folder = Path(place)
        folder.chmod(0o711)
        port = free_port()
        told = {
            "listen_addr": "127.0.0.1", "listen_port": str(port), "unix_socket_dir": "", "auth_type": "trust",
            "auth_file": f"{folder}/users.txt", "pool_mode": mode, "default_pool_size": str(servers),
            "max_client_conn": "300", "server_login_retry": "1",
        } | settings  # fmt: skip
        (folder / "users.txt").write_text("".join(f'"{user}" ""\n' for user in USERS))
        pages = [f"[databases]\n* = host=127.0.0.1 port={postgres.port}\n", "[pgbouncer]"]
        pages += [f"{name} = {value}" for name, value in told.items()]
        (folder / "pgbouncer.ini").write_text("\n".join([*pages, ""]))
        for file in folder.iterdir():
            file.chmod(0o644)
        log = folder / "log"
        output = os.open(log, os.O_WRONLY | os.O_CREAT, 0o600)
        process = postgres.account.popen([str(program()), str(folder / "pgbouncer.ini")], output)
        os.close(output)
        try:
            while True:
                assert process.poll() is None, log.read_text()
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
            yield Bouncer(port, servers)
        finally:
            process.terminate()
            process.wait(60)
