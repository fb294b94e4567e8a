"""The JSON door: every route of it, for who may and who may not."""

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from specchem.db.database import Database
from tests.conftest import Cluster
from tests.web.served import Served, is_problem, serving
from tests.world import right, wrong

ROUTES = """
    GET /api/v1/me                                   GET /api/v1/me/enrollments
    GET /api/v1/courses                              GET /api/v1/courses/{slug}
    POST /api/v1/enrollments                         PATCH /api/v1/enrollments/{enrollment}
    POST /api/v1/enrollments/{enrollment}/complete   PUT /api/v1/courses/{course}/progress
    GET /api/v1/users/{person}/enrollments           GET /api/v1/users/{person}/progress
    GET /api/v1/users/{person}/question-events       GET /api/v1/users/{person}/activity
    GET /api/v1/users/{person}/activity-summary      GET /api/v1/plants
    GET /api/v1/plants/{plant}/enrollments           GET /api/v1/plants/{plant}/progress
    POST /api/v1/question-events                     POST /api/v1/question-events/batch
    POST /api/v1/activity-events                     GET /api/v1/plants/{plant}/completion-rate
    GET /api/v1/plants/{plant}/progress-summary      GET /api/v1/plants/{plant}/courses/{course}/enrollment-stats
    GET /api/v1/plants/{plant}/courses/{course}/question-difficulty
    GET /api/v1/plants/{plant}/courses/{course}/most-missed
    GET /api/v1/reports/org-completion               POST /api/v1/profiles
    PATCH /api/v1/profiles/{person}                  GET /api/v1/users/{person}/roles
    POST /api/v1/users/{person}/roles                DELETE /api/v1/users/{person}/roles
    GET /api/v1/invitations                          POST /api/v1/invitations
    POST /api/v1/invitations/{invitation}/send       DELETE /api/v1/invitations/{invitation}
    GET /healthz
"""
OF_THE_SERVICE = {"POST /auth/v1/token", "GET /auth/v1/.well-known/jwks.json"}


async def test_every_route_is_described(served: Served) -> None:
    described = (await served.client.get("/api/openapi.json")).json()
    routes = {f"{method.upper()} {path}" for path, one in described["paths"].items() for method in one}
    assert set(re.findall(r"(?:GET|POST|PUT|PATCH|DELETE) \S+", ROUTES)) <= routes
    here = served.auth is served.client
    assert {one for one in routes if " /auth/" in one} == (OF_THE_SERVICE if here else set())
    assert described["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    open_to_all = {
        path
        for path, one in described["paths"].items()
        for way in one.values()
        if way.get("security") == [{}]
    }
    assert open_to_all == {"/healthz", *({one.split()[1] for one in OF_THE_SERVICE} if here else set())}
    assert not any(path.startswith(("/login", "/static")) for path in described["paths"])


OF_ANA = [
    "enrollments",
    "progress",
    "question-events",
    "activity",
    "activity-summary",
    "roles",
    "role-checks",
]
OF_COLUMBUS = """
    enrollments progress completion-rate progress-summary completion-rate?course_id={hazmat}
    courses/{hazmat}/enrollment-stats courses/{hazmat}/question-difficulty courses/{hazmat}/most-missed
    courses/{hazmat}/most-missed?limit=5 courses/{hazmat}/learners
""".split()  # noqa: SIM905  read by people


@pytest.mark.parametrize(
    "path", ["/users/{ana}", "/profiles/{ana}", *(f"/users/{{ana}}/{one}" for one in OF_ANA)]
)
@pytest.mark.parametrize(
    ("who", "status"),
    [("ana", 200), ("max", 200), ("hana", 200), ("hugo", 200), ("bo", 404), ("mia", 404), ("dev", 404),
     ("cal", 404), ("sue", 403), ("ina", 403), (None, 401)],
)  # fmt: skip
async def test_who_sees_a_person(served: Served, path: str, who: str | None, status: int) -> None:
    answer = await served.get(who, served.address(path))
    assert answer.status_code == status, answer.text
    assert status == 200 or is_problem(answer)


