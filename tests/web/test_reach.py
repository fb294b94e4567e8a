"""What each kind of person gets to: every link they are shown leads somewhere, and what they are not shown is closed.

Each person's pages are walked from the first one by their links and search forms, in each language; then everybody
asks for whatever anybody was led to, and for every page that the app has. A person's last name tells their plant here,
so that a page or a download betrays of whom it tells.
"""

import io
import re
import zipfile
from collections import Counter, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import product
from urllib.parse import urlencode, urljoin, urlsplit

import httpx
import pytest

from specchem.i18n import LANGUAGES
from tests.conftest import Cluster
from tests.web.served import Served, serving
from tests.web.test_exporting import TABLES
from tests.web.test_importing import bring
from tests.web.test_pages import crowd
from tests.web.visiting import Tab, is_page, visiting
from tests.world import PLANT_OF, SLUGS

pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in.*SpooledTemporaryFile")

# Who walks, and the plants whose people they look after; nobody is who has not signed in.
PLANTS: dict[str, set[str]] = {
    "ana": set(), "max": {"Columbus, OH"}, "hugo": {"Columbus, OH"}, "mia": {"Phoenix, AZ", "Dallas, TX"},
    "hana": {plant for plant in PLANT_OF.values() if plant}, "dev": set(), "nobody": set(),
}  # fmt: skip
ANYBODY = {"/login", "/forgot-password", "/auth/confirm"}
ACCOUNT = {"/", "/record", "/account", "/password", "/two-factor", "/two-factor/set-up", "/two-factor/remove"}
EXPORT = "/export/{table:str}"
EVERYBODY = {"/", "/account", "/password", "/two-factor/set-up", "/login", "/forgot-password"}
LOOKING_AFTER = {
    *EVERYBODY, "/people", "/people/{person:uuid}", "/people/{person:uuid}/training", "/people/enroll", "/invitations",
    "/plants/{plant:uuid}", EXPORT,
}  # fmt: skip
KEEPING = {
    "/admin/plants", "/admin/plants/{plant:uuid}", "/admin/plants/{plant:uuid}/close", "/admin/courses",
    "/admin/courses/{course:uuid}/preview", "/admin/courses/{course:uuid}/preview/{section:str}", EXPORT,
}  # fmt: skip
LED_TO = {
    "ana": {
        *EVERYBODY, "/record", "/people/{person:uuid}/training", "/courses/{slug:str}", "/courses/{slug:str}/resume",
        "/courses/{slug:str}/{section:str}", "/courses/{slug:str}/done", EXPORT,
    },
    "max": LOOKING_AFTER, "hugo": LOOKING_AFTER, "mia": LOOKING_AFTER | {"/company"},
    "hana": {
        *LOOKING_AFTER, *KEEPING, "/company", "/people/import", "/people/import/{kept:uuid}",
        "/people/import/{kept:uuid}/problems",
    },
    "dev": {
        *EVERYBODY, *KEEPING, "/admin/courses/load", "/admin/courses/{course:uuid}/publish",
        "/admin/courses/{course:uuid}/withdraw", "/admin/system",
    },
    "nobody": {"/", "/login", "/forgot-password"},
}  # fmt: skip
# What pages want to be told.
ASKED = {"/auth/confirm": f"?type=recovery&token_hash={'0' * 56}", "/people/enroll": "?who=found"}
ALIKE = 2  # addresses followed that differ only in ids, numbers and the order asked for
ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
KINDS = {"uuid": ID, "str": "[^/]+"}
PROGRAMS = ("/api", "/auth/v1", "/static", "/healthz", "/metrics")


