"""The one way to the auth service: Supabase Auth's language over HTTP, whether it is ours or Supabase's."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Literal, TypeAlias, TypeVar
from uuid import UUID

import httpx
import msgspec

from specchem.auth.errors import AuthError
from specchem.auth.sessions import Challenge, Enrollment, Session, User
from specchem.errors import Unavailable
from specchem.settings import Settings

log = logging.getLogger("specchem")
logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells every address asked

Scope: TypeAlias = Literal["global", "local", "others"]
LinkType: TypeAlias = Literal["invite", "recovery", "signup", "magiclink", "email_change"]
T = TypeVar("T")

SECONDS = 15  # for an answer, from its first byte to its last
LIMITS = httpx.Limits(max_connections=50, max_keepalive_connections=10, keepalive_expiry=4)
TIMEOUT = httpx.Timeout(10, connect=5)
NO_ANSWER = (
    "Signing in is not possible at the moment: the sign-in service does not answer. Try again shortly."
)


@dataclass(frozen=True)
class AuthClient:
    """Each verb is one request. Raises AuthError for a refusal, Unavailable where no answer can be understood.

    What is sent and what comes back is in no error and in no log line.
    """

    http: httpx.AsyncClient
    publishable: str | None = None
    secret: str | None = field(default=None, repr=False)
    visitor: Mapping[str, str] = field(default_factory=dict)

    def behalf_of(self, address: str | None, agent: str | None) -> "AuthClient":
        """The same, on behalf of a browser: the service writes down where it is."""
        plain = (char if " " <= char <= "~" else "?" for char in (agent or "")[:500])
        told = {"User-Agent": "".join(plain)}
        if self.secret and address:
            told["Sb-Forwarded-For"] = address  # believed of whoever has the secret key
        return replace(self, visitor=told)

    async def sign_in(self, email: str, password: str) -> Session:
        """A new session for the right password."""
        return await self._ask(
            Session, "POST", "/token?grant_type=password", {"email": email, "password": password}
        )

    async def refresh(self, refresh_token: str) -> Session:
        """The same session with new tokens; the old refresh token is used up."""
        return await self._ask(
            Session, "POST", "/token?grant_type=refresh_token", {"refresh_token": refresh_token}
        )

    async def exchange(self, auth_code: str, verifier: str) -> Session:
        """The session that a link left behind a code (PKCE)."""
        body = {"auth_code": auth_code, "code_verifier": verifier}
        return await self._ask(Session, "POST", "/token?grant_type=pkce", body)

    async def verify(self, kind: LinkType, token_hash: str) -> Session | None:
        """The session behind a mailed link, or None while the other address of a change is to confirm as well."""
        said = await self._ask(dict[str, Any], "POST", "/verify", {"type": kind, "token_hash": token_hash})
        return _read(Session, said) if "access_token" in said else None

    async def get_user(self, access_token: str) -> User:
        """Whose token it is, asked of the service: a session that has ended is refused."""
        return await self._ask(User, "GET", "/user", bearer=access_token)

    async def update_user(self, access_token: str, **changes: Any) -> User:
        """Change ``password``, ``email`` or ``data``."""
        return await self._ask(User, "PUT", "/user", changes, bearer=access_token)

    async def sign_out(self, access_token: str, scope: Scope = "local") -> None:
        """End this session, all of the person's, or all others."""
        await self._send("POST", f"/logout?scope={scope}", {}, bearer=access_token)

    async def recover(self, email: str) -> None:
        """Mail a link to a new password, if there is such an account; the answer does not tell."""
        await self._send("POST", "/recover", {"email": email})

    async def invite(self, email: str, data: Mapping[str, Any]) -> User:
        """Make an account without a password and mail its link. Needs the secret key."""
        return await self._ask(
            User, "POST", "/invite", {"email": email, "data": data}, bearer=self._trusted()
        )

    async def create_user(self, **fields: Any) -> User:
        """Make an account as an admin does: ``email``, ``password``, ``email_confirm``, …. Needs the secret key."""
        return await self._ask(User, "POST", "/admin/users", fields, bearer=self._trusted())

    async def enroll(self, access_token: str, name: str, issuer: str) -> Enrollment:
        """Begin to set up an authenticator app; ``issuer`` is what it shows."""
        body = {"factor_type": "totp", "friendly_name": name, "issuer": issuer}
        return await self._ask(Enrollment, "POST", "/factors", body, bearer=access_token)

    async def challenge(self, access_token: str, factor: UUID) -> Challenge:
        """Ask for a factor's code."""
        return await self._ask(Challenge, "POST", f"/factors/{factor}/challenge", {}, bearer=access_token)

    async def answer(self, access_token: str, factor: UUID, challenge: UUID, code: str) -> Session:
        """The session with the second factor shown (aal2), for the right code."""
        body = {"challenge_id": str(challenge), "code": code}
        return await self._ask(Session, "POST", f"/factors/{factor}/verify", body, bearer=access_token)

    async def unenroll(self, access_token: str, factor: UUID) -> None:
        """Take a factor away."""
        await self._send("DELETE", f"/factors/{factor}", bearer=access_token)

    async def jwks(self) -> list[dict[str, Any]]:
        """The public keys that access tokens are signed with."""
        said = await self._ask(dict[str, list[dict[str, Any]]], "GET", "/.well-known/jwks.json")
        if "keys" not in said:
            raise Unavailable(NO_ANSWER)
        return said["keys"]

    def _trusted(self) -> str:
        if self.secret is None:
            raise Unavailable("People cannot be invited: SUPABASE_SECRET_KEY is not set.")
        return self.secret

    async def _ask(
        self,
        shape: type[T],
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        bearer: str | None = None,
    ) -> T:
        return _read(shape, await self._send(method, path, body, bearer))

    async def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, bearer: str | None = None
    ) -> bytes:
        headers = {"X-Supabase-Api-Version": "2024-01-01", **self.visitor}
        if key := (self.secret if self.visitor else None) or self.publishable:
            headers["apikey"] = key
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        answer, why = None, ""
        try:
            async with asyncio.timeout(SECONDS):
                answer = await self.http.request(method, path, json=body, headers=headers)
        except (httpx.HTTPError, TimeoutError, UnicodeError) as error:  # told outside: it holds what was sent
            why = type(error).__name__
        if answer is None:
            log.warning("the sign-in service did not answer %s %s: %s", method, _plain(path), why)
            raise Unavailable(NO_ANSWER)
        if 400 <= answer.status_code < 500:
            raise _refusal(answer, f"{method} {_plain(path)}")
        if not answer.is_success:
            log.warning("the sign-in service answered %s to %s %s", answer.status_code, method, _plain(path))
            raise Unavailable(NO_ANSWER)
        return answer.content


