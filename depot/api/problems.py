"""Every error is an RFC 9457 problem with a stable type, a sentence, and pointers to the fields it is about."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, RequestDataTooBig
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import DatabaseError, IntegrityError, OperationalError
from django.db.models import ProtectedError, RestrictedError
from django.http import Http404, UnreadablePostError
from rest_framework import exceptions
from rest_framework.response import Response

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
TAKEN = {"unique", "unique_together"}
UNWORDED_CONSTRAINT = re.compile(r"Constraint “(\w+)” is violated\.")
NON_FIELD = {"non_field_errors", "__all__", ""}
TITLES = {
    "validation": "The request has invalid fields",
    "naive-timestamp": "A timestamp has no offset",
    "malformed": "The request cannot be read",
    "unauthenticated": "Authentication needed",
    "forbidden": "Not allowed",
    "not-found": "Not found",
    "method-not-allowed": "Method not allowed",
    "not-acceptable": "Only JSON is available",
    "unsupported-media-type": "Send application/json",
    "rate-limited": "Too many requests",
}


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field; `pointer` is a JSON pointer into the body (RFC 6901)."""

    pointer: str
    detail: str
    code: str = "invalid"

    def as_json(self) -> dict[str, str]:
        return {"pointer": self.pointer, "detail": self.detail, "code": self.code}


class Problem(Exception):
    """An error as its client shall see it; `extra` are further members of the problem object."""

    def __init__(
        self,
        slug: str,
        *,
        status: int,
        detail: str,
        title: str = "",
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.slug = slug
        self.status = status
        self.title = title or TITLES.get(slug, slug.replace("-", " ").capitalize())
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})
        self.extra = extra

    def as_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "type": f"/problems/{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = [error.as_json() for error in self.errors]
        return body | self.extra

    def as_response(self) -> Response:
        return Response(self.as_json(), self.status, headers=self.headers, content_type=MEDIA_TYPE)


def invalid(errors: Sequence[FieldError]) -> Problem:
    """422 for fields that cannot be accepted; a naive timestamp has a type of its own."""
    naive = any(error.code == "naive-timestamp" for error in errors)
    first = errors[0]
    detail = f"{first.pointer}: {first.detail}" if first.pointer else first.detail
    return Problem("naive-timestamp" if naive else "validation", status=422, detail=detail, errors=errors)


def invalid_field(name: str, detail: str, code: str = "invalid") -> Problem:
    return invalid([FieldError(f"/{name}" if name else "", detail, code)])


def field_errors(detail: Any, pointer: str = "") -> Iterator[FieldError]:
    """DRF's nested error details as pointers and sentences."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from field_errors(inner, pointer if name in NON_FIELD else f"{pointer}/{name}")
    elif isinstance(detail, list | tuple):
        nested = any(isinstance(item, Mapping | list) for item in detail)
        for index, inner in enumerate(detail):
            if inner:
                yield from field_errors(inner, f"{pointer}/{index}" if nested else pointer)
    else:
        yield FieldError(pointer, str(detail), str(getattr(detail, "code", "invalid")))


def from_model_validation(error: ModelValidationError) -> Problem:
    """What a model's `full_clean` refused; a value that is taken already is a conflict."""
    by_field = error.error_dict if hasattr(error, "error_dict") else {"": error.error_list}
    errors = [
        broken_rule("" if name in NON_FIELD else f"/{name}", sentence, str(one.code or "invalid"))
        for name, several in by_field.items()
        for one in several
        for sentence in one.messages
    ]
    if errors and all(one.code in TAKEN for one in errors):
        return Problem("already-exists", status=409, detail=errors[0].detail, errors=errors)
    return invalid(errors)


def broken_rule(pointer: str, sentence: str, code: str) -> FieldError:
    """A constraint without words of its own is told by its name, which is a rule in English."""
    if not (constraint := UNWORDED_CONSTRAINT.fullmatch(sentence)):
        return FieldError(pointer, sentence, code)
    rule = constraint.group(1)
    taken = "unique" in rule or "once" in rule
    return FieldError(pointer, f"This breaks the rule: {rule.replace('_', ' ')}.", "unique" if taken else "constraint")


def from_rest_framework(error: exceptions.APIException) -> Problem:
    if isinstance(error, exceptions.ValidationError):
        return invalid(list(field_errors(error.detail)) or [FieldError("", "Invalid.")])
    headers: dict[str, str] = {}
    slug = "error"
    if isinstance(error, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        slug = "unauthenticated"
        headers = {"WWW-Authenticate": str(getattr(error, "auth_header", "") or 'Api-Key realm="Fleet Depot"')}
    elif isinstance(error, exceptions.Throttled):
        wait = math.ceil(getattr(error, "wait", None) or 1)
        headers = {"Retry-After": str(wait)}
        return Problem("rate-limited", status=429, detail=f"Try again in {wait} s.", headers=headers)
    else:
        slug = SLUG_OF_STATUS.get(error.status_code, slug)
    status = 401 if slug == "unauthenticated" else error.status_code
    return Problem(slug, status=status, detail=str(error.detail), headers=headers)


SLUG_OF_STATUS = {
    400: "malformed",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    415: "unsupported-media-type",
}


def problem_of(error: Exception) -> Problem:
    """The problem that an exception is to a client; unknown ones are logged and say nothing of their inside."""
    match error:
        case Problem():
            return error
        case exceptions.APIException():
            return from_rest_framework(error)
        case ModelValidationError():
            return from_model_validation(error)
        case Http404() | ObjectDoesNotExist():
            return Problem(
                "not-found", status=404, detail="There is nothing at this address, or it is not yours to see."
            )
        case PermissionDenied():
            return Problem("forbidden", status=403, detail="This is not allowed.")
        case RequestDataTooBig():
            return Problem("too-large", status=413, detail="The body is larger than 2 MB; send it in parts.")
        case UnreadablePostError():
            return Problem("malformed", status=400, detail="The body ended before it was complete.")
        case ProtectedError() | RestrictedError():
            return Problem("in-use", status=409, detail="Other objects still refer to this one; remove those first.")
        case IntegrityError():
            log.warning("refused by a constraint", error=str(error))
            return Problem(
                "conflict", status=409, detail="This contradicts what is stored already; read it and try again."
            )
        case OperationalError():
            log.error("database unavailable", error=str(error))
            return Problem(
                "unavailable", status=503, detail="The database is busy; try again.", headers={"Retry-After": "2"}
            )
        case DatabaseError():
            log.error("database refused", exc_info=error)
            return internal_error()
        case _:
            log.error("unhandled in the API", exc_info=error)
            return internal_error()


def internal_error() -> Problem:
    return Problem(
        "internal", status=500, title="Something went wrong", detail="The error is logged; nothing was changed."
    )


def problem_handler(error: Exception, context: Mapping[str, Any]) -> Response:
    """DRF's EXCEPTION_HANDLER: whatever happened, answer a problem."""
    return problem_of(error).as_response()
