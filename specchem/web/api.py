"""The JSON door: every domain's routes under ``/api/v1``, behind a bearer token."""

from typing import Annotated, Any

from litestar import Response, Router
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.params import QueryParameter
from litestar.plugins.pydantic import PydanticInitPlugin
from pydantic import ValidationError

from specchem import __version__
from specchem.auth.guard import SignedIn, asker
from specchem.auth.visits import Ask
from specchem.courses import api as courses
from specchem.doors import Me
from specchem.enrollments import api as enrollments
from specchem.events import api as events
from specchem.people import api as people
from specchem.progress import api as progress
from specchem.reporting import api as reporting
from specchem.vocabulary import Input, Page
from specchem.web.problems import understood


def page_of(
    me: Me,  # so that it comes second: two at once would cost each a task of its own
    limit: Annotated[int, QueryParameter(ge=1, le=500, description="Rows, at most.")] = 100,
    offset: Annotated[int, QueryParameter(ge=0, le=1_000_000, description="Rows to pass over.")] = 0,
) -> Page:
    """``?limit=&offset=``."""
    return Page(limit=limit, offset=offset)


def _is_input(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Input)


def _read(kind: type[Input], value: Any) -> Input:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise understood(error) from None  # as it is; msgspec would make one line of it


class OurReading(PydanticInitPlugin):
    """Inputs are read by us: the plugin overrules strict fields, and "yes" is no flag."""

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Before the plugin's own, because the first that fits reads."""
        config = super().on_app_init(app_config)
        config.type_decoders = [(_is_input, _read), *(config.type_decoders or [])]
        return config


PROBLEM = {
    "description": "Refused (RFC 9457): `detail` is a sentence, `errors` names each field at fault.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string", "description": "To quote, where the fault is ours (5xx)."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


class Described(JsonRenderPlugin):
    """The description, with the one shape of every refusal at every operation."""

    def render(self, request: Ask, openapi_schema: dict[str, Any]) -> bytes:
        """Litestar's own 400 is not what we answer with."""
        openapi_schema["components"]["schemas"]["Problem"] = PROBLEM_SCHEMA
        for ways in openapi_schema["paths"].values():
            for method, operation in ways.items():
                codes = ["400", "404", "503"]
                codes += [] if operation.get("security") == [{}] else ["401", "403"]
                codes += [] if method == "get" else ["409", "413"]
                operation["responses"] |= dict.fromkeys(codes, PROBLEM)
        return super().render(request, openapi_schema)


def _in_our_words(answer: Response[Any]) -> Response[Any]:
    # Litestar has a page of its own for what is not beside openapi.json.
    if answer.status_code == 404:
        raise NotFoundException
    return answer


router = Router(
    "/api/v1",
    route_handlers=[
        people.router, courses.router, enrollments.router, progress.router, events.router, reporting.router,
    ],
    dependencies={
        "me": Provide(asker, sync_to_thread=False),
        "page": Provide(page_of, sync_to_thread=False),
    },
    middleware=[SignedIn()],
    security=[{"bearer": []}],
)  # fmt: skip


def openapi() -> OpenAPIConfig:
    """The description's own settings; each app needs some of its own, because it hangs its routes on them."""
    return OpenAPIConfig(
        title="SpecChem Safety Training",
        version=__version__,
        path="/api",
        openapi_router=Router(
            "/api", route_handlers=[], include_in_schema=False, after_request=_in_our_words
        ),
        render_plugins=[Described(path="/openapi.json")],
        components=Components(
            security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")}
        ),
    )
