"""Addresses of the planner's resources below /api/v1/."""

from depot.api.resources import ApiRouter
from scheduling.api.plans import PlanRunViews, PlanViews

router = ApiRouter()
router.register("plan-runs", PlanRunViews, "api-plan-run")
router.register("plans", PlanViews, "api-plan")

urlpatterns = router.urls