@pytest.mark.parametrize("path", OF_COLUMBUS)
@pytest.mark.parametrize(
    ("who", "status"),
    [("max", 200), ("hana", 200), ("hugo", 200), ("ana", 403), ("mia", 403), ("dev", 403), ("sam", 403),
     (None, 401)],
)  # fmt: skip
async def test_who_sees_a_plant(served: Served, path: str, who: str | None, status: int) -> None:
    answer = await served.get(who, served.address("/plants/{Columbus}/" + path))
    assert answer.status_code == status, answer.text
    assert status == 200 or is_problem(answer)


@pytest.mark.parametrize(
    "path", ["/me", "/me/enrollments", "/courses", "/courses/function-specific-hazmat", "/plants"]
)
@pytest.mark.parametrize(
    ("who", "status"),
    [("ana", 200), ("max", 200), ("hana", 200), ("dev", 200), ("sue", 403), ("ina", 403), (None, 401)],
)
async def test_what_everybody_sees(served: Served, path: str, who: str | None, status: int) -> None:
    answer = await served.get(who, served.address(path))
    assert answer.status_code == status, answer.text
    assert status == 200 or is_problem(answer)


@pytest.mark.parametrize(
    ("who", "plants"),
    [("hana", 7), ("hugo", 1), ("max", 1), ("mia", 2), ("ana", None), ("dev", None), (None, None)],
)
async def test_org_completion_shows_the_plants_one_looks_after(
    served: Served, who: str | None, plants: int | None
) -> None:
    answer = await served.get(who, "/api/v1/reports/org-completion")
    if plants is None:
        assert is_problem(answer, 403 if who else 401)
    else:
        assert len(answer.json()) == plants


@pytest.mark.parametrize(
    "path",
    ["/users/{0}/enrollments", "/users/{0}/progress", "/users/{0}/question-events", "/users/{0}/activity",
     "/users/{0}/activity-summary", "/users/{0}/roles", "/users/{0}", "/profiles/{0}", "/users/{0}/role-checks",
     "/plants/{0}/enrollments", "/plants/{0}/progress", "/plants/{0}/completion-rate", "/courses/{0}",
     "/plants/{0}/progress-summary", "/plants/{Columbus}/courses/{0}/enrollment-stats",
     "/plants/{Columbus}/courses/{0}/question-difficulty", "/plants/{Columbus}/courses/{0}/most-missed",
     "/plants/{Columbus}/courses/{0}/learners", "/plants/{Columbus}/completion-rate?course_id={0}",
     "/plants/{Columbus}/progress?course_id={0}", "/users/{ana}/question-events?course_id={0}"],
)  # fmt: skip
async def test_an_unknown_id_is_404_even_for_hr(served: Served, path: str) -> None:
    assert is_problem(await served.get("hana", served.address(path.replace("{0}", str(uuid4())))), 404)


async def test_a_draft_course_is_unknown_to_learners(served: Served) -> None:
    assert is_problem(await served.get("ana", "/api/v1/courses/draft"), 404)
    assert (await served.get("hana", "/api/v1/courses/draft")).status_code == 200
    listed = (await served.get("ana", "/api/v1/courses")).json()
    assert {course["slug"] for course in listed} == {"function-specific-hazmat", "outside"}


async def test_content_has_the_promised_shape_and_no_answer(served: Served) -> None:
    content = (await served.get("ana", "/api/v1/courses/function-specific-hazmat")).json()
    assert content.keys() == {"id", "slug", "title", "version", "language", "sections"}
    questions = [question for section in content["sections"] for question in section["questions"]]
    assert len(content["sections"]) >= 8
    assert len(questions) >= 40
    for section in content["sections"]:
        assert section.keys() == {"key", "title", "body", "questions"}
    for question in questions:
        assert question.keys() == {"key", "prompt", "multiple", "choices"}
        assert all(choice.keys() == {"key", "text"} for choice in question["choices"])


