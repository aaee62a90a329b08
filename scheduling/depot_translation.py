"""The depot behind the seam: one reading of the database in, one fenced transaction of plans and commands out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
from django.db import transaction
from django.utils import timezone

from charging.exposure import Exposure
from charging.gate import clock_uncertainty_s, exposure_of, locked, schedule_in_play
from charging.models import InstalledProfile
from charging.nudges import LIVE, nudge
from charging.outbox import queue_plan
from charging.profiles import START_IN_THE_PAST, Schedule
from depot.models import Connector, Depot, Limit
from depot.pricing import ESTIMATED_PRICE_PER_KWH, prices_for
from scheduling.engine import EV, Algorithm, ChargingRateUnit, Horizon, Node, PowerTree, Site
from scheduling.engine.arrays import BoolArray, FloatArray
from scheduling.engine.profile import charging_schedule
from scheduling.engine.tree import NO_LIMIT
from scheduling.grid_connection import building_kw, site_of
from scheduling.models import Plan, PlanningState, PlanRun
from scheduling.needs import Visit, visits_of
from scheduling.reporting import clock_of, marginal_series, plan_rows, site_series, summary_of
from scheduling.translation import Translation

MOST_PERIODS = 12
FINE_FOR = timedelta(hours=24)  # steps of the depot's resolution; beyond, of an hour
COARSE = timedelta(hours=1)
NEAR = timedelta(hours=4)  # arrivals and departures within this time are borders of steps
MOST_CUTS = 48
SOFT_PRICE_FACTOR = 10  # of the mean energy price: what a kWh above a soft limit without a price is worth
NEVER_ABOVE_A = 0.01
HARDLY_LESS_A = 0.5


class Superseded(Exception):
    """A newer planner of this depot has started: this one may not write any more (S20)."""


class DepotTranslation(Translation):
    """One depot at one instant; the group is its root LoadGroup, so that group name and depot slug are the same."""

    def __init__(self, depot: Depot, *, now: datetime, epoch: int, trigger: str) -> None:
        self.depot = depot
        self.started_at = now
        self.now = now.replace(microsecond=0)  # OCPP counts in whole seconds
        self.epoch = epoch
        self.trigger = trigger
        self.visits: dict[EV, Visit] = {}
        self.exposure: Exposure | None = None
        self.run: PlanRun | None = None

    def get_evs(self, group_name: str) -> tuple[list[EV], float | None]:
        self.exposure = exposure_of(self.depot, self.now)
        visits = visits_of(self.depot, self.now)
        disobedient = {facts.key for facts in self.exposure.connectors if facts.measured_a is not None}
        self.visits = {v.ev: v for v in visits if not (v.steered and v.connector.pk in disobedient)}
        keep_to_the_plan_in_force(self.depot, self.visits.values(), self.get_horizon(group_name, self.now))
        return list(self.visits), None

    def get_horizon(self, group_name: str, now: datetime) -> Horizon:
        """Short steps first and hours later, cut where a vehicle comes or goes soon: no part of a step is lost."""
        fine = timedelta(minutes=self.depot.resolution_minutes)
        whole = timedelta(hours=self.depot.horizon_hours)
        grades = [(min(whole, FINE_FOR), fine), *([(whole, COARSE)] if whole > FINE_FOR else [])]
        return Horizon.graded(now, grades, cuts=self._comings_and_goings(now))

    def _comings_and_goings(self, now: datetime) -> list[datetime]:
        """Whole seconds at which booked vehicles come, should be ready and leave soon; of many, the nearest ones."""
        moments: set[datetime] = set()
        for ev in (ev for ev, visit in self.visits.items() if visit.reservation is not None):
            arrival = ev.arrival_time.replace(microsecond=0)
            moments.add(arrival if arrival == ev.arrival_time else arrival + timedelta(seconds=1))
            leaving = ev.departure_time.replace(microsecond=0)
            moments.update((leaving, leaving - ev.departure_margin))
        return sorted(moment for moment in moments if now < moment <= now + NEAR)[:MOST_CUTS]

    def get_peak_power_demand(self, group_name: str, now: datetime, voltage: float | None = None) -> FloatArray:
        """What the grid connection leaves for charging, kW per step, fallbacks of empty bays taken off."""
        root = next(
            node
            for node in self.get_power_tree(group_name, self.get_horizon(group_name, now)).nodes
            if node.parent is None
        )
        assert root.limit_kw is not None
        return root.limit_kw

    def get_power_tree(self, group_name: str, horizon: Horizon) -> PowerTree:
        """Every node's room per step: limits in force less the worst building, and less what cannot be steered."""
        assert self.exposure is not None, "get_evs reads the depot first"
        unsteered, soft = self._unsteered_kw(horizon), self._soft_limits(horizon)
        connectors = {facts.key: facts for facts in self.exposure.connectors}
        fallbacks = dict(Connector.objects.filter(pk__in=connectors).values_list("pk", "fallback_a"))
        events = self._event_steps(horizon)
        nodes = []
        for limit in self.exposure.nodes:
            below = self.exposure.members(limit.name)
            taken = sum((unsteered[key] for key in below if key in unsteered), np.zeros(horizon.steps))
            room = horizon.sample(limit.kw, combine="min") - taken
            amps = None if limit.ampere is None else horizon.sample(limit.ampere, combine="min")
            reserved_a = tuple(
                sum(fallbacks[key] for key in below if phase in connectors[key].phases) for phase in (1, 2, 3)
            )
            nodes.append(
                Node(
                    limit.name,
                    limit.parent,
                    room,
                    amps,
                    reserved_kw=sum(fallbacks[key] * connectors[key].kw_per_ampere for key in below),
                    reserved_a=(reserved_a[0], reserved_a[1], reserved_a[2]),
                    dr_event=events.get(limit.name),
                    soft_limit_kw=soft[limit.name][0] - taken if limit.name in soft else None,
                    soft_price_per_kwh=soft[limit.name][1] if limit.name in soft else 0.0,
                )
            )
        return PowerTree(tuple(nodes))

    def _soft_limits(self, horizon: Horizon) -> dict[str, tuple[FloatArray, float]]:
        """Per node the lowest soft limit less the expected building, kW per step, and the highest of their prices."""
        found: dict[str, tuple[FloatArray, float]] = {}
        rows = list(
            Limit.objects.filter(
                load_group__depot=self.depot, hard=False, starts_at__lt=horizon.end, ends_at__gt=horizon.start
            ).select_related("load_group")
        )
        if not rows:
            return found
        groups = list(self.depot.load_groups.select_related("depot", "parent"))
        for row in rows:
            below = [group for group in groups if row.load_group in group.ancestors(include_self=True)]
            before = min(row.starts_at, horizon.start) - COARSE
            in_force = [(before, NO_LIMIT), (row.starts_at, row.limit_kw), (row.ends_at, NO_LIMIT)]
            room = horizon.sample(in_force, combine="min") - building_kw(below, horizon)
            price = self._soft_price(horizon) if row.price_per_kwh is None else row.price_per_kwh
            known_room, known_price = found.get(row.load_group.slug, (room, price))
            found[row.load_group.slug] = (np.minimum(known_room, room), max(known_price, price))
        return found

    def _soft_price(self, horizon: Horizon) -> float:
        mean = float(np.abs(self.get_prices(self.depot.slug, horizon)) @ horizon.hours / horizon.hours.sum())
        return SOFT_PRICE_FACTOR * (mean or ESTIMATED_PRICE_PER_KWH)

    def _event_steps(self, horizon: Horizon) -> dict[str, BoolArray]:
        """Per node the steps that a demand-response or grid-operator limit touches, so that the reason says so."""
        starts = np.array(horizon.borders[:-1], dtype=object)
        ends = np.array(horizon.borders[1:], dtype=object)
        found: dict[str, BoolArray] = {}
        rows = Limit.objects.filter(
            load_group__depot=self.depot,
            kind__in=(Limit.Kind.DEMAND_RESPONSE, Limit.Kind.GRID_OPERATOR),
            hard=True,
            starts_at__lt=horizon.end,
            ends_at__gt=horizon.start,
        ).select_related("load_group")
        for row in rows:
            touched = ((starts < row.ends_at) & (ends > row.starts_at)).astype(np.bool_)
            found[row.load_group.slug] = found.get(row.load_group.slug, np.zeros_like(touched)) | touched
        return found

    def _unsteered_kw(self, horizon: Horizon) -> dict[int, FloatArray]:
        """Worst case above the fallback of every connector that this plan gives nothing, kW per step."""
        assert self.exposure is not None
        steered = {visit.connector.pk for visit in self.visits.values() if visit.steered}
        instants = self.exposure.instants
        found: dict[int, FloatArray] = {}
        for row, facts in enumerate(self.exposure.connectors):
            if facts.key in steered:
                continue
            above = np.maximum(self.exposure.worst_a[row] - facts.floor_configured_a, 0.0) * facts.kw_per_ampere
            if above.any():
                found[facts.key] = horizon.sample(zip(instants, above.tolist(), strict=True), combine="max")
        return found

    def get_prices(self, group_name: str, horizon: Horizon) -> FloatArray:
        prices, _ = prices_for(self.depot, horizon.borders)
        return prices

    def get_site(self, group_name: str, horizon: Horizon) -> Site:
        return site_of(self.depot, horizon, self.now)

    def send_power_to_evs(self, powers: Mapping[EV, dict[str, Any]], unit: ChargingRateUnit | None = None) -> None:
        raise NotImplementedError("A depot's plan is published as a whole: plans, profiles and commands in one commit.")

    def publish(self, group_name: str, algorithm: Algorithm) -> None:
        """Write run, plans and commands in one transaction, unless a newer planner has begun (raises Superseded)."""
        run, plans = self._finished_run(algorithm)
        with locked(self.depot.pk):
            if PlanningState.objects.get(depot=self.depot).epoch != self.epoch:
                raise Superseded(f"Run {self.epoch} of {self.depot} was overtaken.")
            run.finished_at = timezone.now()
            run.save(force_insert=True)
            Plan.objects.bulk_create(plans)
            for visit in self.visits.values():
                if visit.steered:
                    self._queue_profile(visit, algorithm.horizon, run)
            PlanningState.objects.filter(depot=self.depot).update(planned_at=timezone.now())
        self.run = run
        transaction.on_commit(partial(nudge, LIVE, depot=self.depot.pk, what="plan"))

    def _finished_run(self, algorithm: Algorithm) -> tuple[PlanRun, list[Plan]]:
        """What is to be stored, unsaved: the run with its figures and reasons, and the plan of every vehicle."""
        solution, horizon = algorithm.result, algorithm.horizon
        assert self.exposure is not None
        run = PlanRun(
            depot=self.depot,
            epoch=self.epoch,
            trigger=self.trigger,
            algorithm=self.depot.algorithm,
            status=PlanRun.Status.PUBLISHED,
            solver_status=solution.status[:100],
            started_at=self.started_at,
            horizon_start=horizon.start,
            resolution_s=int(horizon.resolution.total_seconds()),
            borders=horizon.border_seconds.tolist(),
            steps=horizon.steps,
            timings_s={name: round(seconds, 4) for name, seconds in solution.seconds.items()},
            vehicles=len(self.visits),
            deferred=[str(key) for key in solution.deferred],
            cost=round(solution.money.bill, 4),
            currency=self.depot.currency,
            site=site_series(self.depot, self.exposure, solution),
            summary=summary_of(solution),
            sentences=solution.sentences(clock_of(self.depot)),
            marginal=marginal_series(solution),
        )
        plans = plan_rows(solution, self.visits, run)
        run.energy_kwh = sum(plan.energy_kwh for plan in plans)
        run.shortfall_kwh = sum(plan.shortfall_kwh for plan in plans)
        return run, plans

    def _queue_profile(self, visit: Visit, horizon: Horizon, run: PlanRun) -> None:
        """Queue the plan of a running transaction, unless the charger holds or awaits the same one."""
        assert visit.session is not None
        schedule = schedule_of(visit, horizon)
        newest = (
            InstalledProfile.objects.filter(
                station=visit.connector.station,
                number=visit.connector.number,
                session=visit.session,
                slot=InstalledProfile.Slot.TX,
                replaced_at__isnull=True,
            )
            .exclude(state=InstalledProfile.State.GONE)
            .order_by("-command__created_at")
            .first()
        )
        if newest is not None and same_content(schedule_in_play(newest), schedule, self.now, horizon):
            return
        queue_plan(connector=visit.connector, session=visit.session, schedule=schedule, run=run.pk, now=timezone.now())


