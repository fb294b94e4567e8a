"""The words that requests are made of, as types: what each may be is said once, here."""

import json
import unicodedata
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    EmailStr,
    Field,
    StrictBool,
    StringConstraints,
)

META_BYTES = 8192  # as the database's check on response_meta and meta


class Input(BaseModel):
    """Something that comes in: unknown fields are refused, and nothing changes it afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _plain(text: str) -> str:
    if text.isascii() and text.isprintable():  # nearly all there is
        return text
    # Controls and lone surrogates cannot be stored or read; bidi overrides make a name look like another.
    if any(
        unicodedata.category(char) in {"Cc", "Cs"} or unicodedata.bidirectional(char) in _BIDI_CONTROLS
        for char in text
    ):
        raise ValueError("control characters are not allowed")
    if all(
        unicodedata.category(char)[0] in "CZ" for char in text
    ):  # zero-width characters alone show nothing
        raise ValueError("must not be blank")
    return text


_BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}

Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_plain)
]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(_plain)
]
Key = Text
Email = Annotated[EmailStr, StringConstraints(max_length=254), AfterValidator(str.lower)]


_WRITER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def as_meta(meta: dict[str, Any]) -> dict[str, Any]:
    """As it is. Raises ValueError for what cannot be kept."""
    try:
        text = _WRITER.encode(meta)
        size = len(text.encode())
    except (ValueError, TypeError, RecursionError):
        raise ValueError("must hold text and finite numbers, not nested too deeply") from None
    if "\\u0000" in text.replace("\\\\", ""):  # a NUL, not a backslash that somebody typed before u0000
        raise ValueError("control characters are not allowed")
    if size > META_BYTES:
        raise ValueError(f"must be at most {META_BYTES // 1024} KB")
    return meta


Meta = Annotated[dict[str, Any], AfterValidator(as_meta)]


def _whole(number: object) -> object:
    # "50", 50.0 and true are not percentages; 33.3 is refused with the same words.
    if type(number) is not int:
        raise ValueError("must be a whole number from 0 to 100")
    return number


Percent = Annotated[int, BeforeValidator(_whole, json_schema_input_type=int), Field(ge=0, le=100)]

Status = Literal["active", "suspended"]
EnrollmentStatus = Literal["enrolled", "in_progress", "completed"]
AdminRoleName = Literal["hr_admin", "dev_admin", "plant_manager"]
EventType = Literal["view_section", "start_course", "complete_course"]
Flag = StrictBool
Id = UUID


class Page(Input):
    """Which part of a list: ``limit`` rows (1 to 500) after the first ``offset``."""

    limit: int = Field(default=100, ge=1, le=500)
    offset: int = Field(default=0, ge=0, le=1_000_000)


FIRST_PAGE = Page()
