"""The routes under ``/auth/v1`` for people about their own account: user, sign-out, second factors."""

from typing import Any, cast
from uuid import UUID

from litestar import Router, delete, get, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody

from specchem.auth.errors import AuthError
from specchem.auth.service import changing, factors, joining, sessions, users
from specchem.auth.service.callers import Ask, Caller, Member, for_members
from specchem.auth.service.inputs import Enroll, Shown, UserUpdate
from specchem.auth.service.service import Service

Auth = NamedDependency[Service]
Asker = NamedDependency[Caller]
Own = NamedDependency[Member]


@get("/user")
async def user(auth: Auth, member: Own) -> dict[str, Any]:
    """Whoever asks, as the service knows them now."""
    async with auth.transaction() as connection:
        return await users.shown(connection, member.id)


@put("/user")
async def update_user(
    data: JSONBody[UserUpdate],
    auth: Auth,
    caller: Asker,
    member: Own,
    redirect_to: FromQuery[str | None] = None,
) -> dict[str, Any]:
    """Another password, address, or more about oneself."""
    return await changing.update(auth, caller, member, data, redirect_to)


@post("/logout", status_code=204)
async def logout(request: Ask, auth: Auth, member: Own) -> None:
    """End this session (``local``), all the others, or all (``global``, where nothing is said)."""
    async with auth.transaction() as connection:
        match request.query_params.get("scope") or "global":
            case "local":
                await sessions.end(connection, member.session_id)
            case "others":
                await sessions.end_all(connection, member.id, but=member.session_id)
            case "global":
                await sessions.end_all(connection, member.id)
            case _:
                raise AuthError(400, "validation_failed", "Unsupported logout scope")


@get("/reauthenticate")
async def reauthenticate(auth: Auth, caller: Asker, member: Own) -> dict[str, Any]:
    """Mail six digits to whoever asks."""
    await auth.count(caller, "mail", member.account["email"] or str(member.id))
    if member.account["email"]:
        auth.later.do(joining.reauthenticate(auth, member))
    return {}


@post("/factors", status_code=200)
async def enroll(data: JSONBody[Enroll], auth: Auth, caller: Asker, member: Own) -> dict[str, Any]:
    """Begin to set up a second factor."""
    await auth.count(caller, "user", str(member.id))
    return await factors.enroll(auth, member, data)


@post("/factors/{factor:uuid}/challenge", status_code=200)
async def challenge(factor: FromPath[UUID], auth: Auth, caller: Asker, member: Own) -> dict[str, Any]:
    """Wait for a code."""
    await auth.count(caller, "user", str(member.id))
    return await factors.challenge(auth, caller, member, factor)


@post("/factors/{factor:uuid}/verify", status_code=200)
async def verify(
    factor: FromPath[UUID], data: JSONBody[Shown], auth: Auth, caller: Asker, member: Own
) -> dict[str, Any]:
    """Show the code."""
    return await factors.verify(auth, caller, member, factor, data)


@delete("/factors/{factor:uuid}", status_code=200)
async def unenroll(factor: FromPath[UUID], auth: Auth, member: Own) -> dict[str, Any]:
    """Take a second factor away."""
    return await factors.unenroll(auth, member, factor)


def _member(request: Ask) -> Member:
    return cast(Member, request.state.member)  # the guard's finding


router = Router(
    "/",
    route_handlers=[user, update_user, logout, reauthenticate, enroll, challenge, verify, unenroll],
    guards=[for_members],
    dependencies={"member": Provide(_member, sync_to_thread=False)},
)
