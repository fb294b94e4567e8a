"""The proofs that take long: a part of them in `make test`, the whole in `make prove`."""

import os

LONG = os.environ.get("PROVE") == "long"
