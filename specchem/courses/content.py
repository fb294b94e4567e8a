r"""Reads a course from its folder, and says everything that is wrong with it at once.

courses/<slug>/course.yaml      what the course is, and its sections in order
courses/<slug>/<section>.md     `# Title`, then what the section teaches
courses/<slug>/<section>.yaml   its questions; a section without this file asks none
courses/<slug>/<language>/      the same files in another language: words alone, for the same keys
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self, TypeVar

import yaml
from markdown_it import MarkdownIt
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from specchem.i18n import N_

_KEY = r"^[a-z0-9]+(-[a-z0-9]+)*$"
_TRIMMED = r"^\S(.*\S)?$"
_NOT_BLANK = r"\S"
# Addresses and ids of the player's own pages (pages.py, templates/courses).
_TAKEN = {"continue", "lost", "main", "map", "onward", "progress", "refused"}
_LANGUAGE = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"

Key = Annotated[str, StringConstraints(pattern=_KEY, max_length=100)]
Line200 = Annotated[str, StringConstraints(pattern=_TRIMMED, max_length=200)]
Line1000 = Annotated[str, StringConstraints(pattern=_TRIMMED, max_length=1000)]
Line2000 = Annotated[str, StringConstraints(pattern=_TRIMMED, max_length=2000)]
Language = Annotated[str, StringConstraints(pattern=_LANGUAGE, max_length=35)]
Body = Annotated[str, StringConstraints(pattern=_NOT_BLANK, max_length=100_000)]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Choice(_Model):
    """One answer that a learner may pick."""

    key: Key
    text: Line1000


class Question(_Model):
    """A question with its right answers, and what to teach after it is answered."""

    key: Key
    prompt: Line1000
    multiple: bool = False
    choices: tuple[Choice, ...]
    correct: tuple[Key, ...]
    explanation: Line2000
    citation: Line200

    @model_validator(mode="after")
    def _can_be_answered(self) -> Self:
        if faults := list(_answer_faults(self)):
            raise PydanticCustomError("answers", "{faults}", {"key": self.key, "faults": faults})
        return self


class Section(_Model):
    """One page of the course: Markdown to read, then the questions about it."""

    key: Key
    title: Line200
    body: Body
    questions: tuple[Question, ...] = ()


class _About(_Model):
    slug: Key
    title: Line200
    version: Line200
    language: Language
    published: bool


class ChoiceWords(_Model):
    """A choice in another language."""

    key: Key
    text: Line1000


class QuestionWords(_Model):
    """A question in another language; what is right, and the rule, do not change with it."""

    key: Key
    prompt: Line1000
    choices: tuple[ChoiceWords, ...]
    explanation: Line2000


class SectionWords(_Model):
    """A section in another language."""

    key: Key
    title: Line200
    body: Body
    questions: tuple[QuestionWords, ...] = ()


class Translation(_Model):
    """The course in another language, section by section."""

    language: Language
    title: Line200
    sections: tuple[SectionWords, ...]


class Course(_About):
    """A whole course, its sections in the order they are taught."""

    sections: tuple[Section, ...]
    translations: tuple[Translation, ...] = ()


class _CourseFile(_About):
    sections: Annotated[tuple[Key, ...], Field(min_length=1)]


class _QuestionsFile(_Model):
    questions: Annotated[tuple[Question, ...], Field(min_length=1)]


class _TitleFile(_Model):
    title: Line200


class _WordsFile(_Model):
    questions: Annotated[tuple[QuestionWords, ...], Field(min_length=1)]


class Problem(NamedTuple):
    """One thing to mend, and where."""

    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file.as_posix()}:{self.line}: {self.message}"


class ContentError(Exception):
    """A course that cannot be taken in, with every problem found, a line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(map(str, self.problems)))


def read_course(folder: Path, *, by_name: bool = True) -> Course:
    """Read the course in this folder; raises ContentError with all that is wrong in any of its files.

    ``by_name``: the folder must be called as the course's slug.
    """
    file = _File(folder / "course.yaml", [])
    data = file.data()
    about = file.check(_CourseFile, data)
    if about and by_name and about.slug != folder.resolve().name:
        file.fault(("slug",), f'slug "{about.slug}" is not the name of the folder')
    sections = [s for at, key in _listed(data) if (s := _read_section(file, key, at))]
    if about:
        _refuse_unlisted(folder, about.sections, file.problems)
    if file.problems or not about:
        raise ContentError(file.problems)
    course = Course(**about.model_dump(exclude={"sections"}), sections=tuple(sections))
    spoken = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    translations = [_read_translation(path, course, file.problems) for path in spoken]
    if file.problems:
        raise ContentError(file.problems)
    return course.model_copy(update={"translations": tuple(one for one in translations if one)})


