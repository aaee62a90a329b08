"""Names of planning algorithms; the scheduling room above registers them at start."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.exceptions import ValidationError

_names: set[str] = set()


def register_algorithms(names: Iterable[str]) -> None:
    _names.update(names)


def validate_algorithm(name: str) -> None:
    if _names and name not in _names:
        raise ValidationError(f"There is no algorithm {name!r}; choose one of {', '.join(sorted(_names))}.")
