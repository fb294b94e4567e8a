"""The app, as the tests of the API have it."""

from tests.web.conftest import own, served

__all__ = ["own", "served"]