def content_hash(course: Course) -> str:
    """SHA-256, in hex, of what is taught and asked; publishing or translating the course does not change it."""
    content = course.model_dump(mode="json", exclude={"published", "translations"})
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _listed(data: object) -> Iterator[tuple["Place", str]]:
    # From the raw data: where course.yaml has faults, those of its sections are told in the same breath.
    keys = data.get("sections") if isinstance(data, dict) else None
    keys = keys if isinstance(keys, tuple) else ()
    for i, key in enumerate(keys):
        if isinstance(key, str) and re.search(_KEY, key) and key not in keys[:i]:
            yield ("sections", i), key


def _read_section(course: "_File", key: str, at: "Place") -> Section | None:
    if key == "done":
        course.fault(at, 'section "done" would stand at the address of the course\'s last page')
    page, quiz = (_File(course.path.with_name(f"{key}{end}"), course.problems) for end in (".md", ".yaml"))
    asked = quiz.check(_QuestionsFile, quiz.data()) if quiz.path.exists() else None
    if not page.path.exists():
        course.fault(at, f'section "{key}" has no {key}.md')
        return None
    if (told := _page(page)) is None:
        return None
    return page.check(Section, {"key": key, **told, "questions": asked.questions if asked else ()})


def _page(page: "_File") -> dict[str, str] | None:
    """A section's title and body; None where they cannot be told, with the reason noted."""
    if (text := page.text()) is None:
        return None
    title, _, body = text.partition("\n")
    if not title.startswith("# "):
        page.fault(1, 'the first line must be the title: "# Title"')
        return None
    for line, message in _markdown_faults(body):
        page.fault(line + 1, message)
    page.lines = {(): 1, ("body",): 2}
    return {"title": title[2:], "body": body.strip("\n")}


def _read_translation(folder: Path, course: Course, problems: list[Problem]) -> Translation | None:
    """The course in the language that the folder is named after, held against the course itself."""
    if not re.search(_LANGUAGE, folder.name) or folder.name == course.language:
        problems.append(Problem(folder, 1, N_("a folder must be named after another language, like es")))
        return None
    file = _File(folder / "course.yaml", problems)
    title = file.check(_TitleFile, file.data())
    sections = [_read_words(folder, section, problems) for section in course.sections]
    _refuse_unlisted(folder, [section.key for section in course.sections], problems)
    if title is None or not all(sections):
        return None
    return Translation(
        language=folder.name, title=title.title, sections=tuple(one for one in sections if one)
    )


def _read_words(folder: Path, section: Section, problems: list[Problem]) -> SectionWords | None:
    page, quiz = (_File(folder / f"{section.key}{end}", problems) for end in (".md", ".yaml"))
    asked = quiz.check(_WordsFile, quiz.data()) if section.questions or quiz.path.exists() else None
    if section.questions and asked is None:
        return None
    questions = asked.questions if asked else ()
    if _keys(questions) != _keys(section.questions):
        quiz.fault(("questions",), "the questions and their choices must have the keys of the course's own")
    if (told := _page(page)) is None:
        return None
    return page.check(SectionWords, {"key": section.key, **told, "questions": questions})


def _keys(questions: Iterable[Question | QuestionWords]) -> list[tuple[str, list[str]]]:
    return [(one.key, [choice.key for choice in one.choices]) for one in questions]


def _refuse_unlisted(folder: Path, keys: Iterable[str], problems: list[Problem]) -> None:
    known = {"course.yaml", *(f"{key}{end}" for key in keys for end in (".md", ".yaml"))}
    for path in folder.iterdir():
        if path.suffix.lower() in {".md", ".yaml", ".yml"} and path.name not in known:
            problems.append(Problem(path, 1, N_("belongs to no section that course.yaml lists")))


def _answer_faults(question: Question) -> Iterator[str]:
    if question.key in _TAKEN:
        yield N_(f'has a key that the pages use themselves: "{question.key}"')
    choices, correct = {c.key for c in question.choices}, set(question.correct)
    if len(choices) < 2:
        yield N_("has fewer than 2 choices")
    if not correct:
        yield N_("has no right answer")
    for key in sorted(correct - choices):
        yield N_(f'has right answer "{key}", which is not one of its choices')
    if question.multiple and len(correct) == 1:
        yield N_("is multiple-choice and has only 1 right answer")
    if not question.multiple and len(correct) > 1:
        yield N_(f"has {len(correct)} right answers; say multiple: true, or keep one")
    if len(choices) > 1 and choices <= correct:
        yield N_("has no wrong answer")


