"""From sessions and reservations to the vehicles that the engine schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

from charging.models import ConnectorState, ConnectorStatus, Session, StationLink
from depot.models import Connector, Depot, Reservation, Station, Vehicle, VehicleState
from scheduling.engine import EV
from scheduling.risks import Risk, mirror

UNKNOWN_NEED_HOURS = 2.0  # a vehicle of which nothing is known is planned for this long at full power
UNKNOWN_SOC_PERCENT = 40.0  # planned from, where no reading exists; shown as unknown, never as ready
NOTHING_KWH = 0.05
CORRECT_IT = "Correct the vehicle, the connector or the reservation; until then its charger keeps to its fallback."
OVERSTAY = timedelta(minutes=30)


@dataclass(frozen=True)
class Need:
    """Energy at the meter, kWh, and the part of it that comes before anybody's rest; None: all of it."""

    kwh: float
    minimum_kwh: float | None = None

    @staticmethod
    def of(kwh: float, minimum_kwh: float | None) -> Need:
        """Neither is negative, and the minimum is no more than the whole."""
        whole = max(kwh, 0.0)
        return Need(whole, None if minimum_kwh is None else min(max(minimum_kwh, 0.0), whole))

    def at_least(self, kwh: float) -> Need:
        """Not less than `kwh`, unless it is nothing at all; what is added comes after everybody's needs."""
        if not NOTHING_KWH < self.kwh < kwh:
            return self
        return Need(kwh, self.kwh if self.minimum_kwh is None else self.minimum_kwh)


@dataclass(frozen=True)
class Stay:
    """When a vehicle is at its outlet, and how sure that is."""

    arrival: datetime
    departure: datetime
    margin: timedelta  # before the departure, by which it should be ready
    latest: datetime | None = None  # an uncertain arrival may be as late as this


@dataclass(frozen=True)
class Visit:
    """An EV of the engine together with what it stands for."""

    ev: EV
    connector: Connector
    vehicle: Vehicle | None
    session: Session | None
    reservation: Reservation | None
    soc_percent: float | None
    need_kwh: float  # at the meter
    power_share: float  # of the power counted at the outlet that the vehicle really takes (phases used / phases wired)

    @property
    def steered(self) -> bool:
        """Whether this plan decides what its charger gives."""
        return self.session is not None and not self.ev.hold

    def soc_after(self, kwh: float) -> float | None:
        """SoC once `kwh` (at the meter) are delivered, percent."""
        if self.vehicle is None or self.soc_percent is None:
            return None
        gained = kwh * self.vehicle.charging_efficiency / self.vehicle.battery_kwh * 100
        return min(self.soc_percent + gained, 100.0)


def controllable(station: Station) -> bool:
    link: StationLink | None = getattr(station, "link", None)
    booted = link is not None and link.online and link.registration == StationLink.Registration.ACCEPTED
    return booted and not station.manual


def hold_of(connector: Connector) -> Literal["", "fault", "override"]:
    """Why nobody may plan this outlet: its charger reports a fault, or is set to manual."""
    if connector.station.manual:
        return "override"
    state: ConnectorState | None = getattr(connector, "state", None)
    return "fault" if state is not None and state.status == ConnectorStatus.FAULTED else ""


def visits_of(depot: Depot, now: datetime) -> list[Visit]:
    """Live sessions at chargers that can be told something, and reservations that still wait for their vehicle.

    Those at faulted chargers and at such that an operator has taken over are held: shown, and not planned. One vehicle
    whose data make no sense is named in an incident and left out; the others keep their plan.
    """
    socs = latest_socs(depot)
    sessions = live_sessions(depot)
    shown = [s for s in sessions if controllable(s.connector.station) or hold_of(s.connector) == "override"]
    served = {session.reservation_id for session in sessions}
    plugged = {session.vehicle_id for session in sessions if session.vehicle_id}
    until = now + timedelta(hours=depot.horizon_hours)
    coming = coming_reservations(depot, now, until)
    waiting = [r for r in coming if r.pk not in served and r.vehicle_id not in plugged]
    makers: dict[Session | Reservation, Callable[[], Visit]] = {
        **{session: partial(visit_of_session, session, socs, depot, now) for session in shown},
        **{booked: partial(visit_of_reservation, booked, socs, depot, now) for booked in waiting},
    }
    visits, senseless = [], {}
    for what, make in makers.items():
        try:
            visits.append(make())
        except ValueError as error:
            senseless[f"{depot.slug}/{what.pk}"] = Risk(f"{what} cannot be planned: {error}", CORRECT_IT)
    mirror(depot, "plan.input", senseless, severity="warning")
    return visits


