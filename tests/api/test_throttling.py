from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from rest_framework.test import APIClient

from depot.api import authentication, throttling
from tests.api.clients import client_with, is_problem, post
from tests.factories import make_depot

pytestmark = pytest.mark.django_db
PATH = "/api/v1/depots/"


@pytest.fixture
def few_requests(redis_url: str) -> Iterator[None]:
    rest_framework = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": {"key": "3/h", "plan": "1/h"}}
    with override_settings(REST_FRAMEWORK=rest_framework):
        yield


def test_the_budget_is_told_and_over_it_the_answer_is_429(few_requests: None) -> None:
    client = client_with()
    told = [client.get(PATH)["RateLimit"] for _ in range(3)]
    assert [text.split(";")[1] for text in told] == ["r=2", "r=1", "r=0"]
    response = client.get(PATH)
    is_problem(response, 429, "rate-limited")
    assert 0 < int(response["Retry-After"]) <= 3600
    assert response["RateLimit-Policy"] == '"key";q=3;w=3600'
    assert client_with().get(PATH).status_code == 200


def test_plan_runs_have_a_smaller_budget_of_their_own(few_requests: None) -> None:
    client, body = client_with(), {"depot": make_depot().slug}
    assert post(client, "/api/v1/plan-runs/", body).status_code == 202
    is_problem(post(client, "/api/v1/plan-runs/", body), 429, "rate-limited")
    assert client.get(PATH).status_code == 200


def test_without_the_broker_requests_pass_uncounted(tmp_path: Any) -> None:
    throttling.client.cache_clear()
    with override_settings(REDIS_URL=f"unix://{tmp_path}/nothing.sock"):
        response = client_with().get(PATH)
    throttling.client.cache_clear()
    assert response.status_code == 200
    assert "RateLimit" not in response


def test_guessing_keys_is_slowed_down_per_source(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "FAILURES_PER_MINUTE", 2)
    monkeypatch.setattr(throttling, "WINDOW_S", 3600)
    guesser = APIClient(REMOTE_ADDR="203.0.113.9")
    answers = [guesser.get(PATH, headers={"Authorization": f"Api-Key guess-{n}"}) for n in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert client_with().get(PATH).status_code == 200
