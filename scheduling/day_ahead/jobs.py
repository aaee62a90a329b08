"""Day-ahead plans from the question to the answer: at once where that is quick, else by the planning queue."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from charging.retention import delete_in_rounds
from scheduling.day_ahead.answer import answer_of, unmet_kwh
from scheduling.day_ahead.models import DayAheadPlan
from scheduling.day_ahead.question import Wanted, question_of, read_question
from scheduling.engine import Options, algorithm, algorithm_names

log = structlog.get_logger(__name__)

PREFERRED = ("optimal", "day-ahead-lp")
SECONDS_AT_ONCE, SECONDS_IN_QUEUE = 2.0, 60.0
CELLS_AT_ONCE = 10_000
"""Vehicles x steps up to which a plan is made while the client waits."""
SLOW_CELLS_AT_ONCE = {"day-ahead-milp": 500, "pulp-numerical": 1_000}
TRY_AGAIN_S = 2.0
LOST_AFTER = timedelta(hours=1)
Status = DayAheadPlan.Status


def default_algorithm() -> str:
    """The exact planner where it is registered."""
    known = algorithm_names()
    return next(name for name in PREFERRED if name in known)


def ask(wanted: Wanted, name: str, *, now: datetime, in_queue: bool = False) -> DayAheadPlan:
    """A plan that is done, or queued because it will take long or was asked for so. FileError if it makes no sense."""
    question = question_of(wanted, now)
    read_question(question, algorithm(name))
    horizon = wanted.horizon
    vehicles = len(question["problem"]["evs"])
    plan = DayAheadPlan.objects.create(
        depot=wanted.depot,
        algorithm=name,
        created_at=now,
        horizon_start=horizon.start,
        resolution_minutes=round(wanted.resolution.total_seconds() / 60),
        steps=horizon.steps,
        question=question,
        vehicles=vehicles,
        currency=wanted.depot.currency,
    )
    if in_queue or vehicles * horizon.steps > SLOW_CELLS_AT_ONCE.get(name, CELLS_AT_ONCE):
        transaction.on_commit(lambda: queue(plan.pk))
    else:
        run(plan.pk, seconds=SECONDS_AT_ONCE)
        plan.refresh_from_db()
    return plan


def queue(plan_id: uuid.UUID, *, wait_s: float = 0.0) -> None:
    """Hand a plan to a worker; without a broker it fails with a sentence."""
    from scheduling.tasks import plan_day_ahead  # tasks call this room

    try:
        plan_day_ahead.apply_async((str(plan_id),), retry=False, countdown=wait_s)
    except (OperationalError, OSError) as error:
        log.warning("day-ahead plan not queued", plan=str(plan_id), error=str(error))
        _fail(plan_id, "The queue of the planner cannot be reached; ask again in a moment.")


def run_in_turn(plan_id: uuid.UUID) -> None:
    """Make the plan, or come again while another is being made: live plans keep the other workers."""
    since = timezone.now() - 2 * timedelta(seconds=SECONDS_IN_QUEUE)
    others = DayAheadPlan.objects.filter(status=Status.RUNNING, started_at__gt=since).exclude(pk=plan_id)
    if others.exists():
        queue(plan_id, wait_s=TRY_AGAIN_S)
    else:
        run(plan_id)


def run(plan_id: uuid.UUID, *, seconds: float = SECONDS_IN_QUEUE) -> None:
    """Make the plan. Never raises for what is wrong with it: a failed one says why. A finished one is left alone."""
    now = timezone.now()
    begun = DayAheadPlan.objects.filter(pk=plan_id, status__in=(Status.QUEUED, Status.RUNNING))
    if not begun.update(status=Status.RUNNING, started_at=now):
        return
    plan = DayAheadPlan.objects.get(pk=plan_id)
    try:
        planned = read_question(plan.question, algorithm(plan.algorithm), Options(time_limit_s=seconds))
        planned.calculate()
        solution = planned.result
        plan.result = answer_of(planned, plan.question["names"], plan.currency)
    except Exception as error:
        log.exception("day-ahead plan failed", plan=str(plan_id))
        _fail(plan_id, f"{type(error).__name__}: {error}")
        return
    plan.solver_status = solution.status[:100]
    plan.energy_kwh = plan.result["kpis"]["energy_grid_kwh"]
    plan.unmet_kwh = round(unmet_kwh(solution), 3)
    plan.cost = plan.result["costs"]["bill"]
    plan.status, plan.finished_at = Status.DONE, timezone.now()
    if not solution.ok and solution.status != "uncontrolled":
        plan.status = Status.FAILED
        plan.message = f"The plan breaks a rule: {solution.violations[0].message}"[:500]
    plan.save()


def _fail(plan_id: uuid.UUID, message: str) -> None:
    DayAheadPlan.objects.filter(pk=plan_id).update(
        status=Status.FAILED, message=message[:500], finished_at=timezone.now()
    )


def forget_old(now: datetime) -> int:
    """Delete plans older than the retention of plan runs; those that a lost worker left open fail before."""
    open_too_long = DayAheadPlan.objects.filter(
        status__in=(Status.QUEUED, Status.RUNNING), created_at__lt=now - LOST_AFTER
    )
    open_too_long.update(status=Status.FAILED, message="No worker finished it; ask again.", finished_at=now)
    old = DayAheadPlan.objects.filter(created_at__lt=now - timedelta(days=settings.PLAN_RETENTION_DAYS))
    return delete_in_rounds(old.order_by("created_at"))
