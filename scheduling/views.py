"""Pages of the depot: live, plans, stations. They check, read, and render."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from depot.access import Actor, depots_for, may
from depot.incidents import acknowledge_incident
from depot.models import Depot, Incident, Station, User
from scheduling.live import plan_pages, station_page
from scheduling.live.first_chart import first_chart
from scheduling.live.first_heat import first_heat
from scheduling.live.incidents import may_acknowledge
from scheduling.live.merge import Picture
from scheduling.live.shared import shared_picture
from scheduling.live.words import REASONS, REASONS_TO_WAIT

RUNS_SHOWN = 60


def depot_of(request: HttpRequest, slug: str) -> Depot:
    """The depot if this user may read it; one that they may not see does not exist for them."""
    depot = get_object_or_404(Depot.objects.select_related("tariff"), slug=slug)
    if not may(request.user, "read", depot):
        raise Http404(f"No depot {slug!r}.")
    return depot


def page(request: HttpRequest, template: str, depot: Depot, section: str, **context: Any) -> HttpResponse:
    now = timezone.now()
    with timezone.override(depot.zone):
        return render(request, template, {"depot": depot, "section": section, "now": now} | context)


@never_cache
@require_GET
@login_required
def home(request: HttpRequest) -> HttpResponse:
    """The only depot at once, or the list of those that this user may see."""
    depots = list(depots_for(request.user))
    if len(depots) == 1:
        return redirect("live", slug=depots[0].slug)
    return render(request, "home.html", {"depots": depots})


@never_cache
@ensure_csrf_cookie
@require_GET
@login_required
def live(request: HttpRequest, slug: str) -> HttpResponse:
    depot = depot_of(request, slug)
    shared = shared_picture(depot)
    picture = shared.picture
    root = next(iter(picture["nodes"]), "")
    return page(
        request,
        "live/depot.html",
        depot,
        "live",
        picture=picture,
        boot={
            "at": shared.at.timestamp(),
            "picture": picture,
            "zone": depot.time_zone,
            "currency": depot.currency,
            "socket": f"/ws/depots/{depot.slug}/",
            "poll": reverse("snapshot", args=[depot.slug]),
            "words": REASONS,
            "words_to_wait": REASONS_TO_WAIT,
        },
        root=root,
        feeders=tiles_by_feeder(picture),
        chart=first_chart(picture, root, shared.at),
        heat=first_heat(picture),
        may_acknowledge=may_acknowledge(request.user, depot),
    )


def tiles_by_feeder(picture: Picture) -> list[tuple[str, str, list[tuple[str, Any]]]]:
    """(slug, name, tiles with their keys) of each node of the tree."""
    tiles: dict[str, list[tuple[str, Any]]] = {slug: [] for slug in picture["nodes"]}
    for key, tile in picture["tiles"].items():
        tiles.setdefault(tile.get("group", ""), []).append((key, tile))
    return [(slug, node["name"], tiles[slug]) for slug, node in picture["nodes"].items()]


@never_cache
@require_GET
def snapshot_json(request: HttpRequest, slug: str) -> HttpResponse:
    """The picture for a browser whose socket fails; a script gets 401 instead of a login page."""
    if not request.user.is_authenticated:
        return JsonResponse({"detail": "Sign in again."}, status=401)
    shared = shared_picture(depot_of(request, slug))
    return JsonResponse(shared.message())


@require_POST
@login_required
def acknowledge(request: HttpRequest, slug: str, incident_id: str) -> HttpResponse:
    depot = depot_of(request, slug)
    if not may_acknowledge(request.user, depot):
        raise PermissionDenied("Your role may not acknowledge incidents.")
    incident = get_object_or_404(Incident, Q(depot=depot) | Q(depot__isnull=True), pk=incident_id)
    assert isinstance(request.user, User)
    acknowledge_incident(incident, by=request.user)
    if request.headers.get("Accept", "").startswith("application/json"):
        return JsonResponse({"acknowledged": True})
    return redirect("live", slug=depot.slug)


@never_cache
@require_GET
@login_required
def stations(request: HttpRequest, slug: str) -> HttpResponse:
    depot = depot_of(request, slug)
    return page(request, "live/stations.html", depot, "stations", rows=station_page.station_rows(depot, timezone.now()))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def station(request: HttpRequest, slug: str, identity: str) -> HttpResponse:
    """One charger; POST sends it a command."""
    depot = depot_of(request, slug)
    charger = get_object_or_404(
        Station.objects.select_related("link", "load_group", "meter_state"), depot=depot, identity__iexact=identity
    )
    actor = Actor(request.user)
    form = station_page.CommandForm()
    if request.method == "POST":
        actor.require("commands:write", depot)
        form = station_page.CommandForm(request.POST)
        if form.is_valid() and (command := form.send(charger, by=actor.name)) is not None:
            messages.success(request, f"{command.action} is queued for {charger.identity}.")
            return redirect("station", slug=depot.slug, identity=charger.identity)
    return page(
        request,
        "live/station.html",
        depot,
        "stations",
        station=charger,
        facts=station_page.facts_of(charger, timezone.now()),
        form=form,
        may_command=actor.may("commands:write", depot),
        examples=station_page.EXAMPLES,
        **station_page.history_of(charger),
    )


@never_cache
@require_GET
@login_required
def plans(request: HttpRequest, slug: str) -> HttpResponse:
    depot = depot_of(request, slug)
    return page(request, "live/plans.html", depot, "plans", runs=plan_pages.newest_runs(depot, RUNS_SHOWN))


@never_cache
@require_GET
@login_required
def plan(request: HttpRequest, slug: str, run_id: str) -> HttpResponse:
    depot = depot_of(request, slug)
    run = get_object_or_404(depot.plan_runs, pk=run_id)
    return page(request, "live/plan.html", depot, "plans", run=run, **plan_pages.run_context(run))
