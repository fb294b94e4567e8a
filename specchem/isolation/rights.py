"""Who may do what, written once: what the database does is compared with this page, cell by cell.

A right is a role and the rows it reaches. Roles: ``associate`` (everybody active), ``manager`` (of plants, or HR of
a plant), ``hr`` (of the company), ``dev`` (dev admin). What is not written here is refused. Whoever is suspended,
works in a closed plant or has no profile has no right at all, and neither has ``anon``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from specchem.isolation.cast import Kind, Row

Reach = dict[str, str]

# Words for rows, each with what it means for one kind of person.
WORDS: dict[str, Callable[[Kind, Row], bool]] = {
    "own": lambda kind, row: row.person == kind.name,
    "plant": lambda kind, row: row.plant in kind.looks_after,
    "open": lambda kind, row: row.is_open,
    "not-open": lambda kind, row: not row.is_open,
    "all": lambda kind, row: True,
    "dev-admins": lambda kind, row: row.role == "dev_admin",
    "plant-without-role": lambda kind, row: row.plant in kind.looks_after and row.role is None,
    "all-but-dev": lambda kind, row: row.role != "dev_admin",
    "others-as-dev": lambda kind, row: row.role == "dev_admin" and row.person != kind.name,
    "others-as-hr-or-manager": lambda kind, row: row.role != "dev_admin" and row.person != kind.name,
}


@dataclass(frozen=True)
class Rights:
    """What people may do with the rows of one table or view, and which columns a client may name.

    ``service`` is what the service role may do, which row security does not hold: s, i, u, d.
    """

    reads: Reach = field(default_factory=dict)
    creates: Reach = field(default_factory=dict)
    changes: Reach = field(default_factory=dict)
    deletes: Reach = field(default_factory=dict)
    created: str = ""
    changed: str = ""
    service: str = ""

    def reach(self, verb: str) -> Reach:
        """Who may do this, by role."""
        return {
            "select": self.reads, "insert": self.creates, "update": self.changes, "delete": self.deletes
        }.get(verb, {})  # fmt: skip

    def names(self, verb: str, column: str | None) -> bool:
        """May a client name this column at all? None: the row as a whole."""
        if column is None:
            return bool(self.reach(verb))
        return granted(self, "authenticated", verb, column)


def everybody(reach: str) -> Reach:
    """The same rows for every role."""
    return dict.fromkeys(("associate", "manager", "hr", "dev"), reach)


SHOWN = everybody("open") | {"hr": "all", "dev": "all"}
RECORD = {"associate": "own", "manager": "own plant", "hr": "all", "dev": "own"}
DEV = {"dev": "all"}
DRAFTS = {"dev": "not-open"}  # what was published stays as it is
CONTENT = Rights(reads=SHOWN, creates=DRAFTS, changes=DEV, created="*", changed="*", service="siud")
CLOSED = Rights()

TABLES: dict[str, Rights] = {
    "public.plants": Rights(
        reads=SHOWN,
        creates={"hr": "all", "dev": "all"},
        changes={"hr": "all", "dev": "all"},
        created="name timezone is_active",
        changed="name timezone is_active",
        service="siu",
    ),
    "public.profiles": Rights(
        reads=RECORD,
        creates={"hr": "all"},
        changes={"hr": "all"},
        created="id plant_id first_name last_name email job_title status",
        changed="first_name last_name job_title status plant_id",
        service="siu",
    ),
    "public.admin_roles": Rights(
        reads={"associate": "own", "manager": "own plant", "hr": "all", "dev": "own dev-admins"},
        creates={"hr": "others-as-hr-or-manager", "dev": "others-as-dev"},
        deletes={"hr": "others-as-hr-or-manager", "dev": "others-as-dev"},
        created="user_id role plant_id",
        service="siud",
    ),
    "public.invitations": Rights(
        reads={"manager": "plant", "hr": "all"},
        creates={"manager": "plant-without-role", "hr": "all-but-dev"},
        changes={"manager": "plant-without-role", "hr": "all-but-dev"},
        created="email plant_id first_name last_name job_title role role_plant_id sent_at",
        changed="revoked_at sent_at",
        service="siud",
    ),
    "public.audit_events": Rights(reads={"hr": "all"}, service="s"),
    "public.courses": Rights(
        reads=SHOWN,
        creates=DEV,
        changes=DEV,
        created="slug title version language is_published content_hash translations",
        changed="title version language is_published content_hash translations",
        service="siu",
    ),
    "public.sections": CONTENT,
    "public.questions": CONTENT,
    "public.question_choices": CONTENT,
    "public.answer_keys": Rights(
        reads=DEV, creates=DRAFTS, changes=DEV, created="*", changed="*", service="siud"
    ),
    "public.enrollments": Rights(
        reads=RECORD,
        creates={"manager": "plant", "hr": "all"},
        created="user_id course_id plant_id",
        service="siu",
    ),
    "public.progress": Rights(
        reads=RECORD,
        changes=everybody("own"),
        changed="progress_percent current_section",
        service="siu",
    ),
    "public.question_events": Rights(
        reads=RECORD,
        creates=everybody("own"),
        created="id user_id course_id section_key question_key is_correct response_meta answered_at",
        service="si",
    ),
    "public.activity_events": Rights(
        reads=RECORD,
        creates=everybody("own"),
        created="id user_id course_id event_type meta occurred_at",
        service="si",
    ),
    "public.question_counters": Rights(reads={"manager": "plant", "hr": "all"}, service="s"),
    "public.completion_counters": Rights(reads={"manager": "plant", "hr": "all"}, service="s"),
    "app.completion": Rights(reads={"manager": "plant", "hr": "all"}),
    "app.question_difficulty": Rights(reads={"manager": "plant", "hr": "all"}),
    "app.counter_differences": CLOSED,
    "app.completion_differences": CLOSED,
    "specchem.pruned_answers": CLOSED,
    "specchem.tries": CLOSED,
    "specchem.imports": CLOSED,
    "specchem.examinations": CLOSED,
    "specchem.settings": CLOSED,
    "specchem.rules": CLOSED,
    "specchem.alembic_version": CLOSED,
}
# Tables of the platform's own: nobody of ours has a door to them.
CLOSED_SCHEMAS = ("auth",)

FUNCTIONS: dict[str, str] = {
    "app.me()": "authenticated service_role specchem_api",
    "app.has_shown_enough()": "authenticated specchem_api",
    "app.session_ended()": "specchem_api",
    "app.count_try(text,text,text,integer,double precision,integer,double precision)": "specchem_api",
    "app.count_success(text,text)": "specchem_api",
    "app.note_failure(text,text)": "specchem_api",
    "app.is_hr()": "authenticated",
    "app.is_dev()": "authenticated",
    "app.visible_plants()": "authenticated",
    "app.refuse(integer,text)": "authenticated service_role specchem_api",
    "app.empty_draft(uuid)": "authenticated",
    "app.explain(uuid,text,text,text)": "authenticated",
    "app.keep_import(text,jsonb)": "authenticated",
    "app.kept_import(uuid)": "authenticated",
    "app.my_sections(uuid)": "authenticated",
    "app.report_plant(uuid)": "authenticated",
    "app.visible_person(uuid)": "authenticated",
    "app.known_course(uuid)": "authenticated",
    "app.keeps()": "authenticated",
    "app.plant_people()": "authenticated",
    "app.course_people()": "authenticated",
    "app.volume_by_day(integer,text)": "authenticated",
    "app.examination()": "authenticated",
    "app.percent(bigint,bigint)": "authenticated",
    "app.enter(text,integer,integer)": "specchem_api",
    "app.release()": "specchem_api",
    "app.volume()": "specchem_api",
    "public.get_user_enrollments(uuid,integer,integer)": "authenticated",
    "public.mark_progress(uuid,integer,text,uuid)": "authenticated",
    "public.record_question_events(jsonb,uuid)": "authenticated",
}
# What the requests' login calls in the statement that enters; by itself it reaches nothing there.
ENTERED = tuple(name for name in FUNCTIONS if name.startswith("public."))
# What works behind the rules: triggers, and what they and the upgrade call. Nobody calls it by name.
BEHIND = """
    accept_invitation add_completion admit check_activity check_closing check_enrollment check_invitation check_plant
    check_profile check_role chosen close count_answers count_enrollment count_person count_progress follow_account
    follow_invitation follow_progress follow_status grade_answer guard_enrollment handle_new_user is_client
    keep_content keep_progress keep_version log_transition move_progress note note_invitation note_role note_sign_in
    open_progress open_section prune_answers publish refuse_change
    refuse_ddl steps supported_percent take_try tidy touch try_key
