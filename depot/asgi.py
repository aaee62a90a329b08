"""ASGI entry: HTTP and two kinds of WebSocket, browsers (cookie, same origin) and chargers (basic auth, no origin)."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "depot.settings")
http_application = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.urls import path, re_path  # noqa: E402

from charging.consumers import ChargerConsumer  # noqa: E402
from depot.lifespan import LifespanApplication  # noqa: E402
from scheduling.live.consumer import LiveDepotConsumer  # noqa: E402

browser_sockets = AllowedHostsOriginValidator(
    AuthMiddlewareStack(URLRouter([path("ws/depots/<slug:slug>/", LiveDepotConsumer.as_asgi())]))
)

application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": URLRouter([re_path(r"^ocpp(?:/|$)", ChargerConsumer.as_asgi()), re_path(r"", browser_sockets)]),
        "lifespan": LifespanApplication(),
    }
)
