"""Forms that refuse a configuration whose permanent fallbacks do not fit (safety §4.1)."""

from __future__ import annotations

from collections.abc import Iterable

from django.forms import ModelForm

from depot.fallbacks import Misfit, check_fallbacks, refusal
from depot.models import Connector, Depot, Limit, LoadGroup, Station


class FittingForm(ModelForm):  # type: ignore[type-arg]
    """Compares the misfits before and after; an edit may repair a misfit or leave it alone, but not make one."""

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # Django's hook after the instance has its new values
        if self.errors:
            return
        depot = self.depot()
        misfits = check_fallbacks(depot, instead=self.changed_rows())
        if excess(misfits) > excess(check_fallbacks(depot)) + 1e-6:
            self.add_error(None, refusal(depot, misfits))

    def depot(self) -> Depot:
        raise NotImplementedError

    def changed_rows(self) -> Iterable[Connector | LoadGroup | Limit]:
        return [self.instance]


class ConnectorForm(FittingForm):
    def depot(self) -> Depot:
        return self.instance.station.depot  # type: ignore[no-any-return]


class LoadGroupForm(FittingForm):
    def depot(self) -> Depot:
        return self.instance.depot  # type: ignore[no-any-return]


class LimitForm(FittingForm):
    def depot(self) -> Depot:
        return self.instance.load_group.depot  # type: ignore[no-any-return]


class StationForm(FittingForm):
    """A charger that moves to another node takes its fallbacks along."""

    def depot(self) -> Depot:
        return self.instance.depot  # type: ignore[no-any-return]

    def changed_rows(self) -> Iterable[Connector]:
        if self.instance.pk is None or self.instance.kind != Station.Kind.CHARGER:
            return []
        connectors = list(self.instance.connectors.all())
        for connector in connectors:
            connector.station = self.instance
        return connectors


def excess(misfits: Iterable[Misfit]) -> float:
    """How far all misfits together go beyond their limits, kW or A."""
    return sum(each.fallback_kw + each.building_kw - each.limit_kw for each in misfits)
