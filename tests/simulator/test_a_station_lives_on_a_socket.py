"""Registration, transactions and status reports over real TCP on a virtual clock."""

from __future__ import annotations

import asyncio
import base64
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest
from ocpp.v16 import call

from charging.simulator.battery import Vehicle
from charging.simulator.config import ConnectorConfig, StationConfig, StationKind, Visit
from charging.simulator.defects import Defect

from .central import START, depot, one_connector, profile, until

VAN = Vehicle("VEH01", battery_kwh=88.0, soc=0.4, max_power_kw=11.0)
VAN_A = 11_000 / 690


async def test_it_boots_with_its_password_and_tells_every_status() -> None:
    async with depot() as yard:
        yard.charger()
        await yard.come_online()
        assert yard.central.headers == ["Basic " + base64.b64encode(b"FD-01:secret").decode()]
        assert yard.central.actions() == ["BootNotification", "StatusNotification", "StatusNotification"]
        assert yard.central.of("StatusNotification")[0]["connector_id"] == 0
        assert yard.central.statuses() == ["Available"]


async def test_it_repeats_the_boot_notification_until_it_is_accepted() -> None:
    async with depot() as yard:
        yard.central.answers.boot = ["Pending", "Rejected", "Accepted"]
        station = yard.charger()
        await yard.pass_time(2)
        assert not station.online
        await yard.pass_time(600)
        assert station.online
        assert yard.central.actions()[:4] == ["BootNotification"] * 3 + ["StatusNotification"]


async def test_a_vehicle_is_charged_from_plug_in_to_plug_out() -> None:
    async with depot() as yard:
        station = yard.charger()
        await yard.come_online()
        station.plug_in(1, VAN)
        await yard.pass_time(60)
        assert station.connectors[1].power_w == pytest.approx(11_000)
        station.plug_out(1)
        await yard.pass_time(1)
        assert yard.central.statuses() == ["Available", "Preparing", "Charging", "Finishing", "Available"]
        stop = yard.central.of("StopTransaction")[0]
        assert stop["transaction_id"] == 1
        assert stop["reason"] == "EVDisconnected"
        assert stop["meter_stop"] == pytest.approx(11_000 * 60 / 3600, abs=1)
        assert station.connectors[1].energy_wh == pytest.approx(11_000 * 60 / 3600)


async def test_meter_values_say_what_flows_at_each_interval() -> None:
    async with depot() as yard:
        station = yard.charger()
        await yard.come_online()
        station.plug_in(1, VAN)
        await yard.pass_time(31)
        readings = yard.central.of("MeterValues")
        assert len(readings) == 6
        assert readings[0]["transaction_id"] == 1
        sampled = readings[0]["meter_value"][0]["sampled_value"]
        told = {(each["measurand"], each.get("phase")): float(each["value"]) for each in sampled}
        assert told[("Power.Active.Import", None)] == pytest.approx(11_000, abs=0.1)
        assert told[("Current.Import", "L3")] == pytest.approx(VAN_A, abs=0.01)
        assert told[("SoC", None)] == pytest.approx(40.0, abs=0.1)
        assert told[("Current.Offered", None)] == 32.0


async def test_a_new_interval_is_obeyed() -> None:
    async with depot() as yard:
        station = yard.charger()
        await yard.come_online()
        answer = await yard.central.call("FD-01", call.ChangeConfiguration("metervaluesampleinterval", "30"))
        assert answer.status == "Accepted"
        station.plug_in(1, VAN)
        await yard.pass_time(65)
        assert len(yard.central.of("MeterValues")) == 2


async def test_a_visit_in_the_past_starts_plugged_in_and_ends_in_time() -> None:
    visit = Visit("FD-01", 1, START - timedelta(hours=3), START + timedelta(minutes=10), VAN)
    async with depot() as yard:
        station = yard.charger(visits=[visit])
        await yard.pass_time(5)
        start = yard.central.of("StartTransaction")[0]
        assert start["timestamp"].startswith("2026-03-02T18:00:0")
        assert station.connectors[1].vehicle is not None
        await yard.pass_time(600)
        assert station.connectors[1].vehicle is None
        assert yard.central.statuses()[-1] == "Available"


async def test_a_refused_tag_never_charges() -> None:
    async with depot() as yard:
        yard.central.answers.authorize = "Blocked"
        station = yard.charger()
        await yard.come_online()
        station.plug_in(1, VAN)
        await yard.pass_time(60)
        assert station.power_w == 0
        assert "StartTransaction" not in yard.central.actions()
        assert yard.central.statuses() == ["Available", "Preparing"]


