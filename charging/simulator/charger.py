"""A charging station: vehicles come and go, transactions run, profiles are obeyed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from ocpp.v16 import call

from charging.simulator.battery import Vehicle
from charging.simulator.clock import Clock
from charging.simulator.config import StationConfig, Visit
from charging.simulator.connector import Connector, Status, Transaction
from charging.simulator.keys import ConfigurationKeys
from charging.simulator.metering import connector_samples, stop_samples
from charging.simulator.outbox import Outgoing
from charging.simulator.profiles import (
    ProfileRefused,
    ProfileStore,
    check_form,
    check_place,
    profile_from_wire,
)
from charging.simulator.schedule import (
    Kind,
    Limit,
    Period,
    Profile,
    Purpose,
    Step,
    Unit,
    composite,
    connector_limit,
    rounded_down,
    station_limit,
    summed,
)
from charging.simulator.station import ALONE, Composite, Station, Surroundings, stamp
from charging.simulator.wire import Payload

FALLBACK_PROFILE_ID = 10
LONGEST_COMPOSITE_S = 7 * 86_400
RATE_UNITS = {"A": "Current", "W": "Power", "A,W": "Current,Power"}
STATION_STATUSES = (Status.AVAILABLE, Status.UNAVAILABLE)


class ChargingStation(Station):
    """A charger with its connectors, numbered from 1, and the visits it will receive."""

    def __init__(
        self,
        config: StationConfig,
        url: str,
        clock: Clock | None = None,
        surroundings: Surroundings = ALONE,
        visits: Iterable[Visit] = (),
    ) -> None:
        super().__init__(config, url, clock, surroundings)
        now = self.clock.now()
        self.profiles = ProfileStore()
        self.connectors = {each.number: Connector(each, now, self._limit_at) for each in config.connectors}
        self._to_come = sorted(visits, key=lambda visit: (visit.plug_in_at, visit.connector))
        self._leaving: dict[int, datetime] = {}
        self._next_sample_s = dict.fromkeys(self.connectors, math.inf)
        self._told: dict[int, Status] = {}
        self._remote: dict[int, tuple[str, float, Payload | None]] = {}
        self._station_operative = True
        self._clock_slot: tuple[date, int] | None = None
        self._preload_fallbacks(now)

    def _make_keys(self) -> ConfigurationKeys:
        return ConfigurationKeys(
            connectors=len(self.config.connectors),
            rate_unit=RATE_UNITS[self.config.profile_unit.value],
            meter_interval_s=self.config.meter_interval_s,
            switches_phases=any(each.switches_phases for each in self.config.connectors),
        )

    def _preload_fallbacks(self, now: datetime) -> None:
        """A commissioned charger remembers its fallback as a permanent TxDefaultProfile at the lowest level."""
        unit = Unit.A if Unit.A in self.config.units else Unit.W
        for each in self.config.connectors:
            if each.preloaded_fallback:
                limit = Limit(each.fallback_a, each.phases).in_unit(unit, each.wiring)
                periods = (Period(0, rounded_down(limit), each.phases),)
                self.profiles.install(
                    Profile(
                        FALLBACK_PROFILE_ID + each.number,
                        each.number,
                        0,
                        Purpose.TX_DEFAULT,
                        Kind.RELATIVE,
                        unit,
                        periods,
                        now,
                    )
                )

    @property
    def power_w(self) -> float:
        return sum(connector.power_w for connector in self.connectors.values())

    @property
    def energy_wh(self) -> float:
        """Energy delivered since the start of the simulation, Wh."""
        return sum(connector.energy_wh for connector in self.connectors.values())

    def _limit_at(self, connector: Connector, at: datetime) -> Limit:
        wiring = connector.config.wiring
        if not self.defects.obeys_limits:
            return Limit(wiring.max_current_a, wiring.phases)
        since = None if connector.transaction is None else connector.transaction.started_at
        return connector_limit(self.profiles.all, connector.number, wiring, at, since, self._sharing())

    def _sharing(self) -> int:
        """Connectors among which a station-wide limit is divided: those in a transaction."""
        return max(1, sum(each.transaction is not None for each in self.connectors.values()))

    # Vehicles

    def plug_in(self, connector: int, vehicle: Vehicle) -> None:
        """Connect a vehicle now; its transaction follows by itself."""
        self.connectors[connector].plug_in(vehicle, self.clock.now())
        self.emit("plug_in", connector=connector, vehicle=vehicle.id_tag, soc=round(vehicle.soc, 3))
        self.tick()

    def plug_out(self, connector: int) -> Vehicle | None:
        """Take the vehicle away now, which ends its transaction."""
        place = self.connectors[connector]
        if place.transaction is not None:
            self._stop(place, "EVDisconnected")
            self._publish(place)
        vehicle = place.plug_out(self.clock.now())
        if vehicle is not None:
            self.emit("plug_out", connector=connector, vehicle=vehicle.id_tag, soc=round(vehicle.soc, 3))
        self.tick()
        return vehicle

    def live(self, now: datetime) -> None:
        self._receive_visits(now)
        self._advance(now)
        for connector in self.connectors.values():
            if connector.wants_start:
                self._consider_start(connector)
            self._publish(connector)
            self._sample_if_due(connector, now)
        self._sample_by_the_clock(now)
        self._publish_station()

    def _advance(self, now: datetime) -> None:
        for connector in self.connectors.values():
            connector.advance(now)

    def _receive_visits(self, now: datetime) -> None:
        for number, leaves_at in list(self._leaving.items()):
            if leaves_at <= now:
                del self._leaving[number]
                self.plug_out(number)
        while self._to_come and self._to_come[0].plug_in_at <= now:
            visit = self._to_come.pop(0)
            if visit.plug_out_at > now and self.connectors[visit.connector].vehicle is None:
                self._leaving[visit.connector] = visit.plug_out_at
                self.plug_in(visit.connector, visit.vehicle)

    # Transactions

    def _consider_start(self, connector: Connector) -> None:
        """Ask the central system while there is a link, else trust the tag. §4.1, LocalAuthorizeOffline."""
        remote = self._remote.pop(connector.number, None)
        assert connector.vehicle is not None
        id_tag, profile = connector.vehicle.id_tag, None
        asked_remotely = remote is not None and remote[1] >= self.clock.elapsed()
        if remote is not None and asked_remotely:
            id_tag, _, profile = remote
        if asked_remotely and not self.keys.truth("AuthorizeRemoteTxRequests"):
            self._start(connector, id_tag, profile)
        elif self.online:
            self._authorize(connector, id_tag, profile)
        elif self.known and self.keys.truth("LocalAuthorizeOffline"):
            self._start(connector, id_tag, profile)

    def _authorize(self, connector: Connector, id_tag: str, profile: Payload | None) -> None:
        visitor = connector.vehicle

        def decide(answer: Any) -> None:
            if not connector.authorizing or connector.vehicle is not visitor:
                return
            connector.authorizing = False
            status = answer.id_tag_info["status"]
            if status == "Accepted":
                self._start(connector, id_tag, profile)
            else:
                connector.refused = True
                self.emit("refused", connector=connector.number, id_tag=id_tag, status=status)
            self.tick()

        def give_up() -> None:
            connector.authorizing = False

        connector.authorizing = True
        self._publish(connector)
        self.outbox.put(Outgoing("Authorize", lambda: call.Authorize(id_tag), answered=decide, dropped=give_up))

    def _start(self, connector: Connector, id_tag: str, profile: Payload | None = None) -> None:
        now = self.clock.now()
        self._advance(now)
        transaction = Transaction(id_tag, now, int(connector.register_wh))
        if profile is not None:
            self._install_start_profile(connector.number, profile, now)
        connector.begin(transaction, now)
        self._advance(now)
        self._next_sample_s[connector.number] = self.clock.elapsed() + self._sample_interval_s()
        payload = call.StartTransaction(connector.number, id_tag, transaction.meter_start_wh, stamp(now))

        def learn(answer: Any) -> None:
            transaction.id = answer.transaction_id
            status = answer.id_tag_info["status"]
            self.emit("started", connector=connector.number, transaction=transaction.id, status=status)
            running = connector.transaction is transaction
            if running and status != "Accepted" and self.keys.truth("StopTransactionOnInvalidId"):
                self._stop(connector, "DeAuthorized")
                self.tick()

        self.outbox.put(Outgoing("StartTransaction", lambda: payload, durable=True, answered=learn))

    def _install_start_profile(self, connector: int, content: Payload, now: datetime) -> None:
        try:
            profile = profile_from_wire(connector, content, now)
            check_form(profile, self.config.units)
            self.profiles.install(profile)
        except ProfileRefused as refusal:
            self.emit("profile", connector=connector, status="Rejected", reason=str(refusal))

    def _stop(self, connector: Connector, reason: str) -> None:
        now = self.clock.now()
        transaction = connector.end(now)
        if transaction is None:
            return
        self.profiles.end_transaction(connector.number)
        self._next_sample_s[connector.number] = math.inf
        self._advance(now)
        meter_stop_wh = int(connector.register_wh)
        data = stop_samples(self.keys.names("StopTxnSampledData"), connector, stamp(now)) or None

        def payload() -> Any:
            # §4.8: a start that never got its id is stopped with -1.
            number = -1 if transaction.id is None else transaction.id
            return call.StopTransaction(meter_stop_wh, stamp(now), number, reason, transaction.id_tag, data)

        self.outbox.put(Outgoing("StopTransaction", payload, durable=True))
        energy_wh = meter_stop_wh - transaction.meter_start_wh
        self.emit("stopped", connector=connector.number, transaction=transaction.id, reason=reason, energy_wh=energy_wh)

    # Reports

    def _sample_interval_s(self) -> float:
        return self.keys.number("MeterValueSampleInterval") or math.inf

    def _sample_if_due(self, connector: Connector, now: datetime) -> None:
        if connector.transaction is None or self.clock.elapsed() < self._next_sample_s[connector.number]:
            return
        interval_s = self._sample_interval_s()
        due_s = self._next_sample_s[connector.number] + interval_s
        self._next_sample_s[connector.number] = max(due_s, self.clock.elapsed() + min(1.0, interval_s))
        self._queue_sample(connector, now, "Sample.Periodic")

    def _sample_by_the_clock(self, now: datetime) -> None:
        """All connectors when another ClockAlignedDataInterval begins, counted from midnight UTC. §3.16.2."""
        interval_s = self.keys.number("ClockAlignedDataInterval")
        if not interval_s:
            return
        slot = now.date(), (now.hour * 3600 + now.minute * 60 + now.second) // interval_s
        if slot != self._clock_slot and self._clock_slot is not None:
            for connector in self.connectors.values():
                self._queue_sample(connector, now, "Sample.Clock", "MeterValuesAlignedData")
        self._clock_slot = slot

    def _queue_sample(
        self, connector: Connector, now: datetime, context: str, key: str = "MeterValuesSampledData"
    ) -> None:
        transaction = connector.transaction
        names = self.keys.names(key)
        values = [{"timestamp": stamp(now), "sampledValue": connector_samples(names, connector, context)}]
        if not values[0]["sampledValue"]:
            return

        def payload() -> Any:
            return call.MeterValues(connector.number, values, None if transaction is None else transaction.id)

        self.outbox.put(Outgoing("MeterValues", payload, durable=transaction is not None))

    def _publish(self, connector: Connector) -> None:
        """Report a status once, while there is a link; a new link is told all of them."""
        if self.online and self._told.get(connector.number) is not connector.status:
            self.outbox.put(self._status_message(connector.number, connector.status))

    def _publish_station(self) -> None:
        if self.online and self._told.get(0) is not self._station_status:
            self.outbox.put(self._status_message(0, self._station_status))

    @property
    def _station_status(self) -> Status:
        return STATION_STATUSES[0] if self._station_operative else STATION_STATUSES[1]

    def _status_message(self, number: int, status: Status) -> Outgoing:
        if self._told.get(number) is not status:
            power_kw = 0.0 if number == 0 else round(self.connectors[number].power_w / 1000.0, 3)
            self.emit("status", connector=number, status=status.value, power_kw=power_kw)
        self._told[number] = status
        payload = call.StatusNotification(number, "NoError", status.value, stamp(self.clock.now()))
        return Outgoing("StatusNotification", lambda: payload)

    def present_state(self) -> Iterable[Outgoing]:
        self._advance(self.clock.now())
        messages = [self._status_message(0, self._station_status)]
        messages += [self._status_message(each.number, each.status) for each in self.connectors.values()]
        return messages

    # Reset

    def prepare_reset(self, hard: bool) -> None:
        for connector in self.connectors.values():
            self._stop(connector, "HardReset" if hard else "SoftReset")
        self.observe()

    def forget_after_reboot(self) -> None:
        if not self.defects.keeps_profiles_on_reboot:
            self.profiles.forget()
        self._remote.clear()
        for connector in self.connectors.values():
            connector.wait_anew()

    # Commands

    def keys_changed(self) -> None:
        super().keys_changed()
        interval_s = self._sample_interval_s()
        for number, connector in self.connectors.items():
            running = connector.transaction is not None
            self._next_sample_s[number] = self.clock.elapsed() + interval_s if running else math.inf

    def change_availability(self, connector: int, operative: bool) -> str:
        if connector != 0 and connector not in self.connectors:
            return "Rejected"
        if connector == 0:
            self._station_operative = operative
        places = list(self.connectors.values()) if connector == 0 else [self.connectors[connector]]
        for place in places:
            place.operative = operative
        self.tick()
        in_use = any(place.transaction is not None for place in places)
        return "Scheduled" if in_use and not operative else "Accepted"

    def remote_start(self, id_tag: str, connector: int | None, profile: Payload | None) -> str:
        if not self.online:
            return "Rejected"
        numbers = self.connectors if connector is None else [connector]
        for number in numbers:
            place = self.connectors.get(number)
            if place is None or not place.operative or place.finished or place.transaction is not None:
                continue
            place.wait_anew()
            self._remote[number] = id_tag, self.clock.elapsed() + self.keys.number("ConnectionTimeOut"), profile
            self.emit("remote_start", connector=number, id_tag=id_tag)
            return "Accepted"
        return "Rejected"

    def remote_stop(self, transaction_id: int) -> str:
        for connector in self.connectors.values():
            if connector.transaction is not None and connector.transaction.id == transaction_id:
                self._stop(connector, "Remote")
                self.tick()
                return "Accepted"
        return "Rejected"

    def unlock(self, connector: int) -> str:
        place = self.connectors.get(connector)
        if place is None:
            return "NotSupported"
        self._stop(place, "UnlockCommand")
        self.tick()
        return "Unlocked"

    def trigger(self, message: str, connector: int | None) -> str:
        if message not in ("MeterValues", "StatusNotification"):
            return super().trigger(message, connector)
        if connector is not None and connector != 0 and connector not in self.connectors:
            return "Rejected"
        now = self.clock.now()
        self._advance(now)
        for number, place in self.connectors.items():
            if connector in (None, 0, number) and message == "MeterValues":
                self._queue_sample(place, now, "Trigger")
            elif connector in (None, number) and message == "StatusNotification":
                self.outbox.put(self._status_message(number, place.status))
        if message == "StatusNotification" and connector in (None, 0):
            self.outbox.put(self._status_message(0, self._station_status))
        return "Accepted"

    async def set_charging_profile(self, connector: int, profile: Payload) -> str:
        status, reason = self._install(connector, profile)
        purpose = profile.get("charging_profile_purpose")
        self.emit("profile", connector=connector, purpose=purpose, status=status, reason=reason)
        if self.defects.profile_answer_delay_s:
            await self.clock.sleep(self.defects.profile_answer_delay_s)
        return status

    def _install(self, connector: int, content: Payload) -> tuple[str, str | None]:
        """Obey a profile from this instant on. Status and reason."""
        if not self.defects.takes_profiles:
            return "Rejected", "this station rejects profiles"
        now = self.clock.now()
        self._advance(now)
        place = self.connectors.get(connector)
        running = None if place is None or place.transaction is None else place.transaction.id
        try:
            profile = profile_from_wire(connector, content, now)
            check_form(profile, self.config.units)
            check_place(profile, len(self.connectors), running)
            self.profiles.install(profile)
        except ValueError as refusal:
            return "Rejected", str(refusal)
        self.tick()
        return "Accepted", None

    def clear_charging_profile(
        self, id: int | None, connector: int | None, purpose: str | None, stack_level: int | None
    ) -> str:
        self._advance(self.clock.now())
        removed = self.profiles.clear(
            id=id,
            connector=connector,
            purpose=None if purpose is None else Purpose(purpose),
            stack_level=stack_level,
        )
        self.emit("profiles_cleared", removed=removed)
        self.tick()
        return "Accepted" if removed else "Unknown"

    def composite_schedule(self, connector: int, duration_s: int, unit: str | None) -> Composite | None:
        if (connector != 0 and connector not in self.connectors) or duration_s < 0:
            return None
        told = Unit(unit) if unit is not None else (Unit.A if Unit.A in self.config.units else Unit.W)
        now = self.clock.now()
        length_s = min(duration_s, LONGEST_COMPOSITE_S) or 1
        numbers = list(self.connectors) if connector == 0 else [connector]
        schedules = [self._composite_of(number, now, length_s, told) for number in numbers]
        steps = schedules[0] if connector != 0 else summed(schedules, self._ceiling(now, length_s, told))
        return Composite(stamp(now), duration_s, told.value, steps)

    def _composite_of(self, number: int, begin: datetime, duration_s: int, unit: Unit) -> tuple[Step, ...]:
        place = self.connectors[number]
        since = None if place.transaction is None else place.transaction.started_at
        return composite(
            self.profiles.all, number, place.config.wiring, begin, duration_s, unit, since, self._sharing()
        )

    def _ceiling(self, begin: datetime, duration_s: int, unit: Unit) -> tuple[Step, ...]:
        """The station-wide maximum by itself, empty without a ChargePointMaxProfile."""
        wiring = self.connectors[1].config.wiring
        if station_limit(self.profiles.all, wiring, begin) is None:
            return ()
        caps = [each for each in self.profiles.all if each.purpose is Purpose.CHARGE_POINT_MAX]
        return composite(caps, 0, wiring, begin, duration_s, unit, None)
