"""JSON Merge Patch (RFC 7396): what changed between two pictures. A picture holds no nulls, so null means gone."""

from __future__ import annotations

from typing import Any

Picture = dict[str, Any]


def without_nulls(value: Any) -> Any:
    """The same tree without keys whose value is None; an absent value and an unknown key look alike to a patch."""
    if isinstance(value, dict):
        return {str(key): without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [without_nulls(item) for item in value]
    return value


def patch_between(old: Picture, new: Picture) -> Picture:
    """The smallest patch that turns `old` into `new`; empty when they are equal. Lists travel whole."""
    patch: Picture = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            if inner := patch_between(before, value):
                patch[key] = inner
        elif key not in old or value != before:
            patch[key] = value
    return patch


def apply_patch(picture: Picture, patch: Picture) -> Picture:
    """The picture after the patch; the browser does the same."""
    result = dict(picture)
    for key, value in patch.items():
        before = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = apply_patch(before if isinstance(before, dict) else {}, value)
        else:
            result[key] = value
    return result