async def test_a_start_with_an_invalid_tag_is_stopped() -> None:
    async with depot() as yard:
        yard.central.answers.start = "Invalid"
        station = yard.charger()
        await yard.come_online()
        station.plug_in(1, VAN)
        await yard.pass_time(5)
        assert station.power_w == 0
        assert yard.central.of("StopTransaction")[0]["reason"] == "DeAuthorized"


async def test_a_profile_is_obeyed_at_once_and_a_zero_suspends() -> None:
    async with depot() as yard:
        station = yard.charger()
        await yard.come_online()
        station.plug_in(1, VAN)
        await yard.pass_time(10)
        for limit, power_w in ((10.0, 6_900), (0.0, 0), (5.9, 0), (32.0, 11_000)):
            content = profile(1001, "TxProfile", [(0, limit)], transaction=1)
            answer = await yard.central.call("FD-01", call.SetChargingProfile(1, content))
            assert answer.status == "Accepted"
            assert station.connectors[1].power_w == pytest.approx(power_w)
            await yard.pass_time(5)
        assert yard.central.statuses()[2:] == ["Charging", "SuspendedEVSE", "Charging"]


async def test_a_profile_for_another_transaction_is_rejected() -> None:
    async with depot() as yard:
        station = yard.charger()
        await yard.come_online()
        station.plug_in(1, VAN)
        await yard.pass_time(5)
        for transaction in (99, None):
            content = profile(1001, "TxProfile", [(0, 6.0)], transaction=transaction)
            answer = await yard.central.call("FD-01", call.SetChargingProfile(1, content))
            assert answer.status == "Rejected"
        assert station.connectors[1].power_w == pytest.approx(11_000)


async def test_a_profile_of_an_ended_transaction_binds_the_next_one_no_more() -> None:
    async with depot() as yard:
        station = yard.charger()
        await yard.come_online()
        station.plug_in(1, VAN)
        await yard.pass_time(5)
        content = profile(1001, "TxProfile", [(0, 6.0)], transaction=1)
        await yard.central.call("FD-01", call.SetChargingProfile(1, content))
        station.plug_out(1)
        await yard.pass_time(5)
        station.plug_in(1, VAN)
        await yard.pass_time(5)
        assert station.power_w == pytest.approx(11_000)


async def test_a_composite_schedule_is_told_in_the_unit_asked_for() -> None:
    async with depot() as yard:
        yard.charger()
        await yard.come_online()
        content = profile(11, "TxDefaultProfile", [(0, 10.0), (600, 6.0)], stack=0)
        await yard.central.call("FD-01", call.SetChargingProfile(1, content))
        answer = await yard.central.call("FD-01", call.GetCompositeSchedule(1, 900, "W"))
        assert answer.status == "Accepted"
        periods = answer.charging_schedule["charging_schedule_period"]
        assert [(each["start_period"], each["limit"]) for each in periods] == [(0, 6900.0), (598, 4140.0)]
        assert (await yard.central.call("FD-01", call.ClearChargingProfile(id=11))).status == "Accepted"
        assert (await yard.central.call("FD-01", call.ClearChargingProfile(id=11))).status == "Unknown"
        answer = await yard.central.call("FD-01", call.GetCompositeSchedule(0, 900, "A"))
        assert [each["limit"] for each in answer.charging_schedule["charging_schedule_period"]] == [32.0]


async def test_transaction_messages_wait_for_the_link_and_come_in_order() -> None:
    async with depot() as yard:
        station = yard.charger()
        await yard.come_online()
        station.plug_in(1, VAN)
        await yard.pass_time(10)
        content = profile(1001, "TxProfile", [(0, 10.0)], transaction=1)
        await yard.central.call("FD-01", call.SetChargingProfile(1, content))
        yard.central.answers.refuse_with = HTTPStatus.SERVICE_UNAVAILABLE
        await yard.lose_link(station)
        came = len(yard.central.received)
        await yard.pass_time(60)
        assert station.connectors[1].power_w == pytest.approx(6_900)
        station.plug_out(1)
        await yard.pass_time(5)
        station.plug_in(1, VAN)
        await yard.pass_time(30)
        assert len(yard.central.received) == came
        yard.central.answers.refuse_with = None
        await yard.pass_time(20)
        late = yard.central.received[came:]
        assert "BootNotification" not in [each.action for each in late]
        order = [each.action for each in late if each.action in ("StartTransaction", "StopTransaction")]
        assert order == ["StopTransaction", "StartTransaction"]
        numbers = [each.payload["transaction_id"] for each in late if each.action == "MeterValues"]
        assert numbers == sorted(numbers)
        assert set(numbers) == {1, 2}
        stamps = [each.payload["meter_value"][0]["timestamp"] for each in late if each.action == "MeterValues"]
        assert stamps == sorted(stamps)
        assert {facts["reason"] for facts in yard.told("offline")} == {
            "closed 1012: the central system restarts",
            "HTTP 503: the central system cannot serve now",
        }


