"""``python -m specchem``."""

from specchem.cli import app

app()
