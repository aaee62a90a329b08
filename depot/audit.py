"""The audit trail: append-only rows, each carrying the hash of the one before it, so that a change of history shows."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from depot.models import AuditEvent

GENESIS = "0" * 64
ATTEMPTS = 10


def record(
    actor: str,
    action: str,
    subject: models.Model | str,
    *,
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> AuditEvent:
    """Append one row in the caller's transaction. Writers queue up on the newest row; losers of a race try again."""
    event = AuditEvent(
        at=timezone.now(),
        actor=actor[:100],
        action=action[:50],
        subject=subject_of(subject)[:200],
        reason=reason[:200],
        before=_plain(before),
        after=_plain(after),
    )
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic():
                event.previous_hash = _newest_hash()
                event.hash = hash_of(event)
                event.pk = None
                event.save(force_insert=True)
                return event
        except IntegrityError:
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def subject_of(subject: models.Model | str) -> str:
    """`depot.reservation:<id> <words>` of a row, or the text as it is."""
    if isinstance(subject, str):
        return subject
    return f"{subject._meta.label_lower}:{subject.pk} {subject}"


def hash_of(event: AuditEvent) -> str:
    """SHA-256 of the previous hash and the row's canonical JSON, hex."""
    content = {
        "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": event.actor,
        "action": event.action,
        "subject": event.subject,
        "reason": event.reason,
        "before": event.before,
        "after": event.after,
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{event.previous_hash}{canonical}".encode()).hexdigest()


def first_broken_event() -> AuditEvent | None:
    """The first row that does not follow from the one before it; None when the whole chain holds."""
    previous = GENESIS
    for event in AuditEvent.objects.order_by("id").iterator():
        if event.previous_hash != previous or event.hash != hash_of(event):
            return event
        previous = event.hash
    return None


def _newest_hash() -> str:
    newest = AuditEvent.objects.select_for_update().order_by("-id").values_list("hash", flat=True).first()
    return newest or GENESIS


def _plain(value: dict[str, Any] | None) -> Any:
    """What the database will give back: the hash must be the same after a round trip."""
    return None if value is None else json.loads(json.dumps(value, cls=DjangoJSONEncoder))