class Ways(HTMLParser):
    """A page's ways on: addresses that are asked for, those that forms are sent to, and the places to arrive at."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.posts: dict[str, bool] = {}  # with the token, or not
        self.places: set[str] = set()
        self._form: tuple[str, str] | None = None  # method, address
        self._fields: list[tuple[str, str]] = []
        self._buttons: list[list[tuple[str, str]]] = []
        self._select = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.places.add(said.get("id", ""))
        name, value = said.get("name", ""), said.get("value", "")
        way = {"a": "href", "link": "href", "script": "src"}.get(tag, "hx-get")
        if way in said:
            self.links.append(said[way])
        if "hx-post" in said:
            self.posts.setdefault(said["hx-post"], "action" in said)
        if tag == "form":
            self._form = (said.get("method", "get").lower(), said.get("action", ""))
            self._fields, self._buttons = [], []
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select:  # the first one, until another is the chosen one
            others = [one for one in self._fields if one[0] != self._select]
            if len(others) == len(self._fields) or "selected" in said:
                self._fields = [*others, (self._select, value)]
        elif tag == "button" or said.get("type") == "submit":
            self._buttons.append([(name, value)] if name else [])
        elif tag in {"input", "textarea"} and name:
            self._fields.append((name, value))

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = ""
        if tag != "form" or self._form is None:
            return
        method, address = self._form
        self._form = None
        if method == "post":
            self.posts[address] = any(name == "_csrf_token" for name, _ in self._fields)
        else:
            self.links += [
                f"{address}?{urlencode(self._fields + button)}" for button in self._buttons or [[]]
            ]


@dataclass
class Walk:
    """Where somebody came to: each address with what was there, and where forms would go."""

    found: dict[str, httpx.Response] = field(default_factory=dict)
    posts: set[str] = field(default_factory=set)

    def pages(self) -> list[str]:
        """Pages and downloads, without the files that they are dressed in."""
        return [at for at in self.found if not at.startswith("/static/")]


def routes(served: Served) -> list[str]:
    """Every page and download of the app, as it is registered."""
    return [
        route.path for route in served.app.routes
        if "GET" in getattr(route, "methods", ()) and not route.path.startswith(PROGRAMS)
    ]  # fmt: skip


def route_of(served: Served, address: str) -> str:
    """The route behind an address; those without ids go first, as in the app."""
    path = urlsplit(address).path
    for route in sorted(routes(served), key=lambda one: one.count("{")):
        if re.fullmatch(re.sub(r"\{\w+:(\w+)\}", lambda kind: KINDS[kind[1]], route), path):
            return route
    raise AssertionError(address)


def shape(address: str) -> str:
    """What addresses share that differ in ids, numbers and order."""
    return re.sub(r"(sort|offset)=[^&]*", r"\1=", re.sub(ID, "{}", address))


async def walk(tab: Tab, language: str, *starts: str) -> Walk:
    """Follow whatever there is: every address answers, every fragment is a place on its page."""
    walked, alike = Walk(), Counter[str]()
    asked: set[str] = set()
    ahead = deque((start, "") for start in starts)
    while ahead:
        at, before = ahead.popleft()
        parts = urlsplit(at)
        address = parts._replace(fragment="").geturl()
        assert (parts.scheme, parts.netloc) == ("", ""), f"{at} on {before} leads elsewhere"
        if at in asked or alike[shape(at)] == ALIKE:
            continue
        asked.add(at)
        alike[shape(at)] += 1
        answer = walked.found.get(address) or await tab.get(address, **{"accept-language": language})
        if answer.status_code == 303:
            ahead.append((urljoin(address, answer.headers["location"]), at))
            walked.found[address] = answer
            continue
        assert answer.status_code == 200, f"{at} on {before}: {answer.status_code} {answer.text[:600]}"
        walked.found[address] = answer
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        assert is_page(answer, 200)
        assert f'<html lang="{language}">' in answer.text
        ways = Ways(answer.text)
        assert not parts.fragment or parts.fragment in ways.places, f"{at} on {before}: no such place"
        ahead += [(urljoin(address, link), address) for link in ways.links]
        for action, has_token in ways.posts.items():
            assert has_token, f"{action} on {at}: no token"
            walked.posts.add(urljoin(address, action))
    return walked


@dataclass
class Reach:
    """The app with enough in it to show every page, and each person's walk in each language."""

    served: Served
    walks: dict[tuple[str, str], Walk]
    kept: str  # an import of HR's that waits
    plants: dict[str, str]  # of everybody who has an account or an invitation, by e-mail address