async def test_an_unanswered_start_is_repeated_with_the_same_content_and_a_new_id() -> None:
    async with depot() as yard:
        yard.central.answers.drop_before_answering = "StartTransaction"
        station = yard.charger()
        await yard.come_online()
        station.plug_in(1, VAN)
        await until(lambda: "StartTransaction" in yard.central.actions())
        await yard.pass_time(20)
        starts = [each for each in yard.central.received if each.action == "StartTransaction"]
        assert len(starts) == 2
        assert starts[0].payload == starts[1].payload
        assert starts[0].message_id != starts[1].message_id
        assert station.connectors[1].transaction is not None
        assert station.connectors[1].transaction.id == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (HTTPStatus.NOT_FOUND, "HTTP 404: the central system does not know this identity"),
        (HTTPStatus.UNAUTHORIZED, "HTTP 401: identity or password is wrong"),
    ],
)
async def test_a_refused_station_says_why_and_tries_again(status: HTTPStatus, words: str) -> None:
    async with depot() as yard:
        yard.central.answers.refuse_with = status
        station = yard.charger()
        await yard.pass_time(60)
        waits = [facts["retry_in_s"] for facts in yard.told("offline")]
        assert yard.told("offline")[0]["reason"] == words
        assert len(waits) > 4
        assert all(1.0 <= wait <= 10.0 for wait in waits)
        yard.central.answers.refuse_with = None
        await yard.pass_time(11)
        assert station.online


async def test_a_soft_reset_stops_transactions_then_boots_again_with_its_profiles() -> None:
    async with depot() as yard:
        station = yard.charger()
        await yard.come_online()
        station.plug_in(1, VAN)
        await yard.pass_time(5)
        content = profile(11, "TxDefaultProfile", [(0, 6.0)], stack=0, kind="Relative")
        await yard.central.call("FD-01", call.SetChargingProfile(1, content))
        came = len(yard.central.received)
        assert (await yard.central.call("FD-01", call.Reset("Soft"))).status == "Accepted"
        await until(lambda: not station.online)
        await yard.pass_time(10)
        actions = [each.action for each in yard.central.received[came:] if each.action != "StatusNotification"]
        assert actions[:4] == ["StopTransaction", "BootNotification", "Authorize", "StartTransaction"]
        assert station.connectors[1].power_w == pytest.approx(6 * 690)


async def test_the_same_seed_gives_the_same_day() -> None:
    async def day(seed: int) -> list[Any]:
        async with depot(seed) as yard:
            config = StationConfig(
                "FD-OFFICE",
                kind=StationKind.METER,
                load_kw_by_hour=tuple([20.0] * 24),
                noise_kw=2.0,
                meter_interval_s=5,
            )
            station = yard.charger()
            yard.meter(config)
            await yard.pass_time(10)
            station.plug_in(1, VAN)
            await yard.pass_time(30)
            await yard.lose_link(station)
            await yard.pass_time(60)
            return [(each.identity, each.action, each.payload, each.message_id) for each in yard.central.received]

    first, second, other = await day(7), await day(7), await day(8)
    assert first == second
    assert first != other


