"""The real program in a process of its own, on a data folder of its own."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from typer.testing import CliRunner

from specchem.cli import app
from specchem.settings import variables
from tests import logs


def environment(folder: Path | None, **settings: str) -> dict[str, str]:
    """Ours without any setting of the machine, and with these."""
    mine = {
        name: value for name, value in os.environ.items() if not name.startswith(("SPECCHEM_", "SUPABASE_"))
    }
    place = {} if folder is None else {"SPECCHEM_DATA_DIR": str(folder)}
    names = variables()
    return (
        mine
        | place
        | {names.get(name, f"SPECCHEM_{name.upper()}"): value for name, value in settings.items()}
    )


def specchem(folder: Path | None, *words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """A command, run to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "specchem", *words],
        env=environment(folder, **settings), capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    logs.keep(done.stderr)
    return done


def command(*words: str) -> "subprocess.CompletedProcess[str]":
    """A command in this process, which starts sooner; for those that hold no port and catch no signal."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("SPECCHEM_")}
    try:
        done = CliRunner().invoke(app, words)
    finally:
        os.environ.update(kept)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)


async def meanwhile(*words: str) -> "subprocess.CompletedProcess[str]":
    """The same where a loop runs already."""
    return await asyncio.to_thread(command, *words)


def said_why(done: "subprocess.CompletedProcess[str]", *words: str) -> bool:
    """Assert that it stopped with exit status 1 and a sentence that holds the words."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr.replace("Try 'specchem", ""), done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    return True


started: list["Program"] = []


class Program:
    """`specchem serve …`, from "Ready:" to its end."""

    def __init__(self, folder: Path, *words: str, **settings: str) -> None:
        self.folder = folder
        started.append(self)
        self.lines: list[str] = []  # what it said in words
        self.events: list[dict[str, Any]] = []  # and with log_format="json", each line whole
        self.process = subprocess.Popen(
            [sys.executable, "-m", "specchem", "serve", *words],
            # As somebody at a terminal reads it.
            env=environment(folder, **{"port": "0", "log_format": "text", **settings}),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.events.append(json.loads(line) if line.startswith("{") else {"event": line.rstrip("\n")})
            self.lines.append(self.events[-1]["event"])
            logs.keep(line)
            if self.lines[-1].startswith("Ready:"):
                self._ready.set()
        self._ready.set()

    def wait_until_ready(self) -> "Program":
        assert self._ready.wait(600), self.lines
        assert self.process.poll() is None, (self.process.returncode, self.lines)
        return self

    @property
    def address(self) -> str:
        found = re.search(r"^Ready: (http\S+)", "\n".join(self.lines), re.M)
        assert found, (self.process.poll(), self.lines)
        return found[1]

    def sign_in(self, email: str, password: str) -> httpx.Client:
        """A client with the person's token."""
        client = httpx.Client(base_url=self.address, timeout=120)
        answer = client.post(
            "/auth/v1/token?grant_type=password", json={"email": email, "password": password}
        )
        assert answer.status_code == 200, answer.text
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return client

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; its exit status."""
        self.process.send_signal(how)
        return self.wait()

    def wait(self) -> int:
        status = self.process.wait(300)
        self._reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status

    def postmaster(self) -> int:
        return int(self._noted()[0])

    @property
    def owner(self) -> str:
        """The owner's address of the embedded database."""
        return f"postgresql://postgres@/postgres?host={self._noted()[4]}&port={self._noted()[3]}"

    def _noted(self) -> list[str]:
        return (self.folder / "pgdata" / "postmaster.pid").read_text().splitlines()


@contextmanager
def data_folder() -> Iterator[Path]:
    """A data folder that PostgreSQL's own user can reach; nothing that runs in it is left behind."""
    place = Path(tempfile.mkdtemp(prefix="specchem-test-"))
    place.chmod(0o711)
    try:
        yield place / "data"
    finally:
        for program in started:
            if program.folder.is_relative_to(place) and program.process.poll() is None:
                program.process.kill()
                program.wait()
        left = processes_in(place)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        logs.keep_folder(place / "data" / "log")
        shutil.rmtree(place, ignore_errors=True)
        assert not left, f"PostgreSQL was left behind: {left}"


def processes_in(place: Path) -> list[int]:
    """The processes at work below a place."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(place):
                found.append(int(process.name))
        except OSError:
            continue  # it has ended meanwhile
    return found


def one_time_password(done: Any) -> str:
    """What `people create` printed."""
    assert done.returncode == 0, done.stderr
    return str(done.stdout.split()[-1])
