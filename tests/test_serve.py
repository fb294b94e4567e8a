"""`specchem serve` as people start and stop it."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from specchem.db.database import Database
from specchem.serve import _listen
from specchem.settings import Settings
from tests.conftest import Cluster
from tests.program import (
    Program,
    data_folder,
    environment,
    one_time_password,
    processes_in,
    said_why,
    specchem,
)


@pytest.fixture(scope="module")
def used() -> Iterator[Path]:
    """A data folder whose first start is behind it."""
    with data_folder() as folder:
        program = Program(folder).wait_until_ready()
        assert program.end() == 0, program.lines
        yield folder


def no_postgres(folder: Path) -> bool:
    return not processes_in(folder.parent) and not (folder / "pgdata" / "postmaster.pid").exists()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_normal_stop_leaves_nothing_behind(used: Path, how: signal.Signals) -> None:
    program = Program(used).wait_until_ready()
    assert httpx.get(f"{program.address}/healthz", timeout=60).json() == {"status": "ok"}
    assert processes_in(used.parent)
    assert program.end(how) == 0, program.lines
    assert no_postgres(used)
    assert not any("Traceback" in line for line in program.lines)
    with pytest.raises(httpx.ConnectError):
        httpx.get(program.address)


def test_a_stop_while_a_client_stays_connected(used: Path) -> None:
    program = Program(used).wait_until_ready()
    with httpx.Client() as client:
        client.get(f"{program.address}/healthz", timeout=60)
        assert program.end() == 0, program.lines
    assert no_postgres(used)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_in_the_middle_of_the_first_start(how: signal.Signals) -> None:
    with data_folder() as folder:
        program = Program(folder)
        while not (folder / "pgdata" / "PG_VERSION").exists() and not list(folder.glob("pgdata*/PG_VERSION")):
            assert program.process.poll() is None, program.lines
            time.sleep(0.05)
        program.end(how)
        assert not processes_in(folder.parent)
        assert not any("Traceback" in line for line in program.lines), program.lines
        again = Program(folder).wait_until_ready()
        assert again.end() == 0
        assert no_postgres(folder)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "where", ["socket.socketpair", "specchem.serve.be_ready", "specchem.serve.create_app"]
)
def test_a_stop_that_comes_at_a_bad_moment(used: Path, how: signal.Signals, where: str) -> None:
    """While the event loop is half made, the database looked at, the application built."""
    module, name = where.rsplit(".", 1)
    script = f"""
import os, {module} as module
from specchem.cli import app
usual = module.{name}
def stopped(*given, **named):
    module.{name} = usual
    os.kill(os.getpid(), {how.value})
    return usual(*given, **named)
module.{name} = stopped
app(["serve"])
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(used, port="0"), capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "never awaited" not in done.stderr
    assert no_postgres(used)


def test_the_first_start_shows_what_it_is_doing_and_keeps_its_key_to_itself() -> None:
    with data_folder() as folder:
        program = Program(folder).wait_until_ready()
        assert len(program.lines) >= 3
        key = folder / "signing-key.pem"
        assert key.stat().st_mode & 0o777 == 0o600
        before = key.read_bytes()
        assert program.end() == 0
        again = Program(folder).wait_until_ready()
        assert again.end() == 0
        assert key.read_bytes() == before


def test_a_port_that_is_taken(used: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = specchem(used, "serve", port=str(port))
    assert said_why(done, str(port), "SPECCHEM_PORT")
    assert no_postgres(used)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"port": "http"}, ["SPECCHEM_PORT is wrong"]),
        ({"prot": "8000"}, ["SPECCHEM_PROT is not a setting", "SPECCHEM_PORT"]),
        ({"database_url": "mysql://me:hush@here/there"}, ["SPECCHEM_DATABASE_URL is wrong", "postgresql://"]),
        ({"host": "256.1.1.1"}, ["SPECCHEM_HOST"]),
        ({"data_dir": "/proc/nowhere"}, ["/proc/nowhere"]),
        ({"database_url": "postgresql://me:hush@127.0.0.1:1/none"}, ["database"]),
        (
            {"database_url": "postgresql://me:hush@127.0.0.1:1/none?sslmode=perhaps"},
            ["SPECCHEM_DATABASE_URL"],
        ),
    ],
)
def test_a_wrong_setting_stops_the_start_with_a_sentence(
    used: Path, settings: dict[str, str], words: list[str]
) -> None:
    done = specchem(used, "serve", **{"port": "0", **settings})
    assert said_why(done, *words)
    assert "hush" not in done.stderr
    assert no_postgres(used)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_the_demo_is_for_this_machine_alone(used: Path, host: str) -> None:
    assert said_why(specchem(used, "serve", "--demo", host=host, port="0"), "loopback", host)
    assert no_postgres(used)


