"""Runs the server: database ready, port open, requests answered, everything put away at the end."""

import asyncio
import gc
import json
import signal
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import asyncpg
import uvicorn
import uvloop
from litestar.enums import ScopeType
from litestar.types import (
    ASGIApp,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    Message,
    Receive,
    Scope,
    Send,
)

from specchem.auth.service.keys import KeyRing
from specchem.backup.nightly import Nightly
from specchem.db import embedded
from specchem.db.database import Database
from specchem.errors import Stopped, Unavailable
from specchem.logs import Voice
from specchem.ready import be_ready, tell_settings
from specchem.settings import Settings
from specchem.web.app import create_app
from specchem.web.problems import document
from specchem.web.watch import Watch

WATCH_SECONDS = 2
STOPPING = (
    "The server is stopping: this may or may not have been saved. Try again in a moment, and look first."
)
GRACE_SECONDS = 6  # for requests under way at a stop; with mail and database, ten


class Told:
    """The application, whose last requests are told when the stop breaks them off: uvicorn would say 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As the application's."""
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except asyncio.CancelledError:
            if scope["type"] != ScopeType.HTTP or begun:
                raise
            body = json.dumps(document(Unavailable(STOPPING)))
            headers = [(b"content-type", b"application/problem+json"), (b"retry-after", b"2")]
            await send(HTTPResponseStartEvent(type="http.response.start", status=503, headers=headers))
            await send(HTTPResponseBodyEvent(type="http.response.body", body=body.encode(), more_body=False))


class Server(uvicorn.Server):
    """uvicorn, saying when people can come."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, then the word."""
        await super().startup(sockets)
        if self.started:
            # What is there now stays: looking through it again and again would hold requests up.
            gc.collect()
            gc.freeze()
            self._ready()


def run(
    settings: Settings,
    where: Database,
    *,
    may_upgrade: bool,
    demo: bool,
    voice: Voice,
) -> None:
    """Serve until SIGINT or SIGTERM. Raises Stopped when it cannot start."""
    say = voice.say
    listening = _listen(settings)
    # With port 0 the system chose one.
    settings = settings.model_copy(update={"port": listening.getsockname()[1]})

    async def whole() -> None:
        await be_ready(where, may_upgrade=may_upgrade, say=say)
        await tell_settings(where, settings)
        lines: list[str] = []
        if demo:
            from specchem.demo import accounts_in_words, make_demo  # nobody else needs it

            await make_demo(where, say)
            lines = accounts_in_words() if voice.is_heard else []
        folder = embedded.default_folder(settings.data_dir)
        embedded.claim(folder)
        nightly = _nightly(settings, where, say)
        app = create_app(settings, where, KeyRing(folder), voice.confide)
        config = uvicorn.Config(
            Watch(Told(app), app.state.metrics),
            log_config=None,
            access_log=False,
            ws="none",
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        server = Server(config, lambda: _ready(settings, lines, say))
        watch = asyncio.create_task(_watch(where, folder, say)) if where.is_embedded else None
        backups = asyncio.create_task(nightly.tend()) if nightly is not None else None
        await asyncio.sleep(0)  # told to stop by now, we end here; from here on uvicorn hears it
        await server.serve(sockets=[listening])
        for task in (watch, backups):
            if task is not None:
                task.cancel()
        if not server.started:
            raise Stopped("The server could not start; the reason is above.")

    _until_told(whole)


def _until_told(work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run work in a loop of its own, to its end or until SIGINT or SIGTERM cancels it.

    No handler raises here: one that did while the loop is made or closed would leave half of one, and its complaint.
    """
    told, task = False, None

    def tell(*_: object) -> None:
        nonlocal told
        told = True
        if task is not None:
            task.get_loop().call_soon_threadsafe(task.cancel)

    async def whole() -> None:
        nonlocal task
        task = asyncio.current_task()
        try:
            if not told:
                await work()
        finally:
            task = None

    before = {one: signal.signal(one, tell) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        with suppress(asyncio.CancelledError), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(whole())
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _nightly(settings: Settings, where: Database, say: Callable[[str], None]) -> Nightly | None:
    if settings.backup_dir is None:
        return None
    keep = timedelta(days=settings.backup_keep)
    return Nightly(where, settings.backup_dir.expanduser().resolve(), settings.backup_at, keep, say)


async def _watch(where: Database, folder: Path, say: Callable[[str], None]) -> None:
    """Bring the embedded PostgreSQL back when it has died under us; until then requests are told 503."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        try:
            await (await asyncpg.connect(where.api, timeout=WATCH_SECONDS)).close()
        except (ConnectionError, FileNotFoundError):
            # Joining the server starts it; our own use of it goes on, so leaving again does not stop it.
            with suppress(embedded.EmbeddedError):
                await asyncio.to_thread(lambda: embedded.start(folder, say=say).close())
        except (asyncpg.PostgresError, OSError):
            pass  # it is there: starting, stopping, or full


def _listen(settings: Settings) -> socket.socket:
    """The port, taken before any long work, so that one that is taken is told at once."""
    try:
        family, *_, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(address[:2], family=family, backlog=2048)
        # asyncio does it only for sockets that name their protocol; without it an answer waits 40 ms for an ACK.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise Stopped(
            f"The server cannot listen on {settings.host}:{settings.port} ({error.strerror});"
            " choose another SPECCHEM_HOST or SPECCHEM_PORT."
        ) from None


def _ready(settings: Settings, lines: list[str], say: Callable[[str], None]) -> None:
    for line in lines:
        say(line)
    say(f"Ready: {settings.base_url}  (Ctrl-C stops it)")