def live_sessions(depot: Depot) -> list[Session]:
    return list(
        Session.objects.filter(station__depot=depot, state__in=Session.LIVE, historical=False)
        .select_related(
            "connector__station__load_group",
            "connector__station__link",
            "connector__station__depot",
            "connector__state",
            "vehicle",
            "reservation",
        )
        .order_by("pk")
    )


def coming_reservations(depot: Depot, now: datetime, until: datetime) -> Iterable[Reservation]:
    return (
        Reservation.objects.filter(
            depot=depot,
            state=Reservation.State.RESERVED,
            connector__isnull=False,
            ends_at__gt=now,
            starts_at__lt=until,
            connector__station__manual=False,
        )
        .select_related("connector__station__load_group", "connector__station__depot", "vehicle")
        .order_by("starts_at", "pk")
    )


def latest_socs(depot: Depot) -> dict[object, VehicleState]:
    """Newest reading per vehicle."""
    newest: dict[object, VehicleState] = {}
    recent = VehicleState.objects.filter(vehicle__depot=depot).order_by("vehicle_id", "-measured_at")
    for state in recent.iterator():
        newest.setdefault(state.vehicle_id, state)
    return newest


def visit_of_session(session: Session, socs: dict[object, VehicleState], depot: Depot, now: datetime) -> Visit:
    reservation, vehicle = session.reservation, session.vehicle
    soc = soc_of_session(session, socs)
    departure = session.started_at + timedelta(hours=depot.default_stay_hours)
    if reservation is not None:
        departure = reservation.ends_at
    need = need_of(reservation, vehicle, soc, session.energy_kwh, session.connector, depot)
    ev = engine_ev(
        key=f"session:{session.pk}",
        active=True,
        connector=session.connector,
        vehicle=vehicle,
        stay=Stay(
            min(session.started_at, now),
            max(departure, now + OVERSTAY),
            margin=timedelta(minutes=depot.departure_margin_minutes if reservation is not None else 0),
        ),
        need=need,
        priority=reservation.priority if reservation is not None else 1,
        soc=soc,
        hold=hold_of(session.connector),
    )
    share = power_share(session.connector, vehicle)
    return Visit(ev, session.connector, vehicle, session, reservation, soc, need.kwh, share)


def visit_of_reservation(
    reservation: Reservation, socs: dict[object, VehicleState], depot: Depot, now: datetime
) -> Visit:
    assert reservation.connector is not None
    vehicle = reservation.vehicle
    state = socs.get(reservation.vehicle_id)
    soc = state.soc_percent if state is not None else None
    # Plans count in whole seconds: a fraction would cost the step that begins with the arrival.
    arrival = max(reservation.starts_at.replace(microsecond=0), now)
    departure = max(reservation.ends_at, arrival + timedelta(minutes=1))
    need = need_of(reservation, vehicle, soc, 0.0, reservation.connector, depot)
    ev = engine_ev(
        key=f"reservation:{reservation.pk}",
        active=False,
        connector=reservation.connector,
        vehicle=vehicle,
        stay=Stay(
            arrival,
            departure,
            margin=timedelta(minutes=depot.departure_margin_minutes),
            latest=min(latest_arrival(reservation, depot, now), departure),
        ),
        need=need,
        priority=reservation.priority,
        soc=soc,
    )
    share = power_share(reservation.connector, vehicle)
    return Visit(ev, reservation.connector, vehicle, None, reservation, soc, need.kwh, share)


def latest_arrival(reservation: Reservation, depot: Depot, now: datetime) -> datetime:
    """Until when a booked vehicle may still come: the depot's experience; a late one until it counts as a no-show."""
    usual = max(reservation.starts_at, now) + timedelta(minutes=depot.arrival_uncertainty_minutes)
    if reservation.starts_at >= now:
        return usual
    return max(usual, reservation.starts_at + timedelta(minutes=depot.noshow_timeout_minutes))


def soc_of_session(session: Session, socs: dict[object, VehicleState]) -> float | None:
    """What the charger reports, else the last reading plus what was delivered since (an estimate)."""
    if session.soc_percent is not None:
        return session.soc_percent
    state, vehicle = socs.get(session.vehicle_id), session.vehicle
    if state is None or vehicle is None:
        return None
    gained = session.energy_kwh * vehicle.charging_efficiency / vehicle.battery_kwh * 100
    return min(state.soc_percent + gained, 100.0)


