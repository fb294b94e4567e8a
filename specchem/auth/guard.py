"""Who is at the door: a bearer token at the API, a session in cookies at the pages."""

from urllib.parse import SplitResult, quote, urlsplit

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from specchem import i18n
from specchem.auth.visits import Ask, Visit
from specchem.db.session import Asker
from specchem.errors import Forbidden, NotSignedIn, Unavailable

# The pages that anybody may open: these addresses, and nothing that only begins like one.
PUBLIC = frozenset({"/login", "/logout", "/forgot-password", "/auth/confirm", "/language"})
ELSEWHERE = "This was sent from another site, so nothing was done. Open the page here and try again."


class SignedIn(ASGIMiddleware):
    """The API's doorkeeper: who has not signed in is told so before anything they sent is looked at."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let whoever brings ``Authorization: Bearer`` in. Raises NotSignedIn."""
        sent = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = sent.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise NotSignedIn("Send an access token: Authorization: Bearer …")
        state = scope["litestar_app"].state
        verified = await state.tokens.verify(token.strip())
        scope["user"] = Asker(state.pool, verified.identity)
        await next_app(scope, receive, send)


class Guard(ASGIMiddleware):
    """The pages' doorkeeper: every page but the public ones is for who has signed in."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let in whoever has a session. Raises NotSignedIn, Unavailable, and Forbidden for what others' sites send."""
        app = scope["litestar_app"]
        request: Ask = app.request_class(scope)
        speak(request)
        if request.method not in {"GET", "HEAD"}:
            refuse_other_sites(request)
        visit: Visit | None = None
        try:
            visit = await app.state.visits.open(request)
        except (NotSignedIn, Unavailable):
            if scope["path"] not in PUBLIC:
                raise
        scope["state"]["visit"] = visit
        scope["user"] = None if visit is None else Asker(app.state.pool, visit.verified.identity)
        await next_app(scope, receive, send)


def speak(request: Ask) -> None:
    """Answer in the visitor's language."""
    i18n.speak(i18n.preferred(request.cookies.get(i18n.COOKIE), request.headers.get("accept-language", "")))


def asker(request: Ask) -> Asker:
    """Whom a doorkeeper let in."""
    found: Asker = request.user
    return found


def refuse_other_sites(request: Ask) -> None:
    """A browser says where a form was sent from; a program that is none has no cookies. Raises Forbidden."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        here = site in {"same-origin", "none"}
    else:
        ours = {request.headers.get("host", "").lower(), request.app.state.host} - {""}
        here = origin is None or _split(origin).netloc.lower() in ours
    if not here:
        raise Forbidden(ELSEWHERE)


def way_back(request: Ask, page: str = "/login") -> str:
    """A page to see first, which brings the visitor back; from a form sent, to the page that the form was on."""
    going = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
    if request.method not in {"GET", "HEAD"}:
        going = _split(request.headers.get("referer", "")).path
    return to(page, own_page(going))


def page_before(request: Ask) -> str:
    """The page of ours that a form was on, or the first one."""
    before = _split(request.headers.get("referer", ""))
    path = f"{before.path}?{before.query}" if before.query else before.path
    return path if before.path in PUBLIC - {"/language"} else own_page(path)


def to(page: str, going: str) -> str:
    """A page to see first, and where to go from there."""
    return page if going == "/" else f"{page}?next={quote(going)}"


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:  # half of an IPv6 address, and the like
        return urlsplit("")


def own_page(address: str | None) -> str:
    """Where to go after sign-in: a page of ours, or the first one."""
    if not address or not address.startswith("/") or address.startswith(("//", "/\\")):
        return "/"
    parts = urlsplit(address)
    hostile = parts.scheme or parts.netloc or any(ord(char) < 32 or char == "\\" for char in address)
    return "/" if hostile or parts.path in PUBLIC else address
