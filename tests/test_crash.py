"""kill -9 of anything while answers are being written: what was acknowledged is there afterwards."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from tests.program import Program, command, data_folder, one_time_password, processes_in, specchem

COURSE = "function-specific-hazmat"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with data_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def passwords(folder: Path) -> dict[str, str]:
    """An HR admin and three learners, made from the command line."""
    program = Program(folder).wait_until_ready()
    made = {}
    for who, role in (("hr", ("--role", "hr_admin")), ("l0", ()), ("l1", ()), ("l2", ())):
        there = ("--plant", "Columbus, OH", *role, "--database-url", program.owner)
        made[who] = one_time_password(command("people", "create", f"{who}@example.com", *there))
    hr = program.sign_in("hr@example.com", made["hr"])
    course = hr.get(f"/api/v1/courses/{COURSE}").json()["id"]
    for who in ("l0", "l1", "l2"):
        learner = program.sign_in(f"{who}@example.com", made[who])
        body = {"user_id": learner.get("/api/v1/me").json()["profile"]["id"], "course_id": course}
        assert hr.post("/api/v1/enrollments", json=body).status_code == 201
        learner.close()
    hr.close()
    assert program.end() == 0
    return made


class Writer(threading.Thread):
    """A learner who answers one question after the other, and keeps what was acknowledged."""

    def __init__(self, client: httpx.Client) -> None:
        super().__init__(daemon=True)
        self.client = client
        self.course = client.get(f"/api/v1/courses/{COURSE}").json()
        self.acknowledged: set[UUID] = set()
        self.refused: list[httpx.Response] = []
        self.enough = threading.Event()

    def run(self) -> None:
        section = next(one for one in self.course["sections"] if one["questions"])
        question = section["questions"][0]
        while not self.enough.is_set():
            events = [
                {
                    "id": str(uuid4()), "course_id": self.course["id"], "section_key": section["key"],
                    "question_key": question["key"], "response_meta": {"choices": [question["choices"][0]["key"]]},
                }
                for _ in range(5)
            ]  # fmt: skip
            try:
                answer = self.client.post("/api/v1/question-events/batch", json={"events": events})
            except httpx.HTTPError:
                return  # the server is gone
            if answer.status_code == 201:
                self.acknowledged |= {UUID(one["id"]) for one in answer.json()}
            else:
                self.refused.append(answer)
                time.sleep(0.05)


def writers(program: Program, passwords: dict[str, str]) -> list[Writer]:
    clients = [program.sign_in(f"l{number}@example.com", passwords[f"l{number}"]) for number in range(3)]
    started = [Writer(client) for client in clients]
    for writer in started:
        writer.start()
    while any(len(writer.acknowledged) < 50 for writer in started):
        assert all(writer.is_alive() for writer in started), program.lines
        time.sleep(0.02)
    return started


def recorded(writer: Writer, program: Program, password: str, number: int) -> set[UUID]:
    """What the restarted server knows of a learner's answers."""
    with closing(program.sign_in(f"l{number}@example.com", password)) as client:
        me = client.get("/api/v1/me").json()["profile"]["id"]
        found: set[UUID] = set()
        while page := client.get(f"/api/v1/users/{me}/question-events?limit=500&offset={len(found)}").json():
            found |= {UUID(one["id"]) for one in page}
        return found


def nothing_is_lost(program: Program, passwords: dict[str, str], wrote: list[Writer]) -> bool:
    for number, writer in enumerate(wrote):
        kept = recorded(writer, program, passwords[f"l{number}"], number)
        assert writer.acknowledged <= kept
        # All or nothing, also of the batch that was under way.
        assert len(kept) % 5 == 0
        writer.client.close()
    return True


def test_kill_9_of_the_program_while_answers_are_written(folder: Path, passwords: dict[str, str]) -> None:
    program = Program(folder).wait_until_ready()
    wrote = writers(program, passwords)
    program.process.kill()
    assert program.wait() == -signal.SIGKILL
    for writer in wrote:
        writer.join(180)

    again = Program(folder).wait_until_ready()
    assert nothing_is_lost(again, passwords, wrote)
    assert again.end() == 0, again.lines
    assert not processes_in(folder.parent)
    assert specchem(folder, "report", "verify").returncode == 0


def test_kill_9_of_postgresql_while_answers_are_written(folder: Path, passwords: dict[str, str]) -> None:
    """Until PostgreSQL is back the answer is 503, never 500; then the same server goes on."""
    program = Program(folder).wait_until_ready()
    wrote = writers(program, passwords)
    os.kill(program.postmaster(), signal.SIGKILL)
    while not all(writer.refused for writer in wrote):
        assert program.process.poll() is None
        time.sleep(0.02)
    for writer in wrote:
        for answer in writer.refused:
            assert (answer.status_code, answer.json()["title"]) == (503, "Unavailable"), answer.text
            assert answer.headers["retry-after"]
    # The program itself brings PostgreSQL back.
    while (well := httpx.get(f"{program.address}/healthz", timeout=60)).status_code != 200:
        assert (well.status_code, well.json()["title"]) == (503, "Unavailable")
        time.sleep(0.02)
    before = [len(writer.acknowledged) for writer in wrote]
    while any(len(writer.acknowledged) <= count for writer, count in zip(wrote, before, strict=True)):
        assert all(writer.is_alive() for writer in wrote)
        time.sleep(0.02)
    for writer in wrote:
        writer.enough.set()
        writer.join(180)
    assert nothing_is_lost(program, passwords, wrote)
    assert program.end() == 0, program.lines
    assert not processes_in(folder.parent)
    assert specchem(folder, "report", "verify").returncode == 0


def test_kill_9_of_both_at_once(folder: Path, passwords: dict[str, str]) -> None:
    program = Program(folder).wait_until_ready()
    wrote = writers(program, passwords)
    os.kill(program.postmaster(), signal.SIGKILL)
    program.process.kill()
    program.wait()
    for writer in wrote:
        writer.join(180)
    again = Program(folder).wait_until_ready()
    assert nothing_is_lost(again, passwords, wrote)
    assert again.end() == 0, again.lines
    assert not processes_in(folder.parent)
