"""Every test here runs on the embedded PostgreSQL and on the oldest one that is supported."""

import pytest

from specchem.doctor.findings import Line
from tests.db.conftest import VERSIONS
from tests.doctor.faults import FAULTS

# What the catalog tells, which differs between versions; the rest is looked for on the newest alone.
OF_THE_CATALOG = {Line.MIGRATIONS, Line.POLICIES, Line.AUTH_TRIGGERS, Line.EFFECTIVENESS}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "fault" in metafunc.fixturenames:
        both = [
            pytest.param(*version.values, fault, id=f"{version.id}-{name}")
            for version in VERSIONS
            for name, fault in FAULTS.items()
            if version is VERSIONS[0] or fault.line in OF_THE_CATALOG
        ]
        metafunc.parametrize(("cluster", "fault"), both, indirect=["cluster"], scope="session")
    elif "cluster" in metafunc.fixturenames:
        metafunc.parametrize("cluster", VERSIONS, indirect=True, scope="session")
