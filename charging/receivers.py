"""A connector's fallback is desired state: a change reaches its charger however it was written."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver

from charging.desired import send_changed_fallback
from depot.models import Connector


@receiver(post_save, sender=Connector, dispatch_uid="charging.fallback_changed")
def connector_saved(instance: Connector, raw: bool = False, **_: Any) -> None:
    if not raw:
        transaction.on_commit(partial(send_changed_fallback, instance.pk))
