"""The session's cookies: what Supabase's own helper reads in ours, what we read in its, and what is no session."""

import asyncio
import json
import shutil
import subprocess
import time
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from litestar.datastructures import Cookie

from specchem.auth.cookies import CHUNK, MAX_AGE, SessionCookies, cookie_name
from specchem.auth.sessions import Session
from tests.web.second import listening
from tests.web.served import PASSWORD, Served

CLIENTS = Path(__file__).parents[1] / "clients"
NODE = shutil.which("node", path=CLIENTS.parents[1] / ".venv/bin") or shutil.which("node") or "node"
OURS = SessionCookies("sb-127-auth-token", secure=False)


def session(size: int = 10) -> Session:
    user = {"id": "a2", "email": "ana@example.com", "user_metadata": {"name": "Ä" * size}}
    return Session("header.payload.signature", "refresh", int(time.time()) + 3600, 3600, user=user)


def sent(cookies: list[Cookie]) -> dict[str, str]:
    """What a browser would send back."""
    return {one.key: one.value or "" for one in cookies if one.max_age}


def helper(**told: Any) -> dict[str, Any]:
    """Ask ``@supabase/ssr``."""
    done = subprocess.run(
        [NODE, "cookies.mjs"],
        cwd=CLIENTS,
        input=json.dumps(told),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("size", [1, 400, 5000], ids=["whole", "nearly whole", "in chunks"])
def test_supabases_helper_reads_our_cookies(size: int) -> None:
    mine = session(size)
    cookies = sent(OURS.write(mine, {}))
    assert (len(cookies) > 1) is (size == 5000)
    told = [{"name": name, "value": value} for name, value in cookies.items()]
    found = helper(url="http://127.0.0.1:1", sent=told)["session"]
    assert found["access_token"] == mine.access_token
    assert found["refresh_token"] == mine.refresh_token
    assert found["expires_at"] == mine.expires_at
    assert found["user"] == mine.user


@pytest.mark.parametrize("size", [1, 5000], ids=["whole", "in chunks"])
async def test_we_read_the_cookies_of_supabases_helper(own: Served, size: int) -> None:
    await own.owner(
        "update auth.users set raw_user_meta_data = jsonb_build_object('name', $1::text) where id = $2",
        "Ä" * size, own.world.person["ana"],
    )  # fmt: skip
    async with listening(own.app) as address:
        told = await asyncio.to_thread(
            helper, url=address, sent=[], email="ana@example.com", password=PASSWORD
        )
    written = {one["name"]: one["value"] for one in told["written"] if one["value"]}
    assert (len(written) > 1) is (size == 5000)
    found = SessionCookies(cookie_name(address), secure=False).read(written)
    assert found is not None
    assert found.access_token == told["session"]["access_token"]
    assert found.refresh_token == told["session"]["refresh_token"]
    assert found.expires_at == told["session"]["expires_at"]
    assert found.user["user_metadata"]["name"] == "Ä" * size
    ours = SessionCookies(cookie_name(address), secure=False).write(found, {})
    assert sorted(one.key for one in ours) == sorted(written)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://abcdefghijkl.supabase.co/auth/v1", "sb-abcdefghijkl-auth-token"),
        ("http://127.0.0.1:8000/auth/v1", "sb-127-auth-token"),
        ("http://localhost:8000/auth/v1", "sb-localhost-auth-token"),
        ("https://Training.Example/auth/v1", "sb-training-auth-token"),
        ("http://[::1]:8000/auth/v1", "sb-1-auth-token"),
    ],
)
def test_the_name_follows_from_the_services_address(address: str, name: str) -> None:
    assert cookie_name(address) == name


