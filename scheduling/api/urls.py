"""Addresses of the planner's resources below /api/v1/."""

from django.urls import re_path

from depot.api.resources import ApiRouter
from scheduling.api.day_ahead_plans import DayAheadPlanViews
from scheduling.api.demand_predictions import DemandPredictionViews
from scheduling.api.plans import PlanRunViews, PlanViews

router = ApiRouter()
router.register("plan-runs", PlanRunViews, "api-plan-run")
router.register("plans", PlanViews, "api-plan")
router.register("day-ahead-plans", DayAheadPlanViews, "api-day-ahead-plan")

predictions = DemandPredictionViews.as_view({"get": "predict", "post": "read"})
urlpatterns = [*router.urls, re_path(r"^demand-predictions/?$", predictions, name="api-demand-prediction")]
