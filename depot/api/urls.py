"""Addresses of the yard's resources below /api/v1/."""

from depot.api.fleet import VehicleIdentityViews, VehicleStateViews, VehicleViews
from depot.api.incidents import IncidentViews
from depot.api.reservations import ReservationViews
from depot.api.resources import SLUG_PATTERN, ApiRouter
from depot.api.site import DepotViews, LimitViews, LoadGroupViews
from depot.api.tariffs import TariffVersionViews, TariffViews

router = ApiRouter()
router.register("depots", DepotViews, "api-depot")
router.register("load-groups", LoadGroupViews, "api-load-group")
router.register("limits", LimitViews, "api-limit")
router.register("vehicles", VehicleViews, "api-vehicle")
router.register("vehicle-identities", VehicleIdentityViews, "api-vehicle-identity")
router.register("vehicle-states", VehicleStateViews, "api-vehicle-state")
router.register("reservations", ReservationViews, "api-reservation")
router.register("tariffs", TariffViews, "api-tariff")
router.register(rf"tariffs/(?P<tariff_slug>{SLUG_PATTERN})/versions", TariffVersionViews, "api-tariff-version")
router.register("incidents", IncidentViews, "api-incident")

urlpatterns = router.urls
