"""What can go wrong, each with its HTTP status and a sentence a person can act on.

SpecChemError
├── BadInput      400  something sent cannot be understood; ``problems`` names each field
├── NotSignedIn   401  no session, or one that has ended
│   └── SecondFactorNeeded  signed in by password alone, where that is not enough
├── Forbidden     403  yours to see, but not to do
├── NotFound      404  unknown, or not yours to see
├── Conflict      409  the record says otherwise
├── Unavailable   503  the database does not answer; nothing was done, try again
└── Stopped            the program cannot start or go on; for the command line
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One field's fault: where it is (``questions.0.key``, or empty for the whole) and what is wrong with it."""

    field: str
    message: str


class SpecChemError(Exception):
    """The root; ``str()`` is a sentence for a person."""

    status = 500
    title = "Something went wrong"

    def __init__(self, sentence: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(sentence)
        self.problems = problems


class BadInput(SpecChemError):
    """Something sent cannot be understood."""

    status = 400
    title = "Bad input"


class NotSignedIn(SpecChemError):
    """There is no session, or it has ended."""

    status = 401
    title = "Not signed in"


class SecondFactorNeeded(NotSignedIn):
    """The session stands, but this account's second factor is still to be shown."""


class Forbidden(SpecChemError):
    """The caller may see this, but not do it."""

    status = 403
    title = "Not allowed"


class NotFound(SpecChemError):
    """Unknown, or not the caller's to see."""

    status = 404
    title = "Not found"


class Conflict(SpecChemError):
    """The record says otherwise."""

    status = 409
    title = "Conflict"


class Unavailable(SpecChemError):
    """The database does not answer; nothing was done."""

    status = 503
    title = "Unavailable"


class Stopped(SpecChemError):
    """The program cannot start or go on; the sentence says what to do."""


BY_STATUS: dict[int, type[SpecChemError]] = {
    kind.status: kind for kind in (BadInput, NotSignedIn, Forbidden, NotFound, Conflict, Unavailable)
}