def open_client(
    address: str,
    publishable: str | None,
    secret: str | None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AuthClient:
    """A client of the service at an address (``https://…/auth/v1``); ``transport`` where it is in this process."""
    nobodys = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    http = httpx.AsyncClient(
        base_url=address, transport=transport, timeout=TIMEOUT, limits=LIMITS, cookies=nobodys
    )
    return AuthClient(http, publishable, secret)


def client_of_supabase(settings: Settings) -> AuthClient:
    """A client of the project that the settings name."""
    keys = settings.supabase_publishable_key, settings.supabase_secret_key
    publishable, secret = (None if key is None else key.get_secret_value() for key in keys)
    return open_client(settings.auth_url, publishable, secret)


def _plain(path: str) -> str:
    return path.partition("?")[0]


def _read(shape: type[T], said: object) -> T:
    found: T | None = None
    try:
        found = (
            msgspec.json.decode(said, type=shape) if isinstance(said, bytes) else msgspec.convert(said, shape)
        )
        complete = not isinstance(found, Session) or found.owner is not None
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        complete = False
        log.warning("the sign-in service answered something else than %s", shape)
    if found is None or not complete:
        raise Unavailable(NO_ANSWER)
    return found


def _refusal(answer: httpx.Response, asked: str) -> Exception:
    """The service's own no, in either age of its words; any other no is a wall between us and it."""
    try:
        said = msgspec.json.decode(answer.content, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        said = {}
    names = (
        said.get("error_code"),
        said.get("code"),
        said.get("error"),
        answer.headers.get("x-sb-error-code"),
    )
    code = next((one for one in names if isinstance(one, str) and one), None)
    if code is None:
        log.error(
            "the sign-in service refuses us: %s to %s; are its address and keys right?",
            answer.status_code,
            asked,
        )
        return Unavailable(NO_ANSWER)
    words = (said.get("message"), said.get("msg"), said.get("error_description"))
    message = next((one for one in words if isinstance(one, str)), code)
    weak = said.get("weak_password")
    reasons = weak.get("reasons") if isinstance(weak, dict) else None
    wait = answer.headers.get("retry-after", "")
    return AuthError(
        answer.status_code, code, message,
        wait=int(wait) if wait.isdecimal() and len(wait) < 6 else None,
        reasons=tuple(map(str, reasons)) if isinstance(reasons, list) else (),
    )  # fmt: skip
