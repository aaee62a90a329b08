"""Seed a demo depot around now:

1. its equipment, tariff and vehicles, where they are missing;
2. whatever an earlier run left under way is ended, the other demo depot rests;
3. batteries and reservations around now;
4. var/demo.json, the scenario for the simulated chargers, with fresh keys;
5. the operator, the API key and var/demo-credentials.json.
"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from types import ModuleType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone

from charging.models import StationLink
from depot import audit
from depot.models import Depot
from scheduling.demo import garage, yard
from scheduling.demo.bookings import put_away, raze, store_day
from scheduling.demo.people import store_people
from scheduling.demo.scenario import scenario_of, write_private

SCENARIOS: dict[str, ModuleType] = {"depot": yard, "garage": garage}


class Command(BaseCommand):
    help = "Seed a demo depot around now. Running it again makes a new day; it prints nothing on success."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--scenario", choices=sorted(SCENARIOS), default="depot")
        parser.add_argument("--api-key", default="", help="the demo's API key (default: the stored one, else random)")
        parser.add_argument("--fresh", action="store_true", help="remove the demo depot first and build it anew")

    def handle(self, *, scenario: str, api_key: str, fresh: bool, **_: Any) -> None:
        room = SCENARIOS[scenario]
        var = Path(settings.VAR)
        var.mkdir(mode=0o700, parents=True, exist_ok=True)
        now = timezone.now().replace(second=0, microsecond=0)
        with transaction.atomic():
            if fresh and (old := Depot.objects.filter(slug=room.SLUG).first()):
                raze(old)
            depot = room.equip()
            self.let_rest(other.SLUG for other in SCENARIOS.values() if other is not room)
            if not depot.planning_enabled:
                Depot.objects.filter(pk=depot.pk).update(planning_enabled=True)
            put_away(depot, timezone.now())
            visits = room.plan_visits(depot, now)
            store_day(depot, visits, timezone.now())
            scene = scenario_of(depot, visits)
            store_people(depot, var, api_key=api_key.strip())
            audit.record("demo", "seeded", depot, after={"scenario": scenario, "visits": len(visits)})
        write_private(var / "demo.json", scene)

    def let_rest(self, slugs: Any) -> None:
        """The chargers of the other demo are not simulated now: nobody plans for them or misses them."""
        for depot in Depot.objects.filter(slug__in=list(slugs)):
            put_away(depot, timezone.now())
            StationLink.objects.filter(station__depot=depot).delete()
            Depot.objects.filter(pk=depot.pk).update(planning_enabled=False)
