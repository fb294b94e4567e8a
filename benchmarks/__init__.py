"""Performance, as a ratio to what the database itself can do in the same run."""
