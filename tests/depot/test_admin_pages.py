"""Every admin page answers, for every model, with and without rows."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from charging.models import (
    AuthorizationAttempt,
    Command,
    ConnectorState,
    Finding,
    Frame,
    InstalledProfile,
    MeterSample,
    MeterState,
    SessionEvent,
    StatusNotice,
    TransactionNumber,
    UnknownStation,
)
from depot import audit
from depot.models.idempotency import IdempotencyRecord
from scheduling.models import DayAheadPlan, MonthPeak, Plan, PlanningState, PlanRun
from tests.factories import (
    make_api_key,
    make_incident,
    make_limit,
    make_reservation,
    make_session,
    make_station,
    make_superuser,
    make_tariff,
    make_user,
    make_vehicle,
)

pytestmark = pytest.mark.django_db

OURS = [model for model in admin.site._registry if model._meta.app_label in ("depot", "charging", "scheduling")]


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(make_superuser())
    return client


def url(model: type[Model], page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def one_of_everything() -> None:
    """A row of every model."""
    now = timezone.now()
    tariff = make_tariff()
    station = make_station(online=True)
    depot, connector = station.depot, station.connectors.get()
    depot.tariff = tariff
    depot.save()
    vehicle = make_vehicle(depot, id_tag="TAG1", soc_percent=40)
    reservation = make_reservation(connector=connector, vehicle=vehicle)
    reservation.transitions.create(to_state="RESERVED", at=now, actor="test")
    session = make_session(connector=connector, vehicle=vehicle, reservation=reservation)
    make_limit(station.load_group)
    make_incident(depot=depot)
    make_api_key()
    make_user(role="viewer", depot=depot)
    audit.record("test", "looked", depot)
    IdempotencyRecord.objects.create(principal="key:1", key="k", request_hash="0", created_at=now)
    command = Command.objects.create(
        station=station, action="Reset", payload={"type": "Soft"}, natural_key="reset", cause="test", created_at=now
    )
    InstalledProfile.objects.create(
        station=station,
        number=1,
        slot="tx",
        purpose="TxProfile",
        stack_level=1,
        profile_id=1,
        command=command,
        session=session,
        starts_at=now,
        periods=[[0, 16]],
    )
    Frame.objects.create(station=station, epoch=1, at=now, action="Heartbeat", raw=b'[2,"1","Heartbeat",{}]')
    Finding.objects.create(station=station, rule="P03", text="odd", first_seen_at=now, last_seen_at=now)
    UnknownStation.objects.create(identity="NEW-1", first_seen_at=now, last_seen_at=now)
    AuthorizationAttempt.objects.create(station=station, id_tag="TAG1", status="Accepted", at=now)
    MeterSample.objects.create(station=station, number=1, at=now, received_at=now, content_hash="0", power_w=7000)
    SessionEvent.objects.create(
        station=station, session=session, kind="start", natural_key="1", payload={}, at=now, received_at=now
    )
    ConnectorState.objects.create(connector=connector, status="Charging")
    StatusNotice.objects.create(station=station, number=1, status="Charging", at=now, received_at=now)
    MeterState.objects.create(station=station, power_kw=5, sampled_at=now)
    TransactionNumber.objects.create()
    PlanningState.objects.get_or_create(depot=depot)
    DayAheadPlan.objects.create(
        depot=depot,
        algorithm="day-ahead-lp",
        created_at=now,
        horizon_start=now,
        resolution_minutes=15,
        steps=96,
        question={},
    )
    MonthPeak.objects.create(depot=depot, month=now.date().replace(day=1), peak_kw=40)
    run = PlanRun.objects.create(
        depot=depot,
        epoch=1,
        trigger="test",
        algorithm="pulp-lp",
        status="published",
        started_at=now,
        finished_at=now,
        horizon_start=now,
        resolution_s=900,
        steps=1,
    )
    Plan.objects.create(
        run=run,
        connector=connector,
        vehicle=vehicle,
        arrival_at=now,
        departure_at=now,
        power_kw=[0],
        reasons=["waiting_turn"],
        need_kwh=1,
        energy_kwh=0,
    )


def test_the_front_page_answers(staff: Client) -> None:
    assert staff.get(reverse("admin:index")).status_code == 200


def test_every_model_has_its_admin() -> None:
    from django.apps import apps

    expected = {
        model for label in ("depot", "charging", "scheduling") for model in apps.get_app_config(label).get_models()
    }
    assert expected == set(OURS)


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_lists_forms_and_searches_answer(staff: Client, model: type[Model]) -> None:
    one_of_everything()
    assert model._default_manager.exists()
    for address in (url(model, "changelist"), f"{url(model, 'changelist')}?q=a"):
        assert staff.get(address, follow=True).status_code == 200
    row = model._default_manager.first()
    assert row is not None
    assert staff.get(url(model, "change", row.pk)).status_code == 200
    assert staff.get(url(model, "add")).status_code in (200, 403)


READ_ONLY = ["AuditEvent", "Frame", "Session", "SessionEvent", "PlanRun", "Plan", "MeterSample", "Incident"]


@pytest.mark.parametrize("name", READ_ONLY)
def test_records_are_not_edited(staff: Client, name: str) -> None:
    one_of_everything()
    model = next(model for model in OURS if model.__name__ == name)
    row = model._default_manager.first()
    assert row is not None
    assert staff.get(url(model, "add")).status_code == 403
    assert staff.post(url(model, "change", row.pk), {}).status_code == 403
    assert staff.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403


def test_a_sent_command_is_not_edited(staff: Client) -> None:
    one_of_everything()
    command = Command.objects.get()
    assert staff.post(url(Command, "change", command.pk), {"action": "Other"}).status_code == 403


def test_the_admin_alone_may_evaluate_expressions(staff: Client) -> None:
    assert "'unsafe-eval'" in staff.get(reverse("admin:index"))["Content-Security-Policy"]
    assert "unsafe" not in staff.get("/healthz").headers.get("Content-Security-Policy", "")


def test_a_stranger_sees_the_login(client: Client) -> None:
    assert client.get(reverse("admin:index")).status_code == 302