async def test_an_external_database_is_upgraded_only_when_asked(cluster: Cluster) -> None:
    empty = await cluster.empty()
    with data_folder() as folder:
        stopped = specchem(folder, "serve", port="0", database_url=empty.platform)
        assert said_why(stopped, "Pending", "specchem db upgrade", "--upgrade")
        program = Program(folder, "--upgrade", database_url=empty.platform).wait_until_ready()
        assert program.end() == 0
        # Upgraded now, so it starts without being asked; no database of its own was made.
        program = Program(folder, database_url=empty.platform).wait_until_ready()
        assert program.end() == 0
        assert not (folder / "pgdata").exists()


async def test_the_demo_is_refused_where_real_people_are(fresh: Database) -> None:
    with data_folder() as folder:
        stopped = specchem(folder, "serve", "--demo", port="0", database_url=fresh.owner)
        assert said_why(stopped, "real people")


def exchange(address: str, request: bytes) -> bytes:
    """Bytes to the server as they are, and all that comes back."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(request)
        line.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := line.recv(65536):
            answer += piece
        return answer


def test_what_is_hardly_http(used: Path) -> None:
    """None of it is answered with 5xx, and the server goes on."""
    program = Program(used).wait_until_ready()
    head = b"GET /api/v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    post = b"POST /auth/v1/token?grant_type=password HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    body = b'{"email": "x@example.com", "password": "x"}'
    for request in (
        b"\r\n\r\n", b"GARBAGE\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\n\r\n",
        head + b"X: \xff\xfe\r\n\r\n", head + b"X: \x00\r\n\r\n", head + b"Authorization: Bearer \x01\x7f\r\n\r\n",
        head + b"X" * 100_000 + b": 1\r\n\r\n", head + b"Cookie: " + b"c" * 60_000 + b"\r\n\r\n",
        head + b"Content-Length: abc\r\n\r\n", head + b"Content-Length: -1\r\n\r\n",
        head + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", head + b"Transfer-Encoding: nonsense\r\n\r\n",
        post + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", post + b"Content-Length: 10\r\n\r\n{}",
        post + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        post + b"X-Forwarded-For: ; drop table\r\nContent-Length: 43\r\n\r\n" + body,
        post + b"X-Forwarded-For: 1.2.3.4, ::1%eth0, x\r\nContent-Length: 43\r\n\r\n" + body,
        post + b"Forwarded: for=x\r\nX-Forwarded-Proto: gopher\r\nContent-Length: 43\r\n\r\n" + body,
        b"GET /api/v1/%zz%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /api/v1/courses/" + b"a" * 50_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET http://elsewhere/api/v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ):  # fmt: skip
        answer = exchange(program.address, request)
        status = answer[9:12]
        assert status[:1] in {b"", b"2", b"4"}, (request[:200], answer[:300])
        assert b"Traceback" not in answer
    assert httpx.get(f"{program.address}/healthz", timeout=60).status_code == 200
    assert program.end() == 0
    assert not any("Traceback" in line for line in program.lines), "\n".join(program.lines)


def test_an_answer_does_not_wait_for_the_one_before_to_be_acknowledged() -> None:
    with (
        closing(_listen(Settings(port=0))) as listening,
        closing(socket.create_connection(listening.getsockname())),
    ):
        accepted, _ = listening.accept()
        with closing(accepted):
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_admins_need_a_second_factor_where_the_settings_say_so(used: Path) -> None:
    """From one start on, and until one without."""
    people = {
        role: specchem(used, "people", "create", f"{role}@example.com", "--plant", "Columbus, OH", *words)
        for role, words in {"hr": ("--role", "hr_admin"), "associate": ()}.items()
    }
    for wanted, status in (("true", 401), ("false", 200)):
        program = Program(used, require_mfa_for_admins=wanted).wait_until_ready()
        for role, made in people.items():
            with closing(program.sign_in(f"{role}@example.com", one_time_password(made))) as client:
                answer = client.get("/api/v1/me")
                assert answer.status_code == (status if role == "hr" else 200), answer.text
                assert answer.status_code == 200 or "second factor" in answer.json()["detail"]
        assert program.end() == 0, program.lines


def test_without_a_mail_server_the_terminal_shows_the_link(used: Path) -> None:
    program = Program(used).wait_until_ready()
    made = specchem(used, "people", "create", "forgetful@example.com", "--plant", "Columbus, OH")
    assert made.returncode == 0, made.stderr
    asked = {"email": "forgetful@example.com"}
    # Whatever the host header says, the link leads to us.
    headers = {"Host": "evil.example.com", "X-Forwarded-Host": "evil.example.com"}
    assert httpx.post(f"{program.address}/auth/v1/recover", json=asked, headers=headers).status_code == 200
    while not (
        shown := [line for line in program.lines if line.startswith("Mail to forgetful@example.com: ")]
    ):
        assert program.process.poll() is None
        time.sleep(0.05)
    link = shown[0].rpartition(" ")[2]
    assert link.startswith(f"{program.address}/auth/confirm?")
    assert httpx.get(link).status_code == 200
    (mail,) = (used / "outbox").glob("*.eml")
    assert mail.stat().st_mode & 0o077 == 0
    assert program.end() == 0, program.lines
