"""The product's own server, and wrk asking it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.world import World, person
from specchem.auth.cookies import SessionCookies, cookie_name
from specchem.auth.service.issuer import LIFETIME, Issuer
from specchem.auth.service.keys import KeyRing
from specchem.auth.sessions import Session

# wrk's own language. A request is made anew each time from the person's token and random numbers.
SCRIPT = """
local tokens = {}
for line in io.lines("%(tokens)s") do tokens[#tokens + 1] = line end
local questions = {}
for line in io.lines("%(questions)s") do
    local section, question, choice = line:match("(%%S+) (%%S+) (%%S+)")
    questions[#questions + 1] = '"course_id":"%(hazmat)s","section_key":"' .. section .. '","question_key":"'
        .. question .. '","response_meta":{"choices":["' .. choice .. '"]}}'
end
local turn = 0
local function id()
    return string.format("%%08x-%%04x-4%%03x-8%%03x-%%06x%%06x", math.random(0, 2^31), math.random(0, 65535),
        math.random(0, 4095), math.random(0, 4095), math.random(0, 2^24 - 1), math.random(0, 2^24 - 1))
end
local function answer() return '{"id":"' .. id() .. '",' .. questions[math.random(#questions)] end
local function batch(size)
    local all, first = {}, math.random(#questions)
    for i = 1, size do all[i] = '{"id":"' .. id() .. '",' .. questions[(first + i) %% #questions + 1] end
    return '{"events":[' .. table.concat(all, ",") .. "]}"
end
function init(args) math.randomseed(os.time()) end
function request()
    turn = turn %% #tokens + 1
    local body = %(body)s
    return wrk.format("%(method)s", "%(path)s", {
        ["%(door)s"] = tokens[turn], ["Content-Type"] = "application/json"}, body)
end
function done(summary, latency, requests)
    local bad = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write
        + summary.errors.timeout
    io.write(string.format("FOUND %%d %%d %%d %%.0f %%.0f\\n", summary.requests, summary.duration, bad,
        latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Asked:
    """One kind of request."""

    name: str
    method: str
    path: str
    body: str = "nil"  # in Lua
    cookie: bool = False
    trusted: bool = False  # as a server with the secret key, whose tries nobody counts
    people: tuple[int, ...] = ()  # who ask; nobody named: the world's


@dataclass(frozen=True)
class Found:
    """What came of asking for some seconds: per second, latencies (ms), CPU per request (µs) here and in PostgreSQL."""

    rate: float
    p50: float
    p99: float
    cpu: float
    database_cpu: float


class Served:
    """A running server with people who are signed in."""

    def __init__(
        self, process: "subprocess.Popen[str]", address: str, folder: Path, scratch: Path, world: World
    ) -> None:
        self.process, self.address, self.scratch, self.world = process, address, scratch, world
        self.postmaster = int((folder / "pgdata" / "postmaster.pid").read_text().splitlines()[0])
        self.issuer = Issuer(KeyRing(folder), f"{address}/auth/v1")
        self._tokens: dict[int, str] = {}

    def token(self, number: int) -> str:
        """Of person ``number``; the same each time, as a client keeps its own for an hour."""
        user = {"id": str(person(number)), "email": f"person{number}@example.com", "phone": "",
                "app_metadata": {}, "user_metadata": {}}  # fmt: skip
        if number not in self._tokens:
            amr = [{"method": "password", "timestamp": int(time.time())}]
            self._tokens[number] = self.issuer.issue(user, person(number), "aal1", amr)
        return self._tokens[number]

    def shown(self, asked: Asked, number: int) -> str:
        """What person ``number`` shows at the door: the token, or cookies with it."""
        if asked.trusted:
            return f"Bearer {self.issuer.ring.secret_key}"
        if not asked.cookie:
            return f"Bearer {self.token(number)}"
        session = Session(self.token(number), "none", int(time.time()) + LIFETIME)
        cookies = SessionCookies(cookie_name(self.issuer.name), secure=False).write(session, {})
        return "; ".join(f"{one.key}={one.value}" for one in cookies)

    def script(self, asked: Asked, questions: list[tuple[str, str, str]]) -> Path:
        """wrk's script for one kind of request."""
        tokens, keys = self.scratch / f"{asked.name}.tokens", self.scratch / "questions"
        tokens.write_text(
            "".join(self.shown(asked, number) + "\n" for number in asked.people or self.world.asking)
        )
        keys.write_text("".join(" ".join(one) + "\n" for one in questions))
        path = self.scratch / f"{asked.name}.lua"
        path.write_text(
            SCRIPT % {
                "tokens": tokens, "questions": keys, "hazmat": self.world.hazmat, "body": asked.body,
                "method": asked.method, "path": asked.path,
                "door": "Cookie" if asked.cookie else "Authorization",
            }
        )  # fmt: skip
        return path

    def ask(self, script: Path, clients: int, seconds: float) -> Found:
        """Ask for some seconds with so many connections. Raises when any answer is not a good one."""
        before = self.cpu()
        told = subprocess.run(
            ["wrk", "-t1", f"-c{clients}", f"-d{seconds:.0f}s", "--timeout", "30s", "-s", script, self.address],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        after = self.cpu()
        found = re.search(r"FOUND (\d+) (\d+) (\d+) (\d+) (\d+)", told)
        assert found is not None, told
        requests, duration, bad, p50, p99 = map(int, found.groups())
        assert requests, told
        assert not bad, told
        return Found(
            requests / duration * 1e6, p50 / 1000, p99 / 1000,
            (after[0] - before[0]) / requests * 1e6,
            sum(spent - before[1].get(pid, 0.0) for pid, spent in after[1].items()) / requests * 1e6,
        )  # fmt: skip

    def cpu(self) -> tuple[float, dict[int, float]]:
        """Seconds of CPU so far: the server's, and each of PostgreSQL's processes'."""
        return _cpu(psutil.Process(self.process.pid)), {
            process.pid: _cpu(process) for process in psutil.Process(self.postmaster).children()
        }

    def memory(self) -> float:
        """The server's resident memory (MB)."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / 2**20


def _cpu(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):  # a worker of autovacuum that has just ended
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0


@contextmanager
def serving(folder: Path, scratch: Path, world: World, **settings: str) -> Iterator[Served]:
    """`specchem serve` over a data folder, until left."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SPECCHEM_")}
    environment |= {"SPECCHEM_DATA_DIR": str(folder), "SPECCHEM_PORT": "0"}
    environment |= {f"SPECCHEM_{name.upper()}": value for name, value in settings.items()}
    said = scratch / "server.log"  # a line each request goes there: what is measured is what is run
    with said.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "specchem", "serve"], env=environment, stderr=log, text=True
        )
    try:
        while not (ready := re.search(r"Ready: (\S+)", said.read_text())):
            if process.poll() is not None:
                raise RuntimeError(said.read_text())
            time.sleep(0.05)
        yield Served(process, ready[1], folder, scratch, world)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
