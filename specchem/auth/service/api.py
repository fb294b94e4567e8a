"""Supabase Auth's contract under ``/auth/v1``, as far as it goes: sign-in by password, and the public key."""

from typing import Any, Literal

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody
from pydantic import BaseModel, ConfigDict, Field

from specchem.auth.errors import AuthError, in_supabase_words
from specchem.auth.service.accounts import Accounts
from specchem.auth.service.keys import SigningKey
from specchem.auth.visits import Ask


class PasswordGrant(BaseModel):
    """An address and its password; what else Supabase's clients send is left aside."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    email: str = Field(min_length=1, max_length=254)
    password: str = Field(min_length=1, max_length=1000)


@post("/token", status_code=200, summary="Sign in: Supabase Auth's Session object", security=[{}])
async def token(
    request: Ask,
    data: JSONBody[PasswordGrant],
    accounts: NamedDependency[Accounts],
    grant_type: FromQuery[Literal["password"]],
) -> dict[str, Any]:
    """Answers 400 ``invalid_credentials`` alike for an unknown address and a wrong password."""
    if "\0" in data.email + data.password:
        raise AuthError(400, "validation_failed", "Control characters are not allowed.")
    address = request.client.host if request.client else None
    return await accounts.sign_in(data.email, data.password, request.headers.get("user-agent"), address)


@get("/.well-known/jwks.json", summary="The public key that access tokens are signed with", security=[{}])
async def jwks(key: NamedDependency[SigningKey]) -> Response[dict[str, Any]]:
    """As Supabase shows it; may be kept for ten minutes."""
    return Response(key.jwks(), headers={"Cache-Control": "public, max-age=600"})


def refusal(request: Ask, error: AuthError) -> Response[dict[str, Any]]:
    """Supabase Auth's error body, and a problem document at once."""
    body, headers = in_supabase_words(request, error.status, error.code, error.message)
    problem = {
        "type": "about:blank",
        "title": "Not signed in",
        "status": error.status,
        "detail": error.message,
        "errors": [],
    }
    return Response(
        problem | body, status_code=error.status, media_type="application/problem+json", headers=headers
    )


router = Router(
    "/auth/v1", route_handlers=[token, jwks], exception_handlers={AuthError: refusal}, tags=["auth"]
)