""".split()  # noqa: SIM905  read by people

# What runs with its owner's eyes, past row security; everything else has the caller's.
DEFINERS = """
    check_activity check_closing check_invitation check_profile check_role count_answers count_enrollment
    count_person count_progress count_success count_try course_people empty_draft examination explain follow_account
    follow_invitation follow_progress follow_status grade_answer handle_new_user has_shown_enough is_dev is_hr
    keep_content keep_import keep_progress keep_version kept_import me move_progress my_sections note_failure
    note_invitation note_role note_sign_in open_progress plant_people publish release session_ended visible_plants
    volume volume_by_day
""".split()  # noqa: SIM905
ROLES = ("anon", "authenticated", "specchem_api", "service_role")


def granted(rights: Rights, role: str, verb: str, column: str | None) -> bool:
    """Should a role hold this right at all, on the table (None) or on a column?"""
    if role == "service_role":
        return verb[0] in rights.service and verb != "truncate"
    if role != "authenticated" or not rights.reach(verb):
        return False
    named = {"insert": rights.created, "update": rights.changed}.get(verb, "*")
    return named == "*" or column in named.split()


def expected(rights: Rights, kind: Kind, verb: str, column: str | None, row: Row) -> str:
    """What the database should do: ``allowed``, ``nothing`` (no such row for this person) or ``refused``."""
    if kind.db_role == "service_role":
        return "allowed" if granted(rights, kind.db_role, verb, column) else "refused"
    if kind.db_role != "authenticated" or not rights.names(verb, column):
        return "refused"
    words = rights.reach(verb).get(kind.role or "", "").split()
    if any(WORDS[word](kind, row) for word in words):
        return "allowed"
    return "refused" if verb == "insert" else "nothing"
