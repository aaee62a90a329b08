"""Bring the database up to date in this process: it saves the start of another Python."""

from __future__ import annotations

import psycopg
from django.core.management import call_command
from django.db import DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor

from depot.supervisor.errors import StartRefused


def unapplied_migrations() -> int:
    """How many migrations are missing, from the loader's graph alone, without rendering a single model."""
    try:
        if connection.vendor == "postgresql":
            probe()
        executor = MigrationExecutor(connection)
        return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except (DatabaseError, psycopg.Error) as error:
        reason = " ".join(str(error).split())
        raise StartRefused(f"The database does not answer, check DATABASE_URL: {reason}") from None


def probe() -> None:
    """Connect once beside the pool, which would try for seconds and write a warning each time."""
    parameters = {**connection.get_connection_params(), "connect_timeout": 5}
    psycopg.connect(**parameters).close()


def migrate() -> None:
    if unapplied_migrations():
        call_command("migrate", verbosity=0, interactive=False)


def require_migrated() -> None:
    if count := unapplied_migrations():
        raise StartRefused(f"The database lacks {count} migrations: run `manage.py migrate` first.")


def seed_demo(*, scenario: str, api_key: str) -> None:
    call_command("seed_demo", scenario=scenario, api_key=api_key, verbosity=0)


def close_connections() -> None:
    """No child may inherit a database connection."""
    connections.close_all()
    if close_pool := getattr(connection, "close_pool", None):  # PostgreSQL's alone
        close_pool()
