"""The audit trail: append-only, chained, and whole under concurrency."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection, transaction

from depot.audit import GENESIS, first_broken_event, record
from depot.models import AuditEvent
from tests.factories import make_depot


@pytest.mark.django_db
def test_each_row_carries_the_hash_of_the_one_before() -> None:
    first = record("dora", "booked", "reservation 1")
    second = record("emil", "canceled", "reservation 1", reason="BROKEN_VEHICLE")
    assert (first.previous_hash, second.previous_hash) == (GENESIS, first.hash)
    assert first_broken_event() is None


@pytest.mark.django_db
def test_a_row_names_its_subject() -> None:
    depot = make_depot(name="North")
    assert record("dora", "changed", depot).subject == f"depot.depot:{depot.pk} North"


@pytest.mark.django_db
def test_values_survive_the_round_trip() -> None:
    record("dora", "changed", "x", before={"at": datetime(2026, 1, 1, tzinfo=UTC)}, after={"price": Decimal("1.50")})
    assert first_broken_event() is None
    assert AuditEvent.objects.get().after == {"price": "1.50"}


@pytest.mark.django_db
@pytest.mark.parametrize("field", ["actor", "action", "subject", "reason", "after"])
def test_a_changed_row_shows(field: str) -> None:
    victim = record("dora", "booked", "reservation 1", after={"kwh": 10})
    record("dora", "booked", "reservation 2")
    AuditEvent.objects.filter(pk=victim.pk).update(**{field: {"kwh": 99} if field == "after" else "other"})
    assert first_broken_event() == victim


@pytest.mark.django_db
def test_a_removed_row_shows() -> None:
    events = [record("dora", "booked", f"reservation {number}") for number in range(3)]
    events[1].delete()
    assert first_broken_event() == events[2]


@pytest.mark.django_db(transaction=True)
def test_writers_at_once_make_one_chain() -> None:
    def write(number: int) -> None:
        try:
            with transaction.atomic():
                record("race", "wrote", str(number))
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(18)))
    assert AuditEvent.objects.count() == 18
    assert first_broken_event() is None
