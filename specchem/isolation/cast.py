"""The people and rows that a proof stands on: made inside its transaction, gone with it.

Plants A, B, C are open, Z is closed. Whoever is tried works in A, except for the person of the closed plant.
"""

from dataclasses import dataclass, field
from uuid import UUID, uuid4

from specchem.db.session import Connection, Identity

PLANTS = ("A", "B", "C", "Z")


@dataclass(frozen=True)
class Kind:
    """A kind of person: role in words, and what of it counts while they are active (None: nothing)."""

    name: str
    role: str | None = None
    looks_after: tuple[str, ...] = ()
    works_in: str | None = "A"
    db_role: str = "authenticated"
    # Rows of admin_roles: role and plant.
    holds: tuple[tuple[str, str | None], ...] = ()
    suspended: bool = False
    # A second factor is set up; the sessions of the cast show none.
    has_factor: bool = False


KINDS = (
    Kind("associate", "associate"),
    Kind("manager", "manager", ("A",), holds=(("plant_manager", "A"),)),
    Kind("manager of two", "manager", ("B", "C"), holds=(("plant_manager", "B"), ("plant_manager", "C"))),
    Kind("HR", "hr", PLANTS, holds=(("hr_admin", None),)),
    Kind("HR of a plant", "manager", ("A",), holds=(("hr_admin", "A"),)),
    Kind("dev admin", "dev", holds=(("dev_admin", None),)),
    Kind("suspended associate", suspended=True),
    Kind("suspended HR", holds=(("hr_admin", None),), suspended=True),
    Kind(
        "HR and dev admin by password alone", holds=(("hr_admin", None), ("dev_admin", None)), has_factor=True
    ),
    Kind("of a closed plant", works_in="Z", holds=(("plant_manager", "A"),)),
    Kind("no profile", works_in=None),
    Kind("anon", works_in=None, db_role="anon"),
    Kind("API login", works_in=None, db_role="specchem_api"),
    Kind("service role", works_in=None, db_role="service_role"),
)
# Those whose rows are looked for: an associate of each plant, and admins elsewhere.
OTHERS = (
    Kind("ann"), Kind("bob", works_in="B"), Kind("cat", works_in="C"), Kind("zoe", works_in="Z"),
    Kind("amy", holds=(("plant_manager", "A"),)), Kind("ben", works_in="B", holds=(("plant_manager", "B"),)),
    Kind("hal", works_in="B", holds=(("hr_admin", None),)), Kind("dan", works_in="B", holds=(("dev_admin", None),)),
)  # fmt: skip
COLLEAGUES = {"ann": "plant A", "bob": "plant B", "cat": "plant C", "zoe": "closed plant Z"}

OPEN = "role is null and accepted_at is null"


