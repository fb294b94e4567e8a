"""The pages: who may open which, what they tell and what they keep to themselves, and how they fail."""

import gc
import html
import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import httpx
import pytest

from specchem.web.headers import HEADERS
from tests.conftest import Cluster
from tests.web.served import PASSWORD, Served, serving
from tests.web.visiting import Tab, crumbs, field, goes_to, is_page, kept, visiting, words
from tests.world import PLANT_OF, World, right, wrong

HAZMAT = "/courses/function-specific-hazmat"


async def stored(served: Served) -> list[int]:
    """How many answers, views and sessions there are."""
    return [
        await served.owner(f"select count(*) from {table}")
        for table in ("question_events", "activity_events", "auth.sessions")
    ]


def first(world: World, *, single: bool = True) -> tuple[str, str]:
    """A question with one right choice, or with several; its section has none before it."""
    return next(one for one, correct in world.answers.items() if (len(correct) == 1) is single)


def choices(event: dict[str, Any]) -> list[tuple[str, str]]:
    return [("choice", one) for one in event["response_meta"]["choices"]]


# ------------------------------------------------------------------------------------------------ access

PAGES = {
    "home": "/", "course": HAZMAT, "section": f"{HAZMAT}/classification", "done": f"{HAZMAT}/done",
    "columbus": "/plants/{Columbus}", "phoenix": "/plants/{Phoenix}", "dallas": "/plants/{Dallas}",
    "closed": "/plants/{Closed}", "company": "/company", "anas": "/people/{ana}/training",
    "bos": "/people/{bo}/training",
}  # fmt: skip
COURSE = "course section done"
ALLOWED = {
    "ana": f"home {COURSE} anas", "bo": f"home {COURSE} bos", "cal": "home", "max": "home columbus company anas",
    "mia": "home phoenix dallas company bos", "hugo": "home columbus company anas",
    "hana": "home columbus phoenix dallas closed company anas bos", "dev": "home", "dora": "home",
    "sue": "", "sam": "", "ina": "", "nora": "",
}  # fmt: skip
INACTIVE = {"sue", "sam", "ina", "nora"}


def address(world: World, page: str) -> str:
    plants = {name.split(",")[0]: key for name, key in world.plant.items()}
    return PAGES[page].format(**plants, **world.person)


@pytest.mark.parametrize("who", ALLOWED)
async def test_who_may_open_which_page(served: Served, who: str) -> None:
    async with visiting(served, who) as tab:
        for page in PAGES:
            expected = 200
            if page not in ALLOWED[who].split():
                # A closed plant is there for HR and the dev admin alone.
                unknown = (
                    page in COURSE.split()
                    or page in {"anas", "bos"}
                    or (page == "closed" and not who.startswith("d"))
                )
                expected = 404 if unknown and who not in INACTIVE else 403
            answer = await tab.get(address(served.world, page))
            assert is_page(answer, expected), page
            if who in INACTIVE:
                assert "This account is not active. Ask your HR team." in words(answer)


@pytest.mark.parametrize("who", ALLOWED)
async def test_nobody_reads_the_names_of_another_plants_people(served: Served, who: str) -> None:
    plants = {
        "max": {"Columbus, OH"}, "hugo": {"Columbus, OH"}, "mia": {"Phoenix, AZ", "Dallas, TX"},
        "hana": set(served.world.plant),
    }.get(who, set())  # fmt: skip
    seen = {name for name, plant in PLANT_OF.items() if plant in plants} | {who}
    async with visiting(served, who) as tab:
        for page in PAGES:
            shown = (await tab.get(address(served.world, page))).text
            for name in PLANT_OF:
                assert name in seen or f"{name.capitalize()} Test" not in shown, f"{name} at {page}"
                assert f"{name}@" not in shown, f"{name}'s address at {page}"
            if who not in {"hana", "mia"}:
                assert "Dallas" not in shown
            if who in {"ana", "cal", "dev"}:
                assert "Phoenix" not in shown


@pytest.mark.parametrize("who", [who for who, pages in ALLOWED.items() if pages])
async def test_the_menu_leads_nowhere_one_may_not_go(served: Served, who: str) -> None:
    async with visiting(served, who) as tab:
        menu = (await tab.get("/")).text.partition('class="menu"')[2].partition("</ul>")[0]
        links = re.findall(r'href="([^"]+)"', menu)
        plants = {
            f"/plants/{served.world.plant[plant]}" for plant in ("Columbus, OH", "Phoenix, AZ", "Dallas, TX")
        }
        expected = {
            "max": {f"/plants/{served.world.plant['Columbus, OH']}"},
            "hugo": {f"/plants/{served.world.plant['Columbus, OH']}"},
            "mia": plants - {f"/plants/{served.world.plant['Columbus, OH']}"} | {"/company"},
            "hana": {"/company"},
        }.get(who, set())  # fmt: skip
        inviting = {"/invitations", "/people"} if expected else set()  # whoever looks after people
        keeping = {
            f"/admin/{what}" for what in ("plants", "courses", "system")
            if who in {"dev", "dora"} or (who == "hana" and what != "system")
        }  # fmt: skip
        assert set(links) == expected | inviting | keeping | {"/", "/account"}
        for link in links:
            assert is_page(await tab.get(link), 200)


async def test_hr_reaches_every_plant_from_the_company(served: Served) -> None:
    async with visiting(served, "hana") as tab:
        page = await tab.get("/company")
        for name, key in served.world.plant.items():
            assert name in page.text
            assert f'href="/plants/{key}"' in page.text


