"""The `ocpp` package at work: one ChargePoint per socket, which hands every command to its station."""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar, cast

import ocpp.messages
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.enums import Action
from websockets.asyncio.client import ClientConnection

from charging.simulator.keys import KeyRow
from charging.simulator.schedule import Step

# A thread per message costs more than the validation itself.
ocpp.messages.ASYNC_VALIDATION = False

LOGGER = logging.getLogger("charging.simulator.wire")
ANSWER_TIMEOUT_S = 30
Payload = dict[str, Any]
_Handler = TypeVar("_Handler", bound=Callable[..., Any])


class Commands(Protocol):
    """What a station does with each command; statuses are the words of OCPP 1.6 §6."""

    def change_availability(self, connector: int, operative: bool) -> str: ...
    def change_configuration(self, key: str, value: str) -> str: ...
    def get_configuration(self, keys: list[str] | None) -> tuple[list[KeyRow], list[str]]: ...
    def remote_start(self, id_tag: str, connector: int | None, profile: Payload | None) -> str: ...
    def remote_stop(self, transaction_id: int) -> str: ...
    def reset(self, hard: bool) -> str: ...
    def unlock(self, connector: int) -> str: ...
    def trigger(self, message: str, connector: int | None) -> str: ...
    async def set_charging_profile(self, connector: int, profile: Payload) -> str: ...
    def clear_charging_profile(
        self, id: int | None, connector: int | None, purpose: str | None, stack_level: int | None
    ) -> str: ...
    def composite_schedule(self, connector: int, duration_s: int, unit: str | None) -> CompositeAnswer | None: ...


class CompositeAnswer(Protocol):
    """A composite schedule ready to be told."""

    @property
    def begin(self) -> str: ...
    @property
    def duration_s(self) -> int: ...
    @property
    def unit(self) -> str: ...
    @property
    def steps(self) -> tuple[Step, ...]: ...


def _handles(action: str) -> Callable[[_Handler], _Handler]:
    """`ocpp.routing.on` with types. The names of handlers must differ from those of ChargePoint's own methods."""
    return cast(Callable[[_Handler], _Handler], on(action))


class Wire(ChargePoint):
    """One connection. Commands are answered in tasks, so a slow answer never deafens the station."""

    def __init__(
        self, identity: str, connection: ClientConnection, station: Commands, dice: random.Random, *, validate: bool
    ) -> None:
        super().__init__(identity, connection, response_timeout=ANSWER_TIMEOUT_S, logger=LOGGER)
        self._unique_id_generator = lambda: uuid.UUID(int=dice.getrandbits(128), version=4)
        self._socket = connection
        self._station = station
        self._validate = validate
        self._answering: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """Read until the socket closes."""
        try:
            while True:
                raw = await self._socket.recv()
                if _is_call(raw):
                    self._spawn(self.route_message(raw))
                else:
                    await self.route_message(raw)
        finally:
            for task in self._answering:
                task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._answering.add(task)
        task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._answering.discard(task)
        if not task.cancelled() and task.exception() is not None:
            LOGGER.debug("%s: an answer was lost: %s", self.id, task.exception())

    async def request(self, payload: Any) -> Any:
        """Send a CALL and await its answer; OCPPError for a CALLERROR, TimeoutError, ConnectionClosed."""
        return await cast(Awaitable[Any], self.call(payload, suppress=False, skip_schema_validation=not self._validate))

    @_handles(Action.change_availability)
    def on_change_availability(self, connector_id: int, type: str) -> Any:
        status = self._station.change_availability(connector_id, type == "Operative")
        return call_result.ChangeAvailability(status=status)

    @_handles(Action.change_configuration)
    def on_change_configuration(self, key: str, value: str) -> Any:
        return call_result.ChangeConfiguration(status=self._station.change_configuration(key, value))

    @_handles(Action.get_configuration)
    def on_get_configuration(self, key: list[str] | None = None) -> Any:
        rows, unknown = self._station.get_configuration(key)
        return call_result.GetConfiguration(
            configuration_key=[{"key": row.key, "readonly": row.readonly, "value": row.value} for row in rows],
            unknown_key=unknown or None,
        )

    @_handles(Action.clear_cache)
    def on_clear_cache(self) -> Any:
        return call_result.ClearCache(status="Accepted")

    @_handles(Action.data_transfer)
    def on_data_transfer(self, vendor_id: str, message_id: str | None = None, data: str | None = None) -> Any:
        return call_result.DataTransfer(status="UnknownVendorId")

    @_handles(Action.get_local_list_version)
    def on_get_local_list_version(self) -> Any:
        return call_result.GetLocalListVersion(list_version=-1)

    @_handles(Action.remote_start_transaction)
    def on_remote_start(
        self, id_tag: str, connector_id: int | None = None, charging_profile: Payload | None = None
    ) -> Any:
        status = self._station.remote_start(id_tag, connector_id, charging_profile)
        return call_result.RemoteStartTransaction(status=status)

    @_handles(Action.remote_stop_transaction)
    def on_remote_stop(self, transaction_id: int) -> Any:
        return call_result.RemoteStopTransaction(status=self._station.remote_stop(transaction_id))

    @_handles(Action.reset)
    def on_reset(self, type: str) -> Any:
        return call_result.Reset(status=self._station.reset(type == "Hard"))

    @_handles(Action.unlock_connector)
    def on_unlock_connector(self, connector_id: int) -> Any:
        return call_result.UnlockConnector(status=self._station.unlock(connector_id))

    @_handles(Action.trigger_message)
    def on_trigger_message(self, requested_message: str, connector_id: int | None = None) -> Any:
        return call_result.TriggerMessage(status=self._station.trigger(requested_message, connector_id))

    @_handles(Action.set_charging_profile)
    async def on_set_charging_profile(self, connector_id: int, cs_charging_profiles: Payload) -> Any:
        status = await self._station.set_charging_profile(connector_id, cs_charging_profiles)
        return call_result.SetChargingProfile(status=status)

    @_handles(Action.clear_charging_profile)
    def on_clear_charging_profile(
        self,
        id: int | None = None,
        connector_id: int | None = None,
        charging_profile_purpose: str | None = None,
        stack_level: int | None = None,
    ) -> Any:
        status = self._station.clear_charging_profile(id, connector_id, charging_profile_purpose, stack_level)
        return call_result.ClearChargingProfile(status=status)

    @_handles(Action.get_composite_schedule)
    def on_get_composite_schedule(self, connector_id: int, duration: int, charging_rate_unit: str | None = None) -> Any:
        answer = self._station.composite_schedule(connector_id, duration, charging_rate_unit)
        if answer is None:
            return call_result.GetCompositeSchedule(status="Rejected")
        return call_result.GetCompositeSchedule(
            status="Accepted",
            connector_id=connector_id,
            schedule_start=answer.begin,
            charging_schedule={
                "duration": answer.duration_s,
                "start_schedule": answer.begin,
                "charging_rate_unit": answer.unit,
                "charging_schedule_period": [_period(step) for step in answer.steps],
            },
        )


def _period(step: Step) -> Payload:
    period: Payload = {"start_period": step.start_s, "limit": step.limit}
    if step.number_phases is not None:
        period["number_phases"] = step.number_phases
    return period


def _is_call(raw: str | bytes) -> bool:
    head = raw[:16]
    text = head if isinstance(head, str) else head.decode("utf-8", "replace")
    return text.lstrip().lstrip("[").lstrip().startswith("2")
