"""Make the day of a demo depot anew around now, and put away the day of an earlier run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from charging.models import Command, ConnectorState, ConnectorStatus, InstalledProfile, Session
from depot.models import (
    Connector,
    Depot,
    Incident,
    LoadGroup,
    Reservation,
    ReservationTransition,
    Station,
    Vehicle,
    VehicleIdentity,
    VehicleState,
)
from depot.signals import announce_needs_changed
from scheduling.demo.visits import PlannedVisit

BY = "demo"
State = Reservation.State


def put_away(depot: Depot, now: datetime) -> None:
    """The simulated chargers of an earlier run are gone, with their sessions and everything that was under way."""
    Session.objects.filter(station__depot=depot, state__in=Session.LIVE).update(
        state=Session.State.ENDED_WITHOUT_STOP, stopped_at=now
    )
    Command.objects.filter(station__depot=depot, state__in=Command.OPEN).update(
        state=Command.State.EXPIRED, error_description="The demo was started anew."
    )
    in_play = InstalledProfile.objects.filter(station__depot=depot, state__in=("wanted", "possible", "confirmed"))
    in_play.exclude(slot=InstalledProfile.Slot.FALLBACK).update(state=InstalledProfile.State.GONE)
    ConnectorState.objects.filter(connector__station__depot=depot).update(
        status=ConnectorStatus.UNKNOWN, power_kw=None, current_a=None, offered_a=None, soc_percent=None, sampled_at=None
    )
    live = Reservation.objects.filter(depot=depot, state__in=Reservation.HOLDING)
    _end(live.filter(ends_at__lte=now), State.FULFILLED, now)
    _end(live.filter(ends_at__gt=now), State.CANCELED, now)
    Incident.objects.filter(depot=depot, closed_at__isnull=True).update(closed_at=now)
    VehicleState.objects.filter(vehicle__depot=depot).delete()


def _end(reservations: Iterable[Reservation], state: str, now: datetime) -> None:
    rows = list(reservations)
    transitions = [
        ReservationTransition(
            reservation=row, from_state=row.state, to_state=state, at=now, actor=BY, reason="the demo was started anew"
        )
        for row in rows
    ]
    Reservation.objects.filter(pk__in=[row.pk for row in rows]).update(
        state=state, cancel_reason="UNKNOWN" if state == State.CANCELED else "", updated_at=now
    )
    ReservationTransition.objects.bulk_create(transitions)


def store_day(depot: Depot, visits: Sequence[PlannedVisit], now: datetime) -> None:
    """Vehicles with their cards and batteries, and a reservation per visit."""
    connectors = {
        (connector.station.identity, connector.number): connector
        for connector in Connector.objects.filter(station__depot=depot).select_related("station")
    }
    vehicles = _store_vehicles(depot, visits, connectors)
    _store_batteries(visits, vehicles, now)
    buffer = timedelta(minutes=depot.buffer_minutes)
    reservations = Reservation.objects.bulk_create(
        Reservation(
            depot=depot,
            connector=connectors[visit.guest.station, visit.guest.connector],
            vehicle=vehicles[visit.guest.id_tag],
            starts_at=visit.plug_in_at,
            ends_at=visit.plug_out_at,
            held_until=_held_until(visit, visits, buffer),
            required_soc_percent=round(min(visit.target_soc_percent, 100), 1) if visit.by_soc else None,
            energy_kwh=None if visit.by_soc else visit.need_kwh,
            priority=visit.priority,
        )
        for visit in visits
    )
    ReservationTransition.objects.bulk_create(
        ReservationTransition(reservation=row, to_state=row.state, at=now, actor=BY) for row in reservations
    )
    announce_needs_changed(depot.pk, "booking")


def _held_until(visit: PlannedVisit, visits: Iterable[PlannedVisit], buffer: timedelta) -> datetime:
    """The end and the buffer; measured days know stays that follow each other more closely than that."""
    place = visit.guest.station, visit.guest.connector
    following = (
        other.plug_in_at
        for other in visits
        if (other.guest.station, other.guest.connector) == place and other.plug_in_at >= visit.plug_out_at
    )
    return min(
        visit.plug_out_at + buffer, min(following, default=datetime.max.replace(tzinfo=visit.plug_out_at.tzinfo))
    )


def _store_vehicles(
    depot: Depot, visits: Iterable[PlannedVisit], connectors: dict[tuple[str, int], Connector]
) -> dict[str, Vehicle]:
    known = {vehicle.external_id: vehicle for vehicle in depot.vehicles.all()}
    guests = {visit.guest.id_tag: visit.guest for visit in visits}
    missing = [
        Vehicle(
            depot=depot,
            external_id=guest.id_tag.lower(),
            name=f"{'Van' if depot.slug == 'north' else 'EV'} {guest.id_tag[-2:]}",
            battery_kwh=guest.battery_kwh,
            max_ac_kw=guest.max_power_kw,
            phases=guest.phases,
            home_connector=connectors[guest.station, guest.connector],
        )
        for guest in sorted(guests.values(), key=lambda guest: guest.id_tag)
        if guest.id_tag.lower() not in known
    ]
    Vehicle.objects.bulk_create(missing)
    VehicleIdentity.objects.bulk_create(
        VehicleIdentity(vehicle=vehicle, value=vehicle.external_id.upper()) for vehicle in missing
    )
    known |= {vehicle.external_id: vehicle for vehicle in missing}
    return {id_tag: known[id_tag.lower()] for id_tag in guests}


def _store_batteries(visits: Iterable[PlannedVisit], vehicles: dict[str, Vehicle], now: datetime) -> None:
    """The telematics' reading of each vehicle: the SoC with which the simulated one begins."""
    first: dict[str, PlannedVisit] = {}
    for visit in sorted(visits, key=lambda visit: visit.plug_in_at):
        first.setdefault(visit.guest.id_tag, visit)
    VehicleState.objects.bulk_create(
        VehicleState(
            vehicle=vehicles[id_tag],
            soc_percent=visit.soc_percent,
            source=VehicleState.Source.TELEMATICS,
            measured_at=now,
            received_at=now,
        )
        for id_tag, visit in first.items()
    )


def raze(depot: Depot) -> None:
    """Remove the depot with everything that happened in it."""
    tariff = depot.tariff
    Session.objects.filter(station__depot=depot).delete()
    Reservation.objects.filter(depot=depot).delete()
    Vehicle.objects.filter(depot=depot).delete()
    LoadGroup.objects.filter(depot=depot).update(building_meter=None)
    Station.objects.filter(depot=depot).delete()
    while leaves := list(LoadGroup.objects.filter(depot=depot, children__isnull=True)):
        LoadGroup.objects.filter(pk__in=[leaf.pk for leaf in leaves]).delete()
    depot.delete()
    if tariff is not None:
        tariff.delete()
