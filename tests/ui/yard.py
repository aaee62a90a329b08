"""A small depot with a site, a feeder, four bays and a plan."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from charging.models import Command, ConnectorState, InstalledProfile, MeterSample, MeterState, Session
from depot.models import Connector, Depot, LoadGroup, Station, Vehicle
from scheduling.models import Plan, PlanRun
from tests.factories import make_connector, make_depot, make_link, make_load_group, make_session, make_station
from tests.factories import make_vehicle as new_vehicle

STEPS = 8
RESOLUTION_S = 900


@dataclass
class SmallYard:
    depot: Depot
    site: LoadGroup
    feeder: LoadGroup
    now: datetime

    def bay(self, name: str, *, status: str = "Available", online: bool = True, **state: Any) -> Connector:
        """A bay on the feeder whose charger is connected and reports now."""
        station = make_station(self.depot, load_group=self.feeder, connectors=0, identity=f"CP-{name}")
        make_link(station, online=online, last_seen_at=self.now)
        connector = make_connector(station, bay=name, fallback_a=6)
        reading = {"status": status, "power_kw": 0.0, "sampled_at": self.now, "status_at": self.now}
        ConnectorState.objects.create(connector=connector, **{**reading, **state})
        return connector

    def plug_in(self, connector: Connector, name: str = "Van 1", **fields: Any) -> Session:
        vehicle = new_vehicle(self.depot, name=name)
        return make_session(connector=connector, vehicle=vehicle, started_at=self.now, **fields)

    def on_plan(self, session: Session) -> None:
        """The charger holds a transaction profile."""
        station, number = session.station, session.connector.number
        command = Command.objects.create(
            station=station,
            action="SetChargingProfile",
            payload={},
            natural_key=f"plan:{number}",
            state=Command.State.ACCEPTED,
            cause="plan",
            created_at=self.now,
        )
        InstalledProfile.objects.create(
            station=station,
            number=number,
            slot=InstalledProfile.Slot.TX,
            purpose="TxProfile",
            stack_level=1,
            profile_id=1,
            command=command,
            session=session,
            state=InstalledProfile.State.CONFIRMED,
            starts_at=self.now,
            periods=[[0, 10.0]],
        )

    def run(self, **fields: Any) -> PlanRun:
        """A published run of two hours that starts now."""
        kw = {"limit_kw": [100.0] * STEPS, "building_kw": [10.0] * STEPS, "planned_kw": [7.0] * STEPS}
        return PlanRun.objects.create(
            **{
                "depot": self.depot,
                "epoch": PlanRun.objects.count() + 1,
                "trigger": "plug-in",
                "algorithm": "pulp-lp",
                "status": PlanRun.Status.PUBLISHED,
                "started_at": self.now,
                "finished_at": self.now,
                "horizon_start": self.now,
                "resolution_s": RESOLUTION_S,
                "steps": STEPS,
                "site": {"nodes": {self.site.slug: kw, self.feeder.slug: kw}, "price_per_kwh": [0.25] * STEPS},
                **fields,
            }
        )

    def plan(self, run: PlanRun, connector: Connector, **fields: Any) -> Plan:
        vehicle: Vehicle | None = fields.pop("vehicle", None)
        return Plan.objects.create(
            **{
                "run": run,
                "connector": connector,
                "vehicle": vehicle,
                "arrival_at": self.now,
                "departure_at": self.now + timedelta(hours=2),
                "power_kw": [7.0] * 4 + [0.0] * 4,
                "reasons": ["deadline"] * 4 + ["full"] * 4,
                "need_kwh": 7.0,
                "energy_kwh": 7.0,
                **fields,
            }
        )

    def meter(self) -> Station:
        """A building meter on the site that reads 12.5 kW now."""
        station = make_station(self.depot, load_group=self.site, connectors=0, identity="METER", kind="meter")
        self.site.building_meter = station
        self.site.save()
        MeterState.objects.create(station=station, power_kw=12.5, sampled_at=self.now)
        return station

    def sample(self, connector: Connector, at: datetime, power_kw: float) -> None:
        MeterSample.objects.create(
            station=connector.station,
            number=connector.number,
            at=at,
            received_at=at,
            content_hash=f"{power_kw:g}-{at:%M%S%f}"[:16],
            power_w=power_kw * 1000,
        )


def small_yard(**fields: Any) -> SmallYard:
    depot = make_depot(**{"slug": "nord", "name": "Depot Nord", **fields})
    site = make_load_group(depot, slug="grid", name="Grid", limit_kw=100)
    feeder = make_load_group(depot, parent=site, slug="hall-a", name="Hall A", limit_kw=60)
    return SmallYard(depot, site, feeder, timezone.now().replace(microsecond=0))
