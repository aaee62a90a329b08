"""One planning cycle: vehicles, limits, algorithm, checker, delivery; each group on its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from scheduling.engine import Algorithm, Options, Solution, round_down_datetime
from scheduling.translation import Translation

log = structlog.get_logger(__name__)


class PlanRefused(Exception):
    """The independent checker found the plan to break a rule; it must not be sent (S14)."""

    def __init__(self, solution: Solution) -> None:
        self.solution = solution
        super().__init__("; ".join(violation.message for violation in solution.violations[:3]))


def station_groups() -> list[str]:
    """Groups named by the environment variable STATION_GROUPS, comma-separated; blanks are dropped."""
    return [name.strip() for name in os.environ.get("STATION_GROUPS", "").split(",") if name.strip()]


def plan_group(
    translation: Translation,
    algorithm_cls: type[Algorithm],
    group_name: str,
    now: datetime,
    options: Options | None = None,
) -> Algorithm:
    """Plan one group and hand the checked plan to its translation. Raises PlanRefused.

    A translation without a horizon of its own is asked for limits from the begin of the step that holds `now`.
    """
    evs, voltage = translation.get_evs(group_name)
    horizon = translation.get_horizon(group_name, now)
    if horizon is None:
        resolution = (options or Options()).resolution
        begin = round_down_datetime(now.astimezone(UTC), resolution / timedelta(minutes=1))
        limits = translation.get_peak_power_demand(group_name, begin, voltage)
        # Constructors of the reference system know three arguments.
        given: dict[str, Any] = {} if options is None else {"options": options}
        algorithm = algorithm_cls(evs, limits, begin, **given)
    else:
        algorithm = algorithm_cls(
            evs,
            now=now,
            horizon=horizon,
            tree=translation.get_power_tree(group_name, horizon),
            price_per_kwh=translation.get_prices(group_name, horizon),
            site=translation.get_site(group_name, horizon),
            options=options,
        )
    algorithm.calculate()
    if not algorithm.result.ok:
        raise PlanRefused(algorithm.result)
    translation.publish(group_name, algorithm)
    return algorithm


def scm_runner(
    translation: Translation,
    algorithm_cls: type[Algorithm],
    *,
    groups: Sequence[str] | None = None,
    now: datetime | None = None,
    options: Options | None = None,
) -> dict[str, Algorithm | Exception]:
    """Plan every group once, by default those of STATION_GROUPS; the error of one never stops the others (WA30)."""
    now = (now or datetime.now(UTC)).replace(microsecond=0)
    outcome: dict[str, Algorithm | Exception] = {}
    for group_name in station_groups() if groups is None else groups:
        try:
            outcome[group_name] = plan_group(translation, algorithm_cls, group_name, now, options)
        except Exception as error:
            log.exception("planning failed", group=group_name)
            outcome[group_name] = error
            report_failure(translation, group_name, error)
    return outcome


def report_failure(translation: Translation, group_name: str, error: Exception) -> None:
    """Let the translation bring the group's vehicles into a safe state; if that fails too, the log says so."""
    try:
        translation.planning_failed(group_name, error)
    except Exception:
        log.exception("no safe state", group=group_name)