@pytest.mark.parametrize("page", PAGES)
async def test_who_is_not_signed_in_comes_back_after_it(served: Served, page: str) -> None:
    going = address(served.world, page)
    async with visiting(served) as tab:
        answer = await tab.get(going)
        assert goes_to(answer, "/login" if going == "/" else f"/login?next={going}")
        form = await tab.get(answer.headers["location"])
        assert is_page(form, 200)
        tab.csrf = field(form, "_csrf_token")
        assert goes_to(await tab.sign_in("ana", ("next", field(form, "next"))), going)
        assert (await tab.get("/")).status_code == 200


async def test_a_deep_link_keeps_its_question_mark(served: Served) -> None:
    going = f"/plants/{served.world.plant['Columbus, OH']}?course_id={served.world.course['hazmat']}&offset=0"
    async with visiting(served) as tab:
        form = await tab.get((await tab.get(going)).headers["location"])
        back = html.unescape(field(form, "next"))
        assert back == going
        assert goes_to(await tab.sign_in("max", ("next", back)), going)
        assert is_page(await tab.get(going), 200)


@pytest.mark.parametrize(
    "next_", ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
              " //evil.example", "/\t/evil.example", "/\r\nSet-Cookie: a=b", "evil.example", "", "\0"],
)  # fmt: skip
async def test_after_sign_in_nobody_is_sent_to_another_site(served: Served, next_: str) -> None:
    async with visiting(served) as tab:
        form = await tab.get(f"/login?{urlencode({'next': next_})}")
        assert field(form, "next") == "/"
        answer = await tab.sign_in("ana", ("next", next_))
        assert goes_to(answer, "/")
        assert kept(served, answer)
        assert served.cookies.present(crumbs(answer)) == list(crumbs(answer))
        refused = await tab.sign_in("ana", ("next", next_), password="wrong")
        assert field(refused, "next") == "/"


@pytest.mark.parametrize("next_", ["/ä", "/日本", "/a b", '/"><script>alert(1)</script>', "/x?a=1&b=ü#c"])
async def test_a_page_of_ours_is_found_again_whatever_its_letters(served: Served, next_: str) -> None:
    async with visiting(served) as tab:
        form = await tab.get(f"/login?{urlencode({'next': next_})}")
        assert "<script>alert" not in form.text
        assert html.unescape(field(form, "next")) == next_
        answer = await tab.sign_in("ana", ("next", next_))
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/")
        answer.headers["location"].encode("ascii")


async def test_a_form_sent_without_a_session_leads_back_to_its_page(served: Served) -> None:
    section, question = first(served.world)
    page = f"{HAZMAT}/{section}"
    async with visiting(served) as tab:
        for more in ({}, {"hx-request": "true"}):
            answer = await tab.send(
                f"{page}/{question}", ("choice", "a"), referer=f"http://test{page}#x", **more
            )
            assert answer.headers.get("hx-redirect", answer.headers.get("location")) == f"/login?next={page}"
        for referer in ("http://evil.example//evil.example", "http://test/login", "nonsense", ""):
            assert goes_to(await tab.send(f"{page}/{question}", referer=referer), "/login")


# ------------------------------------------------------------------------------------------------ answers


async def explanations(served: Served) -> dict[str, str]:
    """Every explanation of the course, by ``section/question``."""
    found: dict[str, str] = json.loads(
        await served.owner(
            "select jsonb_object_agg(section_key || '/' || question_key, explanation)::text from answer_keys"
        )
    )
    return found


async def test_no_page_tells_an_answer_before_it_is_given(served: Served) -> None:
    secrets = await explanations(served)
    sections = sorted({section for section, _ in served.world.answers} | set(served.world.plain_sections))
    assert (len(secrets), len(sections)) >= (40, 8)
    async with visiting(served, "ana") as tab:
        for at in ["/", HAZMAT, f"{HAZMAT}/done", *(f"{HAZMAT}/{section}" for section in sections)]:
            page = await tab.get(at)
            text = html.unescape(page.text)
            assert page.status_code == 200
            assert [key for key, one in secrets.items() if one in text] == []
            # Every choice looks like its neighbours, but for its key and its words.
            shown = re.sub(
                r"<template.*?</template>", "", text, flags=re.DOTALL
            )  # held for a lost connection
            forms = re.findall(r'<article id="[^"]+" class="question.*?</article>', shown, re.DOTALL)
            assert len(forms) == sum(at == f"{HAZMAT}/{section}" for section, _ in served.world.answers)
            for form in forms:
                plain = re.sub(r'value="[^"]*"', "", form)
                assert len(set(re.findall(r"<label[^>]*>\s*<input [^>]*>\s*<span[^>]*>", plain))) == 1
                assert not re.search(r"<input[^>]*\bchecked", form)


async def test_an_explanation_is_told_for_the_question_that_was_answered_alone(own: Served) -> None:
    section, question = first(own.world)
    at = f"{HAZMAT}/{section}"
    async with visiting(own, "ana") as tab:
        answer = await tab.send(f"{at}/{question}", *choices(wrong(own.world, section, question)))
        assert goes_to(answer, f"{at}#{question}")
        text = html.unescape((await tab.get(at)).text)
        assert "Not right yet. Read why, then try again." in text
        told = {key for key, one in (await explanations(own)).items() if one in text}
        assert told == {f"{section}/{question}"}


# ------------------------------------------------------------------------------------------------ forged forms


ABOUT_SIGNING_IN = {
    "/login": [("email", "ana@example.com"), ("password", PASSWORD)],
    "/logout": [],
    "/language": [("language", "es")],
    "/forgot-password": [("email", "ana@example.com")],
    "/auth/confirm": [("type", "recovery"), ("token_hash", "0" * 56)],
    "/password": [("current", PASSWORD), ("password", PASSWORD + "!"), ("again", PASSWORD + "!")],
    "/account/sign-out-everywhere": [],
    "/two-factor": [("code", "123456")],
    "/two-factor/set-up": [],
    "/two-factor/confirm": [("factor", str(UUID(int=1))), ("code", "123456")],
    "/two-factor/remove": [("code", "123456")],
}