async def test_remote_start_and_stop() -> None:
    async with depot() as yard:
        yard.central.answers.authorize = "Invalid"
        station = yard.charger()
        await yard.come_online()
        station.plug_in(1, VAN)
        await yard.pass_time(5)
        content = profile(1001, "TxProfile", [(0, 8.0)])
        asked = call.RemoteStartTransaction("DESK", 1, content)
        assert (await yard.central.call("FD-01", asked)).status == "Accepted"
        await yard.pass_time(5)
        assert yard.central.of("StartTransaction")[0]["id_tag"] == "DESK"
        assert station.power_w == pytest.approx(8 * 690)
        assert (await yard.central.call("FD-01", call.RemoteStopTransaction(77))).status == "Rejected"
        assert (await yard.central.call("FD-01", call.RemoteStopTransaction(1))).status == "Accepted"
        await yard.pass_time(5)
        assert yard.central.statuses()[-1] == "Finishing"
        assert (await yard.central.call("FD-01", asked)).status == "Rejected"


async def test_a_remote_start_is_authorized_where_that_is_configured() -> None:
    async with depot() as yard:
        yard.central.answers.authorize = "Invalid"
        station = yard.charger()
        await yard.come_online()
        await yard.central.call("FD-01", call.ChangeConfiguration("AuthorizeRemoteTxRequests", "true"))
        await yard.central.call("FD-01", call.RemoteStartTransaction("DESK", 1))
        station.plug_in(1, VAN)
        await yard.pass_time(5)
        assert [each["id_tag"] for each in yard.central.of("Authorize")] == ["DESK"]
        assert yard.central.of("StartTransaction") == []


async def test_clock_aligned_values_come_from_every_connector() -> None:
    async with depot() as yard:
        yard.charger()
        await yard.come_online()
        await yard.central.call("FD-01", call.ChangeConfiguration("ClockAlignedDataInterval", "900"))
        await yard.pass_time(1800)
        readings = [each["meter_value"][0] for each in yard.central.of("MeterValues")]
        assert [each["timestamp"][:16] for each in readings] == ["2026-03-02T18:15", "2026-03-02T18:30"]
        assert [each["sampled_value"][0]["context"] for each in readings] == ["Sample.Clock"] * 2


async def test_availability_waits_for_the_end_of_a_transaction() -> None:
    async with depot() as yard:
        station = yard.charger()
        await yard.come_online()
        station.plug_in(1, VAN)
        await yard.pass_time(5)
        answer = await yard.central.call("FD-01", call.ChangeAvailability(1, "Inoperative"))
        assert answer.status == "Scheduled"
        station.plug_out(1)
        await yard.pass_time(5)
        assert yard.central.statuses()[-1] == "Unavailable"


async def test_triggers_are_answered_first_and_then_followed() -> None:
    async with depot() as yard:
        station = yard.charger()
        await yard.come_online()
        station.plug_in(1, VAN)
        await yard.pass_time(2)
        came = len(yard.central.received)
        for message in ("StatusNotification", "MeterValues", "Heartbeat", "BootNotification"):
            assert (await yard.central.call("FD-01", call.TriggerMessage(message))).status == "Accepted"
        await yard.pass_time(0)
        assert [each.action for each in yard.central.received[came:]] == [
            "StatusNotification",
            "StatusNotification",
            "MeterValues",
            "Heartbeat",
            "BootNotification",
        ]
        answer = await yard.central.call("FD-01", call.TriggerMessage("FirmwareStatusNotification"))
        assert answer.status == "NotImplemented"


async def test_configuration_is_read_by_name_and_unknown_names_are_listed() -> None:
    async with depot() as yard:
        yard.charger()
        await yard.come_online()
        answer = await yard.central.call("FD-01", call.GetConfiguration(["numberofconnectors", "Nonsense"]))
        assert answer.configuration_key == [{"key": "NumberOfConnectors", "readonly": True, "value": "1"}]
        assert answer.unknown_key == ["Nonsense"]
        everything = await yard.central.call("FD-01", call.GetConfiguration())
        values = {row["key"]: row["value"] for row in everything.configuration_key}
        assert values["ChargeProfileMaxStackLevel"] == "8"
        assert values["ChargingScheduleAllowedChargingRateUnit"] == "Current"
        assert values["ChargingScheduleMaxPeriods"] == "24"
        for key, value, status in (
            ("NumberOfConnectors", "9", "Rejected"),
            ("HeartbeatInterval", "-1", "Rejected"),
            ("Nonsense", "1", "NotSupported"),
        ):
            assert (await yard.central.call("FD-01", call.ChangeConfiguration(key, value))).status == status


