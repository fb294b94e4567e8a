"""Tokens that are not ours, of another kind, or over: refused, whatever they say of themselves."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from specchem.auth import keyset
from specchem.auth.client import NO_ANSWER
from specchem.auth.keyset import KEPT, PAUSE, SOON
from specchem.auth.tokens import LEEWAY, REMEMBERED, Tokens
from specchem.errors import NotSignedIn, Unavailable
from tests.web.served import Served, is_problem

ISSUER = "https://training.example/auth/v1"
ANA, SESSION = uuid4(), uuid4()
SECRET = "a project's legacy secret, long enough for HS256"


@dataclass(frozen=True)
class Signer:
    """A key pair of the auth service's."""

    private: Any
    algorithm: str = "ES256"
    name: str = field(default_factory=lambda: uuid4().hex)

    def jwk(self, **other: Any) -> dict[str, Any]:
        kind = jwt.get_algorithm_by_name(self.algorithm)
        shown = json.loads(kind.to_jwk(self.private.public_key()))
        shown.pop("key_ops", None)
        return {**shown, "kid": self.name, "alg": self.algorithm, "use": "sig", **other}

    def sign(self, alg: str | None = None, kid: Any = "", key: Any = None, **other: Any) -> str:
        named = {} if kid is None else {"kid": self.name if kid == "" else kid}
        return jwt.encode(
            claims(**other), key or self.private, algorithm=alg or self.algorithm, headers=named
        )


def claims(**other: Any) -> dict[str, Any]:
    now = int(time.time())
    whole = {
        "iss": ISSUER, "sub": str(ANA), "aud": "authenticated", "role": "authenticated", "exp": now + 3600, "iat": now,
        "aal": "aal1", "session_id": str(SESSION), "amr": [{"method": "password", "timestamp": now}],
    }  # fmt: skip
    return {name: value for name, value in {**whole, **other}.items() if value is not None}


OURS = Signer(ec.generate_private_key(ec.SECP256R1()))
STRANGER = Signer(ec.generate_private_key(ec.SECP256R1()))
RSA = Signer(rsa.generate_private_key(65537, 2048), "RS256")
EDWARDS = Signer(ed25519.Ed25519PrivateKey.generate(), "EdDSA")


@dataclass
class Service:
    """What the auth service shows as its keys, how often it was asked, and whether it answers."""

    keys: list[dict[str, Any]]
    asked: list[float] = field(default_factory=list)
    answers: bool = True
    now: Callable[[], float] = time.monotonic

    async def jwks(self) -> list[dict[str, Any]]:
        self.asked.append(self.now())
        await asyncio.sleep(0)
        if not self.answers:
            raise Unavailable(NO_ANSWER)
        return self.keys


