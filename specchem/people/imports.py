"""Importing a list of people: what it would change, and the change; set by set, and not person by person."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import msgspec

from specchem.db.session import Db
from specchem.errors import Forbidden, NotFound
from specchem.i18n import N_, _
from specchem.people.import_file import Fault, FileRow

AT_ONCE = 1000  # rows of a statement, so that none takes long
GONE = "This import is not kept any more; choose the file again."
REFUSED = "Some of these people are not yours to change; nothing was done."
PROBLEMS = {
    "no_email": N_("There is no e-mail address."),
    "bad_email": N_("“%(value)s” is not an e-mail address."),
    "bad_first_name": N_("The first name is too long or has characters that do not belong there."),
    "bad_last_name": N_("The last name is too long or has characters that do not belong there."),
    "bad_job_title": N_("The job title is too long or has characters that do not belong there."),
    "bad_plant": N_("The plant's name is too long or has characters that do not belong there."),
    "bad_status": N_("The status is “%(value)s”; write active or suspended."),
    "twice": N_("The same e-mail address is in row %(value)s."),
    "no_plant": N_("A new person needs a plant."),
    "unknown_plant": N_("There is no plant “%(value)s”."),
    "closed_plant": N_("The plant “%(value)s” is not open."),
    "own_status": N_("Nobody changes their own status; ask another HR admin."),
    "new_suspended": N_("A new person cannot be suspended; leave the status empty."),
    "not_yours": N_("An open invitation grants this person a role that HR does not grant."),
}


class Change(msgspec.Struct, frozen=True, array_like=True):
    """A field, what it says, and what it is to say."""

    field: str
    old: str | None
    new: str


class Difference(FileRow, frozen=True):
    """A row of the file beside what is known."""

    person: UUID | None = None
    invitation: UUID | None = None
    plant_id: UUID | None = None
    role: str | None = None  # of the open invitation
    role_plant_id: UUID | None = None
    changes: list[Change] = []  # noqa: RUF012  msgspec gives each its own

    @property
    def kind(self) -> str:
        """``problems``, ``new``, ``changed`` or ``unchanged``."""
        if self.problems:
            return "problems"
        if self.person is None and self.invitation is None:
            return "new"
        return "changed" if self.changes else "unchanged"


class Kept(msgspec.Struct, frozen=True):
    """A file that was read and waits."""

    file_name: str
    rows: list[FileRow]


class Imported(msgspec.Struct, frozen=True):
    """What an import did, in people."""

    new: int
    changed: int
    unchanged: int
    problems: int


def told_fault(fault: Fault) -> str:
    """What is wrong, in the reader's language."""
    return _(PROBLEMS[fault.code]) % {"value": fault.value}


async def keep_import(db: Db, file_name: str, rows: Sequence[FileRow]) -> UUID:
    """Keep a file's rows for a day. Raises Forbidden for who is not HR."""
    kept: UUID = await db.value("select app.keep_import($1, $2)", file_name, list(rows))
    return kept


async def get_import(db: Db, kept: UUID) -> Kept:
    """What the caller keeps. Raises NotFound, Forbidden."""
    found = await db.value("select app.kept_import($1)", kept)
    if found is None:
        raise NotFound(GONE)
    return msgspec.convert(found, Kept)