# ------------------------------------------------------------------ Markdown

# Paragraphs, ## headings, lists, bold, italics, tables: every phone shows them alike, and none can run.
_MARKDOWN = MarkdownIt("commonmark").enable("table")
_ALLOWED = re.compile(
    r"(paragraph|heading|(bullet|ordered)_list|list_item|table|thead|tbody|tr|th|td|strong|em)_open"
    r"|inline|text|softbreak|hardbreak"
)
_REFUSED = {
    "html_block": N_("raw HTML"),
    "html_inline": "raw HTML",
    "link_open": N_("a link"),
    "image": N_("an image"),
}


def _markdown_faults(body: str) -> Iterator[tuple[int, str]]:
    for token in _MARKDOWN.parse(body):
        line = token.map[0] + 1 if token.map else 1
        for part in [token, *(token.children or [])]:
            if part.nesting >= 0 and not _ALLOWED.fullmatch(part.type):
                yield line, N_(f"{_REFUSED.get(part.type, part.type.replace('_', ' '))} is not allowed")
            elif part.type == "heading_open" and part.tag != "h2":
                yield line, N_("a heading within a section must be ##")
            # An entity such as &#x202e; writes a hidden character in plain letters.
            elif part.type == "text" and (hidden := _HIDDEN.search(part.content)):
                yield line, _hidden_fault(hidden)
            line += part.type in ("softbreak", "hardbreak")


# ------------------------------------------------------------------ files and YAML

Place = tuple[str | int, ...]
M = TypeVar("M", bound=_Model)

# Control characters, those that turn the direction of writing round, and those without width.
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
_HIDDEN_IN_LINE = re.compile(rf"{_HIDDEN.pattern}|[\t\n]")
_TAG = re.compile(r"tag:yaml\.org,2002:(str|bool|int|float|null|timestamp|seq|map)")
# What it is said of, and how long it may be.
_WORDS = {
    "missing": N_("{} is missing"),
    "extra_forbidden": N_("{} is not a field we know"),
    "string_type": N_("{} must be a string"),
    "bool_type": N_("{} must be true or false"),
    "tuple_type": N_("{} must be a list"),
    "model_type": N_("{} must be a group of fields"),
    "too_short": N_("{} must not be an empty list"),
    "string_too_long": N_("{} is longer than {} characters"),
    _KEY: N_('{} must be words of a-z and 0-9 joined by "-", like packing-group-i'),
    _TRIMMED: N_("{} must not be blank, nor begin or end with a space"),
    _NOT_BLANK: N_("{} must not be blank"),
    _LANGUAGE: N_("{} must be a language code, like en"),
}


@dataclass(frozen=True)
class _Unquoted:
    text: str  # a bare YAML value that is not a string: 1.0, yes, 2024-01-01, or nothing at all


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        # A few lines of aliases can stand for billions of nodes; a course needs none.
        if getattr(event, "anchor", None):
            raise yaml.MarkedYAMLError(None, None, N_("& and * references are not allowed"), event.start_mark)
        node = super().compose_node(parent, index)
        if node and not _TAG.fullmatch(node.tag):
            raise yaml.MarkedYAMLError(None, None, N_(f"the tag {node.tag} cannot be used"), node.start_mark)
        return node


