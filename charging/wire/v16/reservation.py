"""OCPP 1.6 Reservation profile. OCPP 1.6 §5.1, §5.13."""

from typing import Literal

from charging.wire.v16.types import AcceptedOrRejected, ConnectorId, Id, IdTag, Message, Open, Timestamp


class ReserveNow(Message, frozen=True):
    """Keep a connector, or with 0 any, for a tag; the same id replaces (P52)."""

    connector_id: ConnectorId
    expiry_date: Timestamp
    id_tag: IdTag
    reservation_id: Id
    parent_id_tag: IdTag | None = None


class ReserveNowResponse(Message, frozen=True):
    status: Open[Literal["Accepted", "Faulted", "Occupied", "Rejected", "Unavailable"]]


class CancelReservation(Message, frozen=True):
    """Give a reserved connector free."""

    reservation_id: Id


class CancelReservationResponse(Message, frozen=True):
    """Rejected means already gone."""

    status: Open[AcceptedOrRejected]
