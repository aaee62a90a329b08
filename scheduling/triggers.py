"""Who asks for a plan, and how many requests become one run.

A burst of events marks the depot once and queues one task; the task clears the mark before it reads, so that an event
during a run queues exactly one more. Two runs of a depot start at least a second apart.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from kombu.exceptions import OperationalError

from depot.models import Depot
from depot.signals import needs_changed
from scheduling.models import PlanningState

log = structlog.get_logger(__name__)

SPACING = timedelta(seconds=1)
QUEUED_TOO_LONG = timedelta(seconds=10)  # the task was lost with the broker: queue another
TIMER = "timer"


def request_plan(depot_id: int, because: str) -> bool:
    """Ask for a plan of this depot; True if that queued a run, False if one is queued already."""
    now = timezone.now()
    with transaction.atomic():
        PlanningState.objects.get_or_create(depot_id=depot_id)
        PlanningState.objects.filter(depot_id=depot_id).update(
            requests=F("requests") + 1, requested_because=because[:40]
        )
        state = PlanningState.objects.select_for_update().get(depot_id=depot_id)
        if state.queued_at is not None and now - state.queued_at < QUEUED_TOO_LONG:
            return False
        state.queued_at = now
        state.save(update_fields=["queued_at"])
        transaction.on_commit(lambda: queue_run(depot_id, because))
    return True


def queue_run(depot_id: int, because: str) -> None:
    from scheduling.tasks import plan_depot  # tasks call the planner, which is told when by this room

    try:
        plan_depot.apply_async((depot_id, because), retry=False, expires=60)
    except (OperationalError, OSError) as error:
        log.warning("plan not queued", depot=depot_id, because=because, error=str(error))
        PlanningState.objects.filter(depot_id=depot_id).update(queued_at=None)


def wait_before_run(depot_id: int, now: datetime) -> float:
    """Seconds until the next run may start, 0 when the last one is long enough ago."""
    state = PlanningState.objects.filter(depot_id=depot_id).first()
    if state is None or state.started_at is None:
        return 0.0
    return max((state.started_at + SPACING - now).total_seconds(), 0.0)


def request_due_plans(now: datetime) -> list[int]:
    """Depots whose interval has passed since their last run began, or whose request was never served."""
    due = []
    for depot in Depot.objects.filter(planning_enabled=True).select_related("planning"):
        state: PlanningState | None = getattr(depot, "planning", None)
        started = state.started_at if state is not None else None
        unserved = state is not None and state.requests > state.served_requests
        if started is None or unserved or now - started >= timedelta(seconds=depot.plan_interval_s):
            request_plan(depot.pk, state.requested_because if unserved and state is not None else TIMER)
            due.append(depot.pk)
    return due


def on_needs_changed(sender: Any, depot: int, because: str, **_: Any) -> None:
    request_plan(depot, because)


needs_changed.connect(on_needs_changed, dispatch_uid="scheduling.request_plan")
