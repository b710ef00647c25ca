"""Alembic's environment: runs on the connection that `gateway.db.migrate` hands over."""

from alembic import context

from gateway.db.migrate import include_name, include_object
from gateway.db.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_object=include_object,
    include_name=include_name,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
