"""The schema's history, which `gateway.storage.database` runs with Alembic when a node starts."""
