"""Safety-training LMS for companies with several chemical plants."""

__version__ = "0.1.0"
