"""Refusals in Supabase Auth's words."""

from typing import Any

from litestar import Request
from litestar.datastructures import State


class AuthError(Exception):
    """A refusal in Supabase Auth's words: HTTP status, error code, message.

    ``wait`` is in how many seconds to come again, where that helps; ``reasons`` why a password is weak.
    """

    def __init__(
        self, status: int, code: str, message: str, *, wait: int | None = None, reasons: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.wait, self.reasons = wait, reasons


def in_supabase_words(
    request: Request[Any, Any, State], status: int, code: str, message: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """What Supabase's clients look for in a refusal: fields of the body, and headers."""
    if request.headers.get("x-supabase-api-version", "") < "2024-01-01":
        return {"code": status, "error_code": code, "msg": message}, {"x-sb-error-code": code}
    return {"code": code, "message": message}, {
        "x-sb-error-code": code,
        "X-Supabase-Api-Version": "2024-01-01",
    }
