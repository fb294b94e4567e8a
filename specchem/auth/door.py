"""What stands before every credential: how often one may try, and what is written down of it.

Counts are kept in the database, so that several processes share them. An account's own count holds off whoever
guesses from many addresses; an address that the account has signed in from before has a count of its own, so that
nobody is locked out of the place where they work by what others do elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from math import ceil
from typing import Literal

from specchem.auth.errors import AuthError
from specchem.db.session import Pool, by_itself

What = Literal["password", "refresh", "mail", "code", "factor", "user"]


@dataclass(frozen=True)
class Rate:
    """So many at once, and one more each so many seconds."""

    burst: int
    every: float


# A whole shift may come from one address; a person types a password a few times.
OF_ADDRESS: dict[What, Rate] = {
    "password": Rate(100, 2),
    "refresh": Rate(300, 1),
    "mail": Rate(30, 10),
    "code": Rate(30, 10),
    "factor": Rate(30, 4),
    "user": Rate(30, 10),
}
OF_ACCOUNT: dict[What, Rate] = {
    "password": Rate(10, 30),
    "refresh": Rate(60, 10),
    "mail": Rate(5, 300),
    "code": Rate(5, 60),
    "factor": Rate(5, 60),
    "user": Rate(30, 10),
}
MANY = "Too many tries. Wait {} and try again."


@dataclass(frozen=True)
class Door:
    """Asked before each try, and told how it went. ``account`` is an e-mail address or an account's id.

    ``failed`` hears of each try that was one too many, or wrong: ``too_many_tries``, ``sign_in``.
    """

    pool: Pool
    failed: Callable[[str], None] = lambda _: None

    async def ask(self, what: What, address: str | None, account: str | None = None) -> None:
        """Count a try. Raises AuthError 429 with the seconds to wait, before anything is looked up."""
        async with by_itself(self.pool) as connection:
            # By itself each, in a transaction of its own: what was counted stays counted.
            wait = await connection.fetchval(
                "select app.count_try($1, $2, $3, $4, $5, $6, $7)",
                what, _network(address), account and _plain(account),
                OF_ADDRESS[what].burst, OF_ADDRESS[what].every,
                OF_ACCOUNT[what].burst, OF_ACCOUNT[what].every,
            )  # fmt: skip
        if wait:
            self.failed("too_many_tries")
            code = "over_email_send_rate_limit" if what == "mail" else "over_request_rate_limit"
            raise AuthError(429, code, MANY.format(_in_words(ceil(wait))), wait=ceil(wait))

    async def welcome(self, account: str, address: str | None) -> None:
        """Somebody proved who they are: their count begins anew, and the address is known from now on."""
        async with by_itself(self.pool) as connection:
            await connection.execute("select app.count_success($1, $2)", _plain(account), _network(address))

    async def note_failure(self, account: str, address: str | None) -> None:
        """A failed sign-in goes on record; of an address that nobody has, only that it failed."""
        async with by_itself(self.pool) as connection:
            await connection.execute("select app.note_failure($1, $2)", _plain(account), _address(address))
        self.failed("sign_in")


def _address(address: str | None) -> str:
    # Behind a proxy it is what a header says, and from a Unix socket nothing.
    try:
        return str(ip_address(address or ""))
    except ValueError:
        return ""


def _network(address: str | None) -> str:
    """Whose tries are counted together: of IPv6 a whole network is one customer's."""
    known = _address(address)
    return str(ip_network(f"{known}/64", strict=False)) if ":" in known else known


def _plain(account: str) -> str:
    return account.strip().lower().replace("\0", "")[:320]


def _in_words(seconds: int) -> str:
    return f"{seconds} seconds" if seconds < 100 else f"{ceil(seconds / 60)} minutes"
