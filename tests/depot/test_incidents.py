"""Incidents: one open per type and subject, counted, acknowledged, closed, and told to who listens."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from depot.incidents import acknowledge_incident, close_incident, raise_incident
from depot.models import Incident
from depot.signals import incident_changed
from tests.factories import make_depot, make_user


def offline(subject: str = "CP-1", **fields: Any) -> Incident:
    return raise_incident("charger.offline", subject=subject, **{"message": "No word from the charger.", **fields})


@pytest.fixture
def told() -> Iterator[list[int | None]]:
    """Depots whose incidents changed."""
    depots: list[int | None] = []

    def listener(depot: int | None, **_: Any) -> None:
        depots.append(depot)

    incident_changed.connect(listener)
    yield depots
    incident_changed.disconnect(listener)


@pytest.mark.django_db
def test_repeats_count_and_keep_the_newest_words() -> None:
    first = offline()
    again = offline(message="Still no word.", severity="critical")
    assert again.pk == first.pk
    assert (again.count, again.message, again.severity) == (2, "Still no word.", "critical")


@pytest.mark.django_db
def test_another_subject_is_another_incident() -> None:
    assert offline("CP-1").pk != offline("CP-2").pk


@pytest.mark.django_db
def test_after_closing_a_new_one_opens() -> None:
    first = offline()
    assert close_incident("charger.offline", subject="CP-1") is True
    assert close_incident("charger.offline", subject="CP-1") is False
    assert offline().pk != first.pk
    assert Incident.objects.filter(closed_at__isnull=True).count() == 1


@pytest.mark.django_db
def test_the_first_acknowledgement_stays() -> None:
    incident, dora, emil = offline(), make_user(), make_user()
    assert acknowledge_incident(incident, by=dora) is True
    assert acknowledge_incident(incident, by=emil) is False
    incident.refresh_from_db()
    assert incident.acknowledged_by == dora


@pytest.mark.django_db
def test_long_words_are_cut_to_fit() -> None:
    assert len(offline(message="x" * 1000, remedy="y" * 1000).message) == 300


@pytest.mark.django_db
def test_every_change_is_told_with_its_depot(told: list[int | None], django_capture_on_commit_callbacks: Any) -> None:
    depot = make_depot()
    with django_capture_on_commit_callbacks(execute=True):
        incident = offline(depot=depot)
        acknowledge_incident(incident, by=make_user())
        close_incident("charger.offline", subject="CP-1")
        close_incident("charger.offline", subject="CP-1")
        offline("CP-2", depot=depot.pk)
    assert told == [depot.pk] * 4


@pytest.mark.django_db(transaction=True)
def test_many_processes_open_one_incident_together() -> None:
    def report(_: int) -> None:
        try:
            offline()
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(report, range(12)))
    assert Incident.objects.get().count == 12
