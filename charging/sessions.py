"""OCPP 1.6 transactions: natural keys, verdicts on tags, what vehicle and reservation a session belongs to.

Every function runs inside the caller's transaction, serialised per station, and never refuses (P38, P40, P41).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.db import connection
from django.db.models import F, Q

from charging.intake import storage
from charging.intake.entry import Arrival, Outcome, storable
from charging.intake.readings import samples_to_rows
from charging.models import Session, SessionEvent, TransactionNumber
from charging.wire.errors import Finding
from charging.wire.metering import samples_of
from charging.wire.timestamps import ParsedTime, parse_time, wire_time
from charging.wire.v16.core import StartTransaction, StartTransactionResponse, StopTransaction, StopTransactionResponse
from charging.wire.v16.types import IdTagInfo
from depot.models import Connector, Reservation, VehicleIdentity
from depot.signals import announce_needs_changed

log = structlog.get_logger(__name__)

HISTORICAL_AFTER = timedelta(minutes=5)
MAX_TAG_LENGTH = 20  # P50: a longer one is never known
MAX_ADOPTED_ID = 2_000_000_000  # leaves room below 2^31 for ids of our own


@dataclass(frozen=True, slots=True)
class Verdict:
    """What we say about a tag, and the vehicle it belongs to."""

    status: str
    identity: VehicleIdentity | None = None

    def info(self) -> IdTagInfo:
        expires_at = self.identity.expires_at if self.identity else None
        return IdTagInfo(status=self.status, expiry_date=wire_time(expires_at) if expires_at else None)  # type: ignore[arg-type]


def verdict_on(tag: str, now: datetime) -> Verdict:
    """Look a tag up, ignoring case (P50)."""
    if not tag or len(tag) > MAX_TAG_LENGTH:
        return Verdict("Invalid")
    identity = VehicleIdentity.objects.select_related("vehicle").filter(value__iexact=tag).order_by("-kind").first()
    if identity is None:
        return Verdict("Invalid")
    if identity.blocked:
        return Verdict("Blocked", identity)
    if identity.expires_at is not None and identity.expires_at <= now:
        return Verdict("Expired", identity)
    return Verdict("Accepted", identity)


def is_historical(at: datetime, received_at: datetime) -> bool:
    """A fact this old lands in the past and triggers nothing live (P43)."""
    return received_at - at > HISTORICAL_AFTER


# --- start -----------------------------------------------------------------------------------------------------------


def start_transaction(request: StartTransaction, arrival: Arrival) -> Outcome:
    """Open a session, or find the one that this start opened before (P39)."""
    time = parse_time(request.timestamp, arrival.at)
    key = start_key(request)
    known = SessionEvent.objects.filter(
        station_id=arrival.station.id, kind=SessionEvent.Kind.START, natural_key=key
    ).first()
    if known is not None:
        SessionEvent.objects.filter(pk=known.pk).update(repeats=F("repeats") + 1)
        return Outcome(_start_answer(known.payload["transaction_id"], _verdict_again(known, arrival.at)))
    transaction_id: int = TransactionNumber.objects.create().pk
    connector = Connector.objects.filter(station_id=arrival.station.id, number=request.connector_id).first()
    verdict = _verdict_at(request, connector, arrival.at)
    findings: tuple[Finding, ...] = time.findings
    session = None
    after: tuple[Any, ...] = ()
    if connector is None:
        findings += (Finding("P85", f"a transaction started on the unknown connector {request.connector_id}"),)
    else:
        session, after = _open_session(request, arrival, time, connector, verdict, transaction_id)
    SessionEvent.objects.create(
        station_id=arrival.station.id,
        session=session,
        kind=SessionEvent.Kind.START,
        natural_key=key,
        payload={
            "transaction_id": transaction_id,
            "connector": request.connector_id,
            "id_tag": storable(request.id_tag, 255),
            "meter_start_wh": request.meter_start,
            "timestamp": storable(request.timestamp, 100),
            "id_tag_status": verdict.status,
        },
        at=time.instant,
        received_at=arrival.at,
        orphan_reason="" if session else f"connector {request.connector_id} is unknown",
    )
    return Outcome(_start_answer(transaction_id, verdict), after, findings)


def start_key(request: StartTransaction) -> str:
    """Connector, folded tag, time and register: the same start, whatever its message id."""
    tag = storable(request.id_tag, 60).upper()
    return storable(f"{request.connector_id}|{tag}|{request.timestamp[:60]}|{request.meter_start}", 200)


def _start_answer(transaction_id: int, verdict: Verdict) -> StartTransactionResponse:
    return StartTransactionResponse(transaction_id=transaction_id, id_tag_info=verdict.info())


def _verdict_again(event: SessionEvent, now: datetime) -> Verdict:
    """The verdict of the first time: a retry is never its own concurrent transaction."""
    return Verdict(event.payload["id_tag_status"], verdict_on(event.payload["id_tag"], now).identity)


def _verdict_at(request: StartTransaction, connector: Connector | None, now: datetime) -> Verdict:
    verdict = verdict_on(request.id_tag, now)
    if verdict.status == "Accepted" and _charges_elsewhere(request.id_tag, connector):
        return Verdict("ConcurrentTx", verdict.identity)
    return verdict


def _charges_elsewhere(tag: str, connector: Connector | None) -> bool:
    live = Session.objects.filter(state__in=Session.LIVE, historical=False, id_tag__iexact=tag)
    return live.exclude(connector=connector).exists()


def _open_session(
    request: StartTransaction,
    arrival: Arrival,
    time: ParsedTime,
    connector: Connector,
    verdict: Verdict,
    transaction_id: int,
) -> tuple[Session, tuple[Any, ...]]:
    historical = is_historical(time.instant, arrival.at)
    if not historical:
        end_without_stop(connector, arrival.at, because=f"transaction {transaction_id} started")
    vehicle = verdict.identity.vehicle if verdict.identity else None
    flags = (["clock"] if time.absurd else []) + (["register"] if request.meter_start is None else [])
    session = Session.objects.create(
        transaction_id=transaction_id,
        station_id=arrival.station.id,
        connector=connector,
        vehicle=vehicle,
        reservation=None if historical else reservation_for(connector, vehicle and vehicle.pk, time.instant),
        id_tag=storable(request.id_tag, 36),
        id_tag_status=verdict.status,
        historical=historical,
        started_at=_distinct_start(connector, request, time.instant),
        received_at=arrival.at,
        meter_start_wh=request.meter_start or 0,
        last_register_wh=request.meter_start,
        flags=flags,
    )
    return session, () if historical else (partial(announce_needs_changed, arrival.station.depot_id, "plug-in"),)


def _distinct_start(connector: Connector, request: StartTransaction, at: datetime) -> datetime:
    """The start time, moved by a microsecond where differently written stamps of other starts mean the same instant."""
    same = Session.objects.filter(
        connector=connector, id_tag=storable(request.id_tag, 36), meter_start_wh=request.meter_start or 0
    )
    while same.filter(started_at=at).exists():
        at += timedelta(microseconds=1)
    return at


def reservation_for(connector: Connector, vehicle_id: Any, at: datetime) -> Reservation | None:
    """The live booking of this bay around now, for this vehicle or for none; one booked elsewhere binds nothing."""
    early = timedelta(
        minutes=Connector.objects.values_list("station__depot__early_start_minutes").get(pk=connector.pk)[0]
    )
    booked = Reservation.objects.filter(
        connector=connector, state=Reservation.State.RESERVED, starts_at__lte=at + early, ends_at__gt=at
    )
    return booked.filter(Q(vehicle__isnull=True) | Q(vehicle_id=vehicle_id)).order_by("starts_at").first()


def end_without_stop(connector: Connector, now: datetime, *, because: str) -> bool:
    """Close a live session whose stop never came; the real stop may still repair it (P44)."""
    session = Session.objects.filter(connector=connector, state__in=Session.LIVE, historical=False).first()
    if session is None:
        return False
    session.state = Session.State.ENDED_WITHOUT_STOP
    session.stopped_at = session.last_sample_at or now
    session.flags = _with_flags(session, "gap")
    session.save(update_fields=["state", "stopped_at", "flags"])
    SessionEvent.objects.create(
        station_id=session.station_id,
        session=session,
        kind=SessionEvent.Kind.CORRECTION,
        natural_key=f"{session.transaction_id}|{because}"[:200],
        payload={"state": session.state, "because": because, "last_register_wh": session.last_register_wh},
        at=session.stopped_at,
        received_at=now,
    )
    return True


def _with_flags(session: Session, *flags: str) -> list[str]:
    return sorted({*session.flags, *flags})


# --- stop ------------------------------------------------------------------------------------------------------------


def stop_transaction(request: StopTransaction, arrival: Arrival) -> Outcome:
    """Close or repair a session. Unknown, repeated, 0 and -1 are confirmed like any other (P41)."""
    time = parse_time(request.timestamp, arrival.at)
    key = stop_key(request)
    answer = _stop_answer(request, arrival.at)
    known = SessionEvent.objects.filter(
        station_id=arrival.station.id, kind=SessionEvent.Kind.STOP, natural_key=key
    ).first()
    if known is not None:
        return Outcome(answer, findings=_repeated_stop(known, request))
    session, orphan_reason = _session_to_stop(request, arrival, time.instant)
    was_live = session is not None and session.live and not session.historical
    if session is not None:
        _end(session, request, time)
        storage.write_samples(
            samples_to_rows(
                samples_of(request.transaction_data or (), arrival.at),
                arrival,
                session.connector.number,
                session.transaction_id,
            )
        )
    SessionEvent.objects.create(
        station_id=arrival.station.id,
        session=session,
        kind=SessionEvent.Kind.STOP,
        natural_key=key,
        payload=_stop_facts(request),
        at=time.instant,
        received_at=arrival.at,
        orphan_reason=orphan_reason,
    )
    findings = time.findings + ((Finding("P41", f"a stop fits no session: {orphan_reason}"),) if orphan_reason else ())
    live = was_live and not is_historical(time.instant, arrival.at)
    after = (partial(announce_needs_changed, arrival.station.depot_id, "unplug"),) if live else ()
    return Outcome(answer, after, findings)


def stop_key(request: StopTransaction) -> str:
    if request.transaction_id > 0:
        return str(request.transaction_id)
    return storable(f"{request.transaction_id}|{request.timestamp[:60]}|{request.meter_stop}", 200)


def _stop_facts(request: StopTransaction) -> dict[str, Any]:
    return {
        "transaction_id": request.transaction_id,
        "meter_stop_wh": request.meter_stop,
        "timestamp": storable(request.timestamp, 100),
        "reason": storable(request.reason or "", 50),
        "id_tag": storable(request.id_tag or "", 255),
    }


def _stop_answer(request: StopTransaction, now: datetime) -> StopTransactionResponse:
    return StopTransactionResponse(id_tag_info=verdict_on(request.id_tag, now).info() if request.id_tag else None)


def _repeated_stop(known: SessionEvent, request: StopTransaction) -> tuple[Finding, ...]:
    SessionEvent.objects.filter(pk=known.pk).update(repeats=F("repeats") + 1)
    if known.payload == _stop_facts(request):
        return ()
    if known.session is not None:
        known.session.flags = _with_flags(known.session, "duplicate-conflict")
        known.session.save(update_fields=["flags"])
    return (Finding("P41", "a repeated stop had other content"),)


def _session_to_stop(request: StopTransaction, arrival: Arrival, at: datetime) -> tuple[Session | None, str]:
    if request.transaction_id > 0:
        session = Session.objects.filter(transaction_id=request.transaction_id).first()
        if session is None:
            return None, f"transaction {request.transaction_id} is unknown"
        if session.station_id != arrival.station.id:
            log.warning(
                "charger stops a transaction of another charger",
                station=arrival.station.identity,
                transaction_id=request.transaction_id,
            )
            return None, f"transaction {request.transaction_id} belongs to another station"
        return session, ""
    running = Session.objects.filter(station_id=arrival.station.id, state__in=Session.LIVE, started_at__lte=at)
    candidates = list(running.order_by("-started_at")[:2])
    if len(candidates) == 1:
        return candidates[0], ""
    return None, f"transaction {request.transaction_id}: {len(candidates) or 'no'} running sessions could be meant"


def _end(session: Session, request: StopTransaction, time: ParsedTime) -> None:
    flags = {"clock"} if time.absurd or time.instant < session.started_at else set()
    register = request.meter_stop
    if register is None:
        flags.add("register")
        register = None if session.last_register_wh is None else int(session.last_register_wh)
    if register is not None:
        if register < session.meter_start_wh:
            flags.add("negative")
        elif session.last_register_wh is not None:
            session.energy_kwh = (register - session.meter_start_wh) / 1000
        session.meter_stop_wh = register
    session.state = Session.State.ENDED
    session.stopped_at = time.instant
    session.stop_reason = storable(request.reason or "Local", 30)  # P49
    session.flags = _with_flags(session, *flags)
    session.save(update_fields=["state", "stopped_at", "meter_stop_wh", "energy_kwh", "stop_reason", "flags"])


# --- adoption --------------------------------------------------------------------------------------------------------


def adopt(arrival: Arrival, number: int, transaction_id: int, at: datetime, register_wh: float | None) -> bool:
    """Take over a running transaction that we never heard of, or that we only knew as history (P45)."""
    connector = Connector.objects.filter(station_id=arrival.station.id, number=number).first()
    if connector is None or not 0 < transaction_id <= MAX_ADOPTED_ID:
        return False
    if Session.objects.filter(connector=connector, state__in=Session.LIVE, historical=False).exists():
        return False
    known = Session.objects.filter(transaction_id=transaction_id).first()
    if known is None:
        raise_transaction_numbers(transaction_id)
        Session.objects.create(
            transaction_id=transaction_id,
            station_id=arrival.station.id,
            connector=connector,
            started_at=at,
            received_at=arrival.at,
            meter_start_wh=int(register_wh or 0),
            last_register_wh=register_wh,
            flags=["gap"] if register_wh is not None else ["gap", "register"],
        )
    elif known.station_id == arrival.station.id and known.live and known.historical:
        Session.objects.filter(pk=known.pk).update(historical=False)
    else:
        return False
    announce_needs_changed(arrival.station.depot_id, "plug-in")
    return True


def raise_transaction_numbers(above: int) -> None:
    """New ids stay above every id ever seen."""
    if TransactionNumber.objects.filter(pk__gte=above).exists():
        return
    TransactionNumber.objects.create(pk=above)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT setval(sequence, GREATEST(nextval(sequence), %s))"
                " FROM (SELECT pg_get_serial_sequence('charging_transactionnumber', 'id')::regclass AS sequence) AS it",
                [above],
            )
