from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from depot.api import idempotency
from depot.models import IdempotencyRecord, Reservation, Vehicle
from tests.api.clients import client_with, is_problem, post
from tests.api.test_reservations import PATH, booking, yard
from tests.factories import make_depot

pytestmark = pytest.mark.django_db


def vehicle_body(name: str = "Van") -> dict[str, Any]:
    depot = make_depot()
    return {"depot": depot.slug, "external_id": "v-1", "name": name, "battery_kwh": 50, "max_ac_kw": 11}


def test_the_same_request_again_gets_the_stored_answer_and_has_one_effect() -> None:
    _, vehicle = yard()
    client = client_with()
    body = booking(vehicle)
    first = post(client, PATH, body, **{"Idempotency-Key": "k-1"})
    again = post(client, PATH, dict(reversed(body.items())), **{"Idempotency-Key": "k-1"})
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert again["Location"] == first["Location"]
    assert again["ETag"] == first["ETag"]
    assert again["Idempotency-Replayed"] == "true"
    assert Reservation.objects.count() == 1


def test_the_same_key_for_another_body_or_address_is_422() -> None:
    client, body = client_with(), vehicle_body()
    assert post(client, "/api/v1/vehicles/", body, **{"Idempotency-Key": "k"}).status_code == 201
    response = post(client, "/api/v1/vehicles/", {**body, "name": "Other"}, **{"Idempotency-Key": "k"})
    is_problem(response, 422, "idempotency-mismatch")
    is_problem(post(client, "/api/v1/limits/", body, **{"Idempotency-Key": "k"}), 422, "idempotency-mismatch")


def test_a_slash_more_is_the_same_address() -> None:
    client, body = client_with(), vehicle_body()
    assert post(client, "/api/v1/vehicles/", body, **{"Idempotency-Key": "k"}).status_code == 201
    assert post(client, "/api/v1/vehicles", body, **{"Idempotency-Key": "k"}).status_code == 201
    assert Vehicle.objects.count() == 1


def test_keys_of_different_clients_do_not_meet() -> None:
    body = vehicle_body()
    assert post(client_with(), "/api/v1/vehicles/", body, **{"Idempotency-Key": "k"}).status_code == 201
    other = post(client_with(), "/api/v1/vehicles/", {**body, "external_id": "v-2"}, **{"Idempotency-Key": "k"})
    assert other.status_code == 201


def test_while_the_first_request_runs_the_second_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    client, body = client_with(), vehicle_body()
    create = Vehicle.save
    answers: list[Any] = []

    def retry_meanwhile(self: Vehicle, *args: Any, **kwargs: Any) -> None:
        monkeypatch.setattr(Vehicle, "save", create)
        answers.append(post(client, "/api/v1/vehicles/", body, **{"Idempotency-Key": "k"}))
        create(self, *args, **kwargs)

    monkeypatch.setattr(Vehicle, "save", retry_meanwhile)
    assert post(client, "/api/v1/vehicles/", body, **{"Idempotency-Key": "k"}).status_code == 201
    is_problem(answers[0], 409, "idempotency-in-flight")
    assert answers[0]["Retry-After"] == "1"
    assert Vehicle.objects.count() == 1


def test_a_refused_request_may_be_tried_again_under_its_key() -> None:
    client, body = client_with(), vehicle_body()
    wrong = {**body, "battery_kwh": -1}
    is_problem(post(client, "/api/v1/vehicles/", wrong, **{"Idempotency-Key": "k"}), 422, "validation")
    assert IdempotencyRecord.objects.count() == 0
    assert post(client, "/api/v1/vehicles/", body, **{"Idempotency-Key": "k"}).status_code == 201


def test_an_effect_that_fails_late_is_undone_with_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(idempotency, "remember", fails)
    is_problem(post(client_with(), "/api/v1/vehicles/", vehicle_body(), **{"Idempotency-Key": "k"}), 500, "internal")
    assert Vehicle.objects.count() == 0
    assert IdempotencyRecord.objects.count() == 0


def test_a_key_whose_process_died_is_free_again_after_a_while() -> None:
    client, body = client_with(), vehicle_body()
    assert post(client, "/api/v1/vehicles/", body, **{"Idempotency-Key": "k"}).status_code == 201
    Vehicle.objects.all().delete()
    died = IdempotencyRecord.objects.filter(key="k")
    died.update(finished=False, created_at=timezone.now())
    is_problem(post(client, "/api/v1/vehicles/", body, **{"Idempotency-Key": "k"}), 409, "idempotency-in-flight")
    died.update(created_at=timezone.now() - idempotency.ABANDONED_AFTER - timedelta(seconds=1))
    assert post(client, "/api/v1/vehicles/", body, **{"Idempotency-Key": "k"}).status_code == 201
    assert Vehicle.objects.count() == 1


def test_a_key_is_kept_for_a_day() -> None:
    client, body = client_with(), vehicle_body()
    post(client, "/api/v1/vehicles/", body, **{"Idempotency-Key": "k"})
    IdempotencyRecord.objects.update(created_at=timezone.now() - idempotency.KEPT_FOR - timedelta(seconds=1))
    is_problem(post(client, "/api/v1/vehicles/", body, **{"Idempotency-Key": "k"}), 409, "already-exists")


@pytest.mark.parametrize("key", ["", "   ", "x" * 256, "ü"])
def test_a_key_that_cannot_be_is_400(key: str) -> None:
    is_problem(post(client_with(), "/api/v1/vehicles/", {}, **{"Idempotency-Key": key}), 400, "invalid-header")
