"""``/metrics`` for Prometheus: how the server fares, and how much there is. Nothing in it names a person or a plant.

Labels are of few values: a route is its template, a kind one of our words.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any, cast
from urllib.parse import urlsplit

import asyncpg
from litestar import Response, get
from litestar.datastructures import State
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from specchem.auth.visits import Ask
from specchem.db.refusals import FAULTS
from specchem.db.session import Pool
from specchem.doors import Pooled
from specchem.errors import NotFound, NotSignedIn
from specchem.settings import Settings, is_loopback

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
WAIT = 3  # seconds for the database, so that a scrape comes back while it is gone
# What a proxy tells of whom it speaks for.
FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each of ours, which nobody asks for


class Metrics:
    """An app's own; several apps in a process have several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "specchem_request_seconds", "From the first byte to the last, by route.",
            ("route", "method", "status"), buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self._refusals = Counter(
            "specchem_refusals", "Requests that were refused.", ("kind", "status"), registry=self.registry
        )
        self._auth_failures = Counter(
            "specchem_auth_failures", "Tries to sign in that failed, or came too often.",
            ("kind",), registry=self.registry,
        )  # fmt: skip
        self._round_trips = Counter(
            "specchem_database_round_trips", "Round trips to the database.", ("pool",), registry=self.registry
        )
        for kind in ("sign_in", "too_many_tries"):
            self._auth_failures.labels(kind)
        ProcessCollector(registry=self.registry)
        self.volume = _Volume()
        self.registry.register(self.volume)
        self._seen: dict[tuple[str, str, str], Histogram] = {}

    def request(self, route: str, method: str, status: int, seconds: float, refusal: str | None) -> None:
        """One was answered; status 0: broken off before."""
        key = (route, method if method in METHODS else "other", f"{status // 100}xx" if status else "none")
        known = self._seen.get(key)
        if known is None:
            known = self._seen[key] = self._seconds.labels(*key)
        known.observe(seconds)
        if status >= 400:
            self._refusals.labels(refusal or "form", str(status)).inc()

    def auth_failed(self, kind: str) -> None:
        """A try to sign in failed (``sign_in``), or was one too many (``too_many_tries``)."""
        self._auth_failures.labels(kind).inc()

    def counts(self, pool: str) -> Callable[[], None]:
        """What a pool calls for each round trip."""
        return self._round_trips.labels(pool).inc

    def watch(self, name: str, pool: Pool) -> None:
        """Tell of a pool from now on."""
        self.volume.pools[name] = pool


class _Volume(Collector):
    """What is looked up at each scrape: the pools, and what the database was asked."""

    def __init__(self) -> None:
        self.pools: dict[str, Pool] = {}
        self.found: asyncpg.Record | None = None

    def collect(self) -> Iterable[Metric]:
        """The registry asks."""
        connections = GaugeMetricFamily(
            "specchem_database_connections", "Open connections.", labels=("pool", "state")
        )
        most = GaugeMetricFamily("specchem_database_connections_max", "The pool's size.", labels=("pool",))
        waiting = GaugeMetricFamily(
            "specchem_database_waiting", "Requests that wait for a connection.", labels=("pool",)
        )
        for name, pool in self.pools.items():
            connections.add_metric((name, "idle"), pool.get_idle_size())
            connections.add_metric((name, "busy"), pool.get_size() - pool.get_idle_size())
            most.add_metric((name,), pool.get_max_size())
            waiting.add_metric((name,), waiting_for(pool))
        yield from (connections, most, waiting)
        found = self.found
        yield GaugeMetricFamily(
            "specchem_database_up", "Whether the database answered this scrape.", value=found is not None
        )
        if found is None:
            return
        yield CounterMetricFamily(
            "specchem_question_events",
            "Answers ever recorded, by any client.",
            value=found["question_events"],
        )
        people = GaugeMetricFamily(
            "specchem_enrollments", "Enrollments of active people, by how far they are.", labels=("status",)
        )
        for status in ("enrolled", "in_progress", "completed"):
            people.add_metric((status,), found[status])
        yield people
        yield GaugeMetricFamily(
            "specchem_counters_lag",
            "Answers to the question answered last that the counters lack; not 0: run specchem report verify.",
            value=found["lag"],
        )
        if found["newest_answer"] is not None:
            yield GaugeMetricFamily(
                "specchem_newest_answer_timestamp_seconds",
                "When the newest answer was given.",
                value=found["newest_answer"].timestamp(),
            )


def waiting_for(pool: Pool) -> int:
    """How many wait for a connection. asyncpg counts them nowhere, but in the queue it hands them out by."""
    queue = cast(Any, pool)._queue
    return sum(not one.done() for one in queue._getters)


@dataclass(frozen=True)
class Door:
    """Who may look: whoever has the token; without one, only programs of this machine, where it serves itself alone."""

    token: str | None
    is_private: bool

    def ask(self, request: Ask) -> None:
        """Raises NotSignedIn for a wrong token, and NotFound where nobody is let in."""
        if self.token is not None:
            scheme, _, sent = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not compare_digest(sent.strip().encode(), self.token.encode()):
                raise NotSignedIn("Send the token of SPECCHEM_METRICS_TOKEN: Authorization: Bearer …")
        elif not (self.is_private and _from_here(request)):
            raise NotFound("There is nothing at this address.")


def door(settings: Settings) -> Door:
    """As the settings say. Behind a proxy on this machine everybody would seem to be of this machine."""
    token = settings.metrics_token
    serves_itself = is_loopback(settings.host) and is_loopback(urlsplit(settings.base_url).hostname or "")
    return Door(None if token is None else token.get_secret_value(), serves_itself)


def _from_here(request: Ask) -> bool:
    """A program of this machine, and neither a proxy nor a page of elsewhere whose name leads to this machine."""
    if request.client is None or not is_loopback(request.client.host):
        return False
    if any(name in request.headers for name in FORWARDED):
        return False
    try:
        return is_loopback(urlsplit(f"//{request.headers.get('host', '')}").hostname or "")
    except ValueError:  # half of an IPv6 address, and the like
        return False


@get("/metrics", include_in_schema=False)
async def metrics(request: Ask, pool: Pooled, state: State) -> Response[bytes]:
    """In Prometheus's text format."""
    state.metrics_door.ask(request)
    ours: Metrics = state.metrics
    try:
        async with pool.acquire(timeout=WAIT) as connection:
            ours.volume.found = await connection.fetchrow("select * from app.volume()", timeout=WAIT)
    except FAULTS:
        ours.volume.found = None
    return Response(generate_latest(ours.registry), media_type=CONTENT_TYPE_LATEST)
