"""What the plan pages show: runs with their cause, time and outcome, and one run in detail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from depot.models import Depot
from scheduling.live import words
from scheduling.live.departures import why
from scheduling.models import AT_RISK_KWH, Plan, PlanRun

TONES = {PlanRun.Status.PUBLISHED: "good", PlanRun.Status.REFUSED: "bad", PlanRun.Status.FAILED: "bad"}


@dataclass(frozen=True)
class RunRow:
    run: PlanRun
    tone: str
    trigger: str
    took: str
    shortfall: str


@dataclass(frozen=True)
class PlanRow:
    plan: Plan
    vehicle: str
    predicted: str
    shortfall: str
    why: str
    now_kw: str
    reasons: list[tuple[str, int]]  # in words, steps


def newest_runs(depot: Depot, count: int) -> list[RunRow]:
    return [run_row(run) for run in depot.plan_runs.defer("site", "deferred").order_by("-started_at")[:count]]


def run_row(run: PlanRun) -> RunRow:
    seconds = (run.finished_at - run.started_at).total_seconds()
    return RunRow(
        run=run,
        tone=TONES.get(PlanRun.Status(run.status), "plain"),
        trigger=words.trigger_in_words(run.trigger),
        took=f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms",
        shortfall=words.number(run.shortfall_kwh) if run.shortfall_kwh > AT_RISK_KWH else "",
    )


def run_context(run: PlanRun) -> dict[str, Any]:
    """One run: its timings and the plan of each vehicle, earliest departure first."""
    plans = run.plans.select_related("vehicle", "connector__station").order_by("departure_at", "connector_id")
    timings = sorted(run.timings_s.items(), key=lambda item: -float(item[1])) if isinstance(run.timings_s, dict) else []
    return {
        "row": run_row(run),
        "timings": [(name.replace("_", " "), f"{1000 * float(value):,.0f} ms") for name, value in timings],
        "plans": [plan_row(plan) for plan in plans],
        "deferred": [str(one) for one in run.deferred] if isinstance(run.deferred, list) else [],
    }


def plan_row(plan: Plan) -> PlanRow:
    counts: dict[str, int] = {}
    for reason, power in zip(plan.reasons, plan.power_kw, strict=False):
        told = words.reason_in_words(str(reason), float(power))
        counts[told] = counts.get(told, 0) + 1
    short = plan.shortfall_kwh > AT_RISK_KWH
    return PlanRow(
        plan=plan,
        vehicle=plan.vehicle.name if plan.vehicle is not None else "Unknown vehicle",
        predicted=f"{plan.predicted_soc_percent:.0f} %" if plan.predicted_soc_percent is not None else words.UNKNOWN,
        shortfall=words.number(plan.shortfall_kwh) if short else "",
        why=why(plan) if short else "",
        now_kw=words.number(float(plan.power_kw[0])) if plan.power_kw else words.UNKNOWN,
        reasons=sorted(counts.items(), key=lambda item: -item[1]),
    )
