"""Limits, tariffs and the tree change a plan's inputs however they are written (admin, API, shell)."""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from depot.models import Depot, Limit, LoadGroup, Tariff, TariffVersion
from depot.signals import announce_needs_changed


@receiver([post_save, post_delete], sender=Limit)
def limit_changed(instance: Limit, **_: Any) -> None:
    announce_needs_changed(instance.load_group.depot_id, "limit")


@receiver([post_save, post_delete], sender=LoadGroup)
def load_group_changed(instance: LoadGroup, **_: Any) -> None:
    announce_needs_changed(instance.depot_id, "limit")


@receiver(post_save, sender=Depot)
def depot_changed(instance: Depot, **_: Any) -> None:
    announce_needs_changed(instance.pk, "settings")


@receiver([post_save, post_delete], sender=TariffVersion)
def tariff_version_changed(instance: TariffVersion, **_: Any) -> None:
    announce_for_tariff(instance.tariff_id)


@receiver(post_save, sender=Tariff)
def tariff_changed(instance: Tariff, **_: Any) -> None:
    announce_for_tariff(instance.pk)


def announce_for_tariff(tariff_id: int) -> None:
    for depot_id in Depot.objects.filter(tariff_id=tariff_id).values_list("pk", flat=True):
        announce_needs_changed(depot_id, "tariff")
