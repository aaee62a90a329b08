"""Addresses of the chargers' resources below /api/v1/."""

from charging.api.commands import CommandViews, StationCommandViews
from charging.api.equipment import IDENTITY_PATTERN, ConnectorViews, StationViews, UnknownStationViews
from charging.api.sessions import MeterValueViews, SessionViews
from depot.api.resources import UUID_PATTERN, ApiRouter

router = ApiRouter()
router.register("stations", StationViews, "api-station")
router.register(rf"stations/(?P<identity>{IDENTITY_PATTERN})/commands", StationCommandViews, "api-station-command")
router.register("connectors", ConnectorViews, "api-connector")
router.register("unknown-stations", UnknownStationViews, "api-unknown-station")
router.register("sessions", SessionViews, "api-session")
router.register(rf"sessions/(?P<session_id>{UUID_PATTERN})/meter-values", MeterValueViews, "api-meter-value")
router.register("commands", CommandViews, "api-command")

urlpatterns = router.urls
