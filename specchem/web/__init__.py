"""The application put together: errors, templates, static files."""
