"""Weaken every rule of the database, one at a time, and see that the proof tells it."""

from collections import Counter
from collections.abc import AsyncIterator

import asyncpg
import pytest

from specchem.db.session import Connection, prepare
from specchem.isolation import lints, matrix
from tests.conftest import Cluster
from tests.proof import promises
from tests.proof.mutants import Mutant, mutants

# Mutants that change nothing that anybody could see, and why.
SURVIVORS: dict[str, str] = {}


@pytest.fixture(scope="module")
async def connection(cluster: Cluster) -> AsyncIterator[Connection]:
    """A superuser's connection to a database of this module's own."""
    copy = await cluster.copy()
    # Who holds which right is one statement of 350 KB, asked 1,600 times: parsed once, it takes a fifth.
    opened = await asyncpg.connect(copy.platform, max_cacheable_statement_size=0)
    await prepare(opened)
    yield opened
    await opened.close()
    await cluster.drop(copy)


@pytest.fixture(scope="module")
async def stage(connection: Connection) -> AsyncIterator[matrix.Stage]:
    """One cast for all mutants, in a transaction around theirs."""
    transaction = connection.transaction()
    await transaction.start()
    yield await matrix.set_stage(connection)
    await transaction.rollback()


async def fault(connection: Connection, stage: matrix.Stage, mutant: Mutant | None = None) -> str | None:
    """What the proof says of a mutant, at its first word; None where it says nothing. Undoes all."""
    savepoint = connection.transaction()
    await savepoint.start()
    try:
        if mutant is not None:
            await connection.execute(mutant.sql)
        return await _proof(connection, stage, mutant.thing if mutant else None)
    except asyncpg.PostgresError as error:
        return (
            f"{type(error).__name__}: {error}"  # the rule is no SQL any more: the upgrade itself would stop
        )
    finally:
        await savepoint.rollback()


async def _proof(connection: Connection, stage: matrix.Stage, first: str | None) -> str | None:
    # What is quick comes first; most mutants get no further. Those of triggers and checks break promises.
    held = await stage.held(connection)
    found = [str(cell.after(code)) for cell, code in held if matrix.outcome(cell, code) != cell.expected]
    found = found or matrix.unexpected(await matrix.look(connection)) or await lints.broken(connection)
    if not found and first is None:
        found = await promises.broken(connection, stage.cast)
    if not found:
        async for cell, code in stage.tried(connection, first):
            if matrix.outcome(cell, code) != cell.expected:
                return str(cell.after(code))
    if not found and first is not None:
        found = await promises.broken(connection, stage.cast)
    return "\n".join(found) or None


async def test_the_proof_holds(connection: Connection, stage: matrix.Stage) -> None:
    assert await fault(connection, stage) is None


async def test_every_promise_rests_on_something_that_is_there(connection: Connection) -> None:
    """A name mistyped would be a promise about nothing."""
    names = {
        row[0]
        for row in await connection.fetch(
            """select conname::text from pg_constraint union select tgname::text from pg_trigger
            union select proname::text from pg_proc where pronamespace = 'app'::regnamespace"""
        )
    }
    for rests_on, *_ in promises.ALL:
        assert any(word.split(".")[-1] in names for word in rests_on.split()) or "transfer" in rests_on, (
            rests_on
        )


async def test_every_mutant_is_caught(
    connection: Connection, stage: matrix.Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    caught: Counter[str] = Counter()
    lived = []
    for mutant in await mutants(connection):
        if await fault(connection, stage, mutant) is None:
            lived.append(str(mutant))
        else:
            caught[mutant.kind] += 1
    with capsys.disabled():
        print(f"\nmutants: {caught.total()} caught, {len(lived)} left with a reason")
        for kind, number in sorted(caught.items()):
            print(f"  {kind:28} {number}")
    assert sorted(lived) == sorted(SURVIVORS)