@dataclass(frozen=True)
class Row:
    """A row to reach for: how it is found, and what of it decides who may reach it."""

    label: str
    where: str = "true"
    person: str | None = None
    plant: str | None = None
    is_open: bool = False
    role: str | None = None
    # To insert: columns and SQL for their values.
    values: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cast:
    """Who and what was made, by name."""

    plant: dict[str, UUID]
    person: dict[str, UUID]
    course: dict[str, UUID]
    spare: dict[str, UUID]  # accounts without a profile

    def claims(self, kind: Kind) -> str:
        """The claims of a request by this kind of person."""
        if kind.db_role != "authenticated":
            return ""
        return Identity(self.person[kind.name]).claims

    def rows(self, table: str, kind: Kind) -> list[Row]:
        """The rows of a table that this kind of person reaches for, each of another standing."""
        match table.removeprefix("public.").removeprefix("app."):
            case "plants":
                return [
                    Row(f"plant {one}", f"id = '{self.plant[one]}'", plant=one, is_open=one != "Z")
                    for one in PLANTS
                ]
            case "profiles":
                return self._of_people(kind, "id")
            case "enrollments" | "progress" | "question_events" | "activity_events":
                return self._of_people(kind, "user_id")
            case "admin_roles":
                return self._roles(kind)
            case "question_counters" | "completion_counters" | "completion" | "question_difficulty":
                of_course = f"course_id = '{self.course['quiz']}'"
                return [
                    Row(f"plant {one}", f"plant_id = '{self.plant[one]}' and {of_course}", plant=one)
                    for one in PLANTS
                ]
            case "invitations":
                return [
                    *(
                        Row(f"plant {one}", f"plant_id = '{self.plant[one]}' and {OPEN}", plant=one)
                        for one in ("A", "B")
                    ),
                    *(
                        Row(f"as {role}", f"plant_id = '{self.plant['A']}' and role = '{role}'", plant="A", role=role)
                        for role in ("hr_admin", "dev_admin")
                    ),
                ]  # fmt: skip
            case "courses" | "sections" | "questions" | "question_choices" | "answer_keys" as name:
                column = "id" if name == "courses" else "course_id"
                return [
                    Row("published", f"{column} = '{self.course['quiz']}'", is_open=True),
                    Row("not published", f"{column} = '{self.course['draft']}'"),
                ]
        return [Row("any")]

    def _of_people(self, kind: Kind, column: str) -> list[Row]:
        own = [kind.name] if kind.name in self.person and kind.works_in else []
        works_in = {one.name: one.works_in for one in (*KINDS, *OTHERS)}
        return [
            Row(
                COLLEAGUES.get(name, "own"),
                f"{column} = '{self.person[name]}'",
                person=name,
                plant=works_in[name],
            )
            for name in [*own, *COLLEAGUES]
        ]

    def _roles(self, kind: Kind) -> list[Row]:
        held = [("own", kind.name)] if kind.holds else []
        held += [("plant A", "amy"), ("plant B", "ben"), ("HR", "hal"), ("dev admin", "dan")]
        holders = {one.name: one.holds[0] for one in (*KINDS, *OTHERS) if one.holds}
        rows = []
        for label, name in held:
            role, plant = holders[name]
            where = f"user_id = '{self.person[name]}' and role = '{role}'"
            where += f" and plant_id = '{self.plant[plant]}'" if plant else ""
            rows.append(Row(label, where, person=name, plant=plant, role=role))
        return rows

    def candidates(self, table: str, kind: Kind) -> list[Row]:
        """Rows that this kind of person tries to make; each is a good one, so that only a right is missing."""
        match table.removeprefix("public."):
            case "plants":
                return [Row("new", values={"name": "'New plant of a proof'", "timezone": "'UTC'"})]
            case "profiles":
                return self._new_profiles(kind)
            case "admin_roles":
                return self._new_roles(kind)
            case "invitations":
                return [
                    Row(label, plant=plant, role=role, values={
                        "email": f"'new-{plant}-{role}@example.com'", "plant_id": f"'{self.plant[plant]}'",
                        "role": f"'{role}'" if role else "null",
                    })
                    for label, plant, role in (
                        ("plant A", "A", None), ("plant B", "B", None), ("as HR", "A", "hr_admin"),
                        ("as dev admin", "A", "dev_admin"),
                    )
                ]  # fmt: skip
            case "enrollments":
                return self._for_people(kind, {"course_id": f"'{self.course['new']}'"})
            case "question_events":
                return self._for_people(kind, {
                    "course_id": f"'{self.course['quiz']}'", "section_key": "'s'", "question_key": "'q'",
                    "response_meta": """'{"choices": ["a"]}'""",
                })  # fmt: skip
            case "activity_events":
                return self._for_people(kind, {
                    "course_id": f"'{self.course['quiz']}'", "event_type": "'view_section'",
                    "meta": """'{"section_key": "s"}'""",
                })  # fmt: skip
            case "courses":
                return [Row("new", values={"slug": "'new-course-of-a-proof'", "title": "'New'"})]
            case "sections" | "questions" | "question_choices" | "answer_keys" as name:
                return [Row("new", values={"course_id": f"'{self.course['draft']}'", **NEW_CONTENT[name]})]
        return []

    def _new_profiles(self, kind: Kind) -> list[Row]:
        wanted = [("plant A", self.spare["A"], "A"), ("plant B", self.spare["B"], "B")]
        if kind.name == "no profile":
            wanted.append(("own", self.person[kind.name], "A"))
        return [
            Row(label, plant=plant, values={
                "id": f"'{account}'", "plant_id": f"'{self.plant[plant]}'", "first_name": "'New'",
                "last_name": "'Person'", "email": f"'{account}@example.com'",
            })
            for label, account, plant in wanted
        ]  # fmt: skip

    def _new_roles(self, kind: Kind) -> list[Row]:
        me = kind.name
        wanted: list[tuple[str, str, str, str | None]] = [
            ("own, as manager", me, "plant_manager", "Z"), ("own, as HR of a plant", me, "hr_admin", "B"),
            ("own, as HR", me, "hr_admin", None), ("own, as dev admin", me, "dev_admin", None),
            ("plant A", "ann", "plant_manager", "A"), ("plant B", "bob", "plant_manager", "B"),
            ("HR of a plant", "ann", "hr_admin", "A"), ("HR", "ann", "hr_admin", None),
            ("dev admin", "ann", "dev_admin", None),
        ]  # fmt: skip
        return [
            Row(label, person=person, plant=plant, role=role, values={
                "user_id": f"'{self.person[person]}'", "role": f"'{role}'",
                "plant_id": f"'{self.plant[plant]}'" if plant else "null",
            })
            for label, person, role, plant in wanted
            # Without a profile there is nobody to give a role to, and one that is held is not given again.
            if person != me or (kind.works_in and (role, plant) not in kind.holds)
        ]  # fmt: skip

    def _for_people(self, kind: Kind, values: dict[str, str]) -> list[Row]:
        return [
            Row(row.label, person=row.person, plant=row.plant,
                values={"user_id": f"'{self.person[row.person]}'", **values})
            for row in self._of_people(kind, "user_id")
            if row.person is not None and row.plant != "Z"  # nobody is enrolled there or answers, whoever asks
        ]  # fmt: skip


