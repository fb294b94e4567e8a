"""docs/guide.md says where things are; here we look whether they are there."""

import re
from pathlib import Path

import pytest
from litestar import Litestar
from typer.main import get_command

from specchem.cli import app as cli
from specchem.db.database import Database
from specchem.settings import PREFIX, Settings, variables
from specchem.settings import rows as settings_rows
from specchem.web.app import create_app
from tests.test_operations_catalog import GUIDE
from tests.web.served import RING

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "guide.md").read_text()
PATH = re.compile(r"(?:specchem|tests|courses|docs|tools)/[\w./-]*|(?:Makefile|[\w.-]+\.(?:toml|txt|json))")
ROUTE = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/\S*)")


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def rows() -> list[tuple[str, list[str]]]:
    """Each row with the text above its table."""
    found = []
    for section in re.split(r"^#+ .*$", TEXT, flags=re.MULTILINE):
        lines = section.splitlines()
        above = " ".join(line for line in lines if not line.startswith("|"))
        table = [line for line in lines if line.startswith("|")]
        found += [(above, cells(row)) for row in table[2:]]
    return found


def paths(text: str) -> list[str]:
    """The files and folders that a text names; a test's name stands behind its file."""
    return [one for one in (token.partition("::")[0] for token in quoted(text)) if PATH.fullmatch(one)]


def content(path: str) -> str:
    here = ROOT / path
    files = (
        [here] if here.is_file() else [file for file in here.rglob("*.*") if file.suffix in {".py", ".sql"}]
    )
    return "\n".join(file.read_text() for file in files)


@pytest.fixture(scope="module")
def app() -> Litestar:
    """The app, never started: it needs no database to say what its routes are."""
    return create_app(Settings(), Database("", "", "", ""), RING)


def served(app: Litestar) -> set[str]:
    return {
        f"{method} {re.sub(r':[a-z]+}', '}', route.path)}"
        for route in app.routes
        for method in getattr(route, "methods", ())
    }


@pytest.mark.parametrize("path", sorted(set(paths(TEXT))))
def test_every_file_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_test_is_there() -> None:
    cited = {token for token in quoted(TEXT) if token.startswith("tests/") and "::" in token}
    assert len(cited) > 50
    missing = [
        token
        for token in sorted(cited)
        if not re.search(rf"def {token.partition('::')[2]}\(", content(token.partition("::")[0]))
    ]
    assert missing == []


def is_a_name(token: str) -> bool:
    return not (
        PATH.match(token) or ROUTE.match(token) or token.startswith((PREFIX, "SUPABASE_", "specchem "))
    )


def test_every_name_is_in_the_files_beside_it() -> None:
    missing = []
    for above, (_, here, *_) in rows():
        words = set(re.findall(r"\w+", "\n".join(map(content, {*paths(here), *paths(above)}))))
        for token in filter(is_a_name, quoted(here)):
            known = [*ROOT.glob(f"specchem/*/{token}")] if token.endswith(".py") else words
            if not known or not (token.endswith(".py") or set(re.findall(r"\w+", token)) <= words):
                missing.append(f"{token}: {here}")
    assert missing == []


def test_every_setting_is_there() -> None:
    named = {token for token in quoted(TEXT) if token.startswith((PREFIX, "SUPABASE_"))}
    assert set(variables().values()) <= named
    assert {token for token in named if token.startswith(PREFIX)} <= set(variables().values())


def test_every_command_is_there() -> None:
    program = get_command(cli)
    for said in {token for token in quoted(TEXT) if token.startswith("specchem ")}:
        command = program
        for word in re.sub(r" --.*", "", said).split()[1:]:
            command = getattr(command, "commands", {})[word]
        options = {option for one in command.params for option in one.opts}
        assert set(re.findall(r"--[a-z-]+", said)) <= options, said


@pytest.mark.parametrize("name", [name for names in GUIDE.values() for name in names.split()])
def test_every_operation_has_its_row(name: str) -> None:
    ours = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=HR)(?=A)", "_", name).lower()
    found = [row for _, row in rows() if row[0] == f"`{name}`" and row[1] == f"`{ours}`" and len(row) == 4]
    assert len(found) == 1
    assert ROUTE.search(found[0][2])


def test_every_route_of_the_api_is_named(app: Litestar) -> None:
    described = {
        f"{method.upper()} {path}"
        for path, item in (app.openapi_schema.paths or {}).items()
        for method in ("get", "post", "put", "patch", "delete")
        if getattr(item, method) is not None
    }
    assert described
    assert described - set(quoted(TEXT)) == set()


def test_every_page_is_named(app: Litestar) -> None:
    programs = ("/api", "/auth/v1", "/static", "/metrics")
    pages = {
        one
        for one in served(app)
        if not one.startswith(("OPTIONS", "HEAD")) and not one.partition(" ")[2].startswith(programs)
    }
    assert len(pages) > 50
    assert pages - set(quoted(TEXT)) == set()


def test_every_route_that_is_named_is_there(app: Litestar) -> None:
    named = {re.sub(r":[a-z]+}", "}", token) for token in quoted(TEXT) if ROUTE.fullmatch(token)}
    assert named - served(app) == set()


def test_every_policy_has_its_row() -> None:
    rules = content("specchem/db/rules")
    made = {f"{name} on {table}" for name, table in re.findall(r"create policy (\w+) on ([\w.]+)", rules)}
    described = set(quoted(TEXT))
    # Three tables of content are described as one.
    alike = {"public.questions", "public.question_choices", "public.answer_keys"}
    assert {one for one in made - described if one.rpartition(" ")[2] not in alike} == set()


def test_the_guide_names_nothing_outside_the_repository() -> None:
    assert not re.search(r"\.\./|/work/|\w+://[^\s`]*:[^\s`]*@", TEXT)
    assert {len(row) for _, row in rows()} <= {3, 4}


def test_the_handbook_lists_the_settings_as_they_are() -> None:
    listed = (ROOT / "docs" / "operating.md").read_text().partition("| variable | meaning | default |")[2]
    lines = listed.partition("\n\n")[0].splitlines()[2:]
    assert lines == [f"| `{name}` | {meaning} | {default} |" for name, meaning, default in settings_rows()]
