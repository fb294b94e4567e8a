"""The database in one file, and back: by pg_dump, pg_restore and psql, with what they do not do themselves."""