NEW_CONTENT = {
    "sections": {"key": "'new'", "position": "9", "title": "'New'", "body": "'New'"},
    "questions": {"section_key": "'s'", "key": "'new'", "position": "9", "prompt": "'New?'"},
    "question_choices": {
        "section_key": "'s'", "question_key": "'q'", "key": "'new'", "position": "9", "text": "'New'",
    },
    "answer_keys": {
        "section_key": "'s'", "question_key": "'open'", "correct": "'{a}'", "explanation": "'So.'", "citation": "'1'",
    },
}  # fmt: skip


async def make_cast(connection: Connection) -> Cast:
    """Make the people, courses and records, as the owner; call inside a transaction that is rolled back."""
    plants = {name: uuid4() for name in PLANTS}
    mark = uuid4().hex[:8]
    for name, plant in plants.items():
        await connection.execute(
            "insert into public.plants (id, name) values ($1, $2)", plant, f"Proof {mark} {name}"
        )
    courses = {name: uuid4() for name in ("quiz", "new", "draft")}
    for name, course in courses.items():
        await connection.execute(
            "insert into public.courses (id, slug, title, is_published) values ($1, $2, $3, $4)",
            course, f"proof-{mark}-{name}", f"Proof {name}", name != "draft",
        )  # fmt: skip
        if name != "new":
            await _fill(connection, course)
    people = {kind.name: uuid4() for kind in (*KINDS, *OTHERS) if kind.db_role == "authenticated"}
    spare = {"A": uuid4(), "B": uuid4()}
    cast = Cast(plants, people, courses, spare)
    for kind in (*KINDS, *OTHERS):
        if kind.name in people:
            await _join(connection, cast, kind)
    for account in spare.values():
        await _account_without_profile(connection, account)
    await connection.execute(
        "update public.profiles set status = 'suspended' where id = any($1)",
        [people[kind.name] for kind in KINDS if kind.suspended],
    )
    await connection.execute("update public.plants set is_active = false where id = $1", plants["Z"])
    for number, (invited_to, role) in enumerate(
        [("A", None), ("B", None), ("A", "hr_admin"), ("A", "dev_admin")]
    ):
        await connection.execute(
            "insert into public.invitations (email, plant_id, role) values ($1, $2, $3)",
            f"{mark}-{number}@example.com", plants[invited_to], role,
        )  # fmt: skip
    for kind in KINDS:
        if kind.has_factor:
            await connection.execute(
                "insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at)"
                " values (gen_random_uuid(), $1, 'totp', 'verified', now(), now())",
                people[kind.name],
            )
    return cast


async def _fill(connection: Connection, course: UUID) -> None:
    """A section with a question that has its answer key, and one that waits for it."""
    await connection.execute("insert into public.sections values ($1, 's', 1, 'Section', 'Text')", course)
    await connection.execute(
        "insert into public.questions values ($1, 's', 'q', 1, 'Right?'), ($1, 's', 'open', 2, 'And now?')",
        course,
    )
    await connection.execute(
        "insert into public.question_choices values ($1, 's', 'q', 'a', 1, 'Yes'), ($1, 's', 'q', 'b', 2, 'No')",
        course,
    )
    await connection.execute(
        "insert into public.answer_keys values ($1, 's', 'q', '{a}', 'Because.', '49 CFR 172.704')", course
    )


async def _join(connection: Connection, cast: Cast, kind: Kind) -> None:
    """Sign a person up by invitation, give them their roles, and let them answer once, wrong."""
    person = cast.person[kind.name]
    if kind.works_in is None:
        await _account_without_profile(connection, person)
        return
    email = f"{person}@example.com"
    await connection.execute(
        "insert into public.invitations (email, plant_id, first_name, last_name, job_title)"
        " values ($1, $2, $3, 'Proof', 'Operator')",
        email, cast.plant[kind.works_in], kind.name,
    )  # fmt: skip
    await connection.execute(
        "insert into auth.users (id, aud, role, email, email_confirmed_at)"
        " values ($1, 'authenticated', 'authenticated', $2, now())",
        person, email,
    )  # fmt: skip
    for role, plant in kind.holds:
        await connection.execute(
            "insert into public.admin_roles (user_id, role, plant_id) values ($1, $2, $3)",
            person, role, cast.plant[plant] if plant else None,
        )  # fmt: skip
    await connection.execute(
        "insert into public.enrollments (user_id, course_id) values ($1, $2)", person, cast.course["quiz"]
    )
    await connection.execute(
        "insert into public.question_events (user_id, course_id, section_key, question_key, response_meta)"
        """ values ($1, $2, 's', 'q', '{"choices": ["b"]}')""",
        person, cast.course["quiz"],
    )  # fmt: skip


async def _account_without_profile(connection: Connection, account: UUID) -> None:
    """An account whose profile is still to be made: it had no address when it was."""
    await connection.execute(
        "insert into auth.users (id, aud, role) values ($1, 'authenticated', 'authenticated')", account
    )
    await connection.execute(
        "update auth.users set email = $2, email_confirmed_at = now() where id = $1",
        account,
        f"{account}@example.com",
    )
