"""Thousands of requests that nobody thought of, as each kind of person: no 5xx, as described, nobody else's row."""

import asyncio
import secrets
from collections import Counter
from uuid import uuid4

import pytest

from specchem.auth.service.issuer import Issuer
from specchem.db.session import connected
from specchem.settings import Settings
from specchem.web.app import create_app
from tests.conftest import Cluster
from tests.proof.conftest import LONG
from tests.proof.fuzzing import Fuzzer, Realism, listening, mark, plant_marks, real_answers, real_values
from tests.web.served import RING

ACTIVE = ["ana", "max", "mia", "hana", "hugo", "dev"]
REFUSED = [
    "sue",
    "sam",
    "ina",
    "nora",
    None,
]  # suspended, of a closed plant, without a profile, without a token
FOR_ALL = {"GET /healthz", "GET /auth/v1/.well-known/jwks.json", "POST /auth/v1/token"}
ROUNDS, CHAINS, WANTED = (4, 5, 5_000) if LONG else (1, 1, 1_500)


async def let_loose(cluster: Cluster, name: str | None, seed: int) -> Fuzzer:
    """One kind of person against a database of their own: what they do to it meets nobody else."""
    world, database = cluster.world, await cluster.copy()
    await plant_marks(database, world)
    app = create_app(Settings(pool_size=4), database, RING)
    who = world.person[name] if name else None
    headers = {}
    if who is not None:
        user = {"id": str(who), "email": "", "phone": "", "app_metadata": {}, "user_metadata": {}}
        session = uuid4()
        async with connected(database.platform) as platform:
            await platform.execute("insert into auth.sessions (id, user_id) values ($1, $2)", session, who)
        token = Issuer(RING, Settings().auth_url).issue(user, session, "aal1", [])
        headers["Authorization"] = f"Bearer {token}"
    # HR alone does what HR does, and those who are refused are refused alike.
    how_much = (1, 0, 2, 2) if name in REFUSED else (2 * ROUNDS if name == "hana" else ROUNDS, CHAINS)
    async with connected(database.platform) as platform, listening(app) as url:
        realism = Realism(await real_values(platform, world, name), real_answers(world))
        fuzzer = Fuzzer(who, url, headers, realism, platform, asyncio.get_running_loop())
        await asyncio.to_thread(fuzzer.run, seed, *how_much)
    await cluster.drop(database)
    return fuzzer


async def test_whatever_anybody_asks(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    seed = secrets.randbelow(2**32) if LONG else 20261122
    loose = {name: await let_loose(cluster, name, seed) for name in [*ACTIVE, *REFUSED]}
    asked = sum((one.asked for one in loose.values()), Counter[tuple[str, int]]())
    good = sum((Counter({label: n}) for (label, status), n in asked.items() if status < 300), Counter[str]())
    with capsys.disabled():
        print(
            f"\nfuzz: {asked.total():,} requests as {len(loose)} kinds of people,"
            f" 2xx {100 * good.total() / asked.total():.0f} %, seed {seed}"
        )
    findings = [
        f"as {name}: {fault}\n{said}" for name, one in loose.items() for fault, said in one.findings.items()
    ]
    assert not findings, f"seed {seed}, {len(findings)} findings\n\n" + "\n".join(findings[:20])
    for name in REFUSED:
        assert {label for label, status in loose[name].asked if status < 300} <= FOR_ALL, name
    # And it was worth asking: enough, everything did its work, answers led on, and the marks were there to be told.
    assert asked.total() >= WANTED
    assert good.keys() == {label for label, _ in asked}
    assert sum(one.chained.total() for one in loose.values()) >= 10
    for name, whom in ("ana", "ana"), ("max", "ana"), ("hana", "bo"), ("dev", "dev"):
        assert mark(cluster.world.person[whom]) in loose[name].told
