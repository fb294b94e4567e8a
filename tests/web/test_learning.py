"""What a learner's device asks for: answers that it kept, the record, where to go on, and everything compressed."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.web.served import Served
from tests.web.visiting import Tab, field, goes_to, is_page, visiting, words
from tests.world import World, right, wrong

COURSE = "/courses/function-specific-hazmat"
SOMEBODY_ELSE = "Somebody else is signed in on this device now."
BIG = "/static/vendor/pico.min.css"


def questions(world: World) -> list[tuple[str, str]]:
    return list(world.answers)


def kept(event: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An answer as a device keeps it."""
    return {"id": str(uuid4()), **event, "course_id": str(event["course_id"]), **more}


async def deliver(tab: Tab, body: object, token: str | None = None) -> httpx.Response:
    """As learn.js sends it."""
    if token is None:
        token = field(await tab.get("/login?again=yes"), "_csrf_token")
    headers = {"Content-Type": "application/json", "X-CSRFToken": token}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await tab.client.post("/answers", content=content, headers=headers)


async def recorded(served: Served) -> list[tuple[str, bool, int]]:
    """Every answer in the order of answering: question, right or not, which try."""
    told = await served.owner(
        "select jsonb_agg(jsonb_build_array(question_key, is_correct, attempt_index) order by answered_at)::text"
        " from question_events"
    )
    return [tuple(one) for one in json.loads(told or "[]")]


async def test_answers_are_graded_in_their_order_and_each_once(own: Served) -> None:
    learner = str(own.world.person["ana"])
    first, second = questions(own.world)[:2]
    given = [(wrong, first), (right, second), (right, first), (wrong, second)]
    began = datetime.now(UTC) - timedelta(hours=1)
    sent = [
        kept(make(own.world, *question), answered_at=(began + timedelta(minutes=place)).isoformat())
        for place, (make, question) in enumerate(given)
    ]
    async with visiting(own, "ana") as tab:
        body = {"learner": learner, "events": sent}
        answer = await deliver(tab, body)
        grades = [False, True, True, False]
        assert answer.status_code == 200
        assert answer.json() == [{"is_correct": one, "refusal": None} for one in grades]
        before = await recorded(own)
        assert before == [
            (first[1], False, 1), (second[1], True, 1), (first[1], True, 2), (second[1], False, 2),
        ]  # fmt: skip
        # The receipt was lost, so all of it comes again; and again with one id twice.
        for again, expected in ((sent, grades), ([sent[1], sent[1]], [True, True])):
            answer = await deliver(tab, body | {"events": again})
            assert [one["is_correct"] for one in answer.json()] == expected
            assert await recorded(own) == before


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"question_key": "withdrawn"}, 'no question "withdrawn"'), ({"course_id": str(uuid4())}, "no such course"),
    ({"response_meta": {"choices": ["nonsense"]}}, "choice"), ({"response_meta": {"choices": []}}, "at least one"),
    ({"answered_at": "2001-01-01T00:00:00Z"}, "30 days"), ({"id": "x"}, "could not be read"),
    ({"section_key": 1}, "could not be read"), ({"more": 1}, "could not be read"),
]  # fmt: skip


async def test_one_that_is_refused_holds_up_no_other(own: Served) -> None:
    first, second, third = questions(own.world)[:3]
    bad = [kept(right(own.world, *second)) | change for change, _ in REFUSED]
    events = [kept(right(own.world, *first)), {}, *bad, kept(wrong(own.world, *third))]
    async with visiting(own, "ana") as tab:
        answer = await deliver(tab, {"learner": str(own.world.person["ana"]), "events": events})
        assert answer.status_code == 200
        assert [one["is_correct"] for one in answer.json()] == [True, *[None] * len(events[2:]), False]
        told = [one["refusal"] for one in answer.json()]
        assert (told[0], told[-1]) == (None, None)
        for refusal, said in zip(
            told[1:-1], ["could not be read", *(said for _, said in REFUSED)], strict=True
        ):
            assert said in refusal
        assert {question for question, *_ in await recorded(own)} == {first[1], third[1]}


