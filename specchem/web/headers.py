"""What every answer, errors too, tells the browser it may do with it."""

from litestar.types import Message, Scope

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "private, no-store",  # unless an answer says otherwise
}


_WIRE = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
_NAMES = {name for name, _ in _WIRE}


async def protect(message: Message, scope: Scope) -> None:
    """Add what an answer has not said itself. On the wire's own bytes: this runs for every answer."""
    if message["type"] != "http.response.start":
        return
    sent = list(message["headers"])
    if message["status"] == 200 and scope["path"].startswith("/static/"):
        sent = [
            (b"cache-control", b"public, max-age=3600"),
            *(one for one in sent if one[0] != b"cache-control"),
        ]
    said = {name for name, _ in sent} & _NAMES
    message["headers"] = sent + [one for one in _WIRE if one[0] not in said]
