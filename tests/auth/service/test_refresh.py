"""Refresh tokens: single use, and what becomes of one in two hands."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from tests.auth.service.site import Site, refresh, refused, session_of


async def test_replays_in_parallel_bring_one_successor(site: Site) -> None:
    session = await session_of(site)
    answers = await asyncio.gather(*(refresh(site, session["refresh_token"]) for _ in range(12)))
    assert {status for status, _ in answers} == {200}
    assert len({said["refresh_token"] for _, said in answers}) == 1
    count = "select count(*) from auth.refresh_tokens where not revoked"
    assert await site.owner(count) == 1


async def test_a_token_in_two_hands_ends_the_session_for_both(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("specchem.auth.service.sessions.REUSE", timedelta(0))
    first = await session_of(site)
    elsewhere = await session_of(site)
    _, second = await refresh(site, first["refresh_token"])
    _, third = await refresh(site, second["refresh_token"])
    answers = await asyncio.gather(*(refresh(site, first["refresh_token"]) for _ in range(4)))
    assert Counter(said["error_code"] for _, said in answers) == {
        "refresh_token_already_used": 1, "refresh_token_not_found": 3,
    }  # fmt: skip
    assert (await refresh(site, third["refresh_token"]))[1]["error_code"] == "refresh_token_not_found"
    assert refused(await site.ask("GET", "user", token=third["access_token"]), 403, "session_not_found")
    assert (await refresh(site, elsewhere["refresh_token"]))[0] == 200  # another session


async def test_within_ten_seconds_an_older_token_gives_the_present_one(site: Site) -> None:
    first = await session_of(site)
    _, second = await refresh(site, first["refresh_token"])
    _, third = await refresh(site, second["refresh_token"])
    status, again = await refresh(site, first["refresh_token"])
    assert (status, again["refresh_token"]) == (200, third["refresh_token"])
    late = "update auth.refresh_tokens set updated_at = updated_at - interval '11 seconds'"
    await site.owner(late)
    # Whose successor nobody used may come late, however late.
    assert (await refresh(site, second["refresh_token"]))[1]["refresh_token"] == third["refresh_token"]
    assert (await refresh(site, first["refresh_token"]))[1]["error_code"] == "refresh_token_already_used"


@pytest.mark.parametrize("token", ["x", "a" * 200, "'; drop table auth.users --", "\0", "é"])
async def test_a_refresh_token_that_never_was(site: Site, token: str) -> None:
    status, said = await refresh(site, token)
    assert status == 400
    assert said["error_code"] in {"refresh_token_not_found", "validation_failed"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("update auth.users set banned_until = now() + interval '1 hour' where id = $1", "user_banned"),
        ("update auth.users set deleted_at = now() where id = $1", "refresh_token_not_found"),
        ("delete from auth.sessions where user_id = $1", "refresh_token_not_found"),
        ("update auth.sessions set not_after = now() - interval '1 s' where user_id = $1", "session_expired"),
    ],
)  # fmt: skip
async def test_whoever_may_not_come_any_more_is_not_carried_on(site: Site, change: str, code: str) -> None:
    session = await session_of(site)
    await site.owner(change, site.world.person["ana"])
    status, said = await refresh(site, session["refresh_token"])
    assert (status, said["error_code"]) == (400, code)
