"""Addresses of the pages."""

from __future__ import annotations

from django.contrib.auth import views as auth_views
from django.urls import path

from scheduling import views

urlpatterns = [
    path("", views.home, name="home"),
    path("login/", auth_views.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", auth_views.LogoutView.as_view(), name="logout"),
    path("depots/<slug:slug>/", views.live, name="live"),
    path("depots/<slug:slug>/snapshot.json", views.snapshot_json, name="snapshot"),
    path("depots/<slug:slug>/incidents/<uuid:incident_id>/acknowledge/", views.acknowledge, name="acknowledge"),
    path("depots/<slug:slug>/stations/", views.stations, name="stations"),
    path("depots/<slug:slug>/stations/<str:identity>/", views.station, name="station"),
    path("depots/<slug:slug>/plans/", views.plans, name="plans"),
    path("depots/<slug:slug>/plans/<uuid:run_id>/", views.plan, name="plan"),
]
