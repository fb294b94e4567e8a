"""What the server writes to stderr: sentences for a person at a terminal, JSON lines for a program that reads them.

Ours, uvicorn's and Litestar's loggers come out alike. No line holds a name, an address, what was sent, SQL or a stack
trace.
"""

import logging
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog
from structlog.typing import EventDict, Processor

from specchem import noting
from specchem.settings import Settings

REQUESTS = logging.getLogger("specchem.requests")  # a line each
SENT = "A mail was put into the outbox, because SPECCHEM_SMTP_URL is not set."

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Voice:
    """How the server speaks of itself: ``say`` to whoever runs it, ``confide`` only to a person at the terminal.

    ``is_heard``: there is such a person.
    """

    say: Tell
    confide: Tell
    is_heard: bool


def set_up(settings: Settings, say: Tell) -> Voice:
    """Send every logger to stderr as the settings want it; ``say`` speaks to a terminal."""
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    # No line names them, and finding them out is a third of a line's cost.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines() if as_json else _text())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    level = (settings.log_level or ("info" if as_json else "warning")).upper()
    # Nobody else's closer words: an HTTP client's hold tokens.
    for name in ("specchem", "uvicorn"):
        logging.getLogger(name).setLevel(level)
    if not as_json:
        return Voice(say, say, is_heard=True)
    log = logging.getLogger("specchem")
    return Voice(log.info, lambda _: log.info(SENT), is_heard=False)


def place(error: BaseException) -> str:
    """Where in our code an error came from; a whole stack trace may hold SQL and what people sent."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "specchem" in Path(frame.filename).parts] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "nowhere"


def _about(_: object, __: str, event: EventDict) -> EventDict:
    """The request that a line belongs to, and of an exception only what it was and where."""
    if (found := noting.request_id()) is not None:
        event["request_id"] = found
    error = event.pop("exc_info", None)
    error = error[1] if isinstance(error, tuple) else error
    if isinstance(error, BaseException):
        event["error"], event["place"] = type(error).__name__, place(error)
    return event


COMMON: list[Processor] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    _about,
]


def _written(value: object) -> str:
    return msgspec.json.encode(value).decode()


class _Lines(structlog.stdlib.ProcessorFormatter):
    """A JSON object a line. A request's, of which there are thousands a second, goes past what it does not need."""

    def __init__(self) -> None:
        super().__init__(
            foreign_pre_chain=[*COMMON, structlog.processors.TimeStamper(fmt="iso", key="time")],
            processors=[
                self.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=lambda event, **_: _written(event)),
            ],
        )

    def format(self, record: logging.LogRecord) -> str:
        """A record of any logger."""
        if record.name != REQUESTS.name:
            return super().format(record)
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        line = {"event": record.msg, "level": record.levelname.lower(), "logger": record.name}
        return _written(line | _fields(record) | {"time": time.replace("+00:00", "Z")})


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return dict(record.args) if isinstance(record.args, Mapping) else {}


def _text() -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*COMMON, _spread],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0),
        ],
    )


def _spread(_: object, __: str, event: EventDict) -> EventDict:
    event.update((name, value and str(value)) for name, value in _fields(event["_record"]).items())
    return event