async def test_names_are_the_columns_numbers_are_numbers_and_times_have_a_zone(served: Served) -> None:
    enrolled = (await served.get("ana", "/api/v1/me/enrollments")).json()[0]
    columns = {
        "id",
        "user_id",
        "course_id",
        "plant_id",
        "status",
        "enrolled_at",
        "completed_at",
        "created_at",
    }
    assert columns <= enrolled.keys()
    assert type(enrolled["progress_percent"]) is int
    assert enrolled["completed_at"] is None
    assert datetime.fromisoformat(enrolled["enrolled_at"]).utcoffset() is not None
    stats = (
        await served.get("max", served.address("/plants/{Columbus}/courses/{hazmat}/enrollment-stats"))
    ).json()
    assert stats == {"total": 1, "completed": 0, "completion_rate": 0.0}  # sue is suspended
    for one in (await served.get("hana", "/api/v1/reports/org-completion")).json():
        assert all(isinstance(value, int | float) for name, value in one.items() if name != "plant")


async def take(served: Served, who: str, *, all_but: int = 0) -> list[dict[str, Any]]:
    """View what is to be viewed, and answer right, but for the last few questions."""
    for section in served.world.plain_sections:
        seen = {
            "course_id": str(served.world.course["hazmat"]), "event_type": "view_section",
            "meta": {"section_key": section},
        }  # fmt: skip
        assert (await served.post(who, "/api/v1/activity-events", seen)).status_code == 201
    questions = list(served.world.answers)
    events = [sendable(right(served.world, *key)) for key in questions[: len(questions) - all_but]]
    answer = await served.post(who, "/api/v1/question-events/batch", {"events": events})
    assert answer.status_code == 201, answer.text
    graded: list[dict[str, Any]] = answer.json()
    return graded


def sendable(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "course_id": str(event["course_id"])}