@pytest.fixture(scope="module")
async def reach(cluster: Cluster) -> AsyncIterator[Reach]:
    """Which auth service there is makes no difference to where pages lead."""
    async with serving(await cluster.copy(), cluster.world) as served:
        kept = await furnish(served)
        told = await served.owner(
            """
            select string_agg(concat(p.email, '|', t.name), ';') from plants t join (
                select email, plant_id from profiles union select email, plant_id from invitations
            ) as p on p.plant_id = t.id"""
        )
        walks = {}
        for who in PLANTS:
            for language in LANGUAGES:
                async with visiting(served, None if who == "nobody" else who) as tab:
                    starts = ["/", f"/people/import/{kept}"] if who == "hana" else ["/"]
                    walks[who, language] = await walk(tab, language, *starts)
        yield Reach(served, walks, kept, dict(one.split("|") for one in told.split(";")))


async def furnish(served: Served) -> str:
    """More people than a page holds, answers, a course done, invitations, and an import, whose id comes back."""
    world = served.world
    await crowd(served, 60)
    await served.owner(
        """
        with told as (
            update profiles p set last_name = concat('Of', t.name), job_title = 'Operator'
            from plants t where t.id = p.plant_id returning 1)
        select count(*) from told"""
    )
    await served.owner(
        "update progress set progress_percent = 100 where user_id = $1 and course_id = $2",
        world.person["ana"], world.course["outside"],
    )  # fmt: skip
    (section, question), correct = next(iter(world.answers.items()))
    for who in ("ana", "bo"):
        async with visiting(served, who) as tab:
            for given in (["a"] if correct != ["a"] else ["b"], correct, correct, correct, correct):
                choices = [("choice", one) for one in given]
                at = f"/courses/{SLUGS['hazmat']}/{section}/{question}"
                assert (await tab.send(at, *choices)).status_code == 303
    for who, plant in (("max", "Columbus, OH"), ("mia", "Phoenix, AZ")):
        async with visiting(served, who) as tab:
            fields = [("emails", f"new-{who}@example.com"), ("plant_id", str(world.plant[plant]))]
            assert (await tab.send("/invitations", *fields)).status_code == 200
    async with visiting(served, "hana") as tab:
        page = await bring(tab, "email,first_name\nana@example.com,Anna\ncal@example.com,\nx@example.com,X\n")
        assert is_page(page, 200)
        return page.request.url.path.rpartition("/")[2]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("who", PLANTS)
async def test_everybody_is_led_to_their_pages_and_no_others(reach: Reach, who: str, language: str) -> None:
    walked = reach.walks[who, language]
    assert {route_of(reach.served, at) for at in walked.pages()} == LED_TO[who]
    assert {"/static/app.css", "/static/icon.svg"} <= walked.found.keys()
    # A form without its token is refused where there is such a form, and is nowhere else.
    assert {"/language", "/login" if who == "nobody" else "/logout"} <= walked.posts
    async with visiting(reach.served, None if who == "nobody" else who) as tab:
        for action in {shape(at): at for at in walked.posts}.values():
            answer = await tab.raw(action)
            assert answer.status_code == 403, f"{action}: {answer.status_code}"
            assert "The form is too old." in answer.text


async def test_every_page_is_led_to(reach: Reach) -> None:
    """But for the one that a mail leads to, and those of a second factor, which nobody here has set up."""
    others = {"/auth/confirm", "/two-factor", "/two-factor/remove"}
    assert {*routes(reach.served)} - {route for led in LED_TO.values() for route in led} == others


def everything(reach: Reach) -> set[str]:
    """Every page and download of whatever there is, and one of each kind that anybody was led to."""
    world = reach.served.world
    there = {
        "plant": world.plant.values(), "person": world.person.values(), "course": world.course.values(),
        "kept": [reach.kept], "slug": SLUGS.values(), "section": ["classification", "nowhere"],
    }  # fmt: skip
    exports = {f"/export/{table}?{asked}" for table, asked in TABLES.items()}
    found = set()
    for route in {*routes(reach.served)} - {EXPORT} | exports:
        address = re.sub(r"\{(\w+):\w+\}", r"{\1}", route) + ASKED.get(route, "")
        names = re.findall(r"\{(\w+)\}", address)
        for ids in product(*(there[name] for name in names)):
            found.add(address.format(**dict(zip(names, ids, strict=True))))
    for walked in reach.walks.values():
        found |= {*{shape(at): at for at in walked.pages()}.values()}
    return found