@pytest.mark.parametrize("secure", [True, False])
def test_cookies_are_out_of_reach(secure: bool) -> None:
    cookies = SessionCookies("sb-x-auth-token", secure).write(session(5000), {"sb-x-auth-token": "old"})
    assert len(cookies) > 2
    for one in cookies:
        assert (one.httponly, one.secure, one.samesite, one.path, one.domain) == (
            True,
            secure,
            "lax",
            "/",
            None,
        )
        assert one.max_age == (MAX_AGE if one.value else 0)
        assert len(one.value or "") <= CHUNK


def test_what_another_session_left_is_taken_away() -> None:
    long, short = sent(OURS.write(session(5000), {})), sent(OURS.write(session(), {}))
    ended = {one.key for one in OURS.write(session(), long) if one.max_age == 0}
    assert ended == set(long)
    ended = {one.key for one in OURS.write(session(5000), short) if one.max_age == 0}
    assert ended == {OURS.name}
    ended = {one.key for one in OURS.write(session(5000), {f"{OURS.name}.{n}": "x" for n in range(99)})
             if one.max_age == 0}  # fmt: skip
    assert len(ended) == 99 - len(long)
    assert {one.key for one in OURS.clear({**long, "specchem-csrf": "x", "sb-other-auth-token": "y"})} == set(
        long
    )


def encoded(text: bytes) -> str:
    return "base64-" + urlsafe_b64encode(text).decode().rstrip("=")


GOOD = b'{"access_token": "a", "refresh_token": "r", "expires_at": 1, "user": {}}'
BAD: dict[str, dict[str, str]] = {
    "none": {},
    "empty": {OURS.name: ""},
    "garbage": {OURS.name: "garbage"},
    "plain JSON": {OURS.name: GOOD.decode()},
    "no base64": {OURS.name: "base64-%%%"},
    "a letter too few": {OURS.name: "base64-a"},
    "foreign letters": {OURS.name: "base64-é日"},
    "no JSON": {OURS.name: encoded(b"{")},
    "no text": {OURS.name: encoded(b"\xff\xfe")},
    "deep": {OURS.name: encoded(b"[" * 100_000)},
    "deep inside": {OURS.name: encoded(b'{"user":' + b'{"a":' * 100_000)},
    "a list": {OURS.name: encoded(b"[]")},
    "null": {OURS.name: encoded(b"null")},
    "no tokens": {OURS.name: encoded(b"{}")},
    "tokens are numbers": {OURS.name: encoded(b'{"access_token": 1, "refresh_token": 2}')},
    "user is null": {OURS.name: encoded(GOOD.replace(b"{}", b"null"))},
    "the end is a text": {OURS.name: encoded(GOOD.replace(b": 1,", b': "soon",'))},
    "the end is endless": {OURS.name: encoded(GOOD.replace(b": 1,", b": 1e999,"))},
    "the first chunk is missing": {f"{OURS.name}.1": encoded(GOOD)},
    "half": {f"{OURS.name}.0": encoded(GOOD)[:30]},
    "a chunk is missing": {f"{OURS.name}.0": encoded(GOOD)[:30], f"{OURS.name}.2": encoded(GOOD)[30:]},
    "another name": {"sb-128-auth-token": encoded(GOOD)},
    "the code verifier": {f"{OURS.name}-code-verifier": encoded(GOOD)},
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_session_is_none(kind: str) -> None:
    assert OURS.read(BAD[kind]) is None
    taken = {one.key for one in OURS.clear(BAD[kind])}
    assert taken == {name for name in BAD[kind] if name.startswith(OURS.name) and "verifier" not in name}


def test_the_session_that_the_bad_ones_are_made_of_is_one() -> None:
    whole = encoded(GOOD)
    for good in ({OURS.name: whole}, {f"{OURS.name}.0": whole[:30], f"{OURS.name}.1": whole[30:]},
                 {OURS.name: whole, f"{OURS.name}.0": "left behind"}):  # fmt: skip
        found = OURS.read(good)
        assert found is not None
        assert (found.access_token, found.refresh_token, found.expires_at) == ("a", "r", 1)
