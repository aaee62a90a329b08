"""Celery tasks of the planning queue: thin shells around `triggers` and `planner`."""

from __future__ import annotations

import time
import uuid

from celery import shared_task
from django.utils import timezone

from scheduling import planner, triggers
from scheduling.day_ahead import jobs


@shared_task(name="scheduling.plan_depot")
def plan_depot(depot_id: int, because: str) -> None:
    """Plan one depot; runs of the same depot start a second apart, so that a burst of events makes two at most."""
    if (pause := triggers.wait_before_run(depot_id, timezone.now())) > 0:
        time.sleep(pause)
    planner.plan(depot_id, because)


@shared_task(name="scheduling.forget_old_runs")
def forget_old_runs() -> None:
    """Runs past their time, with their plans; the newest published one of each depot stays. Day-ahead plans as well."""
    planner.forget_old_runs(timezone.now())
    jobs.forget_old(timezone.now())


@shared_task(name="scheduling.plan_day_ahead")
def plan_day_ahead(plan_id: str) -> None:
    """Make a day-ahead plan that is too long for a request."""
    jobs.run_in_turn(uuid.UUID(plan_id))


@shared_task(name="scheduling.plan_due_depots")
def plan_due_depots() -> None:
    triggers.request_due_plans(timezone.now())
