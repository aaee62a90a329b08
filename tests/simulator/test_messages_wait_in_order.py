"""The queue behind the link: what survives its loss, and in which order."""

from __future__ import annotations

import pytest

from charging.simulator.outbox import OFFLINE_SAMPLES_KEPT, Outbox, Outgoing


def message(action: str, *, durable: bool = False, dropped: list[str] | None = None) -> Outgoing:
    def note() -> None:
        if dropped is not None:
            dropped.append(action)

    return Outgoing(action, lambda: action, durable=durable, dropped=note)


async def drained(outbox: Outbox) -> list[str]:
    return [(await outbox.take()).action for _ in range(len(outbox))]


async def test_a_lost_link_keeps_transactions_and_forgets_the_rest() -> None:
    outbox = Outbox()
    dropped: list[str] = []
    outbox.put(message("Authorize", dropped=dropped))
    outbox.put(message("StartTransaction", durable=True, dropped=dropped))
    outbox.put(message("StatusNotification", dropped=dropped))
    outbox.put(message("StopTransaction", durable=True, dropped=dropped))
    outbox.lose_link()
    assert dropped == ["Authorize", "StatusNotification"]
    assert await drained(outbox) == ["StartTransaction", "StopTransaction"]


async def test_what_was_not_answered_is_the_next_again() -> None:
    outbox = Outbox()
    outbox.put(message("StartTransaction", durable=True))
    outbox.put(message("StopTransaction", durable=True))
    outbox.put_back(await outbox.take())
    assert await drained(outbox) == ["StartTransaction", "StopTransaction"]


async def test_statuses_of_a_new_link_come_before_the_backlog_in_their_order() -> None:
    outbox = Outbox()
    outbox.put(message("StopTransaction", durable=True))
    outbox.put_first([message("first"), message("second")])
    assert await drained(outbox) == ["first", "second", "StopTransaction"]


@pytest.mark.parametrize("count", [OFFLINE_SAMPLES_KEPT + 1, 3 * OFFLINE_SAMPLES_KEPT])
async def test_a_long_time_offline_thins_samples_and_keeps_starts_and_stops(count: int) -> None:
    outbox = Outbox()
    outbox.put(message("StartTransaction", durable=True))
    for _ in range(count):
        outbox.put(message("MeterValues", durable=True))
    outbox.put(message("StopTransaction", durable=True))
    actions = await drained(outbox)
    assert OFFLINE_SAMPLES_KEPT / 2 <= actions.count("MeterValues") <= OFFLINE_SAMPLES_KEPT
    assert [actions[0], actions[-1]] == ["StartTransaction", "StopTransaction"]
