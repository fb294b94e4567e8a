"""What each word of a request may be."""

import math
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from specchem.vocabulary import META_BYTES, Email, Meta, Name, Page, Percent, Text

TEXT: TypeAdapter[str] = TypeAdapter(Text)
META: TypeAdapter[dict[str, Any]] = TypeAdapter(Meta)
PERCENT: TypeAdapter[int] = TypeAdapter(Percent)
EMAIL: TypeAdapter[str] = TypeAdapter(Email)


def nested(depth: int) -> dict[str, Any]:
    """An object in an object in an object …"""
    inside: dict[str, Any] = {}
    for _ in range(depth):
        inside = {"a": inside}
    return inside


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Ana  ", "Ana"),
        ("\tAna\n", "Ana"),
        ("\N{NO-BREAK SPACE}Ana\N{IDEOGRAPHIC SPACE}", "Ana"),
        ("Zoë O’Neill-Łuc", "Zoë O’Neill-Łuc"),
        ("محمد", "محمد"),
        ("王秀英", "王秀英"),
        ("👩‍🔬", "👩‍🔬"),  # joined by a zero-width joiner, which belongs to it
        ("x" * 200, "x" * 200),
        (" " * 300 + "x", "x"),
    ],
)
def test_text_is_trimmed_and_otherwise_kept(typed: str, kept: str) -> None:
    assert TEXT.validate_python(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        "\t\n",
        "\N{ZERO WIDTH SPACE}",
        "\N{ZERO WIDTH NO-BREAK SPACE}\N{SOFT HYPHEN}",
        "a\x00b",
        "a\nb",
        "a\tb",
        "a\x7fb",
        "a\x9bb",
        "a\N{RIGHT-TO-LEFT OVERRIDE}b",
        "a\N{LEFT-TO-RIGHT ISOLATE}b",
        "a\ud800b",
        "x" * 201,
        5,
        True,
        None,
        ["a"],
    ],
)
def test_text_that_is_none(typed: object) -> None:
    with pytest.raises(ValidationError):
        TEXT.validate_python(typed)


def test_names_are_at_most_100_characters() -> None:
    adapter: TypeAdapter[str] = TypeAdapter(Name)
    assert adapter.validate_python("x" * 100) == "x" * 100
    with pytest.raises(ValidationError, match="at most 100"):
        adapter.validate_python("x" * 101)


@pytest.mark.parametrize("number", [0, 1, 99, 100])
def test_percentages(number: int) -> None:
    assert PERCENT.validate_python(number) == number


@pytest.mark.parametrize(
    "number",
    [-5, -1, 101, 9999, 2**63, 10**400, 33.3, 50.0, math.nan, math.inf, "50", "", True, False, None, [50]],
    ids=repr,
)
def test_what_is_no_percentage(number: object) -> None:
    with pytest.raises(ValidationError):
        PERCENT.validate_python(number)


@pytest.mark.parametrize("text", ["33.3", "50.0", "1e1", '"50"', "true", "null", "NaN", "-0.0", "Infinity"])
def test_what_is_no_percentage_in_json(text: str) -> None:
    with pytest.raises(ValidationError):
        PERCENT.validate_json(text)


@pytest.mark.parametrize("typed", ["Ana@Example.COM", "  ana@example.com "])
def test_email_is_trimmed_and_lower_case(typed: str) -> None:
    assert EMAIL.validate_python(typed) == "ana@example.com"


@pytest.mark.parametrize(
    "typed",
    ["", "ana", "ana@", "@example.com", "a b@example.com", "ana@example.com\x00", "x" * 250 + "@example.com"],
)
def test_what_is_no_email(typed: str) -> None:
    with pytest.raises(ValidationError):
        EMAIL.validate_python(typed)


@pytest.mark.parametrize(
    "meta",
    [
        {},
        {"choices": ["a", "b"]},
        {"note": None, "n": 1, "x": 1.5, "yes": True, "deep": nested(50)},
        {"said": "\\u0000 is how a NUL is written"},
        {"lines": "one\ntwo\tthree"},
        {"a": "x" * (META_BYTES - len('{"a": ""}'))},
    ],
)
def test_meta_is_kept_as_it_is(meta: dict[str, Any]) -> None:
    assert META.validate_python(meta) == meta


@pytest.mark.parametrize(
    "meta",
    [
        pytest.param({"a": "x" * (META_BYTES - len('{"a": ""}') + 1)}, id="a byte too many"),
        pytest.param({"a": "é" * (META_BYTES // 2)}, id="bytes, not characters"),
        pytest.param({"k" * META_BYTES: 1}, id="a long key"),
        pytest.param({"a": math.nan}, id="NaN"),
        pytest.param({"a": {"b": [-math.inf]}}, id="infinity inside"),
        pytest.param({"a": "\x00"}, id="NUL"),
        pytest.param({"a": [{"b": "x\x00y"}]}, id="NUL inside"),
        pytest.param({"a": "\\\x00"}, id="NUL after a backslash"),
        pytest.param({"\x00": 1}, id="NUL in a key"),
        pytest.param({"a": "\ud800"}, id="lone surrogate"),
        pytest.param({"\udfff": 1}, id="lone surrogate in a key"),
        pytest.param(nested(100_000), id="deep"),
        pytest.param({"a": object()}, id="not JSON"),
        pytest.param({"a": {1, 2}}, id="a set"),
        pytest.param({"a": 10**5000}, id="a number of 5,000 digits"),
        pytest.param([], id="a list"),
        pytest.param("{}", id="a text"),
    ],
)
def test_meta_that_is_refused(meta: object) -> None:
    with pytest.raises(ValidationError):
        META.validate_python(meta)


@given(st.text())
def test_a_text_is_refused_or_tidy(typed: str) -> None:
    try:
        kept = TEXT.validate_python(typed)
    except ValidationError:
        return
    assert kept == kept.strip()
    assert 1 <= len(kept) <= 200
    assert not set(kept) & {chr(code) for code in (*range(32), 127)}
    assert TEXT.validate_python(kept) == kept


@given(st.text(string.printable))
def test_an_email_is_refused_or_settled(typed: str) -> None:
    try:
        kept = EMAIL.validate_python(f"{typed}@example.com")
    except ValidationError:
        return
    assert EMAIL.validate_python(kept) == kept == kept.lower()


@pytest.mark.parametrize(
    "page", [{"limit": 0}, {"limit": 501}, {"limit": -1}, {"offset": -1}, {"offset": 2**70}, {"size": 5}]
)
def test_what_is_no_page(page: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        Page.model_validate(page)


def test_a_page_has_a_limit_unasked() -> None:
    assert (Page().limit, Page().offset) == (100, 0)
