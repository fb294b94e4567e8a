"""Every test here runs on the embedded PostgreSQL and on the oldest one that is supported; of the faults, some."""

import pytest

from tests.db.conftest import VERSIONS
from tests.doctor.faults import FAULTS

# On PostgreSQL 15, one fault of each kind that the catalog tells of: it differs between versions by kind, and what
# doctor says of what it read does not. The rest is looked for on the newest alone.
ON_EACH_VERSION = {
    "row security not forced", "a policy lets everybody in", "a policy for public", "a grant on columns added",
    "a grant that can be passed on", "a grant taken away", "later tables given away", "a trigger switched off",
    "sign-up's trigger dropped", "a rule in the way", "a function's text", "a function's search path",
    "a view with its owner's eyes", "a table that a crash empties", "a column's default", "names in the statistics",
    "a constraint that is wider", "a foreign key never checked", "an enum of more",
    "a role past row security", "a login that becomes more", "a login that cannot become a client",
}  # fmt: skip
assert FAULTS.keys() >= ON_EACH_VERSION


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "fault" in metafunc.fixturenames:
        both = [
            pytest.param(*version.values, fault, id=f"{version.id}-{name}")
            for version in VERSIONS
            for name, fault in FAULTS.items()
            if version is VERSIONS[0] or name in ON_EACH_VERSION
        ]
        metafunc.parametrize(("cluster", "fault"), both, indirect=["cluster"], scope="session")
    elif "cluster" in metafunc.fixturenames:
        metafunc.parametrize("cluster", VERSIONS, indirect=True, scope="session")
