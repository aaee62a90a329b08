"""The audit trail: append-only rows, each carrying the hash of the one before it, so that a change of history shows."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models, transaction
from django.utils import timezone

from depot.models import AuditEvent

GENESIS = "0" * 64
ADVISORY_LOCK = 0x41554454  # any number that nothing else locks


def record(
    actor: str,
    action: str,
    subject: models.Model | str,
    *,
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> AuditEvent:
    """Append one row in the caller's transaction; the next writer waits for its end, so the chain has no branch."""
    event = AuditEvent(
        at=timezone.now(),
        actor=actor[:100],
        action=action[:50],
        subject=subject_of(subject)[:200],
        reason=reason[:200],
        before=_plain(before),
        after=_plain(after),
    )
    with transaction.atomic():
        _queue_up()
        event.previous_hash = _newest_hash()
        event.hash = hash_of(event)
        event.save(force_insert=True)
    return event


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


def _queue_up() -> None:
    """One writer at a time until its transaction ends. SQLite's IMMEDIATE transactions are that already."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])


def _newest_hash() -> str:
    return AuditEvent.objects.order_by("-id").values_list("hash", flat=True).first() or GENESIS


def _plain(value: dict[str, Any] | None) -> Any:
    """What the database will give back: the hash must be the same after a round trip."""
    return None if value is None else json.loads(json.dumps(value, cls=DjangoJSONEncoder))
