"""A booking or a plug-in does not wait for a broker that is away."""

from __future__ import annotations

from pathlib import Path

import pytest
from kombu.exceptions import OperationalError

from depot.celery import app

pytestmark = pytest.mark.once


def test_asking_for_a_plan_does_not_wait_for_the_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("kombu.utils.functional.sleep", waits.append)
    with app.connection_for_write(f"redis+socket://{tmp_path}/nobody.sock") as connection:
        with pytest.raises(OperationalError):
            app.send_task("scheduling.plan_depot", (1, "booking"), connection=connection, retry=False)
    assert not any(waits)
