"""The HTML door: every domain's pages, behind the session cookie."""

from datetime import datetime
from zoneinfo import ZoneInfo

from jinja2 import Environment
from litestar import Router
from litestar.di import Provide
from litestar.plugins.jinja import JinjaTemplateEngine
from markdown_it import MarkdownIt
from markupsafe import Markup

from specchem.auth import pages as auth
from specchem.auth.forms import visit_of
from specchem.auth.guard import Guard, asker
from specchem.courses import pages as courses
from specchem.enrollments import pages as enrollments
from specchem.people import pages as people
from specchem.reporting import pages as reporting

MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


def dress(engine: JinjaTemplateEngine) -> None:
    """Teach the templates our words."""
    environment: Environment = engine.engine
    environment.autoescape = True
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters["markdown"] = lambda text: Markup(MARKDOWN.render(text))  # noqa: S704  checked content
    environment.filters["day"] = day
    environment.filters["percent"] = percent


def day(moment: datetime | None, zone: ZoneInfo) -> str:
    """A date by the plant's clock: 22 Nov 2026."""
    return "" if moment is None else f"{moment.astimezone(zone):%-d %b %Y}"


def percent(share: float) -> str:
    """33.33 → 33 %; a trace is not nothing, and nearly all is not all."""
    whole = round(share)
    if 0 < share < 100:
        whole = min(max(whole, 1), 99)
    return f"{whole} %"


router = Router(
    "/",
    route_handlers=[auth.router, enrollments.router, courses.router, people.router, reporting.router],
    dependencies={
        "me": Provide(asker, sync_to_thread=False),
        "visit": Provide(visit_of, sync_to_thread=False),
    },
    middleware=[Guard()],
    include_in_schema=False,
)