async def test_the_witness_sees_the_sum_of_what_flows() -> None:
    async with depot() as yard:
        first = yard.charger(one_connector(identity="A"))
        second = yard.charger(one_connector(identity="B"))
        await yard.come_online()
        first.plug_in(1, VAN)
        second.plug_in(1, VAN)
        await yard.pass_time(5)
        sample = yard.witness.sample(yard.clock.now())
        assert sample.total_kw == pytest.approx(22.0)
        assert sample.stations == {"A": pytest.approx(11.0), "B": pytest.approx(11.0)}
        first.plug_out(1)
        assert yard.witness.charging_kw == pytest.approx(11.0)
        assert yard.witness.peak_kw == pytest.approx(22.0)


async def test_a_station_maximum_is_shared_by_its_connectors() -> None:
    config = one_connector(connectors=(ConnectorConfig(number=1), ConnectorConfig(number=2)))
    async with depot() as yard:
        station = yard.charger(config)
        await yard.come_online()
        content = profile(1, "ChargePointMaxProfile", [(0, 16.0)], stack=0)
        assert (await yard.central.call("FD-01", call.SetChargingProfile(0, content))).status == "Accepted"
        station.plug_in(1, VAN)
        await yard.pass_time(5)
        assert station.power_w == pytest.approx(11_000)
        station.plug_in(2, VAN)
        await yard.pass_time(5)
        assert station.power_w == pytest.approx(16 * 690)


class TestDefects:
    async def test_an_ignored_limit_is_accepted_and_has_no_effect(self) -> None:
        async with depot() as yard:
            station = yard.charger(one_connector(defects=frozenset({Defect.IGNORE_LIMIT})))
            await yard.come_online()
            station.plug_in(1, VAN)
            await yard.pass_time(5)
            content = profile(1001, "TxProfile", [(0, 6.0)], transaction=1)
            assert (await yard.central.call("FD-01", call.SetChargingProfile(1, content))).status == "Accepted"
            assert station.power_w == pytest.approx(11_000)

    async def test_profiles_are_rejected(self) -> None:
        async with depot() as yard:
            yard.charger(one_connector(defects=frozenset({Defect.REJECT_PROFILES})))
            await yard.come_online()
            content = profile(11, "TxDefaultProfile", [(0, 6.0)])
            assert (await yard.central.call("FD-01", call.SetChargingProfile(1, content))).status == "Rejected"

    async def test_profiles_are_forgotten_at_a_reboot(self) -> None:
        async with depot() as yard:
            config = one_connector(
                defects=frozenset({Defect.FORGET_PROFILES_ON_REBOOT}),
                connectors=(ConnectorConfig(number=1, fallback_a=6.0, preloaded_fallback=True),),
            )
            station = yard.charger(config)
            await yard.come_online()
            assert [each.id for each in station.profiles.all] == [11]
            await yard.central.call("FD-01", call.Reset("Hard"))
            await until(lambda: not station.online)
            await yard.pass_time(10)
            assert station.online
            assert station.profiles.all == ()

    async def test_a_late_answer_comes_after_the_limit_has_changed(self) -> None:
        async with depot() as yard:
            station = yard.charger(one_connector(defects=frozenset({Defect.LATE_ANSWER})))
            await yard.come_online()
            station.plug_in(1, VAN)
            await yard.pass_time(5)
            content = profile(1001, "TxProfile", [(0, 10.0)], transaction=1)
            asked = asyncio.create_task(yard.central.call("FD-01", call.SetChargingProfile(1, content)))
            await until(lambda: station.power_w < 7_000)
            await yard.pass_time(40)
            assert not asked.done()
            assert len(yard.central.of("MeterValues")) > 5
            await yard.pass_time(10)
            assert (await asked).status == "Accepted"


async def test_a_building_meter_reports_on_connector_zero() -> None:
    load = tuple(float(hour) for hour in range(24))
    config = StationConfig(
        "FD-OFFICE", kind=StationKind.METER, load_kw_by_hour=load, noise_kw=0.5, time_zone="Europe/Berlin"
    )
    async with depot() as yard:
        yard.meter(config)
        await yard.pass_time(30)
        readings = yard.central.of("MeterValues")
        assert len(readings) >= 5
        for reading in readings:
            assert reading["connector_id"] == 0
            power = reading["meter_value"][0]["sampled_value"][0]
            assert power["measurand"] == "Power.Active.Import"
            assert float(power["value"]) == pytest.approx(19_000, abs=500)  # 18:00 UTC is 19 h in Berlin
        assert len({reading["meter_value"][0]["sampled_value"][0]["value"] for reading in readings}) > 1
