"""Everything that is said is said in every language, and in the reader's."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.messages.catalog import Catalog, Message
from jinja2 import Environment, nodes

from specchem import i18n
from tests import messages

TEMPLATES = messages.ROOT / "web" / "templates"
OTHERS = [language for language in i18n.LANGUAGES if language != i18n.DEFAULT]
HOLES = re.compile(r"%(?:\(\w+\))?s|%%|\{\w*\}")
# What a reader is shown or told by a screen reader, and which HTML writes as an attribute.
SHOWN = re.compile(r'\b(?:aria-label|title|alt|placeholder)="([^"]*)"')
ATTRIBUTE = re.compile(r'\b[a-z-]+="[^"]*"')
NAMES = {"SpecChem", "PostgreSQL", "MB"}
JINJA = Environment(extensions=["jinja2.ext.i18n"])
JINJA.install_gettext_callables(i18n._, i18n.ngettext, newstyle=True)  # type: ignore[attr-defined]
# What an expression writes that is HTML's: classes, kinds of input, where a description is.
HTML = {"good", "bad", "right", "wrong", "outline", "checkbox", "radio", "sentence"}
ADDRESS = re.compile(r"/[a-z/-]+|resume")
KEYS = {"draft", "offered", "superseded", "withdrawn", "title"}  # which the code names things by


@pytest.fixture(scope="module")
def found() -> Catalog:
    return messages.extracted()


def sentences(message: Message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string or ())


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_is_translated(found: Catalog, language: str) -> None:
    known = i18n.catalog(language)
    missing = [
        one.id for one in found if one.id and not (known.get(one.id) and all(sentences(known[one.id])))
    ]
    assert not missing, "run `make messages`, and translate these"


@pytest.mark.parametrize("language", OTHERS)
def test_a_catalog_holds_nothing_else(found: Catalog, language: str) -> None:
    assert {one.id for one in i18n.catalog(language)} == {one.id for one in found}


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_keeps_what_is_put_in(language: str) -> None:
    for message in i18n.catalog(language):
        ids = [message.id] if isinstance(message.id, str) else list(message.id)
        for said in sentences(message):
            # "One person" may say its number in words.
            assert sorted(HOLES.findall(said)) in [sorted(HOLES.findall(one)) for one in ids], message.id


@pytest.mark.parametrize("page", sorted(TEMPLATES.rglob("*.html")), ids=lambda page: page.name)
def test_no_template_speaks_past_the_catalog(page: Path) -> None:
    tokens = list(JINJA.lex(page.read_text()))
    translating, text = False, []
    for (_, _, before), (_, kind, value) in pairwise(
        [(0, "", ""), *[t for t in tokens if t[1] != "whitespace"]]
    ):
        if before == "{%":
            translating = value in {"trans", "pluralize"} or (translating and value != "endtrans")
        if kind == "data" and not translating:
            text.append(value)
    whole = re.sub(r"\{#.*?#\}|<code>.*?</code>", "", "\0".join(text), flags=re.DOTALL)
    shown = [*SHOWN.findall(whole), *ATTRIBUTE.sub("", re.sub(r"<[^>]*>", "\n", whole)).splitlines()]
    left = {word for line in shown for word in re.findall(r"[^\W\d_]{2,}", line)} - NAMES
    assert not left


def spoken(node: nodes.Node) -> Iterator[str]:
    """The strings of a template's expressions that may come to be shown, but for those that are translated."""
    match node:
        case nodes.Const(value=str(text)):
            yield text
            return
        case nodes.Extends() | nodes.FromImport() | nodes.Include() | nodes.Import() | nodes.Compare():
            return
        case nodes.Call(node=nodes.Name(name="_" | "gettext" | "ngettext")):
            inside: list[nodes.Node] = [one.value for one in node.kwargs]
        case nodes.Filter(node=nodes.Node() as filtered):  # what a filter is told is a name
            inside = [filtered]
        case nodes.Getitem():
            inside = [node.node]
        case nodes.Pair():
            inside = [node.value]
        case nodes.If() | nodes.CondExpr() | nodes.For():
            inside = list(node.iter_child_nodes(exclude=("test",)))
        case _:
            inside = list(node.iter_child_nodes())
    for one in inside:
        yield from spoken(one)


