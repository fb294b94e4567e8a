"""How mail leaves: by SMTP, or into the folder ``outbox`` where nothing is set up yet."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.errors import MessageError
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import aiosmtplib

from specchem.auth.service.letters import Letter
from specchem.errors import Stopped
from specchem.settings import Settings, is_loopback

SECONDS = 20  # for a mail server to take one


class NotSent(Exception):
    """A mail could not be sent; why, without address or server's words."""


class Mailer(Protocol):
    """Whatever takes letters away."""

    async def send(self, letter: Letter) -> None:
        """Raises NotSent."""
        ...


@dataclass(frozen=True)
class Outbox:
    """A file each in a folder of this user's, and its link told on the terminal."""

    folder: Path
    sender: str
    say: Callable[[str], None]

    async def send(self, letter: Letter) -> None:
        """Raises NotSent where the folder cannot be written."""
        try:
            content = letter.message(self.sender).as_bytes()
            file = await asyncio.to_thread(self._write, content)
        except (OSError, ValueError, MessageError) as error:
            raise NotSent(type(error).__name__) from None
        # To the terminal, never to a log: whoever reads this is whom it is for.
        self.say(f"Mail to {letter.to}: {letter.link or file}")

    def _write(self, content: bytes) -> Path:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self.folder / f"{time.time_ns()}-{uuid4().hex[:8]}.eml"
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(content)
        return file


@dataclass(frozen=True)
class Smtp:
    """A mail server: ``smtp://user:password@host:587`` or ``smtps://…:465``."""

    host: str
    port: int
    user: str | None
    password: str | None
    sender: str
    tls: bool

    async def send(self, letter: Letter) -> None:
        """Raises NotSent."""
        # A password leaves this machine only encrypted; without one, as the server offers.
        must_encrypt = self.user is not None and not is_loopback(self.host)
        try:
            await aiosmtplib.send(
                letter.message(self.sender),
                sender=self.sender, recipients=[letter.address],
                hostname=self.host, port=self.port, username=self.user, password=self.password,
                use_tls=self.tls, start_tls=None if self.tls or not must_encrypt else True, timeout=SECONDS,
            )  # fmt: skip
        except (aiosmtplib.SMTPException, OSError, ValueError, MessageError) as error:
            raise NotSent(type(error).__name__) from None


def open_mailer(settings: Settings, folder: Path, say: Callable[[str], None]) -> Mailer:
    """As the settings say. Raises Stopped for an address that is none."""
    if settings.smtp_url is None:
        return Outbox(folder / "outbox", settings.mail_from, say)
    try:
        parts = urlsplit(settings.smtp_url.get_secret_value())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
        # Its words may hold the password.
        raise Stopped("SPECCHEM_SMTP_URL must look like smtp://user:password@host:587 or smtps://….")
    tls = parts.scheme == "smtps"
    return Smtp(
        parts.hostname, port or (465 if tls else 587), parts.username and unquote(parts.username),
        parts.password and unquote(parts.password), settings.mail_from, tls,
    )  # fmt: skip
