"""Alembic writes the pending revisions as SQL; specchem.db.upgrade runs that text or prints it."""

from alembic import context

context.configure(
    dialect_name="postgresql",
    version_table_schema="specchem",
    transactional_ddl=False,  # the upgrade is one transaction of its own
)
context.run_migrations()
