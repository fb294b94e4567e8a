"""``specchem serve``."""

import signal
import sys
from contextlib import suppress
from typing import Annotated

import typer

from specchem.cli.common import in_words, say
from specchem.db import database
from specchem.errors import Stopped
from specchem.settings import is_loopback, load


def serve(
    demo: Annotated[
        bool, typer.Option("--demo", help="With six plants of invented people; loopback only.")
    ] = False,
    upgrade_first: Annotated[
        bool,
        typer.Option("--upgrade", help="Upgrade an external database first (the embedded one always is)."),
    ] = False,
) -> None:
    """Start the server (SPECCHEM_HOST, SPECCHEM_PORT; Ctrl-C stops it, and the embedded PostgreSQL)."""
    from specchem.logs import set_up  # the other commands start faster without these
    from specchem.serve import run

    # A polite kill ends like Ctrl-C: through the finally clauses, which put PostgreSQL away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with in_words(), suppress(KeyboardInterrupt):
        settings = load()
        if demo and not is_loopback(settings.host):
            raise Stopped(
                f"--demo shows known passwords, so it serves loopback only, not SPECCHEM_HOST={settings.host}."
            )
        if demo and settings.supabase_url is not None:
            raise Stopped("--demo makes accounts of its own, so it goes without SUPABASE_URL.")
        voice = set_up(settings, say)
        with database.opened(settings, voice.say) as where:
            run(settings, where, may_upgrade=upgrade_first or where.is_embedded, demo=demo, voice=voice)
