"""pgbench running the statements that the product sends, as the same role with the same claims: the limit."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.world import World
from specchem.db.embedded import Server
from specchem.db.session import LOCK_MS, STATEMENT_MS

ENTER = (
    'app.enter(format(\'{{"sub": "b0000000-0000-4000-8000-%s", "role": "authenticated", "aal": "aal1"}}\','
    f" lpad({{who}}::text, 12, '0')), {STATEMENT_MS}, {LOCK_MS})"
)
ME = "('b0000000-0000-4000-8000-' || lpad({who}::text, 12, '0'))::uuid"


def alone(world: World, call: str, *, within: int | None = None) -> str:
    """The one statement of a hot operation; ``{me}`` in the call is the caller, one of those who ask.

    ``within``: instead one of the people from the third to that number.
    """
    if within is None:
        start = f"\\set turn random(0, {len(world.asking) - 1})\n\\set who 3 + :turn * {world.stride}\n"
    else:
        start = f"\\set who random(3, {within})\n"
    enter, me = ENTER.format(who=":who"), ME.format(who=":who")
    return f"{start}select case when {enter} then {call.replace('{me}', me)} end;\n"


def together(number: int, statements: Sequence[str]) -> str:
    """A transaction of person ``number``, sent at once as one pipeline."""
    text = "".join(f"{statement.strip().rstrip(';')};\n" for statement in statements)
    enter = ENTER.format(who=number)
    return f"\\startpipeline\nbegin;\nselect {enter};\n{text}commit;\n\\endpipeline\n"


def events(world: World, questions: Sequence[tuple[str, str, str]], size: int) -> str:
    """The call that records a batch of answers."""
    rows = ", ".join(
        f'{{"course_id": "{world.hazmat}", "section_key": "{section}", "question_key": "{question}",'
        f' "response_meta": {{"choices": ["{choice}"]}}}}'
        for section, question, choice in (questions[place % len(questions)] for place in range(size))
    )
    return f"public.record_question_events('[{rows}]', {{me}})"


def run(server: Server, url: str, script: Path, clients: int, seconds: float) -> float:
    """Transactions per second."""
    told = subprocess.run(
        [server.bin_dir / "pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(clients, 2)),
         "-T", f"{seconds:.0f}", "-f", script, url],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found = re.search(r"tps = ([\d.]+)", told)
    assert found is not None, told
    assert "number of failed transactions: 0 " in told, told
    return float(found[1])
