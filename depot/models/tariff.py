"""What the depot pays for energy. A version is valid for whole local days; a billed day keeps the version it used."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q


class Tariff(models.Model):
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=100)
    currency = models.CharField(max_length=3, default="EUR")
    description = models.TextField(blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class TariffVersion(models.Model):
    """Elements of the tariff in force from `valid_from` (inclusive) to `valid_to` (exclusive), local dates."""

    tariff = models.ForeignKey(Tariff, on_delete=models.CASCADE, related_name="versions")
    valid_from = models.DateField()
    valid_to = models.DateField(null=True, blank=True)
    elements = models.JSONField(
        help_text="list of elements: energy_tou, energy_flat, demand, fixed_per_month, fixed_per_day"
    )

    class Meta:
        ordering = ["tariff", "valid_from"]
        constraints = [
            models.UniqueConstraint(fields=["tariff", "valid_from"], name="tariff_version_one_per_start"),
            models.CheckConstraint(
                condition=Q(valid_to__isnull=True) | Q(valid_to__gt=F("valid_from")),
                name="tariff_version_ends_after_it_starts",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tariff} from {self.valid_from}"

    def clean(self) -> None:
        from depot.tariffs.definition import TariffError, parse_elements

        try:
            parse_elements(self.elements)
        except TariffError as error:
            raise ValidationError({"elements": str(error)}) from error
        if self.valid_from and self.tariff_id:
            self._refuse_overlap()

    def _refuse_overlap(self) -> None:
        others = TariffVersion.objects.filter(tariff_id=self.tariff_id).exclude(pk=self.pk)
        others = others.filter(Q(valid_to__isnull=True) | Q(valid_to__gt=self.valid_from))
        if self.valid_to:
            others = others.filter(valid_from__lt=self.valid_to)
        if clash := others.first():
            since = max(clash.valid_from, self.valid_from)
            raise ValidationError({"valid_from": f"From {since} on, {clash} is in force too; end one first."})
