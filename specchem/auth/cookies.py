"""The session in the browser's cookies, in the format of Supabase's helpers for servers (``@supabase/ssr``)."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec
from litestar.datastructures import Cookie

from specchem.auth.sessions import Session

PREFIX = "base64-"
CHUNK = 3180  # characters of a value, at most: browsers keep about 4096 bytes of a cookie
MAX_AGE = 34_560_000  # 400 days, the longest that browsers keep; the session itself ends sooner
# A cache between us must not hand one person's session to another.
UNCACHED = {
    "Cache-Control": "private, no-cache, no-store, must-revalidate, max-age=0",
    "Expires": "0",
    "Pragma": "no-cache",
}


@dataclass(frozen=True)
class SessionCookies:
    """Reads, writes and takes back the cookies of one auth service; ``sent`` is what the browser sent."""

    name: str
    secure: bool

    def present(self, sent: Iterable[str]) -> list[str]:
        """Which of the cookies sent are ours, whole or in chunks."""
        ours = re.compile(rf"{re.escape(self.name)}(\.\d{{1,3}})?", re.ASCII)
        return [name for name in sent if ours.fullmatch(name)]

    def read(self, sent: Mapping[str, str]) -> Session | None:
        """The session, unchecked; None where there is none that can be read."""
        return _decode(sent.get(self.name) or "".join(self._chunks(sent)))

    def write(self, session: Session, sent: Mapping[str, str]) -> list[Cookie]:
        """The cookies that carry a session, and the end of those that a longer or shorter one left behind."""
        value = PREFIX + urlsafe_b64encode(msgspec.json.encode(session)).decode().rstrip("=")
        parts = {self.name: value}
        if len(value) > CHUNK:
            starts = range(0, len(value), CHUNK)
            parts = {f"{self.name}.{n}": value[at : at + CHUNK] for n, at in enumerate(starts)}
        stale = [name for name in self.present(sent) if name not in parts]
        return [*(self._cookie(*one) for one in parts.items()), *(self._cookie(name, "") for name in stale)]

    def clear(self, sent: Mapping[str, str]) -> list[Cookie]:
        """The end of every cookie of ours that was sent."""
        return [self._cookie(name, "") for name in self.present(sent)]

    def _chunks(self, sent: Mapping[str, str]) -> Iterator[str]:
        number = 0
        while part := sent.get(f"{self.name}.{number}"):
            yield part
            number += 1

    def _cookie(self, name: str, value: str) -> Cookie:
        return Cookie(
            key=name, value=value, path="/", max_age=MAX_AGE if value else 0,
            httponly=True, secure=self.secure, samesite="lax",
        )  # fmt: skip


def cookie_name(auth_url: str) -> str:
    """As Supabase's clients name it after the service's address: ``sb-<first label of the host>-auth-token``."""
    label = (urlsplit(auth_url).hostname or "").partition(".")[0]
    return f"sb-{re.sub('[^a-z0-9-]', '', label)}-auth-token"


def _decode(value: str) -> Session | None:
    if not value.startswith(PREFIX):
        return None
    try:
        text = value.removeprefix(PREFIX).encode("ascii")
        return msgspec.json.decode(urlsafe_b64decode(text + b"=" * (-len(text) % 4)), type=Session)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return None