@pytest.mark.parametrize("page", sorted(TEMPLATES.rglob("*.html")), ids=lambda page: page.name)
def test_no_expression_speaks_past_the_catalog(page: Path) -> None:
    said = set(spoken(JINJA.parse(page.read_text())))
    words = {one for one in said if re.search(r"[^\W\d_]", one) and not ADDRESS.fullmatch(one)}
    assert not words - HTML - KEYS


@pytest.mark.parametrize(
    "template",
    [
        '{{ "done" if one else "" }}', '{% set words = {"a": ("Welcome", 1)} %}', '{{ code("Right.") }}',
        '{{ one or "none" }}', '{{ "Right." | upper }}', '{% trans a="one" %}{{ a }}{% endtrans %}',
        '{% if one %}{{ ", " ~ "open" }}{% endif %}', '{{ one.get("x", "a plant") }}',
    ],
)  # fmt: skip
def test_words_in_an_expression_are_found(template: str) -> None:
    assert {one for one in spoken(JINJA.parse(template)) if len(one) > 2}


def test_a_sentence_in_code_or_rules_is_found() -> None:
    code = b'"A docstring."\nlog.info("Not said.")\nraise Stop(f"No {x} here." if x else "None at all.")\n'
    assert [one[2] for one in messages.sentences(BytesIO(code), (), (), {})] == [
        "No {} here.",
        "None at all.",
    ]
    rule = b"app.refuse(400, coalesce('key: it''s ' || a(b, c)\n || ' here.', format('No %s.', x)));"
    told = {one[2] for one in messages.refusals(BytesIO(rule), (), (), {})}
    assert told == {"key: it's %s here.", "it's %s here.", "No %s."}
    with pytest.raises(AssertionError, match="no sentence"):
        list(messages.refusals(BytesIO(b"app.refuse(400, said);"), (), (), {}))


async def test_a_sentence_with_something_in_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    i18n.speak("es")
    try:
        assert i18n.told("Already enrolled in this course.") == "Ya está inscrito en este curso."
        assert '"marking"' in i18n.told(
            'Your answers support 40 %, not 90 %: section "marking" is still open.'
        )
        wait = i18n.told("Too many tries. Wait 40 seconds and try again.")
        assert wait == "Demasiados intentos. Espere 40 segundos e inténtelo de nuevo."
        mail = "The invitation is made, but its mail could not be sent: You may not do that. Send it again later."
        assert "correo: Usted no puede hacer eso. Envíela" in i18n.told(mail)
        assert i18n.told("Nobody wrote this sentence.") == "Nobody wrote this sentence."
    finally:
        i18n.speak("en")
    assert i18n.told("Already enrolled in this course.") == "Already enrolled in this course."


@pytest.mark.parametrize(
    ("cookie", "accepted", "spoken"),
    [
        (None, "", "en"), (None, "es-MX,es;q=0.9,en;q=0.8", "es"), (None, "fr,es;q=0.2,en;q=0.5", "en"),
        ("es", "en", "es"), ("xx", "es", "es"), (None, "es;q=0", "en"), (None, "es;q=x, de", "en"),
    ],
)  # fmt: skip
def test_which_language_is_spoken(cookie: str | None, accepted: str, spoken: str) -> None:
    assert i18n.preferred(cookie, accepted) == spoken


def test_dates_and_numbers_are_written_as_in_the_language() -> None:
    moment, zone = datetime(2026, 1, 2, 3, 4, tzinfo=UTC), ZoneInfo("America/New_York")
    assert (i18n.day(moment, zone), i18n.number(12345)) == ("Jan 1, 2026", "12,345")
    i18n.speak("es")
    try:
        assert i18n.day(moment, zone) == "1 ene 2026"
    finally:
        i18n.speak("en")
