"""What a charger should hold: after a boot or a reconnect it is brought back to that (ocpp.md section 4.3)."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from charging.gate import locked
from charging.models import Command, InstalledProfile, Session, StationLink
from charging.outbox import create_command
from charging.profiles import FALLBACK_PROFILE_ID, FALLBACK_STACK, Schedule, fallback_payload
from depot.incidents import close_incident, raise_incident
from depot.models import Connector, Station
from depot.signals import announce_needs_changed

RETRY_FIRST = timedelta(seconds=15)
RETRY_MOST = timedelta(minutes=10)
QUARANTINE_AFTER = 3


def reconcile_station(station_id: int, because: str) -> None:
    """After "boot" nothing that was confirmed is taken for granted; after "connect" what is missing is sent again."""
    now = timezone.now()
    station = Station.objects.select_related("depot").get(pk=station_id)
    with locked(station.depot_id):
        if because == "boot":
            distrust(station)
        if not station.manual and station.kind == Station.Kind.CHARGER:
            for connector in station.connectors.select_related("station"):
                ensure_fallback(connector, now)
            if because == "boot":
                queue_setting(station, "MeterValueSampleInterval", str(settings.OCPP_METER_INTERVAL_S), now)
            read_back(station, now)
    announce_needs_changed(station.depot_id, "charger-back")


def distrust(station: Station) -> None:
    """After a boot a charger may have lost its profiles and its clock: nothing holds until it is proven again (S10)."""
    StationLink.objects.filter(station=station).update(clock_skew_s=None)
    link = StationLink.objects.filter(station=station).first()
    booted_at = link.booted_at if link is not None and link.booted_at is not None else timezone.now()
    # What was confirmed after the boot, while this waited its turn, was confirmed by the charger as it is now.
    earlier = InstalledProfile.objects.filter(station=station, confirmed_at__lt=booted_at)
    earlier.filter(state=InstalledProfile.State.CONFIRMED).update(
        state=InstalledProfile.State.POSSIBLE, verified_at=None
    )


def ensure_fallback(connector: Connector, now: datetime) -> None:
    """Queue the permanent fallback unless the charger has confirmed exactly this one, or it is on its way."""
    wanted = [[0, connector.fallback_a]]
    fallbacks = InstalledProfile.objects.filter(
        station=connector.station,
        number=connector.number,
        slot=InstalledProfile.Slot.FALLBACK,
        periods=wanted,
        replaced_at__isnull=True,
    )
    on_its_way = Q(state=InstalledProfile.State.WANTED) | Q(command__state=Command.State.SENT)
    if fallbacks.filter(Q(state=InstalledProfile.State.CONFIRMED) | on_its_way).exists():
        return
    command = create_command(
        station=connector.station,
        connector=connector,
        action="SetChargingProfile",
        payload=fallback_payload(connector),
        natural_key=f"fallback:{connector.number}",
        cause="fallback",
        now=now,
    )
    schedule = Schedule(now, ((0, connector.fallback_a),))
    InstalledProfile.objects.create(
        station=connector.station,
        number=connector.number,
        slot=InstalledProfile.Slot.FALLBACK,
        purpose="TxDefaultProfile",
        stack_level=FALLBACK_STACK,
        profile_id=FALLBACK_PROFILE_ID + connector.number,
        command=command,
        starts_at=now,
        periods=[list(period) for period in schedule.periods],
    )


def send_changed_fallback(connector_id: int) -> None:
    """Queue a connector's fallback if it is not the one its charger has confirmed; offline ones get it when back."""
    found = Connector.objects.filter(pk=connector_id, station__in=reachable()).select_related("station")
    for connector in found:
        with locked(connector.station.depot_id):
            ensure_fallback(connector, timezone.now())


def reachable() -> QuerySet[Station]:
    """Chargers that may be told something now."""
    return Station.objects.filter(
        kind=Station.Kind.CHARGER,
        manual=False,
        link__online=True,
        link__registration=StationLink.Registration.ACCEPTED,
    )


def queue_setting(station: Station, key: str, value: str, now: datetime) -> None:
    create_command(
        station=station,
        action="ChangeConfiguration",
        payload={"key": key, "value": value},
        natural_key=f"setting:{key}",
        cause="settings",
        now=now,
    )


def read_back(station: Station, now: datetime) -> None:
    """Ask what the charger will do on every connector where a transaction runs."""
    for session in Session.objects.filter(station=station, state__in=Session.LIVE).select_related("connector"):
        create_command(
            station=station,
            connector=session.connector,
            action="GetCompositeSchedule",
            payload={
                "connectorId": session.connector.number,
                "duration": 3600,
                "chargingRateUnit": station.rate_unit,
            },
            natural_key=f"composite:{session.connector.number}",
            cause="read back",
            now=now,
        )


def retry_fallbacks(now: datetime) -> None:
    """Send missing fallbacks again with growing pauses; after three refusals the operator decides."""
    connectors = Connector.objects.filter(station__in=reachable()).select_related("station")
    confirmed = set(
        InstalledProfile.objects.filter(
            slot=InstalledProfile.Slot.FALLBACK,
            state=InstalledProfile.State.CONFIRMED,
            replaced_at__isnull=True,
            station__link__online=True,
        ).values_list("station_id", "number", "periods__0__1")
    )
    for connector in connectors:
        subject = f"{connector.station.identity}/{connector.number}"
        if (connector.station_id, connector.number, connector.fallback_a) in confirmed:
            continue
        tries = list(
            Command.objects.filter(station=connector.station, natural_key=f"fallback:{connector.number}").order_by(
                "-created_at"
            )[:6]
        )
        if not tries or now - tries[0].created_at >= min(RETRY_FIRST * 2 ** (len(tries) - 1), RETRY_MOST):
            with locked(connector.station.depot_id):
                ensure_fallback(connector, now)
        refusals = [c for c in tries if c.state in (Command.State.REJECTED, Command.State.ERROR)]
        if len(refusals) >= QUARANTINE_AFTER:
            raise_incident(
                "fallback.unverified",
                subject=subject,
                depot=connector.station.depot_id,
                severity="critical",
                message=f"{connector.bay} refuses its fallback; it counts at its hardware maximum of "
                f"{connector.max_power_kw:.1f} kW.",
                remedy="Take the charger out of service (ChangeAvailability) or correct its settings.",
            )
        elif not refusals:
            close_incident("fallback.unverified", subject=subject)