def need_of(
    reservation: Reservation | None,
    vehicle: Vehicle | None,
    soc: float | None,
    delivered_kwh: float,
    connector: Connector,
    depot: Depot,
) -> Need:
    """Energy still to be delivered, never negative and never more than the battery can take."""
    booked = reservation.energy_kwh if reservation is not None else None
    least = reservation.minimum_energy_kwh if reservation is not None else None
    minimum = least - delivered_kwh if least is not None else None
    if vehicle is None:
        wanted = booked if booked is not None else connector.max_power_kw * UNKNOWN_NEED_HOURS
        return Need.of(wanted - delivered_kwh, minimum)
    from_percent = UNKNOWN_SOC_PERCENT if soc is None else soc
    kwh_per_percent = vehicle.battery_kwh / 100 / vehicle.charging_efficiency
    if reservation is not None and reservation.minimum_soc_percent is not None:
        minimum = kwh_per_percent * (reservation.minimum_soc_percent - from_percent)
    if booked is not None:
        return Need.of(min(booked - delivered_kwh, kwh_per_percent * (100 - from_percent)), minimum)
    target = float(depot.default_target_soc_percent)
    if reservation is not None and reservation.required_soc_percent is not None:
        target = reservation.required_soc_percent
    return Need.of(kwh_per_percent * (target - from_percent), minimum)


def power_share(connector: Connector, vehicle: Vehicle | None) -> float:
    """A limit in A per phase counts on every wired phase, while a one-phase vehicle draws on one of them only."""
    if vehicle is None or vehicle.phases >= connector.phases:
        return 1.0
    return vehicle.phases / connector.phases


def taper_of(
    vehicle: Vehicle | None, soc: float | None, most_kw: float, share: float
) -> tuple[tuple[float, float], ...]:
    """The vehicle's charging curve as (SoC %, kW counted at the outlet), where it is known and matters here."""
    if vehicle is None or soc is None:
        return ()
    curve = tuple((float(at), float(kw) / share) for at, kw in vehicle.charging_curve)
    return curve if any(kw < most_kw for _, kw in curve) else ()


def engine_ev(
    *,
    key: str,
    active: bool,
    connector: Connector,
    vehicle: Vehicle | None,
    stay: Stay,
    need: Need,
    priority: int,
    soc: float | None,
    hold: Literal["", "fault", "override"] = "",
) -> EV:
    """Powers are those counted at the outlet, so that the plan and the exposure of its profile are the same number."""
    depot = connector.station.depot
    share = power_share(connector, vehicle)
    into_battery = vehicle.charging_efficiency if vehicle is not None else 1.0
    least_a = max(connector.min_current_a, vehicle.min_current_a if vehicle is not None else 0.0)
    most_kw = connector.max_power_kw
    if vehicle is not None:
        most_kw = min(most_kw, vehicle.max_ac_kw / share)
    least_kw = min(least_a * connector.kw_per_ampere, most_kw)
    # a rest smaller than a step at minimum power: planned as one, ended when it is delivered
    need = need.at_least(least_kw * share * depot.resolution_minutes / 60)
    return EV(
        ev_id=key,
        active=active,
        station_id=connector.station.identity,
        connector_id=connector.number,
        min_power=least_kw,
        max_power=most_kw,
        arrival_time=stay.arrival,
        departure_time=stay.departure,
        energy=need.kwh * into_battery,
        voltage=connector.voltage_v,
        phases=connector.phases,
        priority=priority,
        free_power=connector.fallback_kw,
        nodes=(connector.station.load_group.slug,),
        phase_map=connector.phase_rotation[: connector.phases],
        name=vehicle.name if vehicle is not None else connector.bay,
        max_periods=connector.station.max_schedule_periods,
        soc=soc,
        battery_kwh=vehicle.battery_kwh if vehicle is not None else None,
        efficiency=share * into_battery,
        minimum_energy=None if need.minimum_kwh is None else need.minimum_kwh * into_battery,
        arrival_latest=stay.latest if stay.latest is not None and stay.latest > stay.arrival else None,
        departure_margin=stay.margin,
        min_on=timedelta(minutes=depot.min_on_minutes),
        min_off=timedelta(minutes=depot.min_off_minutes),
        taper=taper_of(vehicle, soc, most_kw, share),
        hold=hold,
    )
