"""Whatever the programs under test wrote to a log, and the secrets that may be in none of it."""

import logging
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

lines: list[str] = []  # of this process's loggers, and of programs that were started
folders: set[Path] = set()  # PostgreSQL's, of servers that still run
issued: set[str] = set()  # every token and code that this process made
# The one place where a link may be read: the terminal of whoever has no mail server; and the demo's own words.
SHOWN = re.compile(r"^(Mail to \S+: |Demo accounts, password )")
PASSWORDS = ("correct horse battery", "a new long password", "demo-password", "hunter2")
PATTERNS = {
    "an access token": r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}",
    "a session cookie": r"base64-eyJ",
    "a secret key": r"sb_secret_\w",
    "a password's hash": r"\$argon2|SCRAM-SHA-256\$",
    "a private key": r"PRIVATE KEY",
    "a link's token": r"token_hash=\w|[?&]token=\w",
    "a bearer": r"(?i)bearer\s+[\w.-]{16,}",
    "an authenticator's secret": r"otpauth://",
}


class Collector(logging.Handler):
    """Keeps each record as a handler would write it, with its stack trace."""

    def emit(self, record: logging.LogRecord) -> None:
        lines.append(self.format(record))


def begin() -> None:
    """Listen to every logger, more closely than the server does, and remember what the product makes of secrets."""
    logging.getLogger().addHandler(Collector())
    for name in ("specchem", "litestar", "uvicorn", "asyncpg", "aiosmtplib"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    module: Any = secrets
    for name in ("token_urlsafe", "token_hex"):
        setattr(module, name, _remembered(getattr(secrets, name), str))
    module.randbelow = _remembered(secrets.randbelow, "{:06}".format)


def _remembered(make: Callable[P, R], write: Callable[[R], str]) -> Callable[P, R]:
    def made(*args: P.args, **kwargs: P.kwargs) -> R:
        found = make(*args, **kwargs)
        issued.add(write(found))
        return found

    return made


def keep(text: str) -> None:
    """What a program wrote for whoever runs it."""
    lines.extend(line for line in text.splitlines() if not SHOWN.match(line))


def keep_folder(folder: Path) -> None:
    """PostgreSQL's own logs, before they are thrown away."""
    folders.discard(folder)
    for file in folder.glob("*.log"):
        keep(file.read_text(errors="replace"))


def leaks() -> Iterator[str]:
    """What is in a log and should not be: which kind of secret, and the line without it."""
    for folder in list(folders):
        keep_folder(folder)
    whole = "\n".join(lines)
    words = set(re.findall(r"[\w-]{6,}", whole))
    told = issued & words
    # What is nowhere is not looked for in each of some hundred thousand lines.
    patterns = {name: pattern for name, pattern in PATTERNS.items() if re.search(pattern, whole)}
    passwords = [password for password in PASSWORDS if password in whole]
    for line in lines if patterns or passwords or told else ():
        for name, pattern in patterns.items():
            if re.search(pattern, line):
                yield f"{name} in: {re.sub(pattern, '…', line)[:200]}"
        for password in passwords:
            if password in line:
                yield f"a password in: {line.replace(password, '…')[:200]}"
        for secret in told:
            if re.search(rf"(?<![\w-]){re.escape(secret)}(?![\w-])", line):
                yield f"a token or code in: {line.replace(secret, '…')[:200]}"
