"""What the program does where people sign in at Supabase; a second process of the local service stands for it."""

import asyncio
from typing import Any

import httpx
import pytest

from specchem.db.database import Database
from tests.program import one_time_password, said_why, specchem
from tests.web.second import Second
from tests.web.served import RING

PERSON = ("people", "create", "Zed@Example.com", "--plant", "Columbus, OH", "--role", "plant_manager")


def settings(database: Database, address: str) -> dict[str, Any]:
    return {
        "database_url": database.owner, "supabase_url": address,
        "supabase_publishable_key": RING.publishable_key, "supabase_secret_key": RING.secret_key,
    }  # fmt: skip


async def test_the_first_admin_is_made_at_supabase(fresh: Database, second: Second) -> None:
    async with second.serving(fresh) as address:
        done = await asyncio.to_thread(specchem, None, *PERSON, **settings(fresh, address))
        password = one_time_password(done)
        body = {"email": "zed@example.com", "password": password}
        async with httpx.AsyncClient(base_url=address) as client:
            answer = await client.post("/auth/v1/token?grant_type=password", json=body)
        assert answer.status_code == 200, answer.text
        again = await asyncio.to_thread(specchem, None, *PERSON, **settings(fresh, address))
        assert said_why(again, "already")


async def test_a_supabase_that_does_not_answer_leaves_nothing_half_done(
    fresh: Database, second: Second
) -> None:
    from specchem.db.session import connected

    done = await asyncio.to_thread(specchem, None, *PERSON, **settings(fresh, "http://127.0.0.1:9"))
    assert said_why(done, "does not answer")
    async with connected(fresh.owner) as owner:
        assert await owner.fetchval("select count(*) from invitations where accepted_at is null") == 0
        assert await owner.fetchval("select count(*) from profiles where email = 'zed@example.com'") == 0


@pytest.mark.parametrize(
    ("words", "wanted", "told"),
    [
        (("serve",), {"supabase_url": "https://ref.supabase.co"}, "SPECCHEM_DATABASE_URL"),
        (
            ("serve", "--demo"),
            {"supabase_url": "https://ref.supabase.co", "database_url": "postgresql://x@127.0.0.1:9/x"},
            "--demo",
        ),
        (("serve",), {"supabase_url": "nowhere"}, "SUPABASE_URL is wrong"),
    ],
)
def test_settings_that_do_not_go_together_stop_with_a_sentence(
    words: tuple[str, ...], wanted: dict[str, str], told: str
) -> None:
    assert said_why(specchem(None, *words, **wanted), told)
