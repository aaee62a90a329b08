"""Forms that refuse a configuration whose permanent fallbacks do not fit (safety §4.1)."""

from __future__ import annotations

from collections.abc import Iterable

from django.forms import ModelForm

from depot.fallbacks import fallbacks_moved_by, misfits_made_by, refusal
from depot.models import Connector, Depot, Limit, LoadGroup


class FittingForm(ModelForm):  # type: ignore[type-arg]
    """Compares the misfits before and after; an edit may repair a misfit or leave it alone, but not make one."""

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # Django's hook after the instance has its new values
        if self.errors:
            return
        depot = self.depot()
        if misfits := misfits_made_by(depot, self.changed_rows()):
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
        return fallbacks_moved_by(self.instance)