async def test_the_main_job_through_the_api_alone(own: Served) -> None:
    course = (await own.get("ana", "/api/v1/courses/function-specific-hazmat")).json()
    enrolled = next(
        one
        for one in (await own.get("ana", "/api/v1/me/enrollments")).json()
        if one["course_id"] == course["id"]
    )
    assert (enrolled["status"], enrolled["progress_percent"]) == ("enrolled", 0)
    last = list(own.world.answers)[-1]

    graded = await take(own, "ana", all_but=1)
    assert all(answer["is_correct"] and answer["evidence"] == "server_graded" for answer in graded)

    # Not without the last answer, by whatever door.
    early = [
        await own.ask("ana", "PATCH", f"/api/v1/enrollments/{enrolled['id']}", json={"status": "completed"}),
        await own.ask("ana", "POST", f"/api/v1/enrollments/{enrolled['id']}/complete"),
        await own.ask(
            "ana", "PUT", f"/api/v1/courses/{course['id']}/progress", json={"progress_percent": 100}
        ),
        await own.post(
            "ana", "/api/v1/activity-events", {"course_id": course["id"], "event_type": "complete_course"}
        ),
    ]
    title = next(one["title"] for one in course["sections"] if one["key"] == last[0])
    for answer in early:
        assert is_problem(answer, 409)
        assert title in answer.json()["detail"]

    first = (await own.post("ana", "/api/v1/question-events", sendable(wrong(own.world, *last)))).json()
    assert (first["is_correct"], first["attempt_index"]) == (False, 1)
    assert first["explanation"]
    assert first["citation"]
    second = (await own.post("ana", "/api/v1/question-events", sendable(right(own.world, *last)))).json()
    assert (second["is_correct"], second["attempt_index"]) == (True, 2)
    assert (second["explanation"], second["citation"]) == (first["explanation"], first["citation"])

    done = next(
        one
        for one in (await own.get("ana", "/api/v1/me/enrollments")).json()
        if one["course_id"] == course["id"]
    )
    assert (done["status"], done["progress_percent"]) == ("completed", 100)
    assert done["completed_at"] is not None
    again = await own.ask("ana", "POST", f"/api/v1/enrollments/{enrolled['id']}/complete")
    assert again.json()["completed_at"] == done["completed_at"]

    for who in ("max", "hana", "hugo"):
        learners = (await own.get(who, own.address("/plants/{Columbus}/courses/{hazmat}/learners"))).json()
        assert [(one["first_name"], one["status"], one["progress_percent"]) for one in learners] == [
            ("Ana", "completed", 100)
        ]
        rate = (
            await own.get(who, own.address("/plants/{Columbus}/completion-rate?course_id={hazmat}"))
        ).json()
        assert (rate["completed"], rate["completion_rate"]) == (1, 100.0)
        answers = (await own.get(who, own.address("/users/{ana}/question-events?limit=500"))).json()
        assert len(answers) == len(own.world.answers) + 1
    timeline = (await own.get("max", own.address("/users/{ana}/activity"))).json()
    assert {one["event_type"] for one in timeline} == {"view_section", "start_course", "complete_course"}
    summary = (await own.get("max", own.address("/users/{ana}/activity-summary"))).json()
    assert {one["activity"]["answers"] for one in summary} == {0, len(own.world.answers) + 1}
    hardest = (
        await own.get("max", own.address("/plants/{Columbus}/courses/{hazmat}/question-difficulty"))
    ).json()
    assert (hardest[0]["section_key"], hardest[0]["question_key"], hardest[0]["miss_rate"]) == (*last, 50.0)

    for path in ("/users/{ana}/progress", "/users/{ana}/question-events", "/users/{ana}/activity-summary"):
        assert is_problem(await own.get("mia", own.address(path)), 404)
    assert is_problem(await own.get("mia", own.address("/plants/{Columbus}/courses/{hazmat}/learners")), 403)
    of_mia = (await own.get("mia", "/api/v1/reports/org-completion")).json()
    assert [one["completed_enrollments"] for one in of_mia] == [0, 0]


@pytest.mark.parametrize(
    ("who", "whom", "status"),
    [("max", "cal", 201), ("hana", "cal", 201), ("hugo", "cal", 201), ("hana", "bo", 409), ("max", "bo", 404),
     ("mia", "cal", 404), ("ana", "cal", 404), ("cal", "cal", 403), ("dev", "cal", 404), ("max", "sue", 409)],
)  # fmt: skip
async def test_who_enrolls_whom(own: Served, who: str, whom: str, status: int) -> None:
    body = {"user_id": str(own.world.person[whom]), "course_id": str(own.world.course["hazmat"])}
    answer = await own.post(who, "/api/v1/enrollments", body)
    assert answer.status_code == status, answer.text
    if status == 201:
        assert answer.json()["status"] == "enrolled"
        assert is_problem(await own.post(who, "/api/v1/enrollments", body), 409)
    else:
        assert is_problem(answer)


