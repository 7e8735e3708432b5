"""What Alembic runs to upgrade: on the connection, and in the transaction, that it is given."""

from __future__ import annotations

from alembic import context

from bascule.store.tables.metadata import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
