"""What is said, found in templates, code and rules; ``make messages`` brings it to ``specchem/locales``."""

import re
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import write_po

from specchem import i18n

ROOT = Path(__file__).parents[1] / "specchem"
# The errors whose sentences reach people, besides gettext's own words.
KEYWORDS: dict[str, tuple[int, ...] | None] = {
    "_": None, "N_": None, "gettext": None, "ngettext": (1, 2), "BadInput": None, "NotSignedIn": None,
    "SecondFactorNeeded": None, "Forbidden": None, "NotFound": None, "Conflict": None, "Unavailable": None,
    "ValueError": None, "Problem": (2,),
}  # fmt: skip
METHODS = [
    # Programs read these, and administrators at a terminal.
    *((f"{name}/**.py", "ignore") for name in ("auth/service", "cli", "isolation", "doctor")),
    ("settings.py", "ignore"),
    ("**.py", "python"),
    ("web/templates/**.html", "jinja2"),
    ("db/rules/**.sql", "tests.messages:refusals"),
]
OPTIONS = {"web/templates/**.html": {"trimmed": "true", "silent": "false"}}
QUOTED = r"'((?:[^']|'')*)'"
REFUSAL = re.compile(rf"app\.refuse\(\s*\d+,\s*(?:format\(\s*)?(?:\w+ \|\| )?{QUOTED}")


def refusals(
    file: object, keywords: object, tags: object, options: object
) -> Iterator[tuple[int, str, str, list[str]]]:
    """The sentences of ``app.refuse`` in a page of rules, for Babel."""
    text = file.read().decode()  # type: ignore[attr-defined]
    for found in REFUSAL.finditer(text):
        yield text.count("\n", 0, found.start()) + 1, "_", found[1].replace("''", "'"), []


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
        lines = Path(file)
        with lines.open("wb") as out:
            write_po(out, new, width=0, sort_output=True, omit_header=True, no_location=True)


if __name__ == "__main__":
    main()
