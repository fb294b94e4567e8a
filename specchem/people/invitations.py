"""Verbs over invitations: who is asked to join which plant; the database knows who may ask whom."""

from uuid import UUID

from specchem.db.session import Db
from specchem.errors import Forbidden
from specchem.people.schemas import Invitation, Invite
from specchem.vocabulary import FIRST_PAGE, Page

# Those with a role are HR's to send.
UNSENT = """
    where sent_at is null and accepted_at is null and revoked_at is null
        and (role is null or (role <> 'dev_admin' and app.is_hr()))"""
NO_INVITATION = "There is no such invitation."


async def create_invitation(db: Db, new: Invite) -> Invitation:
    """Ask somebody to join a plant. Raises Conflict for a person who is there, or who has been asked."""
    return await db.one(
        Invitation,
        """
        insert into invitations (email, plant_id, first_name, last_name, job_title, role, role_plant_id)
        values ($1, $2, $3, $4, $5, $6, $7) returning *""",
        new.email, new.plant_id, new.first_name, new.last_name, new.job_title, new.role, new.role_plant_id,
    )  # fmt: skip


async def get_invitations(db: Db, page: Page = FIRST_PAGE) -> list[Invitation]:
    """Those that the caller may see and nobody has taken up or back, newest first."""
    return await db.all(
        Invitation,
        """
        select * from invitations where accepted_at is null and revoked_at is null
        order by created_at desc, id limit $1 offset $2""",
        page.limit, page.offset,
    )  # fmt: skip


async def count_unsent(db: Db) -> int:
    """Whose mail is still to go out, of those that the caller may send."""
    found: int = await db.value(f"select count(*) from invitations {UNSENT}")  # noqa: S608
    return found


async def claim_unsent(db: Db, most: int) -> list[Invitation]:
    """Up to so many whose mail goes out now, the oldest first; whoever claims at the same time gets others."""
    return await db.all(
        Invitation,
        f"""
        with claimed as materialized (
            select id from invitations {UNSENT} order by created_at, id limit $1 for update skip locked)
        update invitations i set sent_at = now() from claimed where i.id = claimed.id returning i.*""",  # noqa: S608
        most,
    )


async def give_back(db: Db, unsent: list[UUID]) -> None:
    """Their mail did not go out after all; it waits again."""
    await db.run(
        "update invitations set sent_at = null where id = any($1) and accepted_at is null and revoked_at is null",
        unsent,
    )


async def renew_invitation(db: Db, invitation: UUID) -> Invitation:
    """Its time begins anew, and its link is to be sent again. Raises NotFound, Forbidden, Conflict."""
    return await _change(db, invitation, "sent_at")


async def revoke_invitation(db: Db, invitation: UUID) -> Invitation:
    """Take it back; a link that was sent dies with it. Raises NotFound, Forbidden, Conflict."""
    return await _change(db, invitation, "revoked_at")


async def _change(db: Db, invitation: UUID, column: str) -> Invitation:
    changed = await db.maybe(
        Invitation,
        f"update invitations set {column} = now() where id = $1 returning *",  # noqa: S608  one of ours
        invitation,
    )
    if changed is None:
        await db.one(Invitation, "select * from invitations where id = $1", invitation, missing=NO_INVITATION)
        raise Forbidden("Only HR may change this invitation.")
    return changed
