"""What every answer, errors too, tells the browser it may do with it."""

from litestar.datastructures import MutableScopeHeaders
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


async def protect(message: Message, scope: Scope) -> None:
    """Add what an answer has not said itself."""
    if message["type"] == "http.response.start":
        sent = MutableScopeHeaders.from_message(message)
        if scope["path"].startswith("/static/") and message["status"] == 200:
            sent["Cache-Control"] = "public, max-age=3600"
        for name, value in HEADERS.items():
            sent.setdefault(name, value)
