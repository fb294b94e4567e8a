"""Errors become answers: a problem document (RFC 9457) for programs, a page with the sentence for people."""

import logging
import re
import traceback
from dataclasses import asdict
from typing import Any

from litestar import Response
from litestar.exceptions import HTTPException, InternalServerException, ValidationException
from litestar.response import Redirect, Template
from pydantic import ValidationError

from specchem import noting
from specchem.auth.errors import AuthError, in_supabase_words
from specchem.auth.forms import sentence_of
from specchem.auth.guard import speak, way_back
from specchem.auth.visits import Ask
from specchem.db.refusals import FAULTS, translate
from specchem.errors import (
    BadInput,
    Forbidden,
    NotFound,
    NotSignedIn,
    Problem,
    SecondFactorNeeded,
    SpecChemError,
)
from specchem.i18n import N_
from specchem.logs import place

log = logging.getLogger("specchem")

FOR_PROGRAMS = ("/api/", "/auth/v1/")
FOR_MACHINES = {"/healthz", "/metrics"}
SENTENCES = {
    404: "There is nothing at this address.",
    405: "That cannot be done here.",
    413: "Too much was sent at once.",
    403: "The form is too old. Go back, reload the page and try again.",
}
MISSING = re.compile(r"^Missing required \w+ parameter '(\w+)'")  # what Litestar says, and nothing more
NOT_A_FORM = "What was sent could not be read. Go back, reload the page and try again."
TOO_DEEP = "What was sent is nested too deeply."
BROKEN = (
    "Something went wrong on our side. Nothing was lost; try again, and tell your administrator if it stays."
)


def answer(request: Ask, error: Exception) -> Response[Any]:
    """The one exception handler; whatever is unexpected is logged here and told to nobody."""
    known = understood(error)
    if known.status >= 500 and request.url.path.startswith("/static/") and _unusable_name(error):
        known = NotFound(SENTENCES[404])
    noting.refused("second_factor" if isinstance(known, SecondFactorNeeded) else _kind(known))
    if known.status >= 500 and known is not error:
        log.error(
            "unexpected %s in %s at %s %s",
            type(error).__name__,
            place(error),
            request.method,
            request.url.path,
        )
    if request.url.path.startswith(FOR_PROGRAMS) or request.url.path in FOR_MACHINES:
        return problem(request, known)
    speak(request)
    if isinstance(known, NotSignedIn):
        address = way_back(request, "/two-factor" if isinstance(known, SecondFactorNeeded) else "/login")
        if not isinstance(known, SecondFactorNeeded):
            request.app.state.visits.drop(
                request
            )  # the database knows of ended sessions before any token does
        if request.headers.get("hx-request"):
            return Response(b"", status_code=200, headers={"HX-Redirect": address})
        return Redirect(address, status_code=303)
    if known.problems and not any(one.field for one in known.problems):
        known = BadInput(NOT_A_FORM)  # its words are for programs
    if request.headers.get("hx-request"):
        return Template(
            "_refused.html",
            context={"sentence": str(known), "request_id": _to_quote(known)},
            status_code=known.status,
            headers={"HX-Reswap": "none"},  # what the visitor filled in stays
        )
    return Template(
        "error.html",
        context={
            "title": known.title,
            "sentence": str(known),
            "problems": known.problems,
            "request_id": _to_quote(known),
        },
        status_code=known.status,
    )


def _kind(error: SpecChemError) -> str:
    """One word for each of our titles."""
    return error.title.lower().replace(" ", "_")


def _to_quote(error: SpecChemError) -> str | None:
    """What a person can quote to whoever reads the log; a refusal that explains itself needs none."""
    return noting.request_id() if error.status >= 500 else None


def _not_now(error: AuthError) -> SpecChemError:
    try:
        known = SpecChemError(sentence_of(error))
    except NotSignedIn as ended:
        return ended
    known.status, known.title = (429, N_("Too many tries")) if error.status == 429 else (400, N_("Not done"))
    return known


def _unusable_name(error: Exception) -> bool:
    # A NUL in it, or too long: no file can have it.
    return isinstance(error, ValueError) or isinstance(error.__cause__, OSError)


def document(error: SpecChemError) -> dict[str, Any]:
    """An error in the shape of RFC 9457, with every field at fault."""
    return {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": str(error),
        "errors": [asdict(one) for one in error.problems],
    }


def problem(request: Ask, error: SpecChemError) -> Response[dict[str, Any]]:
    """A problem document as the answer to a request."""
    body = document(error)
    if (request_id := _to_quote(error)) is not None:
        body["request_id"] = request_id
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    if isinstance(error, SecondFactorNeeded):
        headers["WWW-Authenticate"] = 'Bearer error="insufficient_user_authentication"'  # RFC 9470
    if error.status == 503:
        headers["Retry-After"] = "2"
    if request.url.path.startswith("/auth/v1/"):
        code = "validation_failed" if error.status < 500 else "unexpected_failure"
        words, more = in_supabase_words(request, error.status, code, str(error))
        body, headers = body | words, headers | more
    return Response(body, status_code=error.status, media_type="application/problem+json", headers=headers)


def understood(error: Exception) -> SpecChemError:
    """Any error as one of ours."""
    match error:
        case SpecChemError():
            return error
        case AuthError():
            return _not_now(error)
        case ValidationError():
            return bad_input([(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()])
        case ValidationException():
            found = error.extra if isinstance(error.extra, list) else []
            faults = [one for one in found if isinstance(one, dict)]
            if any(one.get("source") == "body" for one in faults):
                return BadInput("The body must be JSON.", (Problem("", "a JSON body is needed"),))
            if missing := MISSING.search(error.detail):
                return bad_input([(missing[1], "is needed")])
            return bad_input([(str(one.get("key", "")), str(one.get("message", ""))) for one in faults])
        case _ if isinstance(error, FAULTS):
            known = translate(error)  # from the auth service's work; acting_as does its own
            return known if isinstance(known, SpecChemError) else SpecChemError(BROKEN)
        case RecursionError():
            return BadInput(TOO_DEEP, (Problem("", TOO_DEEP),))
        case InternalServerException() if "disconnected" in error.detail:
            return BadInput("The request broke off before it was whole.")  # nobody is there to read it
        case TypeError() if traceback.extract_tb(error.__traceback__)[-1].name == "_decode_csrf_token":
            return Forbidden(SENTENCES[403])  # a file or foreign letters where the form's token belongs
        case UnicodeDecodeError():
            return BadInput("The body is not JSON that can be read.", (Problem("", "not valid UTF-8"),))
        case HTTPException() if error.status_code == 400:
            return BadInput("The body is not JSON that can be read.", (Problem("", "not valid JSON"),))
        case HTTPException() if error.status_code < 500:
            known = SpecChemError(SENTENCES.get(error.status_code, "That cannot be done."))
            known.status = error.status_code
            known.title = {403: N_("Not allowed"), 404: N_("Not found"), 405: N_("Not allowed")}.get(
                error.status_code, N_("Bad request")
            )
            return known
        case _:
            return SpecChemError(BROKEN)


def bad_input(faults: list[tuple[str, str]]) -> BadInput:
    """Every field's fault, at once and in words."""
    problems = tuple(Problem(field, message.removeprefix("Value error, ")) for field, message in faults)
    named = ", ".join(sorted({one.field for one in problems if one.field}))
    return BadInput(f"Please check {named}." if named else "Please check what was sent.", problems)
