"""What the yard tells the rooms above it. Receivers run after the commit of the change."""

from functools import partial

from django.db import transaction
from django.dispatch import Signal

needs_changed = Signal()
"""Sent with `depot` (its primary key) and `because` (booking, plug-in, unplug, limit, tariff, charger-lost, charger-back, vehicle)."""


def announce_needs_changed(depot_id: int, because: str) -> None:
    """Ask whoever plans for a new plan of this depot, once the running transaction is committed."""
    transaction.on_commit(partial(needs_changed.send_robust, sender=None, depot=depot_id, because=because))
