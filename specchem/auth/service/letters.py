"""What the mails say."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import make_msgid
from html import escape
from urllib.parse import quote

NAME = "SpecChem Safety Training"
NOT_YOU = "If you did not expect this mail, do nothing."

# By kind: subject, first sentence, the link's words, how long it is good.
WORDS: dict[str, tuple[str, str, str, str]] = {
    "invite": (
        "Your invitation", f"You are invited to {NAME}. Choose a password and begin.",
        "Accept the invitation", "The link is good for seven days, and once. The code is good for an hour.",
    ),
    "signup": (
        "Confirm your address", f"An account at {NAME} was made with this address.",
        "Confirm the address", "Link and code are good for an hour, and once.",
    ),
    "recovery": (
        "Choose a new password", "Somebody, you we hope, has forgotten the password of this account.",
        "Choose a new password", "Link and code are good for an hour, and once.",
    ),
    "magiclink": (
        "Your link to sign in", "You asked to sign in without a password.",
        "Sign in", "Link and code are good for an hour, and once.",
    ),
    "email_change": (
        "Confirm your new address", "This address is to become the one of your account.",
        "Confirm the new address", "Link and code are good for an hour, and once.",
    ),
    "email_change_current": (
        "Your address is to change", "Another address is to take this one's place in your account.",
        "Agree to the change", "Link and code are good for an hour, and once. If you did not ask for it,"
        " choose a new password now.",
    ),
    "reauthentication": (
        "Your code", "Show with this code that it is you.", "", "The code is good for an hour, and once.",
    ),
    "known": (
        "You have an account", "Somebody, you we hope, tried to make an account with this address."
        " There is one already: sign in, or choose a new password if you have forgotten it.",
        "Sign in", "",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Letter:
    """A mail of a kind, to an address that was checked, with a link, six digits, or both."""

    kind: str
    to: str
    link: str | None = None
    digits: str | None = None

    @property
    def address(self) -> str:
        """As mail servers know it: a domain with foreign letters has another name there. Raises ValueError."""
        local, _, domain = self.to.rpartition("@")
        return f"{local}@{domain.encode('idna').decode()}"

    def message(self, sender: str) -> EmailMessage:
        """Text, and the same as simple HTML. Raises ValueError for an address that is none."""
        subject, sentence, words, good = WORDS[self.kind]
        ascii_only = self.address.isascii()
        local, _, domain = self.address.rpartition("@")
        # Strictly one address; but of those with foreign letters the library reads none, and only puts them together.
        to = Address(addr_spec=self.address) if ascii_only else Address(username=local, domain=domain)
        # A link that is broken into lines cannot be copied.
        mail = EmailMessage((SMTP if ascii_only else SMTPUTF8).clone(max_line_length=900))
        mail["Subject"] = f"{NAME}: {subject}"
        mail["From"] = Address(NAME, addr_spec=sender)
        mail["To"] = to
        mail["Date"] = datetime.now(UTC)
        mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
        mail["Auto-Submitted"] = "auto-generated"
        code = f"Your code: {self.digits}" if self.digits else ""
        mail.set_content("\n\n".join(filter(None, [sentence, self.link, code, good, NOT_YOU])) + "\n")
        link = f'<a href="{escape(self.link)}">{escape(words)}</a>' if self.link else ""
        parts = filter(None, [escape(sentence), link, escape(code), escape(good), escape(NOT_YOU)])
        body = "".join(f"<p>{part}</p>\n" for part in parts)
        mail.add_alternative(
            f'<!doctype html>\n<html lang="en"><body>\n{body}</body></html>\n', subtype="html"
        )
        return mail


def confirm_address(base_url: str, token: str, kind: str, going: str | None) -> str:
    """Our own page for a mailed link; it has a button, because mail scanners follow links."""
    onward = f"&next={quote(going, safe='/')}" if going else ""
    return f"{base_url}/auth/confirm?token_hash={token}&type={kind}{onward}"
