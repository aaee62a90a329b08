"""`Idempotency-Key` on POST: the answer is stored in the transaction of its effect and given again for 24 h."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from depot.api.principals import principal_of
from depot.api.problems import Problem
from depot.api.renderers import ApiJsonRenderer
from depot.models import IdempotencyRecord

KEPT_FOR = timedelta(hours=24)
ABANDONED_AFTER = timedelta(minutes=2)
LONGEST_KEY = 255
STORED_HEADERS = ("Location", "ETag")
HEADER = "Idempotency-Key"

Handler = Callable[..., Response]


def key_of(request: Request) -> str | None:
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not key.strip() or len(key) > LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise Problem(
            "invalid-header",
            status=400,
            title="A header is invalid",
            detail=f"{HEADER} has 1 to {LONGEST_KEY} printable ASCII characters.",
        )
    return key


def answered_once(key: str, request: Request, handler: Handler) -> Handler:
    """The handler, executed for the first request with this key and answered from memory for the others.

    Only acts that took effect are remembered: a refused request has changed nothing and may be tried again.
    """

    def answer(*args: Any, **kwargs: Any) -> Response:
        record = claim(principal_of(request), key, hash_of(request), timezone.now())
        if record.finished:
            headers = {**record.headers, "Idempotency-Replayed": "true"}
            return Response(record.body, record.status_code, headers=headers)
        try:
            with transaction.atomic():
                response = handler(*args, **kwargs)
                remember(record, response)
        except BaseException:
            IdempotencyRecord.objects.filter(pk=record.pk, finished=False).delete()
            raise
        return response

    return answer


def hash_of(request: Request) -> str:
    """SHA-256 of what is asked for; spelling and order of the JSON do not matter."""
    body = json.dumps(request.data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{request.method} {request.path.rstrip('/')}\n{body}".encode()).hexdigest()


def claim(principal: str, key: str, request_hash: str, now: datetime) -> IdempotencyRecord:
    """The record of this key: ours to execute (unfinished), or finished by an earlier request."""
    IdempotencyRecord.objects.filter(created_at__lt=now - KEPT_FOR).delete()
    try:
        with transaction.atomic():
            return IdempotencyRecord.objects.create(
                principal=principal, key=key, request_hash=request_hash, created_at=now
            )
    except IntegrityError:
        return claim_known(principal, key, request_hash, now)


def claim_known(principal: str, key: str, request_hash: str, now: datetime) -> IdempotencyRecord:
    record = IdempotencyRecord.objects.filter(principal=principal, key=key).first()
    if record is not None and record.request_hash != request_hash:
        raise Problem(
            "idempotency-mismatch", status=422, detail=f"{HEADER} {key!r} was used for another request; use a new key."
        )
    if record is not None and record.finished:
        return record
    if record is not None and take_over(record, now):
        return record
    raise Problem(
        "idempotency-in-flight",
        status=409,
        detail="The first request with this key still runs; ask again in a moment.",
        headers={"Retry-After": "1"},
    )


def take_over(record: IdempotencyRecord, now: datetime) -> bool:
    """A request whose process died was rolled back with its answer: after a while its key is free again."""
    abandoned = IdempotencyRecord.objects.filter(
        pk=record.pk, finished=False, created_at=record.created_at, created_at__lt=now - ABANDONED_AFTER
    )
    return bool(abandoned.update(created_at=now))


def remember(record: IdempotencyRecord, response: Response) -> None:
    body = json.loads(ApiJsonRenderer().render(response.data) or b"null")
    headers = {name: response[name] for name in STORED_HEADERS if response.has_header(name)}
    IdempotencyRecord.objects.filter(pk=record.pk).update(
        status_code=response.status_code, headers=headers, body=body, finished=True
    )
