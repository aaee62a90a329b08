"""Which profiles a charger takes, replaces and clears."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from charging.simulator.profiles import (
    MAX_INSTALLED,
    ProfileRefused,
    ProfileStore,
    check_form,
    check_place,
    instant,
    profile_from_wire,
)
from charging.simulator.schedule import Kind, Period, Profile, Purpose, Recurrency, Unit

T0 = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)


def default(number: int = 11, **changes: Any) -> Profile:
    base = Profile(
        number, 1, 0, Purpose.TX_DEFAULT, Kind.ABSOLUTE, Unit.A, (Period(0, 6.0),), installed_at=T0, start=T0
    )
    return replace(base, **changes)


def ids(store: ProfileStore) -> list[int]:
    return [each.id for each in store.all]


def test_the_wire_form_is_read_completely() -> None:
    content = {
        "charging_profile_id": 5,
        "transaction_id": 77,
        "stack_level": 2,
        "charging_profile_purpose": "TxProfile",
        "charging_profile_kind": "Recurring",
        "recurrency_kind": "Daily",
        "valid_from": "2026-03-02T19:00:00+01:00",
        "valid_to": "2026-03-03T18:00:00Z",
        "charging_schedule": {
            "duration": 3600,
            "start_schedule": "2026-03-02T18:00:00",
            "charging_rate_unit": "W",
            "charging_schedule_period": [{"start_period": 0, "limit": 4140, "number_phases": 1}],
        },
    }
    assert profile_from_wire(2, content, T0) == Profile(
        id=5,
        connector=2,
        stack_level=2,
        purpose=Purpose.TX,
        kind=Kind.RECURRING,
        unit=Unit.W,
        periods=(Period(0, 4140.0, 1),),
        installed_at=T0,
        start=T0,
        duration_s=3600,
        recurrency=Recurrency.DAILY,
        valid_from=T0,
        valid_to=datetime(2026, 3, 3, 18, tzinfo=UTC),
        transaction_id=77,
    )


def test_times_are_read_as_utc() -> None:
    assert instant("2026-03-02T18:00:00.250Z") == T0.replace(microsecond=250_000)
    assert instant("2026-03-02T20:00:00+02:00") == T0


def test_the_same_id_is_replaced_wherever_it_was() -> None:
    store = ProfileStore()
    store.install(default(11))
    store.install(default(11, stack_level=4, connector=2))
    assert [(each.id, each.stack_level, each.connector) for each in store.all] == [(11, 4, 2)]


def test_the_same_purpose_and_level_is_replaced_on_its_connector_only() -> None:
    store = ProfileStore()
    store.install(default(11))
    store.install(default(12, connector=2))
    store.install(default(13, stack_level=1))
    store.install(default(14))
    assert ids(store) == [12, 13, 14]


def test_a_full_store_refuses_one_more_but_not_a_replacement() -> None:
    store = ProfileStore()
    for number in range(MAX_INSTALLED):
        store.install(default(number, connector=number))
    with pytest.raises(ProfileRefused, match="10 profiles are installed"):
        store.install(default(99, connector=99))
    store.install(default(3, connector=3, periods=(Period(0, 8.0),)))
    assert len(store.all) == MAX_INSTALLED


def filled() -> ProfileStore:
    store = ProfileStore()
    store.install(default(1, connector=0, purpose=Purpose.CHARGE_POINT_MAX))
    store.install(default(11))
    store.install(default(12, connector=2))
    store.install(default(1001, purpose=Purpose.TX, stack_level=1))
    return store


@pytest.mark.parametrize(
    ("criteria", "left"),
    [
        ({"id": 11}, [1, 12, 1001]),
        ({"id": 11, "connector": 2}, [1, 12, 1001]),
        ({"id": 99}, [1, 11, 12, 1001]),
        ({"connector": 1}, [1, 12]),
        ({"purpose": Purpose.TX_DEFAULT}, [1, 1001]),
        ({"purpose": Purpose.TX_DEFAULT, "connector": 2}, [1, 11, 1001]),
        ({"stack_level": 1}, [1, 11, 12]),
        ({"stack_level": 1, "connector": 2}, [1, 11, 12, 1001]),
        ({"connector": 0}, [11, 12, 1001]),
        ({}, []),
    ],
)
def test_clearing_takes_the_id_or_all_criteria_together(criteria: dict[str, Any], left: list[int]) -> None:
    store = filled()
    assert store.clear(**criteria) == 4 - len(left)
    assert ids(store) == left


def test_a_tx_profile_dies_with_its_transaction() -> None:
    store = filled()
    store.end_transaction(1)
    assert ids(store) == [1, 11, 12]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"stack_level": 9}, "stackLevel 9"),
        ({"periods": ()}, "0 periods"),
        ({"periods": tuple(Period(second, 6.0) for second in range(25))}, "25 periods"),
        ({"periods": (Period(10, 6.0),)}, "begin with 0"),
        ({"periods": (Period(0, 6.0), Period(60, 6.0), Period(30, 6.0))}, "rise"),
        ({"periods": (Period(0, -1.0),)}, "negative"),
        ({"unit": Unit.W}, "W is not supported"),
        ({"kind": Kind.RECURRING}, "needs recurrencyKind"),
        ({"kind": Kind.RECURRING, "recurrency": Recurrency.DAILY, "start": None}, "startSchedule"),
    ],
)
def test_what_is_against_the_protocol_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ProfileRefused, match=words):
        check_form(default(**wrong), frozenset({Unit.A}))


@pytest.mark.parametrize(
    ("wrong", "running", "words"),
    [
        ({"connector": 3}, None, "no connector 3"),
        ({"purpose": Purpose.CHARGE_POINT_MAX}, None, "connector 0"),
        ({"purpose": Purpose.TX, "connector": 0}, 5, "one connector"),
        ({"purpose": Purpose.TX, "transaction_id": 5}, None, "no transaction is running"),
        ({"purpose": Purpose.TX, "transaction_id": 6}, 5, "transaction 6 is not the running one, 5"),
        ({"purpose": Purpose.TX, "transaction_id": None}, 5, "is not the running one"),
    ],
)
def test_what_stands_in_the_wrong_place_is_refused(wrong: dict[str, Any], running: int | None, words: str) -> None:
    with pytest.raises(ProfileRefused, match=words):
        check_place(default(**wrong), 2, running)


def test_what_fits_is_taken() -> None:
    check_form(default(), frozenset({Unit.A}))
    check_place(default(), 2, None)
    check_place(default(purpose=Purpose.CHARGE_POINT_MAX, connector=0), 2, None)
    check_place(default(purpose=Purpose.TX, transaction_id=5), 2, 5)
