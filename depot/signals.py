"""What the yard tells the rooms above it. Receivers run after the commit of the change."""

from functools import partial

from django.db import transaction
from django.dispatch import Signal

needs_changed = Signal()
"""Sent with `depot` (its primary key) and `because`: booking, plug-in, unplug, limit, tariff, settings, charger-lost,
charger-back, vehicle."""


def announce_needs_changed(depot_id: int, because: str) -> None:
    """Ask whoever plans for a new plan of this depot, once the running transaction is committed."""
    transaction.on_commit(partial(needs_changed.send_robust, sender=None, depot=depot_id, because=because))


incident_changed = Signal()
"""Sent with `depot` (its primary key or None) after an incident was opened, counted again, acknowledged or closed."""


def announce_incident_changed(depot_id: int | None) -> None:
    transaction.on_commit(partial(incident_changed.send_robust, sender=None, depot=depot_id))
