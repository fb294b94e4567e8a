"""The HTML door: every domain's pages, behind the session cookie."""

from jinja2 import Environment
from litestar import Router, post
from litestar.datastructures import Cookie
from litestar.di import Provide
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Redirect
from markdown_it import MarkdownIt
from markupsafe import Markup

from specchem import i18n
from specchem.auth import pages as auth
from specchem.auth.forms import read, visit_of
from specchem.auth.guard import Guard, asker, page_before
from specchem.auth.visits import Ask
from specchem.courses import admin_pages as keeping_courses
from specchem.courses import pages as courses
from specchem.enrollments import bulk_pages
from specchem.enrollments import pages as enrollments
from specchem.people import admin_pages, import_pages
from specchem.people import pages as people
from specchem.people import plant_pages as plants
from specchem.reporting import export_pages
from specchem.reporting import pages as reporting
from specchem.reporting import system_pages as system

YEAR = 365 * 24 * 3600  # seconds
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
COMMANDS = MarkdownIt("zero").enable("backticks")


def dress(engine: JinjaTemplateEngine, idle_minutes: int) -> None:
    """Teach the templates our words, and after how many minutes a page that nobody uses signs out."""
    environment: Environment = engine.engine
    environment.autoescape = True
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters["markdown"] = lambda text: Markup(MARKDOWN.render(text))  # noqa: S704  checked content
    environment.filters["commands"] = lambda text: Markup(COMMANDS.renderInline(text))  # noqa: S704  escaped
    environment.add_extension("jinja2.ext.i18n")
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_callables(i18n._, i18n.ngettext, newstyle=True)  # type: ignore[attr-defined]
    environment.globals["language"], environment.globals["LANGUAGES"] = i18n.language, i18n.LANGUAGES
    environment.globals["idle_minutes"] = idle_minutes
    for spoken in (
        i18n.day, i18n.short_day, i18n.minute, i18n.month, i18n.number, i18n.percent, i18n.language_name, i18n.told,
    ):  # fmt: skip
        environment.filters[spoken.__name__] = spoken


@post("/language", status_code=303)
async def choose(request: Ask) -> Redirect:
    """Speak another language on this device from now on; back to the page the form was on."""
    (wanted,) = await read(request, "language")
    chosen = Cookie(
        i18n.COOKIE, value=wanted if wanted in i18n.LANGUAGES else i18n.DEFAULT,
        max_age=YEAR, httponly=True, samesite="lax",
    )  # fmt: skip
    return Redirect(page_before(request), status_code=303, cookies=[chosen])


router = Router(
    "/",
    route_handlers=[
        choose,
        auth.router,
        enrollments.router,
        courses.router,
        keeping_courses.router,
        people.router,
        plants.router,
        admin_pages.router,
        import_pages.router,
        bulk_pages.router,
        export_pages.router,
        reporting.router,
        system.router,
    ],
    dependencies={
        "me": Provide(asker, sync_to_thread=False),
        "visit": Provide(visit_of, sync_to_thread=False),
    },
    middleware=[Guard()],
    include_in_schema=False,
)
