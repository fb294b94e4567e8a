"""A real pgbouncer between us and the server: does doctor see what it does?"""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from specchem.db import embedded
from specchem.doctor.server import changes_servers
from tests.conftest import temporary_server

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@contextmanager
def pooled(server: embedded.Server, mode: str) -> Iterator[str]:
    """An address at a pooler of this mode; it runs as the server's own user, whose socket is private."""
    folder = server.socket_dir / "pooler"
    folder.mkdir()
    owner = server.data_dir.stat()
    os.chown(folder, owner.st_uid, owner.st_gid)
    page = folder / "pgbouncer.ini"
    page.write_text(
        "[databases]\n"
        f"postgres = user=supabase_admin host={server.socket_dir} port={server.port}\n"
        "[pgbouncer]\n"
        f"listen_port = 6432\nunix_socket_dir = {folder}\nauth_type = any\npool_mode = {mode}\n"
    )
    assert PGBOUNCER is not None
    log = folder.parent.parent / "pgbouncer.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [PGBOUNCER, page], user=owner.st_uid, group=owner.st_gid, extra_groups=[], umask=0o077,
            stdout=said, stderr=said,
        )  # fmt: skip
    try:
        while not (folder / ".s.PGSQL.6432").exists():
            assert process.poll() is None, log.read_text()
            time.sleep(0.02)
        yield f"postgresql://supabase_admin@/postgres?host={folder}&port=6432"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def server() -> Iterator[embedded.Server]:
    with temporary_server() as made:
        conf = made.data_dir.parent / "conf" / "pg_hba.conf"
        conf.write_text("local all all trust\n")
        subprocess.run(
            [made.bin_dir / "psql", made.dsn("supabase_admin"), "-Xqc", "select pg_reload_conf()"], check=True
        )
        yield made


@pytest.mark.parametrize(("mode", "changes"), [("session", False), ("transaction", True)])
def test_a_pooler_in_transaction_mode_is_noticed(server: embedded.Server, mode: str, changes: bool) -> None:
    if PGBOUNCER is None:
        assert os.environ.get("CI") != "true", "pgbouncer is missing; in CI that is a failure."
        pytest.skip("there is no pgbouncer on this machine")
    with pooled(server, mode) as url:
        assert asyncio.run(changes_servers(url)) is changes


def test_without_a_pooler_each_keeps_its_server(server: embedded.Server) -> None:
    assert asyncio.run(changes_servers(server.dsn("supabase_admin"))) is False
