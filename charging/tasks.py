"""What has to be looked after although no charger says anything."""

from __future__ import annotations

from datetime import timedelta

import structlog
from celery import shared_task
from django.utils import timezone

from charging import commands, desired, links, retention

log = structlog.get_logger(__name__)

SILENT_AFTER = timedelta(seconds=3 * links.SEEN_EVERY_S)
MISSING_AFTER = timedelta(seconds=60)


@shared_task(name="charging.watch_chargers", ignore_result=True)
def watch_chargers() -> None:
    """Links whose process died without a word, chargers that did not come back after a restart, overdue commands."""
    now = timezone.now()
    silent = links.mark_silent_links(now, now - SILENT_AFTER)
    missing = links.raise_missing_incidents(now - MISSING_AFTER)
    if silent or missing:
        log.warning("chargers lost", silent=silent, missing=missing)
    commands.housekeep(now)
    desired.retry_fallbacks(now)


@shared_task(name="charging.forget_old_records", ignore_result=True)
def forget_old_records() -> None:
    """Frames and settled commands past their time."""
    gone = retention.forget_old_records(timezone.now())
    if any(gone.values()):
        log.info("old records deleted", **gone)
