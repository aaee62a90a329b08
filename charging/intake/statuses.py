"""What boots, statuses and tags change. Functions run inside the caller's transaction, serialised per station."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings

from charging.intake.entry import Arrival, Outcome, storable
from charging.models import AuthorizationAttempt, ConnectorState, ConnectorStatus, Session, StationLink, StatusNotice
from charging.sessions import end_without_stop, is_historical, verdict_on
from charging.wire.errors import Finding
from charging.wire.timestamps import parse_time, wire_time
from charging.wire.v16.core import (
    Authorize,
    AuthorizeResponse,
    BootNotification,
    BootNotificationResponse,
    StatusNotification,
)
from charging.wire.v16.types import IdTagInfo
from depot.incidents import close_incident, raise_incident
from depot.models import Connector, Incident, Station
from depot.signals import announce_needs_changed

EMPTY = frozenset({ConnectorStatus.AVAILABLE, ConnectorStatus.RESERVED, ConnectorStatus.UNAVAILABLE})
SUSPENDED = frozenset({ConnectorStatus.SUSPENDED_EV, ConnectorStatus.SUSPENDED_EVSE})
FUTURE_TOLERATED = timedelta(seconds=60)
After = tuple[Callable[[], object], ...]


# --- boot and tags ---------------------------------------------------------------------------------------------------


def boot(request: BootNotification, arrival: Arrival) -> Outcome:
    """Keep what the charger says of itself and accept it. OCPP 1.6 §4.2."""
    told = {
        "vendor": storable(request.charge_point_vendor, 50),
        "model": storable(request.charge_point_model, 50),
        "serial_number": storable(request.charge_point_serial_number or request.charge_box_serial_number or "", 50),
        "firmware": storable(request.firmware_version or "", 50),
    }
    station = Station.objects.filter(pk=arrival.station.id)
    if station.filter(**told).first() is None:
        station.update(**told)
    StationLink.objects.filter(station_id=arrival.station.id).update(
        registration=StationLink.Registration.ACCEPTED, booted_at=arrival.at, last_seen_at=arrival.at
    )
    return Outcome(
        BootNotificationResponse(
            status="Accepted", current_time=wire_time(arrival.at), interval=settings.OCPP_HEARTBEAT_INTERVAL_S
        )
    )


def authorize(request: Authorize, arrival: Arrival) -> Outcome:
    """Answer for a tag. One that charges at another station is concurrent; at the same station it may come to stop."""
    verdict = verdict_on(request.id_tag, arrival.at)
    info = verdict.info()
    if verdict.status == "Accepted" and _charges_at_another_station(request.id_tag, arrival.station.id):
        info = IdTagInfo(status="ConcurrentTx", expiry_date=info.expiry_date)
    AuthorizationAttempt.objects.create(
        station_id=arrival.station.id, id_tag=storable(request.id_tag, 36), status=info.status, at=arrival.at
    )
    return Outcome(AuthorizeResponse(id_tag_info=info))


def _charges_at_another_station(tag: str, station_id: int) -> bool:
    live = Session.objects.filter(state__in=Session.LIVE, historical=False, id_tag__iexact=tag)
    return live.exclude(station_id=station_id).exists()


# --- status ----------------------------------------------------------------------------------------------------------


def status(request: StatusNotification, arrival: Arrival) -> Outcome:
    """Keep the history; the newest status of a known connector becomes its state (P85)."""
    time = parse_time(request.timestamp, arrival.at) if request.timestamp else None
    at = time.instant if time else arrival.at
    findings: tuple[Finding, ...] = time.findings if time else ()
    told = request.status if request.status in ConnectorStatus.values else ConnectorStatus.UNKNOWN
    error_code = storable(request.error_code, 50)
    _notice, new = StatusNotice.objects.get_or_create(
        station_id=arrival.station.id,
        number=min(request.connector_id, 2**31 - 1),
        at=at,
        status=told,
        error_code=error_code,
        defaults={
            "info": storable(request.info or "", 200),
            "vendor_error_code": storable(request.vendor_error_code or "", 50),
            "received_at": arrival.at,
        },
    )
    if not new and time is not None:
        return Outcome(findings=findings)
    live = not is_historical(at, arrival.at)
    after = _fault_incident(request, arrival, told) if live else ()
    if request.connector_id == 0:
        return Outcome(after=after, findings=findings)
    connector = Connector.objects.filter(station_id=arrival.station.id, number=request.connector_id).first()
    if connector is None:
        text = f"status of the unknown connector {request.connector_id}"
        return Outcome(after=after, findings=(*findings, Finding("P85", text)))
    after += _connector_status(connector, request, arrival, told, min(at, arrival.at + FUTURE_TOLERATED), live=live)
    return Outcome(after=after, findings=findings)


def _connector_status(
    connector: Connector, request: StatusNotification, arrival: Arrival, told: str, at: datetime, *, live: bool
) -> After:
    state, _ = ConnectorState.objects.get_or_create(connector=connector)
    if state.status_at is not None and at < state.status_at:
        return ()
    before, state.status, state.status_at = state.status, told, at
    state.error_code = storable(request.error_code, 50)
    state.info = storable(request.info or "", 200)
    state.save(update_fields=["status", "status_at", "error_code", "info"])
    if not live:
        return ()
    depot_id = arrival.station.depot_id
    running = Session.objects.filter(connector=connector, state__in=Session.LIVE, historical=False, started_at__lt=at)
    ended = False
    if told == ConnectorStatus.AVAILABLE and running.exists():
        ended = end_without_stop(connector, arrival.at, because=f"Available at {wire_time(at)}")
    elif told in SUSPENDED:
        running.update(state=Session.State.SUSPENDED)
    elif told == ConnectorStatus.CHARGING:
        running.update(state=Session.State.OPEN)
    reason = _change(before, told, ended=ended)
    return (partial(announce_needs_changed, depot_id, reason),) if reason else ()


def _change(before: str, now: str, *, ended: bool) -> str:
    """Why the plan needs another look, or nothing: a charger that pauses or resumes is no news."""
    if ConnectorStatus.FAULTED in (before, now):
        return "fault" if before != now else ""
    if now == ConnectorStatus.PREPARING and (before in EMPTY or before == ConnectorStatus.UNKNOWN):
        return "plug-in"
    if ended or (now == ConnectorStatus.AVAILABLE and before not in EMPTY and before != ConnectorStatus.UNKNOWN):
        return "unplug"
    return ""


def _fault_incident(request: StatusNotification, arrival: Arrival, told: str) -> After:
    """An incident per connector while it says Faulted; connector 0 is the whole station."""
    station = arrival.station
    subject = f"{station.identity}/{request.connector_id}" if request.connector_id else station.identity
    if told != ConnectorStatus.FAULTED:
        opened = Incident.objects.filter(type="charger.faulted", subject=subject, closed_at__isnull=True).exists()
        return (partial(close_incident, "charger.faulted", subject=subject),) if opened else ()
    details = " ".join(part for part in (request.error_code, request.info, request.vendor_error_code) if part)
    return (
        partial(
            raise_incident,
            "charger.faulted",
            subject=subject,
            depot=station.depot_id,
            message=storable(f"{subject} reports a fault: {details}", 300),
            remedy="Look at the charger; a reset may clear the fault, otherwise call service.",
        ),
    )
