"""Raw records go when their time is over; what is still in play stays."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from charging.commands import queue_command
from charging.desired import reconcile_station
from charging.models import Command, Frame, InstalledProfile
from charging.retention import forget_old_records
from tests.factories import make_link, make_station

pytestmark = pytest.mark.django_db


def test_old_frames_go_and_young_ones_stay() -> None:
    station, now = make_station(), timezone.now()
    for days in (0, 13, 15, 400):
        Frame.objects.create(station=station, epoch=1, at=now - timedelta(days=days), raw=b"[]")
    assert forget_old_records(now)["frames"] == 2
    assert Frame.objects.count() == 2


def test_an_old_command_whose_profile_is_still_in_the_charger_stays() -> None:
    station, now = make_station(), timezone.now()
    make_link(station)
    reconcile_station(station.pk, "connect")
    queue_command(station=station, action="ClearCache", payload={}, cause="operator")
    Command.objects.update(state=Command.State.ACCEPTED, created_at=now - timedelta(days=400))
    InstalledProfile.objects.update(state=InstalledProfile.State.CONFIRMED)
    assert forget_old_records(now)["commands"] == 1
    assert Command.objects.get().action == "SetChargingProfile"