async def test_nobody_sends_for_somebody_else_or_for_nobody(own: Served) -> None:
    body = {
        "learner": str(own.world.person["ana"]),
        "events": [kept(right(own.world, *questions(own.world)[0]))],
    }
    async with visiting(own, "bo") as tab:
        answer = await deliver(tab, body)
        assert answer.status_code == 409
        assert SOMEBODY_ELSE in answer.text
    async with visiting(own) as tab:
        assert goes_to(await deliver(tab, body), "/login")
    async with visiting(own, "ana") as tab:
        assert (await deliver(tab, body, "")).status_code == 403
        assert (await deliver(tab, body, "0" * 128)).status_code == 403
    assert await recorded(own) == []


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff", b"{}", b'{"learner": 1, "events": [{}]}', b'{"learner": "x", "events": [{}]}',
     "nobody", "none", "not a list", "not objects", "501", "more"],
)  # fmt: skip
async def test_what_is_no_delivery_is_refused_whole(served: Served, body: bytes | str) -> None:
    learner, good = str(served.world.person["ana"]), kept(right(served.world, *questions(served.world)[0]))
    bodies: dict[str, Any] = {
        "nobody": {"events": [good]}, "none": {"learner": learner, "events": []},
        "not a list": {"learner": learner, "events": good}, "not objects": {"learner": learner, "events": [good, 1]},
        "501": {"learner": learner, "events": [good] * 501}, "more": {"learner": learner, "events": [good], "x": 1},
    }  # fmt: skip
    async with visiting(served, "ana") as tab:
        assert is_page(await deliver(tab, bodies[body] if isinstance(body, str) else body), 400)
    assert await recorded(served) == []


# ------------------------------------------------------------------------------------------------ record, resume


async def test_the_record_tells_of_each_course_what_was_done_in_it(own: Served) -> None:
    section, question = questions(own.world)[0]
    async with visiting(own, "cal") as tab:
        assert "You have no courses yet." in words(await tab.get("/record"))
    async with visiting(own, "ana") as tab:
        page = await tab.get("/record")
        assert is_page(page, 200)
        assert "Not yet; 0% done" in words(page)
        assert f'href="/people/{own.world.person["ana"]}/training"' in page.text
        for event in (wrong(own.world, section, question), right(own.world, section, question)):
            sent = [("choice", one) for one in event["response_meta"]["choices"]]
            await tab.send(f"{COURSE}/{section}/{question}", *sent, ("language", "es"))
        said = words(await tab.get("/record"))
        assert "Taken in Spanish Answers given 2 Right at the first try 0 of 1 questions" in said
        await own.owner(
            "update progress set progress_percent = 100 where course_id = $1", own.world.course["outside"]
        )
        assert "Outside Player" in words(await tab.get("/record"))
        assert words(await tab.get("/record")).count("Not yet;") == 1


async def test_a_course_is_taken_up_where_it_was_left(own: Served) -> None:
    sections = list(dict.fromkeys(section for section, _ in questions(own.world)))
    of_first = [question for section, question in questions(own.world) if section == sections[0]]
    async with visiting(own, "ana") as tab:
        first = (await tab.get(f"{COURSE}/resume")).headers["location"]
        assert is_page(await tab.get(first), 200)
        assert "#" not in first  # its text comes first
        for number, question in enumerate(of_first):
            choices = right(own.world, sections[0], question)["response_meta"]["choices"]
            await tab.send(f"{COURSE}/{sections[0]}/{question}", *(("choice", one) for one in choices))
            following = of_first[number + 1 :]
            where = (await tab.get(f"{COURSE}/resume")).headers["location"]
            if following:
                assert where == f"{COURSE}/{sections[0]}#{following[0]}"
        assert where.startswith(f"{COURSE}/")
        assert not where.startswith(f"{COURSE}/{sections[0]}")
    async with visiting(own, "cal") as tab:
        assert is_page(await tab.get(f"{COURSE}/resume"), 404)
        assert is_page(await tab.get("/courses/nowhere/resume"), 404)
    async with visiting(own) as tab:
        assert goes_to(await tab.get(f"{COURSE}/resume"), f"/login?next={COURSE}/resume")


# ------------------------------------------------------------------------------------------------ compression


@pytest.mark.parametrize(
    ("at", "asked", "compressed"),
    [(COURSE, "gzip", True), (COURSE, "br, gzip;q=0.5", True), (COURSE, "identity", False), (COURSE, "br", False),
     ("/login", "gzip", True), (BIG, "gzip", True), (BIG, "identity", False), ("/static/learn.js", "gzip", True),
     ("/export/training?person={ana}", "gzip", True), ("/static/icon.svg", "gzip", False),
     ("/api/v1/me", "gzip", False), ("/healthz", "gzip", False)],
)  # fmt: skip
async def test_pages_and_files_are_compressed_where_that_is_understood(
    served: Served, at: str, asked: str, compressed: bool
) -> None:
    async with visiting(served, None if at == "/login" else "ana") as tab:
        address = at.format(**served.world.person)
        answer = await tab.get(address, **{"accept-encoding": asked})
        assert answer.headers.get("content-encoding") == ("gzip" if compressed else None)
        plain = await tab.get(address, **{"accept-encoding": "identity"})
        assert len(plain.content) > 0
        if at.startswith("/static"):
            assert answer.content == plain.content
        if compressed:
            assert "accept-encoding" in answer.headers["vary"].lower()
            assert int(answer.headers.get("content-length", 0)) < len(
                plain.content
            )  # a stream says no length
