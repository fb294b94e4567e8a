"""``specchem auth …``: the local auth service's keys."""

import sys

import typer

from specchem.auth.service.keys import KeyRing
from specchem.cli.common import in_words, out
from specchem.db import embedded
from specchem.errors import Stopped
from specchem.settings import Settings, load

auth_app = typer.Typer(help="Look after the local auth service's keys.", no_args_is_help=True)


def _ring() -> tuple[Settings, KeyRing]:
    settings = load()
    if settings.supabase_url is not None:
        raise Stopped("People sign in with Supabase (SUPABASE_URL is set), whose keys are on its dashboard.")
    folder = embedded.default_folder(settings.data_dir)
    embedded.claim(folder)
    return settings, KeyRing(folder)


@auth_app.command("keys")
def auth_keys() -> None:
    """Print what Supabase's clients are made with: the URL, the publishable key and the secret one."""
    with in_words():
        settings, ring = _ring()
    told = {"URL": settings.base_url, "publishable key": ring.publishable_key, "secret key": ring.secret_key}
    for name, value in told.items():
        sys.stdout.write(f"{name:<17}{value}\n")


@auth_app.command("rotate-key")
def auth_rotate_key() -> None:
    """Sign access tokens with a new key from now on; nobody is signed out, and no server is restarted."""
    with in_words():
        made = _ring()[1].rotate()
    out.print(f"Tokens are signed with key {made.key_id} from now on; those of the former key stay good.")
