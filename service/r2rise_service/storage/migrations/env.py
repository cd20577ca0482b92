"""Run by Alembic: applies the migrations on the connection that `database.migrate` opened."""

from alembic import context

from r2rise_service.storage.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,
)
context.run_migrations()
