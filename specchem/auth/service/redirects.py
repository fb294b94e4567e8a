"""Where a link may lead in the end: our own pages, and the addresses that the settings name."""

from urllib.parse import SplitResult, unquote, urlsplit

from specchem.settings import Settings


def allowed(settings: Settings, wish: str | None) -> str:
    """The address wished for, or our own where it may not be gone to."""
    if (
        not wish
        or len(wish) > 2000
        or not wish.isascii()
        or any(char <= " " or char == "\\" for char in wish)
    ):
        return settings.base_url
    try:
        parts, port = urlsplit(wish), urlsplit(wish).port
    except ValueError:
        return settings.base_url
    path = unquote(parts.path)
    if port == 0 or "@" in parts.netloc or ".." in path or "\\" in path or path.startswith("//"):
        return settings.base_url
    if _origin(parts) == _origin(urlsplit(settings.base_url)):
        return wish
    for other in settings.redirect_urls:
        known = urlsplit(str(other))
        folder = known.path.rstrip("/")
        if _origin(parts) == _origin(known) and (path == folder or path.startswith(folder + "/")):
            return wish
    return settings.base_url


def page(settings: Settings, address: str) -> str | None:
    """The path of one of our own pages, for the page that a mailed link leads to."""
    parts = urlsplit(address)
    if _origin(parts) != _origin(urlsplit(settings.base_url)) or parts.path in {"", "/"}:
        return None
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