async def compare(db: Db, rows: Sequence[FileRow]) -> list[Difference]:
    """Each row beside the person or the open invitation that has its address; one statement."""
    return await db.all(
        Difference,
        """
        with sent as materialized (
            select * from jsonb_to_recordset($1) as r (
                row integer, email text, first_name text, last_name text, job_title text, plant text, status text,
                problems jsonb)
        ), people as materialized (
            select p.*, lower(p.email) as address, t.name as plant from profiles p
            left join plants t on t.id = p.plant_id
        ), waiting as materialized (
            select i.*, lower(i.email) as address, t.name as plant from invitations i
            left join plants t on t.id = i.plant_id
            where i.accepted_at is null and i.revoked_at is null and i.expires_at > now()
        ), named as materialized (
            select distinct on (lower(name)) lower(name) as name, id, is_active from plants
            order by lower(name), is_active desc, id
        )
        select s.row, s.email, coalesce(s.first_name, i.first_name) as first_name,
            coalesce(s.last_name, i.last_name) as last_name, coalesce(s.job_title, i.job_title) as job_title, s.plant,
            s.status, p.id as person, i.id as invitation, coalesce(n.id, i.plant_id) as plant_id,
            i.role, i.role_plant_id, (
                select coalesce(jsonb_agg(jsonb_build_array(v.field, v.old, v.new)), '[]') from (values
                    ('first_name', coalesce(p.first_name, i.first_name), s.first_name),
                    ('last_name', coalesce(p.last_name, i.last_name), s.last_name),
                    ('job_title', coalesce(p.job_title, i.job_title), s.job_title),
                    ('plant', coalesce(p.plant, i.plant), s.plant),
                    ('status', coalesce(p.status::text, 'active'), s.status)
                ) as v (field, old, new)
                where v.new is not null and case v.field when 'plant' then lower(v.new) is distinct from lower(v.old)
                    else v.new is distinct from v.old end
            ) as changes,
            s.problems || (
                select coalesce(jsonb_agg(jsonb_build_object('code', w.code, 'value', coalesce(s.plant, ''))), '[]')
                from (values
                    ('no_plant', s.plant is null and p.id is null and i.id is null),
                    ('unknown_plant', s.plant is not null and n.id is null),
                    ('closed_plant', not n.is_active and n.id is distinct from coalesce(p.plant_id, i.plant_id)),
                    ('own_status', p.id = app.me() and s.status <> p.status::text),
                    ('new_suspended', p.id is null and s.status = 'suspended'),
                    ('not_yours', i.role = 'dev_admin')
                ) as w (code, holds) where w.holds
            ) as problems
        from sent s
        left join named n on n.name = lower(s.plant)
        left join people p on p.address = s.email
        left join waiting i on i.address = s.email and p.id is null
        order by s.row""",
        list(rows),
    )


async def apply(db: Db, rows: Sequence[FileRow]) -> Imported:
    """Do what the good rows say, as things stand now; doing it again does nothing. Raises Forbidden, Conflict."""
    differences = await compare(db, rows)
    changed = [one for one in differences if one.kind == "changed"]
    renewed = [one for one in changed if one.person is None]
    await _run(
        db,
        """
        update profiles p set first_name = coalesce(c.first_name, p.first_name),
            last_name = coalesce(c.last_name, p.last_name), job_title = coalesce(c.job_title, p.job_title),
            plant_id = coalesce(c.plant_id, p.plant_id), status = coalesce(c.status, p.status)
        from jsonb_to_recordset($1) as c (
            person uuid, first_name text, last_name text, job_title text, plant_id uuid, status user_status)
        where p.id = c.person""",
        [one for one in changed if one.person is not None],
    )
    # An invitation says what it says: one that is to say something else is another one.
    await _run(
        db,
        """
        update invitations i set revoked_at = now() from jsonb_to_recordset($1) as c (invitation uuid)
        where i.id = c.invitation""",
        renewed,
    )
    await _run(
        db,
        """
        insert into invitations
            (email, plant_id, first_name, last_name, job_title, role, role_plant_id, sent_at)
        select c.email, c.plant_id, c.first_name, c.last_name, c.job_title, c.role, c.role_plant_id, null
        from jsonb_to_recordset($1) as c (
            email text, plant_id uuid, first_name text, last_name text, job_title text, role admin_role,
            role_plant_id uuid)""",
        [one for one in differences if one.kind == "new"] + renewed,
    )
    return counted(differences)


async def _run(db: Db, sql: str, rows: Sequence[Difference]) -> None:
    """A statement over all of them, some at a time. Raises Forbidden where it did not reach each."""
    for start in range(0, len(rows), AT_ONCE):
        some = list(rows[start : start + AT_ONCE])
        done = await db.run(sql, some)
        if done.rpartition(" ")[2] != str(len(some)):
            raise Forbidden(REFUSED)


def counted(differences: Sequence[Difference]) -> Imported:
    """How many of each kind."""
    counts = Counter(one.kind for one in differences)
    return Imported(counts["new"], counts["changed"], counts["unchanged"], counts["problems"])
