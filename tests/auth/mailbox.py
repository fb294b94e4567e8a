"""What the local auth service has put into its outbox since the test began."""

import asyncio
import email
import re
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from urllib.parse import urlsplit

from tests.web.served import KEYS

LINK = re.compile(r"https?://\S+/auth/confirm\?[^\s\"<>]+")


@dataclass
class Mailbox:
    """`await Mailbox().link("ana@example.com")` waits for the next mail to an address, and reads it."""

    folder: Path = KEYS / "outbox"
    read: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.read |= {file.name for file in self.folder.glob("*.eml")}

    def new(self) -> list[tuple[str, EmailMessage]]:
        files = sorted(file for file in self.folder.glob("*.eml") if file.name not in self.read)
        mails = ((file.name, email.message_from_bytes(file.read_bytes(), policy=default)) for file in files)
        return [(name, mail) for name, mail in mails if isinstance(mail, EmailMessage)]

    async def next(self, to: str) -> EmailMessage:
        for _ in range(600):
            for name, mail in self.new():
                if to in str(mail["To"]):
                    self.read.add(name)
                    return mail
            await asyncio.sleep(0.05)
        raise AssertionError(f"no mail came for {to}")

    async def link(self, to: str) -> str:
        """Where the mail's link leads, on our own site."""
        body = (await self.next(to)).get_body(("plain",))
        assert body is not None
        found = LINK.search(body.get_content())
        assert found, body.get_content()
        parts = urlsplit(found[0])
        return "/auth/confirm?" + parts.query