def forms(world: World) -> dict[str, list[tuple[str, str]]]:
    """Every form of the pages, filled in so that it would do something."""
    section, question = first(world)
    return {
        **ABOUT_SIGNING_IN,
        "/language": [("language", "es")],
        f"{HAZMAT}/{section}/{question}": choices(right(world, section, question)),
        f"{HAZMAT}/{world.plain_sections[0]}/continue": [],
        "/answers": [],
        "/invitations": [("emails", "new@example.com"), ("plant_id", str(world.plant["Columbus, OH"]))],
        f"/invitations/{UUID(int=1)}/send": [],
        "/invitations/send-waiting": [],
        f"/people/{world.person['cal']}": [("first_name", "X"), ("last_name", "Y")],
        f"/people/{world.person['cal']}/plant": [("plant_id", str(world.plant["Phoenix, AZ"]))],
        f"/people/{world.person['cal']}/status": [("status", "suspended")],
        f"/people/{world.person['cal']}/roles": [("role", "hr_admin")],
        f"/people/{world.person['max']}/roles/revoke": [("role", "plant_manager")],
        "/people/enroll": [("person", str(world.person["cal"])), ("course_id", str(world.course["hazmat"]))],
        "/people/import": [],
        f"/people/import/{UUID(int=1)}": [],
        f"/invitations/{UUID(int=1)}/revoke": [],
        "/admin/courses/load": [],
        f"/admin/courses/{world.course['draft']}/publish": [],
        f"/admin/courses/{world.course['hazmat']}/withdraw": [],
        "/admin/plants": [("name", "New"), ("timezone", "UTC")],
        f"/admin/plants/{world.plant['Denver, CO']}": [("name", "New"), ("timezone", "UTC")],
        f"/admin/plants/{world.plant['Denver, CO']}/close": [],
        f"/admin/plants/{world.plant['Closed, NV']}/open": [],
    }


async def test_every_form_is_known_here(served: Served) -> None:
    posts = {
        route.path
        for route in served.app.routes
        if "POST" in getattr(route, "methods", ()) and not route.path.startswith(("/api", "/auth/v1"))
    }
    assert posts == {
        *ABOUT_SIGNING_IN, "/language", "/courses/{slug:str}/{section:str}/continue",
        "/courses/{slug:str}/{section:str}/{question:str}",
        "/people/{person:uuid}", "/people/{person:uuid}/plant", "/people/{person:uuid}/status",
        "/people/{person:uuid}/roles", "/people/{person:uuid}/roles/revoke", "/people/enroll", "/people/import",
        "/people/import/{kept:uuid}", "/answers", "/invitations/send-waiting",
        "/invitations", "/invitations/{invitation:uuid}/send", "/invitations/{invitation:uuid}/revoke",
        "/admin/courses/load", "/admin/courses/{course:uuid}/publish", "/admin/courses/{course:uuid}/withdraw",
        "/admin/plants", "/admin/plants/{plant:uuid}", "/admin/plants/{plant:uuid}/close",
        "/admin/plants/{plant:uuid}/open",
    }  # fmt: skip


TOKENS = {
    "none": None, "empty": "", "short": "abc", "made up": "0" * 128, "foreign letters": "é" * 128, "NUL": "\0" * 128,
    "another visitor's": "another", "a field too many": "twice",
}  # fmt: skip


@pytest.mark.parametrize("kind", TOKENS)
async def test_a_form_without_its_token_does_nothing(own: Served, kind: str) -> None:
    before = await stored(own)
    async with visiting(own, "ana") as tab, visiting(own) as other:
        mine = field(await tab.get("/login?again=yes"), "_csrf_token")
        token = TOKENS[kind]
        if kind == "another visitor's":
            token = field(await other.get("/login"), "_csrf_token")
        if kind == "a field too many":
            token = f"{mine},{mine}"
        fields = [] if token is None else [("_csrf_token", token)]
        for path, more in forms(own.world).items():
            for headers in ({}, {"origin": "http://test"}, {"hx-request": "true"}):
                answer = await tab.raw(path, *fields, *more, **headers)
                assert answer.status_code == 403, answer.text
                assert "The form is too old. Go back, reload the page and try again." in answer.text
                assert not answer.headers.get_list("set-cookie")
                assert headers.get("hx-request") or is_page(answer, 403)
        assert len(await stored(own)) == 3
        assert [x - y for x, y in zip(await stored(own), before, strict=True)] == [
            0,
            0,
            1,
        ]  # ana's own session
        assert (await tab.get("/")).status_code == 200  # and she is still signed in


@pytest.mark.filterwarnings("ignore:Exception ignored in.*SpooledTemporaryFile")
@pytest.mark.parametrize("token", ["é" * 128, None], ids=["foreign letters", "a file"])
async def test_a_token_that_is_no_text_of_ours_is_refused_like_any_other(
    served: Served, token: str | None
) -> None:
    async with visiting(served) as tab:
        await tab.get("/login")
        if token is None:
            answer = await tab.client.post("/login", files={"_csrf_token": ("a", b"0" * 128)})
            gc.collect()  # Litestar leaves the file to it
        else:
            answer = await tab.client.post("/login", headers={b"x-csrftoken": token.encode("latin-1")})
        assert is_page(answer, 403)


async def test_a_token_without_its_cookie_does_nothing(served: Served) -> None:
    async with visiting(served) as tab, visiting(served) as thief:
        token = field(await tab.get("/login"), "_csrf_token")
        thief.csrf = token
        assert is_page(await thief.sign_in("ana"), 403)
        assert thief.session is None


