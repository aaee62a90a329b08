"""Structured logs: one JSON object per line in production, readable lines on a terminal; secrets never pass."""

from __future__ import annotations

import logging
import logging.config
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

REDACTED = "[redacted]"
SECRET_NAMES = frozenset(
    {"authorizationkey", "authorization", "password", "passwd", "apikey", "token", "secret", "secretkey", "cookie"}
)
# the same names inside a text: `Authorization: Basic eHg=`, `"AuthorizationKey": "00ff"`, `api_key=abc`
SECRET_PAIR = re.compile(
    r"""(?ix)(["']?\b(?:authorization[_-]?key|authorization|password|passwd|api[_-]?key|token|secret(?:[_-]?key)?)\b["']?
        \s*[:=]\s*(?:(?:basic|bearer|api-key|token)\s+)?["']?)(?!\[redacted\])([^\s"',;&}\])]+)"""
)
# OCPP ChangeConfiguration as a raw frame: {"key": "AuthorizationKey", "value": "00ff"}
SECRET_VALUE = re.compile(r'(?i)("key"\s*:\s*"authorizationkey"\s*,\s*"value"\s*:\s*")[^"]*')
URL_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^@\s/]+(@)")


def configure_logging(*, debug: bool = False, level: str = "") -> None:
    """Route structlog and stdlib logging to stderr. `FLEET_DEPOT_LOG` = json | console overrides the choice."""
    chosen = os.environ.get("FLEET_DEPOT_LOG", "").strip().lower()
    console = chosen == "console" or (chosen != "json" and (debug or sys.stderr.isatty()))
    level = (level or os.environ.get("FLEET_DEPOT_LOG_LEVEL", "").strip() or "INFO").upper()
    logging.config.dictConfig(stdlib_config(console=console, level=level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def shared_processors() -> list[Processor]:
    """What every event passes, whether it comes from structlog or from a library's stdlib logger."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.UnicodeDecoder(),
    ]


def stdlib_config(*, console: bool, level: str) -> dict[str, Any]:
    renderer: list[Processor]
    if console:
        # the pretty formatter prints local variables, and with them secrets
        plain = structlog.dev.plain_traceback
        renderer = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    else:
        renderer = [structlog.processors.JSONRenderer(ensure_ascii=False)]
    before: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
    ]
    quiet = {"level": "WARNING"}
    through_root = {"handlers": [], "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared_processors(),
                "processors": [*before, redact_secrets, *renderer],
            }
        },
        "filters": {"unexpected": {"()": Unexpected}, "mistaken": {"()": Mistaken}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # uvicorn brings handlers of its own; they would print every line a second time, unredacted
            "uvicorn": through_root,
            "uvicorn.error": {**through_root, "filters": ["mistaken"]},
            "uvicorn.access": {"handlers": [], "propagate": False},  # the proxy keeps an access log
            "asyncio": quiet,
            "celery.beat": quiet,
            "kombu.connection": {"level": "ERROR"},  # a Unix socket has no host name, and needs none
            "celery.worker.strategy": quiet,
            "celery.app.trace": quiet,
            "django.request": {"level": "ERROR", "filters": ["unexpected"]},
            "psycopg.pool": {"level": "CRITICAL"},  # who waits for a connection gets the error, and logs it
            "websockets": quiet,
        },
    }


class Unexpected(logging.Filter):
    """A readiness probe that says no is an answer, not an error, and comes many times."""

    def filter(self, record: logging.LogRecord) -> bool:
        return getattr(getattr(record, "request", None), "path", "") != "/readyz"


class Mistaken(logging.Filter):
    """uvicorn takes every WebSocket refused with an HTTP answer (401, 404) for an application that forgot to answer."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.getMessage() != "ASGI callable returned without completing handshake."


def redact_secrets(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Replace the value of every secret-looking key, at any depth, and of `key: value` pairs inside texts."""
    return {key: REDACTED if _is_secret(key) else _clean(value) for key, value in event.items()}


def _is_secret(key: object) -> bool:
    return isinstance(key, str) and key.replace("_", "").replace("-", "").lower() in SECRET_NAMES


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return _clean_mapping(value)
    if isinstance(value, (list, tuple)):
        return [_clean(item) for item in value]
    return value


def _clean_mapping(value: Mapping[Any, Any]) -> dict[Any, Any]:
    # OCPP ChangeConfiguration carries the secret's name and its value side by side
    hides_value = _is_secret(value.get("key"))
    return {
        key: REDACTED if _is_secret(key) or (hides_value and key == "value") else _clean(item)
        for key, item in value.items()
    }


def redact_text(text: str) -> str:
    """The text with the values of secret-looking pairs and the passwords in URLs replaced."""
    if ":" not in text and "=" not in text:
        return text
    text = SECRET_VALUE.sub(rf"\1{REDACTED}", SECRET_PAIR.sub(rf"\1{REDACTED}", text))
    return URL_PASSWORD.sub(rf"\1{REDACTED}\2", text)
