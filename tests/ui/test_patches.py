"""Merge patches turn one picture into the next."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scheduling.live.merge import apply_patch, patch_between, without_nulls

leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=3)
trees = st.dictionaries(
    st.text(max_size=3), st.recursive(leaves, lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=4))
).map(without_nulls)


@given(old=trees, new=trees)
def test_a_patch_turns_the_old_picture_into_the_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert apply_patch(old, patch_between(old, new)) == new


@given(picture=trees)
def test_no_change_is_an_empty_patch(picture: dict[str, Any]) -> None:
    assert patch_between(picture, picture) == {}


def test_only_changed_keys_travel() -> None:
    old = {"tiles": {"1": {"power": "3.0", "bay": "A1"}, "2": {"power": "5.0"}}}
    new = {"tiles": {"1": {"power": "3.5", "bay": "A1"}, "2": {"power": "5.0"}}}
    assert patch_between(old, new) == {"tiles": {"1": {"power": "3.5"}}}


def test_what_is_gone_travels_as_null() -> None:
    assert patch_between({"tiles": {"1": {"note": "x"}}}, {"tiles": {"1": {}}}) == {"tiles": {"1": {"note": None}}}


def test_a_picture_holds_no_nulls() -> None:
    assert without_nulls({1: None, 2: {"a": None, "b": (1, None)}}) == {"2": {"b": [1, None]}}
