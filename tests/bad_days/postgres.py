"""A PostgreSQL on a TCP port, in our hands: started, stopped, killed, frozen, and made a standby."""

import asyncio
import os
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import asyncpg

from specchem.db import embedded
from specchem.db.unprivileged import account_for, programs_for
from tests import logs
from tests.program import processes_in


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class Postgres:
    """Its files are made by the embedded server; from then on its process is ours."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with embedded.start(folder, say=lambda _: None) as running:
            found = running.server
        self.port = free_port()
        # Where it is looked for instead of a socket's folder: libpq and asyncpg take either.
        self.server = embedded.Server(found.data_dir, Path("127.0.0.1"), self.port, found.bin_dir)
        self.account = account_for(found.data_dir)
        self.process: subprocess.Popen[str] | None = None
        self.log = folder / "log" / "bad-days.log"
        (folder / "conf" / "tcp.conf").write_text("host all all 127.0.0.1/32 trust\n")
        (folder / "conf" / "tcp.conf").chmod(0o644)

    @property
    def pgdata(self) -> Path:
        return self.server.data_dir

    async def start(self, **settings: str) -> None:
        """Until it answers: whoever joins the embedded server does not do so here."""
        settings = {
            "config_file": str(self.folder / "conf" / "postgresql.conf"),
            "hba_file": str(self.folder / "conf" / "tcp.conf"),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": str(self.port),
            "shared_buffers": "64MB",
            "log_error_verbosity": "terse",
        } | settings
        command = [str(self._programs() / "postgres"), "-D", str(self.pgdata)]
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self.process = self.account.popen(
                [*command, *(f"--{name}={value}" for name, value in settings.items())], log
            )
        finally:
            os.close(log)
        while True:
            assert self.process.poll() is None, self.log.read_text()
            with suppress(OSError, asyncpg.PostgresError):
                await (await asyncpg.connect(self.server.dsn("supabase_admin"), timeout=5)).close()
                return
            await asyncio.sleep(0.05)

    async def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is `pg_ctl stop -m fast`, SIGQUIT immediate, SIGKILL a crash; returns when no process is left."""
        if self.process is None:
            return
        self.process.send_signal(how)
        while self.process.poll() is None or processes_in(self.pgdata):
            if how == signal.SIGKILL and self.process.poll() is not None:
                for orphan in processes_in(self.pgdata):
                    with suppress(ProcessLookupError):
                        os.kill(orphan, signal.SIGKILL)
            await asyncio.sleep(0.02)
        self.process = None
        (self.pgdata / "postmaster.pid").unlink(missing_ok=True)
        logs.keep_folder(self.log.parent)

    async def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        await self.stop(how)
        await self.start()

    def freeze(self) -> None:
        """Every process stops where it is: connections stay open, and nobody answers."""
        self._tell_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._tell_all(signal.SIGCONT)

    def _tell_all(self, what: signal.Signals) -> None:
        # The first one first, or it makes new ones meanwhile.
        assert self.process is not None
        for pid in (self.process.pid, *processes_in(self.pgdata)):
            with suppress(ProcessLookupError):
                os.kill(pid, what)

    async def run(self, sql: str, database: str = "postgres") -> str:
        """Statements as a superuser."""
        connection = await asyncpg.connect(self.server.dsn("supabase_admin", database))
        try:
            return await connection.execute(sql)
        finally:
            await connection.close()

    def _programs(self) -> Path:
        return programs_for(self.account, self.server.bin_dir, self.folder)
