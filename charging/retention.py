"""How long raw records stay: frames for a while, the commands that were settled as long; sessions and samples stay."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Model, QuerySet

from charging.models import Command, Frame, InstalledProfile

AT_ONCE = 20_000  # rows of one delete, so that no writer waits long for it
MOST_ROUNDS = 50


def forget_old_records(now: datetime) -> dict[str, int]:
    """Delete what is past its time; returns how many rows of each kind went."""
    cutoff = now - timedelta(days=settings.FRAME_RETENTION_DAYS)
    settled = Command.objects.exclude(state__in=(*Command.OPEN, Command.State.UNKNOWN)).filter(created_at__lt=cutoff)
    in_play = InstalledProfile.objects.exclude(state=InstalledProfile.State.GONE).values("command")
    return {
        "frames": delete_in_rounds(Frame.objects.filter(at__lt=cutoff).order_by("pk")),
        "commands": delete_in_rounds(settled.exclude(pk__in=in_play).order_by("created_at")),
    }


def delete_in_rounds(rows: QuerySet[Model]) -> int:
    """Delete in portions, the oldest first; what is left after many rounds waits for the next hour."""
    gone = 0
    for _ in range(MOST_ROUNDS):
        keys = list(rows.values_list("pk", flat=True)[:AT_ONCE])
        if not keys:
            break
        rows.model._default_manager.filter(pk__in=keys).delete()
        gone += len(keys)
    return gone