BROKEN_FORMS = {
    "multipart without an end": (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
    "multipart without a boundary": (b"--x", "multipart/form-data"),
    "too many parts": (b"".join(b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' for _ in range(3000))
                       + b"--x--\r\n", "multipart/form-data; boundary=x"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN_FORMS)
async def test_a_form_that_cannot_be_read_is_refused_in_a_persons_words(served: Served, kind: str) -> None:
    body, content_type = BROKEN_FORMS[kind]
    async with visiting(served) as tab:
        token = field(await tab.get("/login"), "_csrf_token")
        for headers in ({}, {"x-csrftoken": token}):
            answer = await tab.client.post(
                "/login", content=body, headers={"content-type": content_type, **headers}
            )
            assert is_page(answer, 400)
            assert "JSON" not in answer.text


async def test_what_nobody_types_into_the_sign_in_form_is_a_wrong_password(served: Served) -> None:
    async with visiting(served) as tab:
        token = field(await tab.get("/login"), "_csrf_token")
        for body in ("email=%ff%fe&password=x", "email=%ed%a0%80&password=%ed%a0%80", "email=a%00b&password=%00",
                     "", "email=a&email=b", "password=" + "x" * 5000, "email=" + "x" * 5000, "next=%ed%a0%80",
                     "email=ana@example.com&password=" + "%F0%9F%98%80" * 300):  # fmt: skip
            answer = await tab.client.post(
                "/login", content=f"_csrf_token={token}&{body}",
                headers={"content-type": "application/x-www-form-urlencoded"},
            )  # fmt: skip
            assert is_page(answer, 400)
            assert "E-mail address and password do not go together." in words(answer)
        answer = await tab.raw(
            "/login", ("_csrf_token", token), ("email", '"><script>x</script>'), ("password", "x")
        )
        assert is_page(answer, 400)
        assert "<script>x" not in answer.text
        assert html.unescape(field(answer, "email")) == '"><script>x</script>'


# ------------------------------------------------------------------------------------------------ sessions


async def test_a_wrong_password_says_so_and_keeps_the_address(own: Served) -> None:
    async with visiting(own) as tab:
        answer = await tab.sign_in("ana", ("next", HAZMAT), password="wrong password")
        assert is_page(answer, 400)
        assert "E-mail address and password do not go together. Please try again." in words(answer)
        assert field(answer, "email") == "ana@example.com"
        assert field(answer, "next") == HAZMAT
        assert "wrong password" not in answer.text
        assert await own.owner("select count(*) from auth.sessions") == 0
        await own.owner(
            "update auth.users set banned_until = now() + interval '1 day' where email = 'ana@example.com'"
        )
        assert "This account is closed. Ask your HR team." in words(await tab.sign_in("ana"))


# ------------------------------------------------------------------------------------------------ the player


async def test_nothing_chosen_is_no_answer(own: Served) -> None:
    async with visiting(own, "ana") as tab:
        for section, question in (first(own.world), first(own.world, single=False)):
            at = f"{HAZMAT}/{section}/{question}"
            answer = await tab.send(at)
            assert is_page(answer, 400)
            assert words(answer).count("Choose an answer first.") == 1
            part = await tab.send(at, **{"hx-request": "true"})
            assert part.status_code == 400
            assert "Choose an answer first." in part.text
            assert "hx-reswap" not in part.headers
        assert (await stored(own))[:2] == [0, 0]


async def test_a_form_sent_twice_is_recorded_once(own: Served) -> None:
    section, question = first(own.world)
    at = f"{HAZMAT}/{section}"
    async with visiting(own, "ana") as tab:
        page = await tab.get(at)
        card = page.text.partition(f'<article id="{question}"')[2].partition("</article>")[0]
        event = field(card, "event_id")
        sent = [("event_id", event), *choices(wrong(own.world, section, question))]
        for _ in range(3):
            assert goes_to(await tab.send(f"{at}/{question}", *sent), f"{at}#{question}")
        assert (await stored(own))[0] == 1
        again = (await tab.get(at)).text.partition(f'<article id="{question}"')[2]
        assert event not in again  # the next try is another event


async def test_an_answer_changed_after_the_first_was_lost_on_its_way_shows_what_is_recorded(
    own: Served,
) -> None:
    section, question = first(own.world)
    at = f"{HAZMAT}/{section}/{question}"
    event = str(uuid4())
    async with visiting(own, "ana") as tab:
        await tab.send(at, ("event_id", event), *choices(wrong(own.world, section, question)))
        for headers in ({}, {"hx-request": "true"}):
            answer = await tab.send(
                at, ("event_id", event), *choices(right(own.world, section, question)), **headers
            )
            assert answer.status_code == 409
            assert "This form was sent before, and what is recorded is shown here." in answer.text
            assert event not in answer.text
            assert "checked" in answer.text
        fresh = field(answer, "event_id")
        answer = await tab.send(
            at, ("event_id", fresh), *choices(right(own.world, section, question)), **{"hx-request": "true"}
        )
        assert answer.status_code == 200
        assert "Right." in answer.text


async def test_a_forged_answer_is_refused_with_a_sentence(own: Served) -> None:
    section, question = first(own.world)
    other = next(one for at, one in own.world.answers if at == section and one != question)
    elsewhere = next(one for one in own.world.answers if one[0] != section)
    at = f"{HAZMAT}/{section}/{question}"
    good = choices(right(own.world, section, question))
    async with visiting(own, "bo") as tab:
        event = str(uuid4())
        await tab.send(at, ("event_id", event), *good)
    before = await stored(own)
    async with visiting(own, "ana") as tab:
        for path, fields, status, sentence in [
            (at, [("event_id", "1"), *good], 400, "The form could not be read; reload the page and try again."),
            (at, [("event_id", "\0"), *good], 400, "The form could not be read; reload the page and try again."),
            (at, [("event_id", event), *good], 409, "This form was sent before"),
            (at, [("choice", "nope")], 400, "The question has no such choice."),
            (at, [("choice", "A")], 400, "The question has no such choice."),
            (at, [("choice", "a"), ("choice", "b")], 400, "This question takes one answer."),
            (at, [("choice", "a"), ("choice", "a")], 400, "Each choice at most once."),
            (at, [("choice", "")], 400, "The question has no such choice."),
            (at, [("choice", "\0")], 400, "Please check response_meta."),
            (at, [("choice", "x" * 9000)], 400, "Please check response_meta."),
            (at, [("choice", "a")] * 3000, 400, ""),
            (f"{HAZMAT}/{section}/{elsewhere[1]}", good, 404, "This section has no such question."),
            (f"{HAZMAT}/{elsewhere[0]}/{question}", good, 404, "This section has no such question."),
            (f"{HAZMAT}/{section}/nope", good, 404, "This section has no such question."),
            (f"{HAZMAT}/nope/{question}", good, 404, "This course has no such section."),
            (f"{HAZMAT}/nope/continue", [], 404, "This course has no such section."),
            (f"/courses/nope/{section}/{question}", good, 404, "There is no such course."),
            (f"/courses/draft/{section}/continue", [], 404, "There is no such course."),
            (f"/courses/outside/{section}/{question}", good, 404, "This course has no such section."),
            ("/courses/outside/anything/continue", [], 404, "This course has no such section."),
        ]:  # fmt: skip
            answer = await tab.send(path, *fields)
            assert is_page(answer, status), (path, fields[:2])
            assert sentence in words(answer), (path, fields[:2])
        assert other != question
    assert [x - y for x, y in zip(await stored(own), before, strict=True)] == [0, 0, 1]


async def test_htmx_gets_the_question_and_what_moves_with_it_and_nothing_else(own: Served) -> None:
    section, question = first(own.world)
    at = f"{HAZMAT}/{section}/{question}"
    async with visiting(own, "ana") as tab:
        sent = choices(right(own.world, section, question))
        part = await tab.send(at, *sent, **{"hx-request": "true"})
        assert part.status_code == 200
        assert part.text.count("<article") == 1
        assert f'id="{question}"' in part.text
        assert "<html" not in part.text
        assert "<h1" not in part.text
        moved = set(re.findall(r'^<\w+ id="(\w+)"', part.text, re.MULTILINE))
        assert moved == {"progress", "map", "steps", "onward"}
        assert "Right." in part.text
        assert "disabled" in part.text
        assert 'type="submit"' not in part.text.partition("</article>")[0]
        percent = await own.owner("select progress_percent from progress where user_id = $1 and course_id = $2",
                                  own.world.person["ana"], own.world.course["hazmat"])  # fmt: skip
        assert f"{percent}% done" in part.text
        page = await tab.get(f"{HAZMAT}/{section}")
        assert 'hx-swap-oob="true"' not in page.text


async def test_what_htmx_cannot_swap_in_is_said_above_the_page(own: Served) -> None:
    section, question = first(own.world)
    async with visiting(own, "ana") as tab:
        answer = await tab.send(f"{HAZMAT}/{section}/nope", ("choice", "a"), **{"hx-request": "true"})
        assert answer.status_code == 404
        assert answer.headers["hx-reswap"] == "none"
        assert re.findall(r'<p id="refused"[^>]*hx-swap-oob="true">([^<]+)</p>', answer.text) == [
            "This section has no such question."
        ]
        assert "<html" not in answer.text
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert 'id="refused"' in (await tab.get(f"{HAZMAT}/{section}")).text
        assert question


async def take(tab: Tab, world: World, section: str) -> None:
    """Do a whole section."""
    for at, question in world.answers:
        if at == section:
            await tab.send(f"{HAZMAT}/{section}/{question}", *choices(right(world, section, question)))


async def test_the_way_through_the_course(own: Served) -> None:
    world = own.world
    async with visiting(own, "ana") as tab:
        home = await tab.get("/")
        assert f'href="{HAZMAT}"' in home.text
        page = await tab.get(HAZMAT)
        order = re.findall(rf'href="{HAZMAT}/([\w-]+)"', page.text.partition('id="map"')[2])
        assert set(order) == {section for section, _ in world.answers} | set(world.plain_sections)
        button = re.compile(r'<a role="button" href="([^"]+)"')

        # Nothing is done: start with the first, and the end says what is open.
        onwards = [f"{HAZMAT}/resume"]
        assert button.findall(page.text) == onwards
        assert goes_to(await tab.get(onwards[0]), f"{HAZMAT}/{order[0]}")
        done = await tab.get(f"{HAZMAT}/done")
        assert "Not done yet" in words(done)
        assert button.findall(done.text) == [f"{HAZMAT}/{order[0]}"]

        # Continue marks a section without questions viewed, and one with questions not.
        assert order[0] in world.plain_sections
        assert goes_to(await tab.send(f"{HAZMAT}/{order[0]}/continue"), f"{HAZMAT}/{order[1]}")
        assert goes_to(await tab.send(f"{HAZMAT}/{order[1]}/continue"), f"{HAZMAT}/{order[2]}")
        page = await tab.get(HAZMAT)
        marks = [one.partition("</a>")[0] for one in page.text.partition('id="map"')[2].split("<a ")[1:]]
        assert [", done<" in one for one in marks] == [True] + [False] * (len(order) - 1)
        assert [", open<" in one for one in marks] == [False] + [True] * (len(order) - 1)
        assert button.findall(page.text) == onwards
        assert goes_to(await tab.get(onwards[0]), f"{HAZMAT}/{order[1]}")
        assert "Continue where you were" in words(page)

        # The last section done first: from there one goes round to the first that is open.
        await take(tab, world, order[-1])
        assert goes_to(await tab.send(f"{HAZMAT}/{order[-1]}/continue"), f"{HAZMAT}/{order[1]}")
        for section in order[1:-1]:
            await take(tab, world, section)
            if section in world.plain_sections:
                await tab.send(f"{HAZMAT}/{section}/continue")
        assert goes_to(await tab.send(f"{HAZMAT}/{order[-1]}/continue"), f"{HAZMAT}/done")
        done = await tab.get(f"{HAZMAT}/done")
        assert words(done).startswith("✓ Completed Ana Test completed Function-Specific HazMat Training")
        assert "100%" in (await tab.get(HAZMAT)).text
        listed = words(await tab.get("/"))
        assert "Completed" in listed
        assert "Start Function" not in listed

        # Read again and answered again, it stays completed.
        section, question = first(world)
        await tab.send(f"{HAZMAT}/{section}/{question}", *choices(wrong(world, section, question)))
        assert "Not right yet" not in words(await tab.get(f"{HAZMAT}/{section}"))
        assert "Completed" in words(await tab.get(f"{HAZMAT}/done"))


async def test_a_course_without_content_says_where_it_is_taken(own: Served) -> None:
    async with visiting(own, "ana") as tab:
        for at in ("/courses/outside", "/courses/outside/done"):
            page = await tab.get(at)
            assert is_page(page, 200)
            assert "This course is taken outside of these pages" in words(page)
            assert "still open" not in words(page)
            assert 'role="button"' not in page.text
        assert is_page(await tab.get("/courses/outside/anything"), 404)
        await own.owner(
            "update progress set progress_percent = 100 where user_id = $1 and course_id = $2",
            own.world.person["ana"], own.world.course["outside"],
        )  # fmt: skip
        assert "Completed" in words(await tab.get("/courses/outside/done"))


async def test_a_withdrawn_course_stays_on_the_list_and_cannot_be_opened(own: Served) -> None:
    section, question = first(own.world)
    await own.owner("update courses set is_published = false")
    async with visiting(own, "ana") as tab:
        home = await tab.get("/")
        assert is_page(home, 200)
        assert "A course that is withdrawn" in words(home)
        assert "/courses/" not in home.text
        for at in (HAZMAT, f"{HAZMAT}/{section}", f"{HAZMAT}/done"):
            assert is_page(await tab.get(at), 404)
        answer = await tab.send(
            f"{HAZMAT}/{section}/{question}", *choices(right(own.world, section, question))
        )
        assert is_page(answer, 404)
        assert (await stored(own))[:2] == [0, 0]
    async with visiting(own, "max") as tab:
        page = await tab.get(f"/plants/{own.world.plant['Columbus, OH']}")
        assert "Nobody of this plant is enrolled in a course that is offered now." in words(page)


@pytest.mark.parametrize(
    "slug", ["nope", "%00", "%ff", "a%2fb", "..%2f..", "%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "x" * 3000,
             "%F0%9F%98%80"],
)  # fmt: skip
async def test_what_is_no_course_or_section_is_a_page_that_says_so(served: Served, slug: str) -> None:
    async with visiting(served, "ana") as tab:
        for at in (
            f"/courses/{slug}",
            f"/courses/{slug}/done",
            f"{HAZMAT}/{slug}",
            f"/{slug}",
            f"/plants/{slug}",
        ):
            answer = await tab.get(at)
            assert is_page(answer, answer.status_code)
            assert answer.status_code in {400, 404, 405}, at
            assert "<script>alert" not in answer.text


EVIL = """<script>alert(1)</script>"'><img src=x onerror=alert(1)>{{ 7*7 }}&amp;"""
MARKDOWN = """# Heading

<script>alert(1)</script> <img src=x onerror=alert(1)> <b onclick="x">bold</b>

[run](javascript:alert(1)) [data](data:text/html,<script>alert(1)</script>) ![x](javascript:alert(1)) **strong**

<div hx-get="/logout" hx-trigger="load">

| a | b |
|---|---|
| <script>alert(1)</script> | 2 |
"""


async def evil_course(served: Served) -> UUID:
    """A course whose every text tries to be more than text, and a person like it."""
    course: UUID = await served.owner(
        "insert into courses (slug, title, is_published, version) values ('evil', $1, true, $1) returning id",
        EVIL,
    )
    await served.owner("insert into sections values ($1, 'evil', 1, $2, $3)", course, EVIL, MARKDOWN)
    await served.owner("insert into questions values ($1, 'evil', 'evil', 1, $2, true)", course, EVIL)
    for position, key in enumerate((EVIL, "b")):
        await served.owner(
            "insert into question_choices values ($1, 'evil', 'evil', $2, $3, $4)",
            course,
            key,
            position,
            EVIL,
        )
    await served.owner(
        "insert into answer_keys values ($1, 'evil', 'evil', $2, $3, $3)", course, [EVIL], EVIL
    )
    await served.owner(
        "update profiles set first_name = $2, last_name = $2, job_title = $2 where id = $1",
        served.world.person["ana"], EVIL,
    )  # fmt: skip
    await served.owner("update plants set name = $1 where name = 'Columbus, OH'", EVIL)
    await served.owner(
        "insert into enrollments (user_id, course_id) values ($1, $2)", served.world.person["ana"], course
    )
    return course


async def test_names_titles_and_texts_are_only_ever_text(own: Served) -> None:
    course = await evil_course(own)
    plant = f"/plants/{own.world.plant['Columbus, OH']}"
    pages: list[httpx.Response] = []
    async with visiting(own, "ana") as tab:
        for at in ("/", "/courses/evil", "/courses/evil/evil", "/courses/evil/done"):
            pages.append(await tab.get(at))
        pages.append(await tab.send("/courses/evil/evil/evil", ("choice", EVIL), ("choice", EVIL)))
        for _ in range(4):
            await tab.send("/courses/evil/evil/evil", ("choice", "b"))
        pages.append(await tab.get("/courses/evil/evil"))
        pages.append(await tab.send("/courses/evil/evil/evil", ("choice", EVIL), **{"hx-request": "true"}))
        pages.append(await tab.get("/courses/evil/done"))
    async with visiting(own, "max") as tab:
        pages += [await tab.get("/"), await tab.get(plant), await tab.get(f"{plant}?course_id={course}")]
    async with visiting(own, "hana") as tab:
        pages.append(await tab.get("/company"))
    for page in pages:
        assert page.status_code in {200, 400}, page.request.url
        assert html.escape("<script>alert(1)</script>") in page.text, page.request.url
        assert "49" not in re.sub(r"[0-9a-f]{12,}", "", words(page)), page.request.url
        for tag in re.findall(r"<[a-zA-Z][^>]*>", page.text):
            assert not re.search(r"\s(on\w+|hx-trigger)\b", re.sub(r'"[^"]*"', '""', tag)), tag
            assert not re.search(r'(href|src|action)="\s*(javascript|data)', tag), tag
            assert not tag.lower().startswith(("<script>", "<img", "<b ")), tag
        assert len(re.findall("<script", page.text)) in {0, 2}, page.request.url  # none of its own
    section = next(page for page in pages if page.request.url.path == "/courses/evil/evil").text
    assert "<strong>strong</strong>" in section
    assert "<table>" in section
    assert "Right." in pages[6].text


# ------------------------------------------------------------------------------------------------ reports


async def crowd(served: Served, people: int, *, plant: str = "Columbus, OH", course: str = "hazmat") -> None:
    """So many more people of a plant, enrolled in a course."""
    await served.owner(
        """
        with made as (
            insert into auth.users (id, aud, role, email, email_confirmed_at)
            select gen_random_uuid(), 'authenticated', 'authenticated', 'crowd' || n || '@example.com', now()
            from generate_series(1, $1) as n returning id)
        select count(*) from made""",
        people,
    )
    await served.owner(
        """
        with moved as (
            update profiles set plant_id = $1, first_name = 'Crowd',
                last_name = lpad(substring(email from '\\d+'), 4, '0')
            where email like 'crowd%' returning 1)
        select count(*) from moved""",
        served.world.plant[plant],
    )
    await served.owner(
        """
        with made as (
            insert into enrollments (user_id, course_id)
            select id, $1 from profiles where email like 'crowd%' returning 1)
        select count(*) from made""",
        served.world.course[course],
    )


async def test_a_long_list_comes_in_pages_that_lead_there_and_back(own: Served) -> None:
    await crowd(own, 59)
    base = f"/plants/{own.world.plant['Columbus, OH']}?course_id={own.world.course['hazmat']}"
    async with visiting(own, "max") as tab:
        seen: list[str] = []
        page = await tab.get(base)
        for shown, back, more in [
            ("1 to 25 of 60", None, 25), ("26 to 50 of 60", 0, 50), ("51 to 60 of 60", 25, None),
        ]:  # fmt: skip
            assert is_page(page, 200)
            assert shown in words(page)
            found = re.findall(r'<a href="(\?[^"]+)">(Back|More)</a>', page.text)
            links = {text: at for at, text in found}
            assert all(at.endswith("#people") for at in links.values())
            ways = {text: int(at.rpartition("=")[2].removesuffix("#people")) for text, at in links.items()}
            assert (ways.get("Back"), ways.get("More")) == (back, more)
            seen += re.findall(r'<a href="/people/[^"]+/training">(\w+ \w+)</a>', page.text)
            if more:
                page = await tab.get(base.partition("?")[0] + html.unescape(links["More"]))
        assert len(seen) == len(set(seen)) == 60

        for beyond in (60, 500, 1_000_000):
            page = await tab.get(f"{base}&offset={beyond}")
            assert is_page(page, 200)
            assert "Nobody further; the list ends at 60" in words(page)
            assert "offset=35" in page.text
            assert ">More<" not in page.text
        for offset in (
            "-1",
            "1000001",
            "99999999999999999999",
            "x",
            "",
            "%00",
            "1.5",
            "%D9%A1",
            "true",
            "NaN",
        ):
            page = await tab.get(f"{base}&offset={offset}")
            assert is_page(page, 400), offset
            assert "Please check offset." in words(page)
            assert "<li>offset: " in page.text


async def test_the_course_of_a_report_is_one_of_the_plants(served: Served) -> None:
    base = f"/plants/{served.world.plant['Columbus, OH']}"
    async with visiting(served, "max") as tab:
        for name, title in (("hazmat", "Function-Specific HazMat Training"), ("outside", "Outside Player")):
            page = await tab.get(f"{base}?course_id={served.world.course[name]}")
            assert is_page(page, 200)
            assert f"{title} People Not finished" in words(page)
        for unknown in (served.world.course["draft"], uuid4(), served.world.plant["Columbus, OH"]):
            page = await tab.get(f"{base}?course_id={unknown}")
            assert is_page(page, 404)
            assert "Nobody of this plant is enrolled in such a course." in words(page)
        for wrong_ in ("x", "", "%00", "1"):
            page = await tab.get(f"{base}?course_id={wrong_}")
            assert is_page(page, 400)
            assert "Please check course_id." in words(page)


async def test_a_plant_where_nobody_is_enrolled_says_so(served: Served) -> None:
    for who, plant in (("mia", "Dallas, TX"), ("hana", "Dallas, TX"), ("hana", "Closed, NV")):
        async with visiting(served, who) as tab:
            page = await tab.get(f"/plants/{served.world.plant[plant]}")
            assert is_page(page, 200)
            assert words(page).startswith(f"{plant} Nobody of this plant is enrolled")


async def test_a_company_where_nothing_has_happened_has_zeros(own: Served) -> None:
    await own.owner("with gone as (delete from progress returning 1) select count(*) from gone")
    await own.owner("with gone as (delete from enrollments returning 1) select count(*) from gone")
    async with visiting(own, "hana") as tab:
        page = await tab.get("/company")
        assert is_page(page, 200)
        assert "0% completed 0 of 0 enrollments done" in words(page)
    async with visiting(own, "ana") as tab:
        assert "You have no courses yet." in words(await tab.get("/"))


async def test_a_percentage_is_never_more_than_the_whole(own: Served) -> None:
    async with visiting(own, "ana") as tab:
        for section in dict.fromkeys([*(at for at, _ in own.world.answers), *own.world.plain_sections]):
            await take(tab, own.world, section)
            await tab.send(f"{HAZMAT}/{section}/continue")
        section, question = first(own.world)
        for _ in range(6):
            await tab.send(f"{HAZMAT}/{section}/{question}", *choices(wrong(own.world, section, question)))
    await crowd(own, 6)
    for who, at in (("max", f"/plants/{own.world.plant['Columbus, OH']}"), ("hana", "/company")):
        async with visiting(own, who) as tab:
            page = await tab.get(at)
            shown = [int(one) for one in re.findall(r"(\d+)%", page.text)]
            assert shown
            assert max(shown) <= 100
            bars = re.findall(r'class="bar" x="0" y="0" width="([\d.]+)"', page.text)
            assert bars
            assert all(0 <= float(width) <= 100 for width in bars)
            for x, width in re.findall(r'class="span" x="([\d.]+)" y="4" width="([\d.]+)"', page.text):
                assert float(x) + float(width) <= 100.01


async def test_a_manager_of_two_plants_sees_the_two_side_by_side(served: Served) -> None:
    async with visiting(served, "mia") as tab:
        page = await tab.get("/company")
        assert re.findall(r'<th scope="row"><a href="[^"]+">([^<]+)</a>', page.text) == [
            "Dallas, TX",
            "Phoenix, AZ",
        ]
        assert "2 plants" in words(page)


# ------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("method", "at", "status"),
    [("GET", "/nope", 404), ("GET", "//evil.example/x", 404), ("GET", "/static/nope.css", 404),
     ("GET", "/static/", 404),
     ("GET", "/static/%00", 404), ("GET", "/static/" + "x" * 3000, 404), ("GET", "/static/%2e%2e/app.py", 404),
     ("GET", "/static/..%2fapp.py", 404), ("GET", "/plants/x", 404), ("GET", "/courses/", 404),
     ("PUT", "/", 405), ("DELETE", "/login", 405), ("POST", "/", 405), ("GET", "/logout", 405),
     ("PATCH", HAZMAT, 405), ("POST", "/static/app.css", 405), ("POST", "/company", 405)],
)  # fmt: skip
async def test_what_is_not_there_or_cannot_be_done_is_a_page(
    served: Served, method: str, at: str, status: int
) -> None:
    for who in (None, "ana"):
        async with visiting(served, who) as tab:
            assert is_page(await tab.client.request(method, at), status)


@pytest.mark.parametrize(
    "at", ["/static/app.css", "/static/app.js", "/static/icon.svg", "/static/vendor/htmx.min.js"]
)
async def test_files_carry_the_same_protection(served: Served, at: str) -> None:
    async with visiting(served) as tab:
        answer = await tab.get(at)
        assert answer.status_code == 200
        assert not answer.headers.get_list("set-cookie")
        assert answer.headers["Cache-Control"] == "public, max-age=3600"
        for name, value in HEADERS.items():
            assert name == "Cache-Control" or answer.headers[name] == value


async def test_too_much_at_once_is_a_page(served: Served) -> None:
    async with visiting(served, "ana") as tab:
        for at in ("/login", f"{HAZMAT}/classification/continue"):
            answer = await tab.send(at, ("x", "x" * 7_000_000))
            assert is_page(answer, 413)
            assert "Too much was sent at once." in words(answer)


async def test_what_breaks_inside_stays_inside(own: Served, caplog: pytest.LogCaptureFixture) -> None:
    await own.owner(
        "create or replace function app.my_sections(course uuid) returns table (section_key text, done boolean)"
        " language plpgsql as $$ begin raise exception 'nobody expects my_sections to'; end $$"
    )
    section, question = first(own.world)
    async with visiting(own, "ana") as tab:
        answer = await tab.get(HAZMAT)
        assert is_page(answer, 500)
        assert words(answer).startswith("Something went wrong Something went wrong on our side.")
        assert "my_sections" not in answer.text
        part = await tab.send(f"{HAZMAT}/{section}/{question}", ("choice", "a"), **{"hx-request": "true"})
        assert part.status_code == 500
        assert part.headers["hx-reswap"] == "none"
        assert "my_sections" not in part.text
        assert is_page(await tab.get("/"), 200)
    assert "unexpected" in caplog.text
    assert (await stored(own))[:2] == [0, 0]


async def test_a_database_that_is_away_is_said_and_nothing_more(cluster: Cluster) -> None:
    here = await cluster.copy()
    async with serving(here, cluster.world) as served:
        session = await served.session("ana")
    gone = replace(here, api=here.api.replace("data", "nowhere"), auth=here.auth.replace("data", "nowhere"))
    assert gone.api != here.api
    async with serving(gone, cluster.world) as served, visiting(served) as tab:
        assert is_page(await tab.get("/login"), 200)
        answers = [await tab.sign_in("ana")]
        tab.hold(session)
        answers += [await tab.get("/"), await tab.get(HAZMAT), await tab.send(f"{HAZMAT}/x/continue")]
        for answer in answers:
            assert is_page(answer, 503)
            assert "The database is busy or restarting; nothing was done. Try again in a moment." in words(
                answer
            )
            assert "nowhere" not in answer.text
            assert not served.cookies.present(crumbs(answer))  # and nobody is signed out by it
