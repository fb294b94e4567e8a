"""What the sign-in pages have in common: a form is read, and shown again with a sentence where it was refused."""

from math import ceil
from typing import Any, TypeAlias

from litestar.di import NamedDependency
from litestar.response import Template

from specchem.auth.errors import AuthError
from specchem.auth.tokens import ENDED
from specchem.auth.visits import Ask, Visit, Visits
from specchem.errors import NotSignedIn, SecondFactorNeeded

Visiting: TypeAlias = NamedDependency[Visit]
Desk: TypeAlias = NamedDependency[Visits]

LONGEST = 1000  # characters of a field: no address, password or code is longer
OVER = frozenset({"session_not_found", "session_expired", "user_not_found", "bad_jwt", "no_authorization"})
SENTENCES = {
    "invalid_credentials": "E-mail address and password do not go together. Please try again.",
    "user_banned": "This account is closed. Ask your HR team.",
    "email_not_confirmed": "This address is not confirmed yet; follow the link in the mail we sent.",
    "same_password": "This is your password already. Choose another one.",
    "weak_password": "This password is too easy to guess. Choose a longer one, with more kinds of characters.",
    "mfa_verification_failed": "The code is not right. Type the six digits that your app shows now.",
    "mfa_challenge_expired": "That took too long. Type the six digits that your app shows now.",
    "second_factor": "Signing in takes your second factor as well.",
}
FAILED = "That did not work. Please try again."
PWNED = "This password is known from a data leak, so others try it too. Choose another one."


async def read(request: Ask, *names: str) -> tuple[str, ...]:
    """A form's fields as text; one that is missing, a file or much too long is empty."""
    form = await request.form()
    sent = (form.get(name) for name in names)
    return tuple(
        one if isinstance(one, str) and len(one) <= LONGEST and "\0" not in one else "" for one in sent
    )


def again(page: str, error: AuthError, **context: Any) -> Template:
    """The form once more, with what was wrong. Raises NotSignedIn where the session itself is over."""
    sentence = sentence_of(error)
    headers = {} if error.wait is None else {"Retry-After": str(error.wait)}
    status = 429 if error.status == 429 else 400
    return Template(page, context={"sentence": sentence, **context}, status_code=status, headers=headers)


def refused(page: str, sentence: str, **context: Any) -> Template:
    """The form once more, with a sentence."""
    return Template(page, context={"sentence": sentence, **context}, status_code=400)


def sentence_of(error: AuthError) -> str:
    """What to tell a person. Raises NotSignedIn where the session is over, SecondFactorNeeded where that is missing."""
    if error.code in OVER:
        raise NotSignedIn(ENDED)
    if error.code == "insufficient_aal":
        raise SecondFactorNeeded(SENTENCES["second_factor"])
    if error.status == 429:
        seconds = error.wait or 60
        if seconds < 100:
            return f"Too many tries. Wait {seconds} seconds and try again."
        return f"Too many tries. Wait {ceil(seconds / 60)} minutes and try again."
    if error.code == "weak_password" and "pwned" in error.reasons:
        return PWNED
    return SENTENCES.get(error.code, FAILED)


def visit_of(request: Ask) -> Visit:
    """The visit that the guard opened; on pages that are not public there is one."""
    found: Visit = request.scope["state"]["visit"]
    return found
