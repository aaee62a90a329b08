"""No two live reservations hold one connector at once: refused by the database on every path.

PostgreSQL has an exclusion constraint for it; SQLite gets triggers that say the same (its writers are serialised).
"""

from django.db import migrations

OVERLAP = "Reservation overlaps a live reservation on this connector (reservation_no_overlap)"

POSTGRESQL = [
    "CREATE EXTENSION IF NOT EXISTS btree_gist",
    """
    ALTER TABLE depot_reservation ADD CONSTRAINT reservation_no_overlap
    EXCLUDE USING gist (connector_id WITH =, tstzrange(starts_at, held_until, '[)') WITH &&)
    WHERE (connector_id IS NOT NULL AND state IN ('PENDING', 'RESERVED'))
    """,
]

SQLITE_TRIGGER = """
CREATE TRIGGER reservation_no_overlap_{event} BEFORE {event} ON depot_reservation
WHEN NEW.connector_id IS NOT NULL AND NEW.state IN ('PENDING', 'RESERVED')
BEGIN
    SELECT RAISE(ABORT, '{message}')
    WHERE EXISTS (
        SELECT 1 FROM depot_reservation AS other
        WHERE other.connector_id = NEW.connector_id AND other.id <> NEW.id
          AND other.state IN ('PENDING', 'RESERVED')
          AND other.starts_at < NEW.held_until AND NEW.starts_at < other.held_until
    );
END
"""


def add(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        statements = POSTGRESQL
    else:
        statements = [SQLITE_TRIGGER.format(event=event, message=OVERLAP) for event in ("INSERT", "UPDATE")]
    for statement in statements:
        schema_editor.execute(statement)


def remove(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE depot_reservation DROP CONSTRAINT reservation_no_overlap")
    else:
        for event in ("INSERT", "UPDATE"):
            schema_editor.execute(f"DROP TRIGGER reservation_no_overlap_{event}")


class Migration(migrations.Migration):
    dependencies = [("depot", "0001_initial")]
    operations = [migrations.RunPython(add, remove)]
