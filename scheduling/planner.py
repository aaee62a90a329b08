"""One optimisation of one depot, from the request to the published plan or the reason why there is none."""

from __future__ import annotations

from datetime import datetime, timedelta
from time import monotonic

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from charging.models import StationLink
from charging.nudges import LIVE, nudge
from charging.retention import delete_in_rounds
from depot.incidents import close_incident, raise_incident
from depot.models import Depot
from scheduling.depot_translation import DepotTranslation, Superseded
from scheduling.engine import Options, algorithm
from scheduling.metrics import PLAN_RUNS, PLAN_SECONDS
from scheduling.models import AT_RISK_KWH, PlanningState, PlanRun
from scheduling.risks import Risk, mirror
from scheduling.runner import PlanRefused, plan_group

log = structlog.get_logger(__name__)

VERIFICATION_TAKES = timedelta(seconds=15)
COMMISSIONING_TAKES = timedelta(seconds=45)  # a new depot's chargers have not connected when it is planned first


def plan(depot_id: int, trigger: str) -> PlanRun | None:
    """Plan a depot now. Never raises: a failed run is a row and an incident, and the last plan stays in force (S14)."""
    depot = Depot.objects.select_related("tariff").get(pk=depot_id)
    if not depot.planning_enabled:
        return None
    epoch, now = begin(depot), timezone.now()
    started = monotonic()
    translation = DepotTranslation(depot, now=now, epoch=epoch, trigger=trigger)
    options = Options(resolution=timedelta(minutes=depot.resolution_minutes))
    try:
        with translation:
            plan_group(translation, algorithm(depot.algorithm), depot.slug, translation.now, options)
    except Superseded:
        log.info("plan superseded", depot=depot.slug, epoch=epoch)
        return None
    except PlanRefused as error:
        return failed(depot, epoch, trigger, now, PlanRun.Status.REFUSED, str(error))
    except Exception as error:
        log.exception("plan failed", depot=depot.slug, epoch=epoch)
        return failed(depot, epoch, trigger, now, PlanRun.Status.FAILED, f"{type(error).__name__}: {error}")
    run = translation.run
    assert run is not None
    close_incident("plan.failed", subject=depot.slug)
    report_shortfalls(depot, run)
    PLAN_RUNS.labels(status=run.status).inc()
    PLAN_SECONDS.observe(monotonic() - started)
    log.info(
        "plan published",
        depot=depot.slug,
        trigger=trigger,
        vehicles=run.vehicles,
        shortfall_kwh=round(run.shortfall_kwh, 1),
        seconds=round(monotonic() - started, 3),
    )
    return run


def begin(depot: Depot) -> int:
    """Take the next fencing epoch; every planner that began before can no longer write."""
    with transaction.atomic():
        PlanningState.objects.get_or_create(depot=depot)
        state = PlanningState.objects.select_for_update().get(depot=depot)
        state.epoch += 1
        state.served_requests = state.requests
        state.queued_at = None
        state.started_at = timezone.now()
        state.save()
    return state.epoch


def chargers_are_returning(depot: Depot, now: datetime) -> bool:
    """Whether chargers connect at this moment, so that their fallbacks may not be verified yet."""
    if StationLink.objects.filter(station__depot=depot, connected_at__gt=now - VERIFICATION_TAKES).exists():
        return True
    return not depot.plan_runs.filter(started_at__lt=now - COMMISSIONING_TAKES).exists()


def failed(depot: Depot, epoch: int, trigger: str, now: datetime, status: PlanRun.Status, message: str) -> PlanRun:
    PLAN_RUNS.labels(status=status).inc()
    raise_incident(
        "plan.failed",
        subject=depot.slug,
        depot=depot,
        severity="critical",
        message=f"No new plan for {depot.name}: {message}"[:300],
        remedy="The last checked plan stays in force; look at the plan run and at the depot's settings.",
    )
    run = PlanRun.objects.create(
        depot=depot,
        epoch=epoch,
        trigger=trigger,
        algorithm=depot.algorithm,
        status=status,
        message=message[:500],
        started_at=now,
        finished_at=timezone.now(),
        horizon_start=now,
        resolution_s=depot.resolution_minutes * 60,
        steps=0,
    )
    nudge(LIVE, depot=depot.pk, what="plan")
    return run


def report_shortfalls(depot: Depot, run: PlanRun) -> None:
    """A vehicle that will not be ready is announced while something can still be done; solved ones are closed."""
    short = {}
    for row in run.plans.select_related("vehicle", "connector").filter(shortfall_kwh__gt=AT_RISK_KWH):
        name = row.vehicle.name if row.vehicle is not None else row.connector.bay
        short[f"{depot.slug}/{name}"] = Risk(
            f"{name} will miss {row.shortfall_kwh:.1f} kWh at its departure {depot.local(row.departure_at):%H:%M}.",
            row.remedy,
        )
    mirror(
        depot,
        "vehicle.late_charging",
        short,
        severity="critical",
        # Their worst case counts until returning chargers are verified: a shortfall of these seconds says nothing yet.
        open_new=not chargers_are_returning(depot, run.started_at),
    )


def forget_old_runs(now: datetime) -> int:
    """Delete runs older than the retention, except the plan that is in force; returns how many went."""
    newest = PlanRun.objects.filter(depot=OuterRef("depot"), status=PlanRun.Status.PUBLISHED).order_by("-started_at")
    old = PlanRun.objects.filter(started_at__lt=now - timedelta(days=settings.PLAN_RETENTION_DAYS))
    return delete_in_rounds(old.exclude(pk__in=Subquery(newest.values("pk")[:1])).order_by("started_at"))
