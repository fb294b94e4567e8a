"""Every test here runs on the embedded PostgreSQL and on the oldest one that is supported."""

from typing import Any

import pytest

from tests.conftest import DEBIAN_15, missing_postgres_15

NOT_RUN = missing_postgres_15()
VERSIONS = [pytest.param(None, id="18"), *([] if NOT_RUN else [pytest.param(DEBIAN_15, id="15")])]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cluster" in metafunc.fixturenames:
        metafunc.parametrize("cluster", VERSIONS, indirect=True, scope="session")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if NOT_RUN:
        terminalreporter.write_line(f"tests/db was not run on PostgreSQL 15: {NOT_RUN}")
