"""Around the whole application: each request gets an id, a line in the log, and its place in the metrics."""

import logging
import os
import re
import time
from itertools import count

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from specchem import noting
from specchem.logs import REQUESTS
from specchem.web.metrics import Metrics

SANE = re.compile(rb"[A-Za-z0-9-]{1,64}")
UNMATCHED = "unmatched"  # what no route is for; a path would be a label of any value
QUIET = ("/healthz", "/metrics", "/static")  # asked by machines, all day

_ours = os.urandom(4).hex()  # of this process
_numbers = count(1)


class Watch:
    """An ASGI application around ours. What our own pages ask of the sign-in service goes past it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request, or the server's start and end."""
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        begun = time.perf_counter()
        noted = noting.begin(_id_of(scope))
        header = (b"x-request-id", noted.request_id.encode())

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                noted.status = message["status"]
                message["headers"] = [*message["headers"], header]
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            self._note(scope, noted, time.perf_counter() - begun)

    def _note(self, scope: HTTPScope, noted: noting.Noted, seconds: float) -> None:
        route = scope.get("path_template") or UNMATCHED
        self.metrics.request(route, scope["method"], noted.status, seconds, noted.refusal)
        level = logging.DEBUG if route.startswith(QUIET) else logging.INFO
        if not REQUESTS.isEnabledFor(level):
            return
        REQUESTS.log(
            level,
            "request",
            {
                "request_id": noted.request_id,
                "person": getattr(scope.get("user"), "user_id", None),
                "plant": noted.plant,
                "route": route,
                "method": scope["method"],
                "status": noted.status,
                "ms": round(seconds * 1000, 2),
            },
        )


def _id_of(scope: Scope) -> str:
    """The one that a proxy gave it, if that can be nothing but an id; else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            if SANE.fullmatch(value):
                return value.decode()
            break
    return f"{_ours}-{next(_numbers):x}"
