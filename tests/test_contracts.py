"""What holds for the whole house."""

import ast
import inspect
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from specchem import errors
from specchem.cli import app
from specchem.errors import BY_STATUS, SpecChemError

ROOT = Path(__file__).parents[1]
DOMAINS = ["people", "courses", "enrollments", "progress", "events", "reporting"]
PROGRAMS = ("specchem.web.", "specchem.cli", "specchem.doctor.")
COMMON = {"specchem.errors", "specchem.vocabulary"}
MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts): file
    for file in sorted((ROOT / "specchem").rglob("*.py"))
    if "migrations" not in file.parts
}  # fmt: skip


def imported(module: str) -> set[str]:
    """Which of our modules a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are written out"
            name = node.module or ""
            # `from specchem.people import operations` is that module.
            found |= {one for alias in node.names if (one := f"{name}.{alias.name}") in MODULES} or {name}
    return {name for name in found if name.split(".")[0] == "specchem" and name != "specchem"}


def domain_of(module: str) -> str | None:
    part = module.split(".")[1] if "." in module else ""
    return part if part in DOMAINS else None


@pytest.mark.parametrize("domain", DOMAINS)
def test_operations_know_their_schemas_and_the_session_alone(domain: str) -> None:
    """One domain's operations never call another's: what crosses domains is a trigger."""
    allowed = {f"specchem.{domain}.schemas", "specchem.db.session", *COMMON}
    assert imported(f"specchem.{domain}.operations") <= allowed
    assert imported(f"specchem.{domain}.schemas") <= COMMON


def test_the_database_knows_no_domain() -> None:
    allowed = {"specchem.settings", *COMMON}
    for module in MODULES:
        if module.startswith("specchem.db."):
            foreign = {name for name in imported(module) if not name.startswith("specchem.db")} - allowed
            assert not foreign, f"{module} imports {foreign}"


def test_settings_errors_and_vocabulary_import_nothing_else_of_ours() -> None:
    for module in ("specchem.settings", "specchem.errors", "specchem.vocabulary"):
        assert imported(module) <= {"specchem.settings", *COMMON}


def test_reporting_reads_everything_and_nobody_imports_it() -> None:
    for module in MODULES:
        if domain_of(module) != "reporting" and not module.startswith(PROGRAMS):
            assert not {name for name in imported(module) if domain_of(name) == "reporting"}, module


def test_doors_are_not_walked_through_backwards() -> None:
    """Nobody but the app imports an api or pages module, and nobody but the programs imports the app."""
    for module in MODULES:
        doors = {name for name in imported(module) if name.endswith((".api", ".pages")) and domain_of(name)}
        assert not doors or module.startswith("specchem.web."), f"{module} imports {doors}"
        if "specchem.web.app" in imported(module):
            assert module == "specchem.serve"
        if any(name.startswith("specchem.cli") for name in imported(module)):
            assert module == "specchem.__main__" or module.startswith("specchem.cli")


def test_json_doors_use_their_own_domain() -> None:
    for domain in DOMAINS:
        foreign = {
            name for name in imported(f"specchem.{domain}.api")
            if domain_of(name) not in {None, domain} or name.startswith("specchem.web")
        }  # fmt: skip
        assert not foreign, f"{domain}.api imports {foreign}"


# ------------------------------------------------------------------------------------------------ errors


def kinds(root: type[SpecChemError] = SpecChemError) -> Iterator[type[SpecChemError]]:
    for kind in root.__subclasses__():
        yield kind
        yield from kinds(kind)


def test_every_error_has_its_own_status_title_and_place_in_the_drawing() -> None:
    ours = {kind for kind in kinds() if kind.__module__ == errors.__name__}
    # Stopped has none, it is the command line's; a second factor is asked for with NotSignedIn's.
    assert len(BY_STATUS) == len(ours) - 2
    assert {kind.title for kind in BY_STATUS.values()} >= {"Bad input", "Not found", "Conflict"}
    for kind in ours:
        assert kind.__name__ in str(inspect.getdoc(errors))
    for status, kind in BY_STATUS.items():
        assert f"{kind.__name__}  " in str(errors.__doc__)
        assert str(status) in str(errors.__doc__)


# ------------------------------------------------------------------------------------------------ command line


def commands() -> list[str]:
    """Every command, as it is typed."""
    top = typer.main.get_command(app)
    found = []
    for name, one in top.commands.items():  # type: ignore[attr-defined]
        inner = getattr(one, "commands", None)
        found += [f"specchem {name} {more}" for more in inner] if inner else [f"specchem {name}"]
    return found


@pytest.mark.parametrize("command", commands())
def test_every_command_is_in_the_documents(command: str) -> None:
    texts = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]
    words = " ".join(text.read_text() for text in texts)
    named = re.sub(r"\s+", " ", words)
    assert command in named or command.removeprefix("specchem ") in re.findall(r"`([^`]*)`", named), command


# ------------------------------------------------------------------------------------------------ what is tracked


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def texts() -> Iterator[tuple[Path, str]]:
    for file in tracked():
        try:
            yield file, file.read_text()
        except UnicodeDecodeError:
            continue  # a picture


REGISTRIES = re.compile(
    r"pypi\.org|pythonhosted|registry\.npmjs|npmjs\.org|registry\.yarnpkg|artifactory|nexus|devpi"
    r"|(?:extra-)?index-url\s*[= ]\s*http|--find-links\s*[= ]\s*http|\"resolved\":", re.IGNORECASE
)  # fmt: skip


def test_no_address_of_a_package_registry_is_tracked() -> None:
    """Which registry serves a machine is the machine's own business."""
    for file, text in texts():
        if file != Path(__file__):
            found = REGISTRIES.search(text)
            assert found is None, f"{file.relative_to(ROOT)}: {found[0] if found else ''}"


SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{30,}|\bsk-[A-Za-z0-9_-]{20,}"
    r"|\bsb_secret_[A-Za-z0-9_]{10,}|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"
    r"|\bxox[abp]-[A-Za-z0-9-]{10,}|\$argon2id\$v=19\$[^\s]{40,}"
)  # fmt: skip


def test_nothing_like_a_secret_is_tracked() -> None:
    for file, text in texts():
        found = SECRETS.search(text)
        assert found is None, f"{file.relative_to(ROOT)}: {found[0][:20] if found else ''}…"
    names = {file.name for file in tracked()}
    assert not {name for name in names if name.endswith((".pem", ".key", ".p12")) or name == ".env"}


def test_what_is_fetched_by_set_up_is_not_tracked() -> None:
    for file in tracked():
        assert not {"vendor", "node_modules", ".venv", "__pycache__"} & set(file.relative_to(ROOT).parts), (
            file
        )