def keep_to_the_plan_in_force(depot: Depot, visits: Iterable[Visit], horizon: Horizon) -> None:
    """Tell the engine what each vehicle was promised last, so that replanning changes nothing without a gain."""
    run = PlanRun.objects.filter(depot=depot, status=PlanRun.Status.PUBLISHED).order_by("-started_at").first()
    if run is None:
        return
    promised: dict[object, list[float]] = {}
    for row in run.plans.all():
        promised[row.reservation_id or row.session_id] = row.power_kw
    for visit in visits:
        key = visit.reservation.pk if visit.reservation is not None else visit.session and visit.session.pk
        if (power := promised.get(key)) is not None:
            visit.ev.in_force = horizon.sample(zip(run.horizon.borders, [*power, 0.0], strict=True)) / visit.power_share


def schedule_of(visit: Visit, horizon: Horizon) -> Schedule:
    """A vehicle's plan as a schedule in A per phase, safe against its charger's clock, with the fallback at its end."""
    connector = visit.connector
    lead = int(START_IN_THE_PAST.total_seconds())
    periods = charging_schedule(
        visit.ev.power_kw,
        horizon,
        unit=ChargingRateUnit.A,
        voltage=connector.voltage_v,
        phases=connector.phases,
        max_periods=min(connector.station.max_schedule_periods, MOST_PERIODS),
        fallback_kw=connector.fallback_kw,
        skew_s=clock_uncertainty_s(connector.station),
    )
    shifted = tuple((period.start_s + (lead if period.start_s else 0), period.limit) for period in periods)
    return Schedule(horizon.start - START_IN_THE_PAST, shifted, horizon.end)


def same_content(held: Schedule, wanted: Schedule, now: datetime, horizon: Horizon) -> bool:
    """Whether the charger would do nearly the same for at least the next half horizon, and never more than wanted."""
    until = horizon.start + (horizon.end - horizon.start) / 2
    if held.ends_at is not None and held.ends_at < until:
        return False
    moments = [now, *(at for at in (*held.changes(), *wanted.changes()) if now < at < until)]
    less_a = [(wanted.current_at(at) or 0.0) - (held.current_at(at) or 0.0) for at in moments]
    return min(less_a) >= -NEVER_ABOVE_A and max(less_a) <= HARDLY_LESS_A
