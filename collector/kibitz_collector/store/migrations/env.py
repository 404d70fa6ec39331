"""Alembic's entry: runs migrations on the connection `store.migrate` hands over."""

from alembic import context

from kibitz_collector.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,  # the caller's transaction covers everything
)
context.run_migrations()