@dataclass
class _File:
    """A file being read: where each of its values stands, and the problems of the course so far."""

    path: Path
    problems: list[Problem]
    lines: dict[Place, int] = field(default_factory=dict)

    def fault(self, at: Place | int, message: str) -> None:
        """Note what is wrong at a line, or at a value: where that is missing, at what it is missing from."""
        while not isinstance(at, int):
            at = self.lines.get(at) or (at[:-1] if at else 1)
        self.problems.append(Problem(self.path, at, message))

    def text(self) -> str | None:
        """The file's text, or None where it cannot be read or hides something."""
        raw = b""
        try:
            raw = self.path.read_bytes()
            # A checkout on Windows must give the same content, and the same hash.
            text = raw.decode().replace("\r\n", "\n")
        except OSError as error:
            self.fault(1, f"cannot be read: {error.strerror}")
            return None
        except UnicodeDecodeError as error:
            self.fault(raw.count(b"\n", 0, error.start) + 1, "is not UTF-8")
            return None
        found = list(_HIDDEN.finditer(text))
        for hidden in found:
            self.fault(text.count("\n", 0, hidden.start()) + 1, _hidden_fault(hidden))
        return None if found else text

    def data(self) -> object:
        """What the YAML says, as dicts, tuples and strings; None where it cannot be told."""
        if (text := self.text()) is None:
            return None
        try:
            node = yaml.compose(text, _Loader)
        except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            self.fault(mark.line + 1 if mark else 1, f"YAML: {getattr(error, 'problem', None) or error}")
            return None
        if node is None:
            self.fault(1, "is empty")
        return None if node is None else self._value(node, ())

    def _value(self, node: yaml.Node, at: Place) -> object:
        line = node.start_mark.line + 1
        self.lines.setdefault(at, line)
        if isinstance(node, yaml.MappingNode):
            return self._fields(node, at)
        if isinstance(node, yaml.SequenceNode):
            return self._items(node, at)
        if hidden := _HIDDEN_IN_LINE.search(node.value):
            self.fault(line, _hidden_fault(hidden))
        # Taken out, so that no message carries it to a terminal.
        text = _HIDDEN_IN_LINE.sub("", node.value)
        if node.tag.endswith(":bool") and text in ("true", "false"):
            return text == "true"
        return text if node.tag.endswith(":str") else _Unquoted(text)

    def _fields(self, node: yaml.MappingNode, at: Place) -> dict[str, object]:
        fields: dict[str, object] = {}
        for key, value in node.value:
            name, line = self._value(key, (*at, "")), key.start_mark.line + 1
            if not isinstance(name, str):
                self.fault(line, "the name of a field must be a string")
            elif name in fields:
                self.fault(line, f'"{name}" is there twice')
            else:
                self.lines[*at, name] = line
                fields[name] = self._value(value, (*at, name))
        return fields

    def _items(self, node: yaml.SequenceNode, at: Place) -> tuple[object, ...]:
        items = tuple(self._value(item, (*at, i)) for i, item in enumerate(node.value))
        seen = set()
        for i, item in enumerate(items):
            key = item.get("key") if isinstance(item, dict) else item
            if isinstance(key, str) and key in seen:
                self.fault((*at, i), f'"{key}" is there twice')
            elif isinstance(key, str):
                seen.add(key)
        return items

    def check(self, model: type[M], data: object) -> M | None:
        """The data as this model, or None with each of its faults noted."""
        try:
            return None if data is None else model.model_validate(data)
        except ValidationError as error:
            for fault in error.errors(include_url=False):
                # Pydantic also calls a list short when none of its items is right.
                if fault["type"] != "too_short" or not fault["input"]:
                    for words in _in_words(fault, data):
                        self.fault(fault["loc"], words)
            return None


def _hidden_fault(found: re.Match[str]) -> str:
    what = {"\n": N_("a line break"), "\t": N_("a tab")}.get(found[0])
    what = what or N_(f"the hidden character U+{ord(found[0]):04X}")
    return N_(f"must not hold {what}")


def _in_words(fault: ErrorDetails, data: Any) -> Iterator[str]:
    """A fault that Pydantic found, as `question "packing-group-i": prompt is missing`."""
    at, given, more, who = fault["loc"], fault["input"], fault.get("ctx", {}), ""
    if at[:1] == ("questions",) and len(at) > 1:
        question = data["questions"][at[1]]
        key = question.get("key") if isinstance(question, dict) else None
        who = f'"{key}"' if isinstance(key, str) else str(int(at[1]) + 1)
    if fault["type"] == "answers":
        for one in more["faults"]:
            yield N_(f'question "{more["key"]}" {one}')
        return
    field_name = next((part for part in reversed(at[2 if who else 0 :]) if isinstance(part, str)), "")
    known = _WORDS.get(more.get("pattern", fault["type"]))
    of = field_name or (N_(f"question {who}") if who else N_("the file"))
    words = known.format(of, more.get("max_length")) if known else f"{of}: {fault['msg']}"
    if fault["type"] == "string_type" and isinstance(given, _Unquoted | bool):
        bare = given.text if isinstance(given, _Unquoted) else str(given).lower()
        words = N_(f'{words}: put quotes around "{bare}"')
    yield N_(f"question {who}: {words}") if who and field_name else words
