"""What is known of the request that is being answered, for its line in the log and for the metrics."""

from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID


@dataclass(slots=True)
class Noted:
    """A request on its way. ``plant`` is its visitor's own, where answering it came across that; never looked up."""

    request_id: str
    status: int = 0  # 0: nothing has been answered
    plant: UUID | None = None
    refusal: str | None = None  # its kind: one of a few words of ours


_current: ContextVar[Noted | None] = ContextVar("request", default=None)


def begin(request_id: str) -> Noted:
    """A request comes in. Each has a task, and so a context, of its own."""
    found = Noted(request_id)
    _current.set(found)
    return found


def request_id() -> str | None:
    """The id of the request that this task answers; None outside of any."""
    found = _current.get()
    return None if found is None else found.request_id


def in_plant(plant: UUID) -> None:
    """The visitor turned out to be of this plant."""
    if (found := _current.get()) is not None:
        found.plant = plant


def refused(kind: str) -> None:
    """The request is being refused. The last word stands: what the sign-in service said, a page may say otherwise."""
    if (found := _current.get()) is not None:
        found.refusal = kind
