"""The Celery application: queue `planning` for optimisation, `default` for the rest, JSON only."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "depot.settings")

app = Celery("fleet-depot")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
