"""The admin routes under ``/auth/v1``, for servers that have the secret key."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from specchem.auth.errors import AuthError
from specchem.auth.service import administering
from specchem.auth.service.callers import Ask, for_admins
from specchem.auth.service.inputs import AdminUser, DeleteUser, GenerateLink, Invite
from specchem.auth.service.service import Service

Auth = NamedDependency[Service]


@post("/invite", status_code=200)
async def invite(
    data: JSONBody[Invite], auth: Auth, redirect_to: FromQuery[str | None] = None
) -> dict[str, Any]:
    """Make an account for an address and mail it a link."""
    return await administering.invite(auth, data, redirect_to)


@post("/admin/generate_link", status_code=200)
async def generate_link(
    data: JSONBody[GenerateLink], auth: Auth, redirect_to: FromQuery[str | None] = None
) -> dict[str, Any]:
    """A link, to be sent some other way."""
    return await administering.generate_link(auth, data, redirect_to)


@post("/admin/users", status_code=200)
async def create_user(data: JSONBody[AdminUser], auth: Auth) -> dict[str, Any]:
    """Make an account."""
    return await administering.create(auth, data)


@get("/admin/users")
async def list_users(
    auth: Auth,
    page: Annotated[int | None, QueryParameter(ge=0, le=1_000_000)] = None,
    per_page: Annotated[int | None, QueryParameter(ge=0, le=1000)] = None,
) -> Response[dict[str, Any]]:
    """A page of accounts; how many there are, and where the next and last page is, say the headers."""
    page, per_page = page or 1, per_page or 50
    found, total = await administering.all_of(auth, page, per_page)
    last = max(1, -(-total // per_page))
    address = f"{auth.settings.auth_url}/admin/users?page={{}}&per_page={per_page}"
    links = [f'<{address.format(last)}>; rel="last"']
    if page < last:
        links.insert(0, f'<{address.format(page + 1)}>; rel="next"')
    headers = {"X-Total-Count": str(total), "Link": ", ".join(links)}
    return Response({"users": found, "aud": "authenticated"}, headers=headers)


@get("/admin/users/{account:uuid}")
async def get_user(account: FromPath[UUID], auth: Auth) -> dict[str, Any]:
    """One account."""
    return await administering.one(auth, account)


@put("/admin/users/{account:uuid}")
async def update_user(account: FromPath[UUID], data: JSONBody[AdminUser], auth: Auth) -> dict[str, Any]:
    """Change an account, ban it or let it in again."""
    return await administering.update(auth, account, data)


@delete("/admin/users/{account:uuid}", status_code=200)
async def delete_user(request: Ask, account: FromPath[UUID], auth: Auth) -> dict[str, Any]:
    """Delete an account; softly, where the body says so. Not every client sends one."""
    try:
        told = msgspec.json.decode(await request.body() or b"{}")
    except msgspec.DecodeError:
        raise AuthError(400, "validation_failed", "The body must be JSON.") from None
    soft = DeleteUser.model_validate(told).should_soft_delete
    await administering.delete(auth, account, soft=soft)
    return {}


@get("/admin/users/{account:uuid}/factors")
async def list_factors(account: FromPath[UUID], auth: Auth) -> list[dict[str, Any]]:
    """An account's second factors."""
    return await administering.factors_of(auth, account)


@delete("/admin/users/{account:uuid}/factors/{factor:uuid}", status_code=200)
async def delete_factor(account: FromPath[UUID], factor: FromPath[UUID], auth: Auth) -> dict[str, Any]:
    """Take a second factor from somebody who lost it."""
    await administering.remove_factor(auth, account, factor)
    return {"id": str(factor)}


router = Router(
    "/",
    route_handlers=[
        invite, generate_link, create_user, list_users, get_user, update_user, delete_user, list_factors,
        delete_factor,
    ],
    guards=[for_admins],
)  # fmt: skip
