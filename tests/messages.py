"""What is said, found in templates, code and rules; ``make messages`` brings it to ``specchem/locales``."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import write_po

from specchem import i18n

ROOT = Path(__file__).parents[1] / "specchem"
# Whose words reach people, sentence or not: gettext's own, and errors'.
KEYWORDS: dict[str, tuple[int, ...] | None] = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2)}
ERRORS = {"ValueError": 0, "Problem": 1}
# A string in code that is none of these reaches people if it reads as a sentence.
SENTENCE = re.compile(r"[A-Z{].*\s.*[.!?]", re.DOTALL)
NOT_FOR_PEOPLE = {"description", "summary"}
METHODS = [
    *((f"db/{name}.py", "tests.messages:sentences") for name in ("refusals", "session")),
    # Programs read these, and administrators at a terminal.
    *(
        (f"{name}/**.py", "ignore")
        for name in ("auth/service", "backup", "cli", "db", "doctor", "isolation", "supabase")
    ),
    *(
        (f"{name}.py", "ignore")
        for name in (
            "demo",
            "ready",
            "serve",
            "settings",
            "auth/door",
            "auth/letters",
            "web/api",
            "web/app",
            "web/metrics",
        )
    ),
    ("people/creation.py", "ignore"),
    ("**.py", "tests.messages:sentences"),
    ("web/templates/**.html", "jinja2"),
    ("db/rules/**.sql", "tests.messages:refusals"),
]
OPTIONS = {"web/templates/**.html": {"trimmed": "true", "silent": "false"}}
QUOTED = r"'((?:[^']|'')*)'"
REFUSAL = re.compile(r"app\.refuse\(\s*\d+,(.*?)\);", re.DOTALL)
# A sentence, with what is put before it or into its middle.
JOINED = re.compile(rf"(\w+ \|\| )?{QUOTED}(?:\s*\|\|[^']+\|\|\s*{QUOTED})?")
FIELD = re.compile(r"^(?:%s|[a-z_.]+): ")  # the page may tell the rest alone


def refusals(
    file: object, keywords: object, tags: object, options: object
) -> Iterator[tuple[int, str, str, list[str]]]:
    """The sentences of ``app.refuse`` in a page of rules, for Babel."""
    text = file.read().decode()  # type: ignore[attr-defined]
    for call in REFUSAL.finditer(text):
        told = [one for one in JOINED.finditer(call[1]) if " " in one[2]]
        assert told, f"no sentence in {call[0]}"
        for before, one, more in (found.groups() for found in told):
            sentence = ("%s" if before else "") + one + (f"%s{more}" if more else "")
            for part in {sentence, FIELD.sub("", sentence)}:
                yield text.count("\n", 0, call.start()) + 1, "_", part.replace("''", "'"), []


def sentences(
    file: object, keywords: object, tags: object, options: object
) -> Iterator[tuple[int, str, object, list[str]]]:
    """What Python says to people, for Babel; what an f-string puts in is a hole, ``{}``."""
    yield from _spoken(ast.parse(file.read()))  # type: ignore[attr-defined]


def _spoken(node: ast.AST) -> Iterator[tuple[int, str, object, list[str]]]:
    match node:
        case ast.Expr(value=ast.Constant()):  # a docstring
            return
        case ast.keyword(arg=name) if name in NOT_FOR_PEOPLE:
            return
        case ast.Call(func=ast.Attribute(value=ast.Name(id="log"))):
            return
        case ast.Call(func=ast.Name(id="ngettext"), args=[ast.Constant(one), ast.Constant(many), *_]):
            yield node.lineno, "ngettext", (one, many), []
        case ast.Call(func=ast.Name(id=name), args=args) if name in {"_", "N_"} or len(args) > ERRORS.get(
            name, 9
        ):
            if text := _text(args[ERRORS.get(name, 0)]):
                yield node.lineno, "_", text, []
        case ast.Call(func=ast.Attribute(attr="fault"), args=[_, message]):  # of a course's file
            if text := _text(message):
                yield node.lineno, "_", text, []
        case ast.Assign(targets=[ast.Name(id="title")], value=ast.Constant(str(text))):  # of an error
            yield node.lineno, "_", text, []
        case ast.Constant() | ast.JoinedStr():
            if (text := _text(node)) and SENTENCE.fullmatch(text):
                yield node.lineno, "_", text, []
            return
    for child in ast.iter_child_nodes(node):
        yield from _spoken(child)


def _text(node: ast.AST) -> str:
    match node:
        case ast.Constant(str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) or "{}" for part in parts)
    return ""


def extracted() -> Catalog:
    """Every sentence, without where it stands: lines move with every change."""
    found = Catalog(project="SpecChem Safety Training", charset="utf-8")
    for _, _, message, _, _ in extract_from_dir(ROOT, METHODS, OPTIONS, KEYWORDS):
        found.add(message)
    return found


def main() -> None:
    """Bring each catalog to what there is; what is new has no translation yet, what is gone is dropped."""
    template = extracted()
    for spoken in i18n.LANGUAGES:
        if spoken == i18n.DEFAULT:
            continue
        file = i18n.HERE / f"{spoken}.po"
        known = i18n.catalog(spoken) if file.exists() else Catalog(locale=spoken)
        new = Catalog(locale=spoken, project=template.project, charset="utf-8")
        for message in template:
            if message.id:
                before = known.get(message.id)
                new.add(message.id, before.string if before else None)
        with file.open("wb") as out:
            write_po(out, new, width=0, sort_output=True, omit_header=True, no_location=True)
        for message in new:
            if message.id and not "".join(message.string or ""):  # still to be translated
                print(f"{file.name}: {message.id}")


if __name__ == "__main__":
    main()
