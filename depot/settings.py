"""Settings of every process. What differs between machines comes from the environment (see docs/configuration.md)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static

from depot.environment import (
    celery_broker_url,
    database_from_url,
    env_bool,
    env_int,
    env_list,
    env_text,
    redis_url_from,
    secret_key_kept_in,
)
from depot.logging import configure_logging

BASE_DIR = Path(__file__).resolve().parent.parent
VAR = Path(env_text("FLEET_DEPOT_VAR", str(BASE_DIR / "var")))

DEBUG = env_bool("DEBUG")
DEMO = env_bool("FLEET_DEPOT_DEMO")
TESTING = "pytest" in sys.modules

SECRET_KEY = env_text("SECRET_KEY")
if not SECRET_KEY:
    if not (DEBUG or DEMO or TESTING):
        raise ImproperlyConfigured("SECRET_KEY is not set; give every process the same random text of 50 characters.")
    SECRET_KEY = "only-for-tests-" + "0" * 50 if TESTING else secret_key_kept_in(VAR / "secret-key")
SECRET_KEY_FALLBACKS = env_list("SECRET_KEY_FALLBACKS")

LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", LOCAL_HOSTS if (DEBUG or DEMO or TESTING) else [])
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
    "depot.apps.DepotConfig",
    "charging.apps.ChargingConfig",
    "scheduling.apps.SchedulingConfig",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "depot.static_files.StaticFiles",
    "csp.middleware.CSPMiddleware",
    "depot.csp_admin.AdminCspMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "depot.urls"
ASGI_APPLICATION = "depot.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": database_from_url(env_text("DATABASE_URL"), var=VAR, pool_size=env_int("DATABASE_POOL_SIZE", 20))
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = redis_url_from(env_text("REDIS_URL"), var=VAR)
REDIS_PREFIX = env_text("REDIS_PREFIX", "fleet-depot")
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS_URL, "max_connections": 10_000}], "prefix": f"{REDIS_PREFIX}:layer"},
    }
}

CELERY_BROKER_URL = celery_broker_url(REDIS_URL)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": f"{REDIS_PREFIX}:celery:",
    "visibility_timeout": 600,
    # while the broker is away whoever asks for a task hears it at once; Kombu would make each of them wait for 6 s
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {"scheduling.*": {"queue": "planning"}}
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE: dict[str, Any] = {
    "heartbeat": {"task": "depot.heartbeat", "schedule": 10.0, "options": {"expires": 9}},
    "plan": {"task": "scheduling.plan_due_depots", "schedule": 5.0, "options": {"expires": 4}},
    "reservations": {"task": "depot.advance_reservations", "schedule": 30.0, "options": {"expires": 25}},
    "watch-chargers": {"task": "charging.watch_chargers", "schedule": 15.0, "options": {"expires": 14}},
    "forget-records": {"task": "charging.forget_old_records", "schedule": 3600.0, "options": {"expires": 3000}},
    "forget-runs": {"task": "scheduling.forget_old_runs", "schedule": 3600.0, "options": {"expires": 3000}},
}

AUTH_USER_MODEL = "depot.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

# The local demo and the tests speak plain HTTP; everything else stands behind a TLS proxy.
BEHIND_TLS = not (DEBUG or DEMO or TESTING)
SECURE_SSL_REDIRECT = env_bool("SECURE_SSL_REDIRECT", BEHIND_TLS)
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_HSTS_SECONDS = env_int("SECURE_HSTS_SECONDS", 31_536_000) if BEHIND_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = BEHIND_TLS
SECURE_HSTS_PRELOAD = BEHIND_TLS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if env_bool("TRUST_PROXY_HEADERS"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF, "ws:", "wss:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "depot.api.authentication.ApiKeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["depot.api.permissions.ScopedAccess"],
    "DEFAULT_PAGINATION_CLASS": "depot.api.pagination.CursorPages",
    "DEFAULT_RENDERER_CLASSES": ["depot.api.renderers.ApiJsonRenderer"],
    "DEFAULT_PARSER_CLASSES": ["depot.api.parsers.StrictJsonParser"],
    "DEFAULT_FILTER_BACKENDS": ["depot.api.filters.StrictFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "depot.api.schema.ProblemAutoSchema",
    "EXCEPTION_HANDLER": "depot.api.problems.problem_handler",
    "DEFAULT_THROTTLE_CLASSES": ["depot.api.throttling.KeyThrottle"],
    "DEFAULT_THROTTLE_RATES": {"key": env_text("API_RATE", "600/min"), "plan": env_text("API_PLAN_RATE", "60/min")},
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Fleet Depot API",
    "DESCRIPTION": (
        "Book reservations, read plans and sessions, and command chargers.\n\n"
        "Send `Authorization: Api-Key <key>`. Times carry an offset; answers are in UTC. Lists come in pages: follow "
        "`next`. Errors are RFC 9457 problems with a stable `type`."
    ),
    "VERSION": "1.0",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["depot.api.permissions.DocumentationAccess"],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "TAGS": [
        {"name": "reservations", "description": "Book a charger for a vehicle"},
        {"name": "vehicles", "description": "The fleet, what chargers recognise it by, and its batteries"},
        {"name": "plans", "description": "What each vehicle will draw, and why"},
        {"name": "sessions", "description": "What was and is being charged"},
        {"name": "stations", "description": "Chargers and connectors with their state"},
        {"name": "commands", "description": "Requests to chargers"},
        {"name": "incidents", "description": "What is wrong"},
        {"name": "depots", "description": "Sites and their settings"},
        {"name": "load-groups", "description": "The power tree"},
        {"name": "limits", "description": "Lower limits for a time"},
        {"name": "tariffs", "description": "What energy costs"},
    ],
    "ENUM_NAME_OVERRIDES": {
        "CommandState": "charging.models.Command.State",
        "ConnectorStatus": "charging.models.ConnectorStatus",
        "DayAheadPlanStatus": "scheduling.models.DayAheadPlan.Status",
        "PlanRunStatus": "scheduling.models.PlanRun.Status",
        "ReservationState": "depot.models.Reservation.State",
        "SessionState": "charging.models.Session.State",
        "LimitKind": "depot.models.Limit.Kind",
        "StationKind": "depot.models.Station.Kind",
        "VehicleIdentityKind": "depot.models.VehicleIdentity.Kind",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": True, "docExpansion": "list"},
}

UNFOLD = {
    "SITE_TITLE": "Fleet Depot",
    "SITE_HEADER": "Fleet Depot",
    "SITE_URL": "/",
    "SHOW_BACK_BUTTON": True,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda _: static("img/mark.svg")}],
}

# OCPP (spec figures: docs/ocpp.md)
OCPP_CALL_TIMEOUT_S = env_int("OCPP_CALL_TIMEOUT_S", 30)
OCPP_HEARTBEAT_INTERVAL_S = env_int("OCPP_HEARTBEAT_INTERVAL_S", 300)
OCPP_SETTLE_S = env_int("OCPP_SETTLE_S", 15)
OCPP_METER_INTERVAL_S = env_int("OCPP_METER_INTERVAL_S", 10)
OCPP_SHED_LOAD_AFTER = env_int("OCPP_SHED_LOAD_AFTER", 50_000)

FRAME_RETENTION_DAYS = env_int("FRAME_RETENTION_DAYS", 14)
PLAN_RETENTION_DAYS = env_int("PLAN_RETENTION_DAYS", 30)

LOGGING_CONFIG = None
configure_logging(debug=DEBUG or DEMO)