async def test_sixteen_enrollments_at_once_are_one(own: Served) -> None:
    body = {"user_id": str(own.world.person["cal"]), "course_id": str(own.world.course["hazmat"])}
    await own.token("max")
    answers = await asyncio.gather(*(own.post("max", "/api/v1/enrollments", body) for _ in range(16)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 15
    assert all(is_problem(answer) for answer in answers if answer.status_code == 409)


async def test_marking_progress_in_an_outside_course(own: Served) -> None:
    path = own.address("/courses/{outside}/progress")
    marked = await own.ask("ana", "PUT", path, json={"progress_percent": 40, "current_section": "slides"})
    assert marked.json()["progress_percent"] == 40
    back = await own.ask("ana", "PUT", path, json={"progress_percent": 10})
    assert (back.json()["progress_percent"], back.json()["current_section"]) == (40, "slides")
    done = await own.ask("ana", "PUT", path, json={"progress_percent": 100})
    assert done.json()["progress_percent"] == 100
    assert is_problem(await own.ask("cal", "PUT", path, json={"progress_percent": 10}), 404)
    assert is_problem(await own.ask("max", "PUT", path, json={"progress_percent": 10}), 404)


async def test_only_the_learner_takes_a_course_forward(own: Served) -> None:
    listed = (await own.get("max", own.address("/users/{ana}/enrollments"))).json()
    mine = next(one["id"] for one in listed if one["slug"] == "outside")
    step = {"status": "in_progress"}
    assert is_problem(await own.ask("max", "PATCH", f"/api/v1/enrollments/{mine}", json=step), 403)
    assert is_problem(await own.ask("bo", "PATCH", f"/api/v1/enrollments/{mine}", json=step), 404)
    started = await own.ask("ana", "PATCH", f"/api/v1/enrollments/{mine}", json=step)
    assert started.json()["status"] == "in_progress"
    done = await own.ask("ana", "POST", f"/api/v1/enrollments/{mine}/complete")
    assert done.json()["status"] == "completed"
    assert is_problem(await own.ask("ana", "PATCH", f"/api/v1/enrollments/{mine}", json=step), 409)


async def test_a_batch_is_all_or_nothing_and_replayed_without_harm(own: Served) -> None:
    keys = list(own.world.answers)[:3]
    events = [{"id": str(uuid4()), **sendable(right(own.world, *key))} for key in keys]
    path, listed = "/api/v1/question-events/batch", own.address("/users/{ana}/question-events?limit=500")
    broken = {**sendable(right(own.world, *keys[0])), "response_meta": {"choices": ["no such choice"]}}
    assert is_problem(await own.post("ana", path, {"events": [*events, broken]}), 400)
    assert (await own.get("ana", listed)).json() == []

    first = (await own.post("ana", path, {"events": events})).json()
    assert [answer["id"] for answer in first] == [event["id"] for event in events]
    for _ in range(3):
        assert (await own.post("ana", path, {"events": events})).json() == first
    doubled = (await own.post("ana", path, {"events": [events[0], events[0]]})).json()
    assert doubled == [first[0], first[0]]
    assert len((await own.get("ana", listed)).json()) == 3

    other = {**events[0], "question_key": keys[1][1], "section_key": keys[1][0]}
    assert is_problem(await own.post("ana", path, {"events": [other]}), 409)
    # Another's id tells nothing and stores nothing.
    assert is_problem(await own.post("bo", path, {"events": [events[0]]}), 409)


@pytest.mark.parametrize(("count", "status"), [(0, 400), (1, 201), (500, 201), (501, 400)])
async def test_a_batch_holds_1_to_500(own: Served, count: int, status: int) -> None:
    key = next(iter(own.world.answers))
    events = [sendable(right(own.world, *key)) for _ in range(count)]
    answer = await own.post("ana", "/api/v1/question-events/batch", {"events": events})
    assert answer.status_code == status, answer.text[:500]
    if status == 201:
        assert [one["attempt_index"] for one in answer.json()] == list(range(1, count + 1))
    else:
        assert [one["field"] for one in answer.json()["errors"]] == ["events"]


async def test_the_largest_batch_with_all_its_extra_data_fits(own: Served) -> None:
    key = next(iter(own.world.answers))
    events = [sendable(right(own.world, *key)) for _ in range(500)]
    for event in events:
        event["response_meta"] = {**event["response_meta"], "note": "x" * 8100}
    assert (await own.post("ana", "/api/v1/question-events/batch", {"events": events})).status_code == 201


@pytest.mark.parametrize("who", ["bo", "cal"])
async def test_answers_are_ones_own(own: Served, who: str) -> None:
    """There is no field that names another person."""
    event = sendable(right(own.world, *next(iter(own.world.answers))))
    theirs = await own.post(
        who, "/api/v1/question-events", {**event, "user_id": str(own.world.person["ana"])}
    )
    assert is_problem(theirs, 400)
    assert [one["field"] for one in theirs.json()["errors"]] == ["user_id"]
    assert is_problem(await own.post("cal", "/api/v1/question-events", event), 409)  # not enrolled


async def test_people_and_their_plants(own: Served) -> None:
    for who, status in (("ana", 403), ("max", 403), ("dev", 404), ("mia", 404), ("hugo", 403)):
        answer = await own.ask(who, "PATCH", own.address("/profiles/{ana}"), json={"job_title": "Boss"})
        assert is_problem(answer, status)
    changed = await own.ask("hana", "PATCH", own.address("/profiles/{ana}"), json={"job_title": None})
    assert changed.json()["job_title"] is None
    moved = await own.ask(
        "hana",
        "PATCH",
        own.address("/profiles/{ana}"),
        json={"plant_id": str(own.world.plant["Phoenix, AZ"])},
    )
    assert moved.json()["plant_id"] == str(own.world.plant["Phoenix, AZ"])
    assert (await own.get("mia", own.address("/users/{ana}/enrollments"))).status_code == 200
    assert is_problem(await own.get("max", own.address("/users/{ana}/enrollments")), 404)

    new = {
        "id": str(own.world.person["nora"]), "plant_id": str(own.world.plant["Dallas, TX"]), "first_name": "Nora",
        "last_name": "New", "email": "nora@example.com",
    }  # fmt: skip
    assert is_problem(await own.post("max", "/api/v1/profiles", new), 403)
    made = await own.post("hana", "/api/v1/profiles", new)
    assert (made.status_code, made.json()["status"]) == (201, "active")
    assert is_problem(await own.post("hana", "/api/v1/profiles", new), 409)
    unknown = {**new, "id": str(uuid4()), "email": "nobody@example.com"}
    assert is_problem(await own.post("hana", "/api/v1/profiles", unknown), 404)


async def test_roles_are_granted_and_revoked(own: Served) -> None:
    path = own.address("/users/{cal}/roles")
    role = {"role": "plant_manager", "plant_id": str(own.world.plant["Columbus, OH"])}
    for who in ("cal", "max", "dev", "hugo"):
        assert is_problem(await own.post(who, path, role), 403)
    granted = await own.post("hana", path, role)
    assert granted.status_code == 201
    assert (await own.post("hana", path, role)).json() == granted.json()
    assert (await own.get("cal", path)).json() == [granted.json()]
    checks = (await own.get("cal", own.address("/users/{cal}/role-checks?plant_id={Columbus}"))).json()
    assert checks == {"is_admin": True, "is_plant_manager": True, "is_hr_admin": False}
    assert (await own.get("cal", own.address("/users/{ana}/enrollments"))).status_code == 200

    gone = f"{path}?role=plant_manager&plant_id={role['plant_id']}"
    assert is_problem(await own.ask("max", "DELETE", gone), 403)
    for _ in range(2):
        assert (await own.ask("hana", "DELETE", gone)).status_code == 204
    assert is_problem(await own.get("cal", own.address("/users/{ana}/enrollments")), 404)
    assert is_problem(await own.post("hana", path, {"role": "dev_admin"}), 403)
    assert is_problem(await own.post("hana", own.address("/users/{hana}/roles"), {"role": "hr_admin"}), 403)


async def test_suspension_and_a_closed_plant_hold_from_the_next_request_on(own: Served) -> None:
    assert (await own.get("ana", "/api/v1/me")).status_code == 200
    suspended = await own.ask("hana", "PATCH", own.address("/profiles/{ana}"), json={"status": "suspended"})
    assert suspended.json()["status"] == "suspended"
    event = sendable(right(own.world, *next(iter(own.world.answers))))
    for answer in (
        await own.get("ana", "/api/v1/me"),
        await own.get("ana", "/api/v1/courses"),
        await own.post("ana", "/api/v1/question-events", event),
    ):
        assert is_problem(answer, 403)
    assert (await own.get("bo", "/api/v1/me")).status_code == 200
    await own.owner("update plants set is_active = false where name = 'Phoenix, AZ'")
    assert is_problem(await own.get("bo", "/api/v1/me"), 403)


async def test_lists_come_in_pages(own: Served) -> None:
    key = next(iter(own.world.answers))
    now = datetime.now(UTC).isoformat()
    events = [{**sendable(right(own.world, *key)), "answered_at": now} for _ in range(7)]
    await own.post("ana", "/api/v1/question-events/batch", {"events": events})
    path = own.address("/users/{ana}/question-events")
    whole = (await own.get("ana", path)).json()
    paged = [
        row
        for offset in range(0, 8, 2)
        for row in (await own.get("ana", f"{path}?limit=2&offset={offset}")).json()
    ]
    assert paged == whole
    assert [row["attempt_index"] for row in whole] == [7, 6, 5, 4, 3, 2, 1]
    assert (await own.get("ana", f"{path}?offset=1000000")).json() == []


async def test_every_answer_says_what_the_browser_may_do(served: Served) -> None:
    for path in (
        "/api/v1/me",
        "/api/v1/nothing",
        "/healthz",
        "/api/openapi.json",
        "/auth/v1/.well-known/jwks.json",
    ):
        headers = (await served.client.get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert "no-store" in (await served.get("ana", "/api/v1/me")).headers["cache-control"]
    refused = await served.get(None, "/api/v1/me")
    assert refused.headers["www-authenticate"] == "Bearer"


async def test_a_cookie_opens_no_api(served: Served) -> None:
    """Else another site's form could."""
    cookies = "; ".join(
        f"{one.key}={one.value}" for one in served.cookies.write(await served.session("ana"), {})
    )
    assert is_problem(await served.ask(None, "GET", "/api/v1/me", headers={"Cookie": cookies}), 401)


async def test_health(own: Served) -> None:
    assert (await own.get(None, "/healthz")).json() == {"status": "ok"}
    await own.owner("update specchem.rules set hash = 'another release'")
    assert is_problem(await own.get(None, "/healthz"), 503)
    assert "specchem db upgrade" in (await own.get(None, "/healthz")).json()["detail"]


async def test_health_and_all_doors_while_the_database_is_away(
    cluster: Cluster, fresh: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    way = (
        tmp_path_factory.mktemp("way") / "s"
    )  # to the server's socket, whose path has 107 characters at most
    way.symlink_to(cluster.server.socket_dir)
    there, around = str(cluster.server.socket_dir), str(way)
    by_the_way = replace(fresh, api=fresh.api.replace(there, around), auth=fresh.auth.replace(there, around))
    async with serving(by_the_way, cluster.world) as own:
        await own.token("ana")
        way.unlink()
        await own.owner(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        event = sendable(right(own.world, *next(iter(own.world.answers))))
        for _ in range(3):
            for answer in (
                await own.get(None, "/healthz"),
                await own.get("ana", "/api/v1/me"),
                await own.post("ana", "/api/v1/question-events", event),
                await own.sign_in("bo"),
            ):
                assert is_problem(answer, 503)
                assert "specchem-test" not in answer.text
        way.symlink_to(cluster.server.socket_dir)
        assert (await own.get(None, "/healthz")).status_code == 200
        assert (await own.get("ana", "/api/v1/me")).status_code == 200
        assert (await own.sign_in("bo")).status_code == 200


async def test_every_operation_describes_how_it_refuses(served: Served) -> None:
    described = (await served.client.get("/api/openapi.json")).json()
    for path, ways in described["paths"].items():
        for operation in ways.values():
            refusals = {code: one for code, one in operation["responses"].items() if code >= "4"}
            assert refusals.keys() >= {"400", "404", "503"}, path
            for one in refusals.values():
                assert list(one["content"]) == ["application/problem+json"], path
    refused = (await served.client.get("/api/v1/me")).json()
    assert set(described["components"]["schemas"]["Problem"]["required"]) == refused.keys()
