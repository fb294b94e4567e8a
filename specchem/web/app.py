"""The application put together."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
from litestar import Litestar, get
from litestar.config.compression import CompressionConfig
from litestar.config.csrf import CSRFConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.static_files import create_static_files_router
from litestar.template import TemplateConfig
from pydantic import SecretStr

from specchem.auth.client import AuthClient, client_of_supabase, open_client
from specchem.auth.cookies import SessionCookies, cookie_name
from specchem.auth.door import Door
from specchem.auth.service import api as auth_api
from specchem.auth.service.keys import KeyRing
from specchem.auth.service.service import Service
from specchem.auth.service.service import opened as service_over
from specchem.auth.tokens import Tokens
from specchem.auth.visits import Visits, carry
from specchem.db.database import Database
from specchem.db.session import Pool, close_pool, open_pool, transaction
from specchem.db.upgrade import head, rules_hash
from specchem.doors import Pooled
from specchem.errors import Unavailable
from specchem.settings import Settings
from specchem.web import api, pages
from specchem.web.headers import protect
from specchem.web.metrics import Metrics
from specchem.web.metrics import door as metrics_door
from specchem.web.metrics import metrics as metrics_page
from specchem.web.problems import answer

HERE = Path(__file__).parent
MAX_BODY = 6 * 1024 * 1024  # bytes: 500 events with 8 KB of extra data each fit


def create_app(
    settings: Settings, database: Database, ring: KeyRing, say: Callable[[str], None] = lambda _: None
) -> Litestar:
    """The whole server over one database. Opens its pools at start-up and closes them at the end.

    ``say`` tells the person at the terminal of mail that nothing was set up to send.
    """
    local = settings.supabase_url is None
    # What a browser may send back only encrypted.
    secure = settings.base_url.startswith("https:")

    metrics = Metrics()

    @asynccontextmanager
    async def pool(name: str, address: str, size: int) -> AsyncIterator[Pool]:
        opened = await open_pool(address, size, metrics.counts(name))
        metrics.watch(name, opened)
        try:
            yield opened
        finally:
            await close_pool(opened)

    @asynccontextmanager
    async def pools(app: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            requests = await stack.enter_async_context(pool("requests", database.api, settings.pool_size))
            client = _client(settings, app, ring)
            stack.push_async_callback(client.http.aclose)
            tokens = Tokens(client.jwks, settings.auth_url, _told(settings.supabase_jwt_secret))
            stack.push_async_callback(tokens.close)
            cookies = SessionCookies(cookie_name(settings.auth_url), secure)
            door = Door(requests, metrics.auth_failed)
            app.state.pool, app.state.tokens = requests, tokens
            app.state.visits = Visits(client, tokens, cookies, door)
            if local:
                few = max(2, settings.pool_size // 4)
                accounts = await stack.enter_async_context(pool("auth", database.auth, few))
                service = service_over(settings, accounts, door, ring, say)
                app.state.auth = await stack.enter_async_context(service)
            yield

    return Litestar(
        route_handlers=[
            api.router,
            *([auth_api.router] if local else []),
            pages.router,
            healthz,
            metrics_page,
            create_static_files_router(
                "/static", [HERE / "static"], include_in_schema=False, cache_control=None
            ),
        ],
        dependencies={
            "pool": Provide(_pool, sync_to_thread=False),
            "visits": Provide(_visits, sync_to_thread=False),
            "auth": Provide(_auth, sync_to_thread=False),
        },
        state=State(
            {
                "host": urlsplit(settings.base_url).netloc,
                "release": (head(), rules_hash()),
                "metrics": metrics,
                "metrics_door": metrics_door(settings),
            }
        ),
        lifespan=[pools],
        exception_handlers={Exception: answer},
        before_send=[protect, carry],
        csrf_config=CSRFConfig(
            secret=ring.secret("csrf"),
            cookie_name="specchem-csrf",
            cookie_secure=secure,
            cookie_httponly=True,
            cookie_samesite="lax",
            exclude=["^/api/", "^/auth/v1/", "^/static/", "^/healthz$", "^/metrics$"],
        ),
        template_config=TemplateConfig(
            directory=HERE / "templates",
            engine=JinjaTemplateEngine,
            engine_callback=partial(pages.dress, idle_minutes=settings.idle_minutes),
        ),
        # Pages and files. Programs' answers are small, and tokens are never squeezed beside what a stranger chose.
        compression_config=CompressionConfig(
            "gzip", gzip_compress_level=6, exclude=["^/api/", "^/auth/v1/", "^/healthz$"]
        ),
        openapi_config=api.openapi(),
        plugins=[api.OurReading()],
        request_max_body_size=MAX_BODY,
        logging_config=None,
        pdb_on_exception=False,
        debug=False,
    )


def _client(settings: Settings, app: Litestar, ring: KeyRing) -> AuthClient:
    """The auth service's: Supabase's where the settings name it, else our own, asked without leaving the process."""
    if settings.supabase_url is not None:
        return client_of_supabase(settings)
    transport = httpx.ASGITransport(cast(Any, app))
    return open_client(settings.auth_url, ring.publishable_key, ring.secret_key, transport)


def _told(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _pool(state: State) -> Pool:
    found: Pool = state.pool
    return found


def _visits(state: State) -> Visits:
    found: Visits = state.visits
    return found


def _auth(state: State) -> Service:
    found: Service = state.auth
    return found


@get("/healthz", summary="Is the server well?", security=[{}], tags=["health"])
async def healthz(pool: Pooled, state: State) -> dict[str, str]:
    """200 when the database answers and the schema is this release's; else 503."""
    try:
        async with asyncio.timeout(5), transaction(pool, seconds=3) as connection:
            row = await connection.fetchrow("select * from app.release()")
    except Unavailable:
        raise
    except Exception as error:  # whatever it is, we are not well
        logging.getLogger("specchem").warning("health check failed: %s", type(error).__name__)
        raise Unavailable("The database does not answer.") from None
    if row is None or (row["revision"], row["rules"]) != state.release:
        raise Unavailable("The database's schema is not this release's; run `specchem db upgrade`.")
    return {"status": "ok"}
