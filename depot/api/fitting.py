"""Changes of the power tree over the API: a configuration whose permanent fallbacks do not fit is refused."""

from __future__ import annotations

from collections.abc import Sequence

from depot.api.problems import Problem
from depot.fallbacks import fallbacks_moved_by, misfits_made_by, refusal
from depot.models import Connector, Depot, Limit, LoadGroup, Station

Fitting = Connector | Limit | LoadGroup | Station


def refuse_misfits(changed: Fitting) -> None:
    """409 limit-exceeded with the worst node and its numbers; the detail proposes fallbacks that fit."""
    depot, rows = place_of(changed)
    misfits = misfits_made_by(depot, rows)
    if not misfits:
        return
    worst = max(misfits, key=lambda each: each.fallback_kw + each.building_kw - each.limit_kw)
    raise Problem(
        "limit-exceeded",
        status=409,
        title="The permanent fallbacks would not fit",
        detail=refusal(depot, misfits),
        node=worst.node,
        limit=worst.limit_kw,
        needed=worst.fallback_kw + worst.building_kw,
        unit="kW" if worst.phase is None else "A",
    )


def place_of(changed: Fitting) -> tuple[Depot, Sequence[Connector | LoadGroup | Limit]]:
    match changed:
        case Station():
            return changed.depot, fallbacks_moved_by(changed)
        case Connector():
            return changed.station.depot, [changed]
        case Limit():
            return changed.load_group.depot, [changed]
        case LoadGroup():
            return changed.depot, [changed]