class Clock:
    """Time that passes when it is told to, and while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(keyset, "monotonic", clock)
    monkeypatch.setattr(keyset, "sleep", clock.sleep)
    return clock


def opened(*keys: dict[str, Any], legacy: str | None = None) -> tuple[Tokens, Service]:
    service = Service(list(keys))
    return Tokens(service.jwks, ISSUER, legacy), service


# ------------------------------------------------------------------------------------------------ good ones


@pytest.mark.parametrize("signer", [OURS, RSA, EDWARDS], ids=lambda one: one.algorithm)
async def test_a_good_token_says_who_and_how(signer: Signer) -> None:
    tokens, _ = opened(STRANGER.jwk(), signer.jwk())
    found = await tokens.verify(signer.sign(aal="aal2", exp=2_000_000_000))
    assert (found.identity.user_id, found.identity.session_id, found.identity.aal) == (ANA, SESSION, "aal2")
    assert found.expires_at == 2_000_000_000
    ((method, moment),) = found.methods
    assert (method, type(moment)) == ("password", int)


async def test_a_key_that_does_not_name_its_algorithm_has_one_all_the_same() -> None:
    shown = OURS.jwk()
    del shown["alg"], shown["use"]
    tokens, _ = opened(shown)
    assert (await tokens.verify(OURS.sign())).identity.user_id == ANA


# ------------------------------------------------------------------------------------------------ bad ones


def raw(header: object, payload: object, signature: bytes = b"") -> str:
    parts = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in (header, payload)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (*parts, signature))


def public_pem() -> bytes:
    shape = serialization.PublicFormat.SubjectPublicKeyInfo
    pem: bytes = OURS.private.public_key().public_bytes(serialization.Encoding.PEM, shape)
    return pem


def by_hand(secret: bytes, **header: Any) -> str:
    """HS256, which the library refuses to make with a public key."""
    head = raw({"alg": "HS256", "typ": "JWT", **header}, claims()).rpartition(".")[0]
    mac = hmac.digest(secret, head.encode(), "sha256")
    return f"{head}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


KID = {"alg": "ES256", "kid": OURS.name}
FORGED: dict[str, Callable[[], str]] = {
    "alg none": lambda: raw({"alg": "none", "typ": "JWT", "kid": OURS.name}, claims()),
    "alg None": lambda: raw({"alg": "None", "kid": OURS.name}, claims()),
    "alg none, signed": lambda: raw({"alg": "none", "kid": OURS.name}, claims(), b"x" * 64),
    "no alg": lambda: raw({"kid": OURS.name}, claims(), b"x" * 64),
    "alg is a list": lambda: raw({"alg": ["ES256"], "kid": OURS.name}, claims(), b"x" * 64),
    "HS256 with the public key": lambda: by_hand(public_pem(), kid=OURS.name),
    "HS256 with the public key, unnamed": lambda: by_hand(public_pem()),
    "HS256 with nothing": lambda: by_hand(b"", kid=OURS.name),
    "HS256": lambda: by_hand(SECRET.encode()),
    "another key": lambda: OURS.sign(key=STRANGER.private),
    "another key by its own name": lambda: STRANGER.sign(),
    "RSA by an elliptic key's name": lambda: RSA.sign(kid=OURS.name),
    "RS512 of an RS256 key": lambda: RSA.sign(alg="RS512"),
    "PS256 of an RS256 key": lambda: RSA.sign(alg="PS256"),
    "another curve": lambda: OURS.sign(alg="ES384", key=ec.generate_private_key(ec.SECP384R1())),
    "no kid": lambda: OURS.sign(kid=None),
    "wrong kid": lambda: OURS.sign(kid="../../../dev/null"),
    "empty signature": lambda: OURS.sign().rpartition(".")[0] + ".",
    "zero signature": lambda: raw(KID, claims(), b"\0" * 64),
    "key in the header": lambda: raw({**KID, "jwk": STRANGER.jwk()}, claims(), b"x" * 64),
    "key's address in the header": lambda: raw({**KID, "jku": "https://evil.example"}, claims(), b"x" * 64),
    "changed payload": lambda: ".".join(
        [(parts := OURS.sign().split("."))[0], raw({}, claims(sub=str(uuid4()))).split(".")[1], parts[2]]
    ),
    "wrong audience": lambda: OURS.sign(aud="anon"),
    "no audience": lambda: OURS.sign(aud=None),
    "wrong issuer": lambda: OURS.sign(iss="https://elsewhere.example/auth/v1"),
    "issuer that begins alike": lambda: OURS.sign(iss=ISSUER + ".evil.example"),
    "no issuer": lambda: OURS.sign(iss=None),
    "service_role": lambda: OURS.sign(role="service_role"),
    "no role": lambda: OURS.sign(role=None),
    "expired": lambda: OURS.sign(exp=int(time.time()) - LEEWAY - 1),
    "no expiry": lambda: OURS.sign(exp=None),
    "expiry is a text": lambda: OURS.sign(exp="tomorrow"),
    "expiry beyond numbers": lambda: raw(KID, b'{"exp": 1e999}', b"x" * 64),
    "not yet": lambda: OURS.sign(nbf=int(time.time()) + 3600),
    "issued in the future": lambda: OURS.sign(iat=int(time.time()) + 3600),
    "no subject": lambda: OURS.sign(sub=None),
    "subject is no uuid": lambda: OURS.sign(sub="ana"),
    "no session": lambda: OURS.sign(session_id=None),
    "session is no uuid": lambda: OURS.sign(session_id="x"),
    "session is a number": lambda: OURS.sign(session_id=7),
    "a level that is none": lambda: OURS.sign(aal="aal9"),
    "level is a list": lambda: OURS.sign(aal=["aal2"]),
    "methods are no list": lambda: OURS.sign(amr=7),
    "methods are texts": lambda: OURS.sign(amr=["password"]),
    "garbage": lambda: "garbage",
    "nothing": lambda: "",
    "dots": lambda: "..",
    "many dots": lambda: "." * 1000,
    "empty objects": lambda: "e30.e30.e30",
    "header is a list": lambda: raw([1], claims()),
    "header is deep": lambda: raw(b"[" * 20_000, claims()),
    "payload is deep": lambda: raw(KID, b"[" * 20_000, b"x" * 64),
    "kid is an object": lambda: raw({"alg": "ES256", "kid": {}}, claims()),
    "kid is a number": lambda: raw({"alg": "ES256", "kid": 1}, claims()),
    "not base64": lambda: "ä.ö.ü",
    "critical": lambda: raw({**KID, "crit": ["x"], "x": 1}, claims(), b"x" * 64),
}  # fmt: skip


@pytest.mark.parametrize("kind", FORGED)
@pytest.mark.parametrize("legacy", [None, "another " + SECRET], ids=["", "with a legacy secret"])
async def test_a_token_that_is_not_good_is_nobodys(kind: str, legacy: str | None, clock: Clock) -> None:
    tokens, _ = opened(OURS.jwk(), RSA.jwk(), legacy=legacy)
    for _ in range(2):  # nor the second time, when it may be remembered
        with pytest.raises(NotSignedIn):
            await tokens.verify(FORGED[kind]())


async def test_hs256_is_believed_with_the_legacy_secret_alone() -> None:
    token = by_hand(SECRET.encode())
    for legacy, good in ((SECRET, True), (SECRET + "!", False), (None, False), ("", False)):
        tokens, _ = opened(OURS.jwk(), legacy=legacy)
        if good:
            assert (await tokens.verify(token)).identity.user_id == ANA
            assert (await tokens.verify(OURS.sign())).identity.user_id == ANA
        else:
            with pytest.raises(NotSignedIn):
                await tokens.verify(token)


UNUSABLE: dict[str, dict[str, Any]] = {
    "for encryption": OURS.jwk(use="enc"),
    "for another algorithm": OURS.jwk(alg="ES384"),
    "for HS256": OURS.jwk(alg="HS256"),
    "without a name": OURS.jwk(kid=None),
    "short": (short := Signer(rsa.generate_private_key(65537, 1024), "RS256", OURS.name)).jwk(),
    "on no curve": OURS.jwk(crv="P-999"),
    "not on the curve": OURS.jwk(x="AAAA"),
    "a number": OURS.jwk(x=7),
    "a shared secret": {"kty": "oct", "kid": OURS.name, "alg": "HS256", "use": "sig",
                        "k": base64.urlsafe_b64encode(SECRET.encode()).decode()},
    "empty": {},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("kind", UNUSABLE)
async def test_a_key_of_another_kind_verifies_nothing(kind: str, clock: Clock) -> None:
    tokens, _ = opened(UNUSABLE[kind], STRANGER.jwk())
    for token in (OURS.sign(), short.sign(), by_hand(SECRET.encode(), kid=OURS.name)):
        with pytest.raises(NotSignedIn):
            await tokens.verify(token)
    assert await tokens.verify(STRANGER.sign())


# ------------------------------------------------------------------------------------------------ remembered


async def test_a_remembered_token_still_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, _ = opened(OURS.jwk())
    token = OURS.sign()
    assert await tokens.verify(token)
    later = SimpleNamespace(time=lambda: time.time() + 3600 + LEEWAY + 1)
    monkeypatch.setattr("specchem.auth.tokens.time", later)
    with pytest.raises(NotSignedIn):
        await tokens.verify(token)


async def test_a_known_token_is_looked_up_and_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, service = opened(OURS.jwk())
    token = OURS.sign()
    first = await tokens.verify(token)
    monkeypatch.setattr(jwt, "decode", lambda *_, **__: pytest.fail("checked again"))
    assert await tokens.verify(token) is first
    assert len(service.asked) == 1


async def test_no_more_tokens_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("specchem.auth.tokens.REMEMBERED", 5)
    tokens, _ = opened(OURS.jwk())
    for number in range(20):
        await tokens.verify(OURS.sign(n=number))
        assert len(tokens._seen) <= 5 < REMEMBERED


# ------------------------------------------------------------------------------------------------ rotation


async def test_a_new_key_is_found_and_the_old_one_stays_good_while_it_is_shown(clock: Clock) -> None:
    tokens, service = opened(OURS.jwk())
    before = OURS.sign()
    await tokens.verify(before)
    service.keys = [STRANGER.jwk(), OURS.jwk()]
    assert await tokens.verify(STRANGER.sign())  # at once: the keys were asked for a moment ago
    assert await tokens.verify(before)
    assert await tokens.verify(OURS.sign(n=2))


async def test_what_a_key_signed_is_forgotten_when_the_key_leaves(clock: Clock) -> None:
    tokens, service = opened(OURS.jwk(), STRANGER.jwk())
    mine, other = OURS.sign(), STRANGER.sign()
    assert await tokens.verify(mine)
    assert await tokens.verify(other)
    service.keys = [STRANGER.jwk()]
    clock.now += KEPT + 1
    with pytest.raises(NotSignedIn):
        await tokens.verify(mine)
    assert await tokens.verify(other)


async def test_a_key_that_became_another_under_its_name_verifies_no_more(clock: Clock) -> None:
    tokens, service = opened(OURS.jwk())
    mine = OURS.sign()
    assert await tokens.verify(mine)
    service.keys = [Signer(STRANGER.private, name=OURS.name).jwk()]
    clock.now += KEPT + 1
    with pytest.raises(NotSignedIn):
        await tokens.verify(mine)


async def test_keys_are_asked_for_again_before_their_time_is_over_and_nobody_waits(clock: Clock) -> None:
    tokens, service = opened(OURS.jwk())
    await tokens.verify(OURS.sign())
    clock.now += SOON - 1
    await tokens.verify(OURS.sign(n=2))
    assert len(service.asked) == 1
    clock.now += 2
    await tokens.verify(OURS.sign(n=3))
    assert len(service.asked) == 1  # on its way
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(service.asked) == 2
    assert KEPT <= 600


async def test_whoever_comes_together_asks_once(clock: Clock) -> None:
    tokens, service = opened(OURS.jwk())
    await asyncio.gather(*(tokens.verify(OURS.sign(n=number)) for number in range(50)))
    assert len(service.asked) == 1
    service.keys.append(STRANGER.jwk())
    clock.now += PAUSE + 1
    await asyncio.gather(*(tokens.verify(STRANGER.sign(n=number)) for number in range(50)))
    assert len(service.asked) == 2


async def test_made_up_names_do_not_make_us_ask_all_the_time(clock: Clock) -> None:
    tokens, service = opened(OURS.jwk())
    service.now = clock
    for _ in range(20):
        with pytest.raises(NotSignedIn):
            await tokens.verify(OURS.sign(kid=uuid4().hex))
    gaps = [after - before for before, after in zip(service.asked, service.asked[1:], strict=False)]
    assert gaps
    assert min(gaps) >= PAUSE


# ------------------------------------------------------------------------------------------------ outage


async def test_while_the_service_does_not_answer_known_keys_go_on(clock: Clock) -> None:
    tokens, service = opened(OURS.jwk())
    before = OURS.sign()
    await tokens.verify(before)
    service.answers = False
    for _ in range(20):
        clock.now += KEPT
        assert await tokens.verify(before)
        assert await tokens.verify(OURS.sign(n=clock.now))
    with pytest.raises(Unavailable):  # it may be good, and nobody can tell
        await tokens.verify(STRANGER.sign())
    with pytest.raises(NotSignedIn):  # this one is not, whatever the service would say
        await tokens.verify(OURS.sign(key=STRANGER.private))
    service.answers, service.keys = True, [STRANGER.jwk()]
    clock.now += PAUSE + 1
    assert await tokens.verify(STRANGER.sign())
    with pytest.raises(NotSignedIn):
        await tokens.verify(before)


async def test_at_first_start_without_the_service_nobody_is_told_that_their_session_is_over(
    clock: Clock,
) -> None:
    tokens, service = opened(OURS.jwk())
    service.answers = False
    for _ in range(3):
        with pytest.raises(Unavailable):
            await tokens.verify(OURS.sign())
    service.answers = True
    clock.now += PAUSE + 1
    assert await tokens.verify(OURS.sign())


# ------------------------------------------------------------------------------------------------ at the API


async def test_the_api_lets_good_tokens_in_and_no_others(served: Served) -> None:
    token = (await served.forge("ana")).access_token
    assert (
        await served.client.get("/api/v1/me", headers={"Authorization": f"bearer  {token} "})
    ).status_code == 200
    head, body, _ = token.split(".")
    for bad in (f"{head}.{body}.", f"{head}.{body}.{'A' * 86}", "x", raw({"alg": "none"}, claims())):
        answer = await served.client.get("/api/v1/me", headers={"Authorization": f"Bearer {bad}"})
        assert is_problem(answer, 401)
    for header in ("", "Bearer", "Bearer ", f"Basic {token}", token):
        assert is_problem(await served.client.get("/api/v1/me", headers={"Authorization": header}), 401)


async def test_roles_in_a_token_count_for_nothing(served: Served) -> None:
    """They are read from the tables."""
    boast: dict[str, Any] = {
        "app_metadata": {"role": "hr_admin", "roles": ["dev_admin"]},
        "user_role": "hr_admin",
        "is_admin": True,
    }
    headers = {"Authorization": f"Bearer {(await served.forge('ana', **boast)).access_token}"}
    assert (await served.client.get("/api/v1/me", headers=headers)).json()["is_admin"] is False
    assert is_problem(await served.client.get("/api/v1/reports/org-completion", headers=headers), 403)


async def test_a_token_for_nobody_sees_nothing(served: Served) -> None:
    session = await served.forge("ana", sub=str(UUID(int=7)))
    headers = {"Authorization": f"Bearer {session.access_token}"}
    answer = await served.client.get("/api/v1/me", headers=headers)
    assert is_problem(answer, 403)
