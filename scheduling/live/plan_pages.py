"""What the plan pages show: runs with their cause, time and outcome, and one run in detail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from depot.models import Depot, LoadGroup
from scheduling.live import words
from scheduling.live.departures import why
from scheduling.models import AT_RISK_KWH, Plan, PlanRun
from scheduling.worth import Stretch, most_helpful

TONES = {PlanRun.Status.PUBLISHED: "good", PlanRun.Status.REFUSED: "bad", PlanRun.Status.FAILED: "bad"}
COSTS = {
    "energy_cost": "Energy cost",
    "demand_cost": "Demand charge",
    "soft_cost": "Above soft limits",
    "wear_cost": "Battery wear",
    "co2_cost": "Weight of CO₂",
}
STRETCHES_SHOWN, REASONS_SHOWN = 12, 2
SAYS_LITTLE = ("not_plugged", "full")  # of a vehicle's day, beside its other reasons


@dataclass(frozen=True)
class RunRow:
    run: PlanRun
    tone: str
    trigger: str
    took: str
    shortfall: str


@dataclass(frozen=True)
class Told:
    """Steps in a row with one power for one reason."""

    starts_at: datetime
    ends_at: datetime
    kw: str
    sentence: str


@dataclass(frozen=True)
class PlanRow:
    plan: Plan
    vehicle: str
    predicted: str
    shortfall: str
    why: str
    reasons: str  # those that last longest, in words, with their load groups
    told: list[Told]


@dataclass(frozen=True)
class HelpRow:
    """Where and when more power would help."""

    node: str
    starts_at: datetime
    ends_at: datetime
    value: str
    serves_more: bool


def newest_runs(depot: Depot, count: int) -> list[RunRow]:
    return [
        run_row(run) for run in depot.plan_runs.defer("site", "deferred", "marginal").order_by("-started_at")[:count]
    ]


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
    """One run: its sentences, costs and timings, where power would help, and each vehicle, earliest departure first."""
    plans = run.plans.select_related("vehicle", "connector__station").order_by("departure_at", "connector_id")
    timings = sorted(run.timings_s.items(), key=lambda item: -float(item[1])) if isinstance(run.timings_s, dict) else []
    names = dict(LoadGroup.objects.filter(depot=run.depot_id).values_list("slug", "name"))
    return {
        "row": run_row(run),
        "timings": [(name.replace("_", " "), f"{1000 * float(value):,.0f} ms") for name, value in timings],
        "costs": costs_of(run),
        "helpful": [help_row(stretch, names) for stretch in most_helpful(run, STRETCHES_SHOWN)],
        "plans": [plan_row(plan, names) for plan in plans],
        "deferred": [str(one) for one in run.deferred] if isinstance(run.deferred, list) else [],
        "steps": steps_in_words(run),
    }


def costs_of(run: PlanRun) -> list[tuple[str, str]]:
    """Money by component; those that are nothing are left out, but for the energy."""
    found = [(name, float(run.summary[key])) for key, name in COSTS.items() if key in run.summary]
    return [
        (name, words.number(value, 2)) for name, value in found if abs(value) >= 0.005 or name == COSTS["energy_cost"]
    ]


def steps_in_words(run: PlanRun) -> str:
    """The horizon's length and its usual steps, such as `24 h in 98 steps of up to 15 min`."""
    if not run.steps:
        return words.UNKNOWN
    hours = run.horizon.hours
    shortest, longest = (round(60 * float(length)) for length in (hours.min(), hours.max()))
    length = f"{longest} min" if shortest == longest else f"up to {longest} min"
    return f"{hours.sum():.0f} h in {run.steps} step{'s' if run.steps > 1 else ''} of {length}"


def help_row(stretch: Stretch, names: dict[str, str]) -> HelpRow:
    return HelpRow(
        node=names.get(stretch.node, stretch.node),
        starts_at=stretch.starts_at,
        ends_at=stretch.ends_at,
        value=words.number(stretch.saved_per_kwh, 3),
        serves_more=stretch.serves_more,
    )


def plan_row(plan: Plan, names: dict[str, str]) -> PlanRow:
    seconds: dict[str, float] = {}
    nodes = plan.limit_nodes or [""] * len(plan.power_kw)
    for reason, power, node, hours in zip(plan.reasons, plan.power_kw, nodes, plan.run.horizon.hours, strict=False):
        if reason in SAYS_LITTLE:
            continue
        told = words.reason_in_words(str(reason), float(power))
        told += f" ({names.get(node, node)})" if node else ""
        seconds[told] = seconds.get(told, 0.0) + 3600 * float(hours)
    short = plan.shortfall_kwh > AT_RISK_KWH
    longest = sorted(seconds.items(), key=lambda item: -item[1])[:REASONS_SHOWN]
    return PlanRow(
        plan=plan,
        vehicle=plan.vehicle.name if plan.vehicle is not None else "Unknown vehicle",
        predicted=f"{plan.predicted_soc_percent:.0f} %" if plan.predicted_soc_percent is not None else words.UNKNOWN,
        shortfall=words.number(plan.shortfall_kwh) if short else "",
        why=why(plan) if short else "",
        reasons=", ".join(f"{told} {words.span(lasting)}" for told, lasting in longest),
        told=stretches_told(plan),
    )


def stretches_told(plan: Plan) -> list[Told]:
    """What the vehicle gets from when to when, and why; the time before and after its stay is left out."""
    borders = plan.run.horizon.borders
    steps = list(zip(plan.power_kw, plan.reasons, plan.sentences, strict=False))
    found = []
    for (power, reason, sentence), group in groupby(range(len(steps)), key=steps.__getitem__):
        those = list(group)
        if reason != "not_plugged":
            sentence = sentence or f"{words.reason_in_words(str(reason), float(power)).capitalize()}."
            found.append(Told(borders[those[0]], borders[those[-1] + 1], words.number(float(power)), sentence))
    return found