def may(reach: Reach, who: str, address: str) -> bool:
    """Who may open what, as the product promises it."""
    world, route = reach.served.world, route_of(reach.served, address)
    if route in ANYBODY:
        return True
    if who in {"nobody", "sue"}:
        return False
    if route in ACCOUNT:
        return True
    looked_after = {str(id_) for plant, id_ in world.plant.items() if plant in PLANTS[who] or who == "hana"}
    person = re.match(f"/(?:people/|export/.*person=)({ID})", address)
    if person:
        name = next((name for name, id_ in world.person.items() if str(id_) == person[1]), None)
        works_in = PLANT_OF[name] if name else "Columbus, OH"  # the crowd's
        return name == who or (works_in is not None and works_in in PLANTS[who])
    if route.startswith("/courses/"):
        return who == "ana" and not re.search("/draft|/nowhere|/outside/classification", address)
    if route.startswith("/admin/"):
        is_there = not re.search("preview/nowhere", address) and (
            route != "/admin/courses/{course:uuid}/preview/{section:str}" or str(world.course["hazmat"]) in address
        )  # fmt: skip
        writes = re.search("/(load|publish|withdraw)$", route)
        return is_there and (who == "dev" or (who == "hana" and not writes))
    if re.match("/export/(plants|versions|days)", address):
        return who in {"hana", "dev"}
    if route.startswith("/people/import") or address.startswith("/export/audit"):
        return who == "hana"
    if str(world.course["draft"]) in address:
        return who == "hana"
    plant = re.search(f"(?:^/plants/|[?&]plant=)({ID})", address)
    if plant and not re.match("/export/people|/people", address):
        return plant[1] in looked_after
    return bool(looked_after)


@pytest.mark.parametrize("who", [*PLANTS, "sue"])
async def test_what_is_not_theirs_is_closed(reach: Reach, who: str) -> None:
    opened, closed = 0, 0
    async with visiting(reach.served, None if who == "nobody" else who) as tab:
        for address in sorted(everything(reach)):
            answer = await tab.get(address)
            to_sign_in = answer.headers.get("location", "").startswith("/login")
            if may(reach, who, address):
                opened += 1
                assert answer.status_code == 200 or (answer.status_code == 303 and not to_sign_in), address
                continue
            closed += 1
            # The auth service tells who is suspended that their session has ended.
            if who == "nobody" or (who == "sue" and answer.status_code == 303):
                assert (answer.status_code, to_sign_in) == (303, True), address
            else:
                assert answer.status_code in {403, 404}, f"{address}: {answer.status_code}"
                assert is_page(answer, answer.status_code)
    assert opened >= 3
    assert closed >= 10 or who == "hana"


def text_of(answer: httpx.Response) -> str:
    """What a page or a file holds."""
    if not answer.content.startswith(b"PK"):
        return answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as book:
        return "".join(book.read(name).decode() for name in book.namelist())


@pytest.mark.parametrize("who", PLANTS)
async def test_nobody_reads_of_another_plants_people(reach: Reach, who: str) -> None:
    plants, theirs = Counter[str](), Counter[str]()
    for (walker, _), walked in reach.walks.items():
        for address in walked.pages() if walker == who else []:
            text = text_of(walked.found[address])
            named = {*re.findall(r"\bOf(\w+, [A-Z]{2})", text)}
            named |= {
                reach.plants[one] for one in re.findall(r"[\w-]+@example\.com", text) if one in reach.plants
            }
            assert named <= PLANTS[who] | {PLANT_OF.get(who)}, address
            (theirs if "/export/" in address else plants).update(named)
    # Those that they look after are named, in pages and in files; Dallas has nobody.
    assert PLANTS[who] - {"Dallas, TX"} <= plants.keys()
    assert PLANTS[who] - {"Dallas, TX"} <= theirs.keys()
