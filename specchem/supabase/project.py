"""The folder ``supabase`` of a project: what Supabase's own command line sets a project up with.

A migration is applied once, by the time in its name. So each release gets a file of its own, later than every file
that is there, and none where the newest of ours is this release's already. Nothing depends on which: the text finds
out itself which revisions are missing (docs/decisions/0023-a-migration-for-supabase-may-run-twice.md).
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path

from specchem.auth.service.letters import NAME, WORDS
from specchem.auth.service.passwords import MIN_LENGTH
from specchem.db import upgrade

CONFIG = Path(__file__).with_name("config.toml")
TIME = "%Y%m%d%H%M%S"
OURS = re.compile(r"\d{14}_specchem_(?P<release>\w+)\.sql")
# Our letters by Supabase's names for them.
TEMPLATES = {
    "invite": "invite",
    "confirmation": "signup",
    "recovery": "recovery",
    "magic_link": "magiclink",
    "email_change": "email_change",
}


def whole(since: str | None = None) -> str:
    """The upgrade as one transaction, for psql, Supabase's command line and its SQL editor."""
    return f"begin;\n{upgrade.script(since)}commit;\n"


def files(folder: Path, site_url: str, since: str | None = None) -> Iterator[tuple[Path, str]]:
    """The files that are missing in the folder, with what is to be written into each."""
    release = f"{upgrade.head()}_{upgrade.rules_hash()[:8]}"
    names = sorted(file.name for file in (folder / "migrations").glob("*.sql"))
    ours = [found["release"] for name in names if (found := OURS.fullmatch(name))]
    if ours[-1:] != [release]:
        yield folder / "migrations" / f"{_later(names)}_specchem_{release}.sql", whole(since)
    if (folder / "config.toml").exists():
        return
    for template, kind in TEMPLATES.items():
        yield folder / "templates" / f"{template}.html", _letter(kind)
    yield folder / "config.toml", _config(site_url)


def _later(names: list[str]) -> str:
    """A time for a migration: now, and in any case after all that are there."""
    now = datetime.now(UTC)
    for name in names:
        try:
            there = datetime.strptime(name.partition("_")[0], TIME).replace(tzinfo=UTC)
        except ValueError:
            continue
        now = max(now, there + timedelta(seconds=1))
    return now.strftime(TIME)


def _config(site_url: str) -> str:
    text = CONFIG.read_text().format(site_url=site_url, password_length=MIN_LENGTH)
    return text + "".join(
        f'\n[auth.email.template.{template}]\nsubject = "{NAME}: {WORDS[kind][0]}"\n'
        f'content_path = "./supabase/templates/{template}.html"\n'
        for template, kind in TEMPLATES.items()
    )


def _letter(kind: str) -> str:
    """One of the local service's letters as a template of Supabase's, whose links are good for an hour."""
    _, sentence, words, _ = WORDS[kind]
    link = f"{{{{ .SiteURL }}}}/auth/confirm?token_hash={{{{ .TokenHash }}}}&amp;type={kind}"
    return (
        f"<p>{escape(sentence)}</p>\n"
        f'<p><a href="{link}">{escape(words)}</a></p>\n'
        "<p>The link is good for an hour, and once. If you did not expect this mail, do nothing.</p>\n"
    )
