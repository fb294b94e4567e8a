"""The database's refusals, translated in one place into our errors: by SQLSTATE, then by constraint name."""

import asyncpg

from specchem.errors import (
    BY_STATUS,
    BadInput,
    Conflict,
    Forbidden,
    NotFound,
    Problem,
    SecondFactorNeeded,
    SpecChemError,
    Unavailable,
)

SENTENCES: dict[str, SpecChemError] = {
    "enrollments_user_course_unique": Conflict("Already enrolled in this course."),
    "enrollments_user_plant_fkey": Conflict("The person has just moved to another plant; try again."),
    "admin_roles_user_role_plant_unique": Conflict("The person has this role already."),
    "plants_name_unique": Conflict("There is a plant of this name already."),
    "plants_one_default": Conflict("There is a default plant already."),
    "courses_slug_version_unique": Conflict("There is this version of the course already."),
    "courses_current_unique": Conflict(
        "Another version of this course was published at that moment; try again."
    ),
    "profiles_pkey": Conflict("This account has a profile already."),
    "profiles_email_unique": Conflict("There is a person with this e-mail address already."),
    "profiles_id_fkey": NotFound("There is no such account; create it first."),
    "profiles_plant_id_fkey": NotFound("There is no such plant."),
    "invitations_open_email_unique": Conflict("This address has an open invitation already."),
    "admin_roles_user_id_fkey": NotFound("There is no such person."),
    "admin_roles_plant_id_fkey": NotFound("There is no such plant."),
    "users_email_partial_key": Conflict("There is an account with this e-mail address already."),
    "admin_roles_scope": BadInput(
        "A plant manager needs a plant, and a dev admin has none.",
        (Problem("plant_id", "needed for a plant manager, absent for a dev admin"),),
    ),
    "question_events_response_meta_small": BadInput(
        "The answer's extra data must be an object of at most 8 KB.",
        (Problem("response_meta", "must be an object of at most 8 KB"),),
    ),
    "activity_events_meta_small": BadInput(
        "The event's extra data must be an object of at most 8 KB.",
        (Problem("meta", "must be an object of at most 8 KB"),),
    ),
    "question_events_response_meta_readable": BadInput(
        "The answer's extra data is nested too deeply or holds a number too large.",
        (Problem("response_meta", "must be nested at most 16 deep, with numbers that a double can hold"),),
    ),
    "activity_events_meta_readable": BadInput(
        "The event's extra data is nested too deeply or holds a number too large.",
        (Problem("meta", "must be nested at most 16 deep, with numbers that a double can hold"),),
    ),
}

# What can come out of asyncpg. The third is its own confusion: the server said goodbye between two statements, or a
# prepared statement met an upgraded schema.
FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)

BUSY = "The database is busy or restarting; nothing was done. Try again in a moment."
RETRY = "Somebody else changed the same record at that moment; nothing was done. Try again."


def translate(error: BaseException) -> BaseException:
    """Our error for the database's; one we have no words for is given back and becomes a plain 500."""
    if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
        return BadInput("A value sent cannot be stored.")  # asyncpg.DataError: refused before it was sent
    if not isinstance(error, asyncpg.PostgresError):
        return Unavailable(BUSY) if isinstance(error, FAULTS) else error
    code: str = error.sqlstate or ""
    constraint: str = getattr(error, "constraint_name", None) or ""
    if code.startswith("PT"):  # raised by our own rules, with a sentence for a person
        sentence = str(error.args[0])
        if getattr(error, "hint", None) == "second_factor":
            return SecondFactorNeeded(sentence)
        field, colon, rest = sentence.partition(": ")
        named = (Problem(field, rest),) if colon and field.replace("_", "").replace(".", "").isalpha() else ()
        kind = BY_STATUS.get(int(code[2:])) if code[2:].isdigit() else None
        return error if kind is None else kind(sentence, named)
    if code == "23001" or (code == "23503" and "still referenced" in str(getattr(error, "detail", ""))):
        return Conflict("The record stands on it, so it stays.")
    if constraint in SENTENCES:
        known = SENTENCES[constraint]
        return type(known)(str(known), known.problems)
    if code == "23505":
        return Conflict("This is recorded already.")
    if code == "42501":
        return Forbidden("You may not do that.")
    if code in {"40001", "40P01"}:
        return Conflict(RETRY)
    if code[:2] in {"08", "53", "57"} or code == "55P03":
        return Unavailable(BUSY)
    if code == "23514":
        return _not_tidy(constraint, getattr(error, "table_name", None) or "")
    if code[:2] in {"22", "54"} or code == "23502":
        return BadInput(
            "A value sent cannot be stored: too long, out of range or with characters that are not text."
        )
    if code == "23503":
        return NotFound("Something named in the request does not exist.")
    return error


def _not_tidy(constraint: str, table: str) -> BadInput:
    field = constraint.removeprefix(f"{table}_").rpartition("_")[0]
    if constraint.endswith("_tidy"):
        return BadInput(
            f"{field} must be 1 to 200 characters, trimmed and without control characters.",
            (Problem(field, "must be 1 to 200 characters, trimmed and without control characters"),),
        )
    return BadInput(f"{field} is not valid.", (Problem(field, "is not valid"),))
